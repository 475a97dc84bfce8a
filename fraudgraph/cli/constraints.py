"""`fraudgraph constraints`: identifiers that tie nobody, accounts kept apart or together."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cases.constraints import NEVER_MS
from fraudgraph.cases.reasons import CONSTRAINT_REASONS, ConstraintKind
from fraudgraph.cli.commands import AuthorOption, Format, FormatOption, NoteOption, WaitOption, give, read_note, say
from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table
from fraudgraph.cli.secrets import STDIN, read_value
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from fraudgraph.cases.constraints import Constraint
    from fraudgraph.events.kinds import EntityKind
    from fraudgraph.reports.model import RingReport
    from fraudgraph.settings import Settings
    from fraudgraph.stores.port import StoreReader

commands = typer.Typer(no_args_is_help=True, help="Tells the graph what is harmless, apart or together.")

SECRET_KINDS = ("email", "card", "phone", "address")
OPEN_KINDS = ("ip", "device")


class ListFormat(StrEnum):
    """How constraints are written."""

    TABLE = "table"
    JSON = "json"


@commands.command(
    epilog="Example: fraudgraph constraints add benign-hub ip:203.0.113.7 --reason shared-network --note 'dormitory'"
)
def add(
    kind: Annotated[ConstraintKind, typer.Argument(help="What you demand.")],
    what: Annotated[
        list[str], typer.Argument(metavar="WHAT...", help="KIND:VALUE for a benign-hub, else two account ids.")
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="CODE", help="Why, as a code; a wrong one lists those of the kind.")
    ],
    note_text: NoteOption = "",
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="Event time at which it ends; never if absent.")
    ] = None,
    country: Annotated[
        str | None, typer.Option("--country", metavar="CC", help="Country of a phone number without +, such as DE.")
    ] = None,
    author: AuthorOption = None,
    wait: WaitOption = False,
    format: FormatOption = Format.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Adds a constraint: benign-hub, cannot-link or must-link.

    A benign-hub ties nobody, but stays visible. cannot-link cuts two accounts apart where that costs the least;
    must-link ties them until the end. Cards, e-mail addresses, phone numbers and addresses are read from standard
    input (card:-) and leave this command as pseudonyms only.
    """
    from fraudgraph.app import open_reader
    from fraudgraph.cases.orders import Constrain
    from fraudgraph.cli.times import parse_since

    if reason not in CONSTRAINT_REASONS[kind]:
        raise UsageError(
            f"{reason!r} is no reason for {kind}", do=f"Give --reason {', '.join(CONSTRAINT_REASONS[kind])}."
        )
    settings = effective_settings(store, config, overrides).settings
    order = Constrain(
        kind,
        *about(settings, kind, what, country),
        reason=reason,
        note=read_note(note_text),
        until_ms=NEVER_MS if until is None else parse_since(until, 0),
    )
    recorded = give(settings, order, author=author, wait=wait)
    with closing(open_reader(settings)) as reader:
        made = next((each for each in reader.constraints() if each.source == recorded.source), None)
        text = "" if made is None else f"{made.constraint_id}: {kind} {' and '.join(_shown(reader, made))}"
        document = None if made is None else _document(reader, made)
    say(recorded, {"constraint": document}, text, format)


@commands.command(epilog="Example: fraudgraph constraints remove C000001 --store sqlite:///shop.db")
def remove(
    constraint_id: Annotated[str, typer.Argument(metavar="CONSTRAINT_ID", help="The constraint, such as C000001.")],
    author: AuthorOption = None,
    wait: WaitOption = False,
    format: FormatOption = Format.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Takes a constraint back: the graph is as it would be without it."""
    from fraudgraph.cases.orders import Remove

    settings = effective_settings(store, config, overrides).settings
    recorded = give(settings, Remove(constraint_id), author=author, wait=wait)
    say(recorded, {"removed": constraint_id}, f"{constraint_id} is removed", format)


@commands.command(
    "list",
    short_help="Lists the constraints in force.",
    epilog="Example: fraudgraph constraints list --store sqlite:///shop.db",
)
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Also those that ended or were removed.")] = False,
    format: Annotated[
        ListFormat, typer.Option("--format", help="Table for people, JSON for programs.")
    ] = ListFormat.TABLE,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Lists the constraints in force, in the order in which they were added."""
    from fraudgraph.app import open_reader

    with closing(open_reader(effective_settings(store, config, overrides).settings)) as reader:
        now_ms = int(reader.meta()["watermark_ms"])
        found = [each for each in reader.constraints() if all_ or each.holds_at(now_ms)]
        if format is ListFormat.JSON:
            print_json({"constraints": [_document(reader, each) for each in found]})
        elif found:
            _print(reader, found, now_ms)
    if not found:
        note("no constraint is in force" if not all_ else "no constraint was ever added")


def constraints_json(settings: Settings, report: RingReport) -> list[dict[str, object]]:
    """Returns the constraints in force on a ring's accounts and identifiers."""
    from fraudgraph.app import open_reader

    with closing(open_reader(settings)) as reader:
        return [_document(reader, each) for each in _touching(reader, report)]


def print_constraints(settings: Settings, report: RingReport) -> None:
    """Prints the same under a report; nothing where there are none."""
    from fraudgraph.app import open_reader

    with closing(open_reader(settings)) as reader:
        if found := _touching(reader, report):
            typer.echo("\nConstraints on these accounts and identifiers")
            _print(reader, found, report.snapshot.as_of_ms)


def _touching(reader: StoreReader, report: RingReport) -> list[Constraint]:
    snapshot = report.snapshot
    touched = {user.user_id for user in snapshot.users} | {link.key for link in snapshot.links}
    return [
        each
        for each in reader.constraints()
        if each.holds_at(snapshot.as_of_ms) and not touched.isdisjoint((each.first, each.second))
    ]


def _print(reader: StoreReader, found: list[Constraint], now_ms: int) -> None:
    """Prints constraints; those that hold no more in brackets."""
    from fraudgraph.rings.facts_words import minute

    print_table(
        [
            *map(Column, ("id", "kind", "on", "until (UTC)", "who", "said (UTC)")),
            Column("why", folds=True),
        ],
        [
            [
                each.constraint_id,
                str(each.kind) if each.holds_at(now_ms) else f"({each.kind})",
                " and ".join(_shown(reader, each)),
                "" if each.until_ms == NEVER_MS else minute(each.until_ms),
                each.author,
                minute(each.ts_ms),
                f"{each.reason}: {each.note}" if each.note else each.reason,
            ]
            for each in found
        ],
    )


def about(
    settings: Settings, kind: ConstraintKind, what: list[str], country: str | None = None
) -> tuple[EntityKind, str, str]:
    """Returns what a constraint is about: kind of entity, and a pseudonym or two user ids.

    Raises:
        UsageError: `what` is no such thing, or is personal data on the command line.
    """
    from fraudgraph.app import open_reader, open_resolvers
    from fraudgraph.cli.lookup import Question, known_identifier, user_secret
    from fraudgraph.events.kinds import EntityKind

    region = settings.identity.default_region or None
    if kind is not ConstraintKind.BENIGN_HUB:
        if len(what) != 2 or what[0] == what[1]:
            raise UsageError(f"{kind} is about two accounts, and {len(set(what))} came", do=f"Write {kind} U1 U2.")
        for user_id in what:
            user_secret(user_id, region, typed=True)
        with closing(open_reader(settings)) as reader:
            unknown = sum(reader.find(EntityKind.USER, user_id) is None for user_id in what)
        if unknown:
            raise UsageError(f"{unknown} of the two accounts are not known", do="Write ids as lists show them.")
        return EntityKind.USER, min(what), max(what)
    name, _, value = (what[0] if len(what) == 1 else "").partition(":")
    if name not in (*SECRET_KINDS, *OPEN_KINDS) or not value:
        raise UsageError(
            "benign-hub is about one identifier",
            do=f"Write ip:VALUE or device:VALUE, or KIND:- with a kind of {', '.join(SECRET_KINDS)}.",
        )
    if name in SECRET_KINDS and value != STDIN:
        raise UsageError(
            f"{name}:… gives personal data as an argument, which the shell's history and the process list keep",
            do=f"Write {name}:- and type or pipe it in.",
        )
    typed = read_value(name, value, secret=name in SECRET_KINDS)
    entity = EntityKind[name.upper()]
    with closing(open_reader(settings)) as reader:
        question = Question(name, typed, typed=value != STDIN, region=region, country=country)
        key, _ = known_identifier(reader, open_resolvers(settings, reader), entity, question)
    return entity, key.hex(), ""


def _shown(reader: StoreReader, constraint: Constraint) -> list[str]:
    """Returns what it is about, in words: accounts, or an identifier by its mask."""
    from fraudgraph.cli.lookup import named

    if constraint.kind is not ConstraintKind.BENIGN_HUB:
        return [constraint.first, constraint.second]
    entity = reader.find(constraint.entity, constraint.first)
    mask = f"{constraint.entity.label} {constraint.first[:4]}…" if entity is None else entity.mask
    return [named(constraint.entity.label, mask)]


def _document(reader: StoreReader, constraint: Constraint) -> dict[str, object]:
    from fraudgraph.rings.facts_words import rfc3339

    return {
        "constraint_id": constraint.constraint_id,
        "kind": str(constraint.kind),
        "on": _shown(reader, constraint),
        "until": None if constraint.until_ms == NEVER_MS else rfc3339(constraint.until_ms),
        "reason": constraint.reason,
        "note": constraint.note,
        "author": constraint.author,
        "at": rfc3339(constraint.ts_ms),
        "counts_from": rfc3339(constraint.at_ms),
        "removed_by": constraint.removed_by,
        "removed_at": None if constraint.removed_ts_ms is None else rfc3339(constraint.removed_ts_ms),
    }
