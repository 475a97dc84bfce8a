"""`fraudgraph forget`: an account that is to be erased."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cases.reasons import FORGET_REASONS
from fraudgraph.cli.commands import AuthorOption, Format, FormatOption, WaitOption, give, say
from fraudgraph.cli.lookup import known_account, user_secret
from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import note
from fraudgraph.cli.secrets import STDIN, read_value
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from fraudgraph.settings import Settings


def forget(
    user_id: Annotated[
        str,
        typer.Argument(metavar="USER_ID", help="The account, by the shop's id; - reads it from standard input."),
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="CODE", help=f"One of {', '.join(FORGET_REASONS)}.")],
    author: AuthorOption = None,
    wait: WaitOption = False,
    format: FormatOption = Format.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Erases an account: what it did, and its name.

    Its links, orders, transfers and labels go, and what only it used; its rings are looked at again. In decisions,
    constraints, kept evidence and recorded commands another name stands in its place, and notes beside it go. Dead
    letters that are about it go. The audit stays whole: it names accounts by digest only. An event that comes later
    makes the account anew.
    """
    if reason not in FORGET_REASONS:
        raise UsageError(f"{reason!r} is no reason to forget", do=f"Give one of {', '.join(FORGET_REASONS)}.")
    from fraudgraph.cases.orders import Forget

    settings = effective_settings(store, config, overrides).settings
    value = read_value("user", user_id, secret=False)
    secret = user_secret(value, settings.identity.default_region or None, typed=user_id != STDIN)
    letters = _letters_about(settings, value)
    key = value if secret is None else _key_of(settings, value)
    recorded = give(settings, Forget(key, reason, letters), author=author, wait=wait)
    say(
        recorded,
        {"dead_letters_deleted": len(letters)},
        f"forgotten, and {len(letters):,} dead letters with it; the audit has it as forgotten-{recorded.number}",
        format,
    )
    if format is Format.TEXT:
        note(
            "next: what lies elsewhere is yours to erase: backups, dossiers, reports, other programs' logs, the stream"
        )


def _key_of(settings: Settings, value: str) -> str:
    """Returns what the store calls an account whose id is an e-mail address or a phone number."""
    from fraudgraph.app import open_reader, open_resolvers

    with closing(open_reader(settings)) as reader:
        return known_account(reader, open_resolvers(settings, reader), value)


def _letters_about(settings: Settings, user_id: str) -> tuple[int, ...]:
    """Returns the dead letters that hold the id as a whole word; only who has the key can tell."""
    from fraudgraph.app import open_reader, open_vault

    word = re.compile(rb"(?<![\w-])" + re.escape(user_id.encode()) + rb"(?![\w-])")
    with closing(open_reader(settings)) as reader:
        letters = reader.dead_letters()
        if not letters:
            return ()
        unseal = open_vault(settings, reader).open
        return tuple(letter.id for letter in letters if word.search(unseal(letter.ciphertext)))
