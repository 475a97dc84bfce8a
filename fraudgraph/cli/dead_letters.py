"""`fraudgraph dead-letters`: what was not applied, why, and once more."""

from __future__ import annotations

from base64 import b64encode
from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import FINDINGS, ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fraudgraph.stores.port import StoredDeadLetter

commands = typer.Typer(no_args_is_help=True, help="Reads events that were not applied.")


class Format(StrEnum):
    """How dead letters are written."""

    TABLE = "table"
    JSON = "json"


ReasonOption = Annotated[
    list[str] | None,
    typer.Option("--reason", metavar="REASON", help="Only these, such as too-late; may be repeated. All if absent."),
]


@commands.command("list", epilog="Example: fraudgraph dead-letters list --store sqlite:///shop.db --reason too-late")
def list_(
    format: Annotated[Format, typer.Option("--format", help="Table for people, JSON for programs.")] = Format.TABLE,
    reason: ReasonOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many, the oldest first.")
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Opens the original bytes: they hold personal data. JSON only.")
    ] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exits with 3 where there is one.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Lists events that were not applied.

    Each with its reason and its position in the source.
    """
    from fraudgraph.app import open_reader, open_vault

    if reveal and format is not Format.JSON:
        raise UsageError("--reveal opens personal data, which is no good in a table", do="Add --format json.")
    _check(reason)
    settings = effective_settings(store, config, overrides).settings
    with closing(open_reader(settings)) as reader:
        letters = reader.dead_letters(limit=None if reason else limit)
        letters = [letter for letter in letters if not reason or letter.reason in reason][:limit]
        unseal = open_vault(settings, reader).open if reveal else None
    if format is Format.JSON:
        print_json({"dead_letters": [_document(letter, unseal) for letter in letters]})
    elif letters:
        print_table(
            [Column("id", right=True), Column("reason"), Column("position"), Column("detail", folds=True)],
            [[str(letter.id), letter.reason, _position(letter), letter.detail] for letter in letters],
        )
    if not letters:
        note("no dead letters" + (" of that kind" if reason else ": every event was applied"))
    if exit_code and letters:
        raise typer.Exit(FINDINGS)


@commands.command(
    epilog="Example: fraudgraph dead-letters replay --store sqlite:///shop.db --reason invalid-identifier"
)
def replay(
    reason: ReasonOption = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Tries dead letters once more.

    Under the settings of now: those that apply leave the list, the others stay.

    Late events apply, and event time does not move. A too-late event may be the second delivery of one that was
    applied long ago, which nobody can tell any more: choose by --reason where a source repeats itself.
    """
    from fraudgraph.app import replay as replay_letters
    from fraudgraph.rings.facts_words import count

    _check(reason)
    settings = effective_settings(store, config, overrides).settings
    done = replay_letters(settings, reasons=set(reason) if reason else None)
    note(
        f"{count(done.applied, 'event')} applied, {done.duplicates:,} had come before,"
        f" {done.refused:,} still cannot be used"
    )


def _check(reasons: list[str] | None) -> None:
    from fraudgraph.events.kinds import RejectReason

    known = [r.code for r in RejectReason]
    for reason in reasons or ():
        if reason not in known:
            raise UsageError(f"no event is refused for {reason!r}", do=f"Reasons are {', '.join(known)}.")


def _document(letter: StoredDeadLetter, unseal: Callable[[bytes], bytes] | None) -> dict[str, object]:
    return {
        "id": letter.id,
        "reason": letter.reason,
        "detail": letter.detail,
        "position": _position(letter),
        "bytes_base64": None if unseal is None else b64encode(unseal(letter.ciphertext)).decode(),
    }


def _position(letter: StoredDeadLetter) -> str:
    return f"{letter.partition}@{letter.offset}"
