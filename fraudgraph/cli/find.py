"""`fraudgraph find`: who is behind an identifier, and in which rings."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import FINDINGS, ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table
from fraudgraph.cli.secrets import STDIN, read_value, refused
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from fraudgraph.alerts.priority import PriorityRules
    from fraudgraph.cli.lookup import Answer
    from fraudgraph.stores.port import RingRow

SECRETS = ("email", "card", "phone", "address")


class Format(StrEnum):
    """How the answer is written."""

    TEXT = "text"
    JSON = "json"


def find(
    context: typer.Context,
    email: Annotated[
        str | None, typer.Option("--email", metavar="-", help="E-mail address, from standard input.")
    ] = None,
    card: Annotated[
        str | None, typer.Option("--card", metavar="-", help="Card number or token, from standard input.")
    ] = None,
    phone: Annotated[
        str | None, typer.Option("--phone", metavar="-", help="Phone number, from standard input.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", metavar="-", help="Delivery address in one line, from standard input.")
    ] = None,
    ip: Annotated[str | None, typer.Option("--ip", metavar="IP", help="IPv4 or IPv6 address; - reads it.")] = None,
    device: Annotated[str | None, typer.Option("--device", metavar="ID", help="Device id; - reads it.")] = None,
    order: Annotated[str | None, typer.Option("--order", metavar="ID", help="Order id; - reads it.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="User id; - reads it.")] = None,
    country: Annotated[
        str | None, typer.Option("--country", metavar="CC", help="Country of a phone number without +, such as DE.")
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="Text for people, JSON for programs.")] = Format.TEXT,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exits with 3 where an account is in a ring.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Finds who is behind an identifier.

    The accounts that use it, and the rings that they are in.

    E-mail addresses, cards, phone numbers and addresses are read from standard input, turned into pseudonyms at once,
    and shown only by their masks.
    """
    from fraudgraph.app import open_reader, open_resolvers
    from fraudgraph.cli.lookup import Question, look_up

    if context.args:  # let in by the command's registration, because an error of the parser would repeat it
        raise refused("a word without an option")
    given = {
        "email": email,
        "card": card,
        "phone": phone,
        "address": address,
        "ip": ip,
        "device": device,
        "order": order,
        "user": user,
    }
    asked = {name: text for name, text in given.items() if text is not None}
    if len(asked) != 1:
        options = ", ".join(f"--{name}" for name in given)
        raise UsageError(f"find looks for one identifier and got {len(asked)}", do=f"Give one of {options}.")
    ((name, text),) = asked.items()
    settings = effective_settings(store, config, overrides).settings
    with closing(open_reader(settings)) as reader:
        value = read_value(name, text, secret=name in SECRETS)
        region = settings.identity.default_region or None
        question = Question(name, value, typed=text != STDIN, region=region, country=country)
        answer = look_up(reader, lambda: open_resolvers(settings, reader), question)
        as_of_ms = int(reader.meta()["watermark_ms"])
    if format is Format.JSON:
        _print_json(answer, settings.priority, as_of_ms)
    else:
        _print_text(answer)
    if exit_code and any(account.rings for account in answer.accounts):
        raise typer.Exit(FINDINGS)


def _print_json(answer: Answer, rules: PriorityRules, as_of_ms: int) -> None:
    from fraudgraph.cli.queue import listed
    from fraudgraph.reports.json import ring_json
    from fraudgraph.rings.facts_words import rfc3339

    def use(first_ms: int, last_ms: int, count: int) -> dict[str, object]:
        return {"first_seen": rfc3339(first_ms), "last_seen": rfc3339(last_ms), "count": count}

    print_json(
        {
            "query": {"kind": answer.asked, "shown": answer.shown},
            "users_total": answer.total,
            "users": [
                {
                    "user_id": account.user_id,
                    **(use(*account.use) if account.use else {}),
                    "rings": [ring_json(listed(row, rules, as_of_ms)) for row in account.rings],
                }
                for account in answer.accounts
            ],
            "identifiers": [
                {"kind": entity.kind.label, "shown": entity.mask, "users": entity.users, **use(*times)}
                for entity, *times in answer.identifiers
            ],
        }
    )


def _print_text(answer: Answer) -> None:
    from fraudgraph.reports.escape import plain
    from fraudgraph.rings.facts_words import count, minute

    if not answer.accounts:
        note(f"nothing is known about {plain(answer.title)}")
        return

    def rings_of(rows: list[RingRow]) -> str:
        return ", ".join(f"{row.ring_id} ({row.probability:.2f})" for row in rows) or "none"

    if answer.identifiers or answer.asked in ("user", "order"):
        (account,) = answer.accounts
        typer.echo(f"account {plain(account.user_id)}, rings: {rings_of(account.rings)}")
        typer.echo()
        print_table(
            [
                Column("identifier"),
                Column("shown as"),
                Column("accounts", right=True),
                Column("first seen (UTC)"),
                Column("last seen (UTC)"),
                Column("uses", right=True),
            ],
            [
                [entity.kind.label, entity.mask, f"{entity.users:,}", minute(first), minute(last), f"{uses:,}"]
                for entity, first, last, uses in answer.identifiers
            ],
        )
        return
    typer.echo(f"{plain(answer.title)}: {count(answer.total, 'account')}")
    typer.echo()
    print_table(
        [
            Column("account"),
            Column("first seen (UTC)"),
            Column("last seen (UTC)"),
            Column("uses", right=True),
            Column("rings", folds=True),
        ],
        [
            [plain(a.user_id), minute(a.use[0]), minute(a.use[1]), f"{a.use[2]:,}", rings_of(a.rings)]
            for a in answer.accounts
            if a.use is not None
        ],
    )
    if answer.total > len(answer.accounts):
        note(f"the latest {len(answer.accounts)} of {answer.total:,} accounts are shown")
