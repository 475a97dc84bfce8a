"""`fraudgraph audit`: who decided what, and proof that nobody rewrote it."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from typing import Annotated

import typer

from fraudgraph.cli.options import FINDINGS, ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table

commands = typer.Typer(no_args_is_help=True, help="Reads and checks the record of analysts' decisions.")


class Format(StrEnum):
    """How the audit is written."""

    TABLE = "table"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="Table for people, JSON for programs.")]


@commands.command("list", epilog="Example: fraudgraph audit list --store sqlite:///shop.db")
def list_(
    format: FormatOption = Format.TABLE,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Lists who decided what, when, and what it changed, oldest first."""
    from fraudgraph.app import open_reader
    from fraudgraph.rings.facts_words import minute, rfc3339

    with closing(open_reader(effective_settings(store, config, overrides).settings)) as reader:
        rows = reader.audit()
    if format is Format.JSON:
        print_json(
            {
                "audit": [
                    {
                        "number": row.number,
                        "at": rfc3339(row.ts_ms),
                        "author": row.author,
                        "what": row.what,
                        "subject": row.subject,
                        "before": row.before,
                        "after": row.after,
                        "hash": row.hash,
                    }
                    for row in rows
                ]
            }
        )
    elif rows:
        print_table(
            [
                Column("no.", right=True),
                Column("when (UTC)"),
                Column("who"),
                Column("what"),
                Column("on"),
                Column("from -> to", folds=True),
            ],
            [
                [
                    str(row.number),
                    minute(row.ts_ms),
                    row.author,
                    row.what,
                    row.subject,
                    f"{row.before} -> {row.after}" if row.before else row.after,
                ]
                for row in rows
            ],
        )
    if not rows:
        note("nobody has decided anything yet")


@commands.command(
    short_help="Checks the chain of hashes.", epilog="Example: fraudgraph audit verify --store sqlite:///shop.db"
)
def verify(
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="HASH", help="A hash noted earlier, that must still be in the chain."),
    ] = None,
    format: FormatOption = Format.TABLE,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Checks the chain of hashes, and every decision and constraint against it; exits with 3 where one is wrong.

    Rows cut off at the end show only against a hash that was noted elsewhere: note the last one, and give it as --head.
    """
    from fraudgraph.app import open_reader
    from fraudgraph.cases.audit import digest
    from fraudgraph.cases.audit import verify as verify_chain
    from fraudgraph.rings.facts_words import count

    with closing(open_reader(effective_settings(store, config, overrides).settings)) as reader:
        rows = reader.audit()
        contents = {decision.decision_id: digest(decision) for decision in reader.decisions()}
        contents |= {constraint.constraint_id: digest(constraint) for constraint in reader.constraints()}
    wrong = verify_chain(rows, contents)
    if head is not None and head not in {row.hash for row in rows}:
        wrong.append("the hash given is not in the chain: rows were cut off or rewritten")
    last = rows[-1].hash if rows else None
    if format is Format.JSON:
        print_json({"rows": len(rows), "head": last, "wrong": wrong})
    else:
        for line in wrong:
            typer.echo(line)
        if not wrong:
            typer.echo(f"{count(len(rows), 'row')}, the chain is whole")
            typer.echo(f"last hash: {last or 'none yet'}")
    if wrong:
        raise typer.Exit(FINDINGS)
