"""`fraudgraph score`: what the model in force says of an account and why, and what an event would do if it came now."""

from __future__ import annotations

import sys
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, print_json, print_table
from fraudgraph.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from fraudgraph.scoring.reasons import Explanation, Part
    from fraudgraph.stores.port import RingRow, StoreReader
    from fraudgraph.whatif import WhatIf

commands = typer.Typer(help="Scores one account or one event.", no_args_is_help=True)

SHOWN_PARTS = 8
"""Reasons of a score that the screen shows; JSON has all."""
_NOTHING = 0.005
"""Log-odds that two decimals show as none."""
_WORDS = {
    "signed_up": "signed up in the stream",
    "spent": "money spent",
    "active_days": "days between first and last event",
    "first_spending": "how soon money was spent",
    "degree": "identifiers in use",
    "velocity": "identifiers begun within a week",
    "recency": "days since the last event",
    "age": "days since the first event",
}


class Format(StrEnum):
    """How the answer is written."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="Text for people, JSON for programs.")]


@commands.command(
    "user",
    short_help="Says how likely an account takes part in fraud.",
    epilog="Example: fraudgraph score user u1001 --explain --set model.bundle=default",
)
def user(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="The account's id, as lists show it.")],
    explain: Annotated[bool, typer.Option("--explain", help="Says what each link and feature does.")] = False,
    format: FormatOption = Format.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Says how likely an account takes part in organised fraud, by the model in force.

    The store's graph is read into memory first: about half a minute for a million accounts.
    """
    import numpy as np

    from fraudgraph.app import open_reader, restored_engine
    from fraudgraph.cli.lookup import user_secret
    from fraudgraph.scoring.reasons import explain_user

    settings = effective_settings(store, config, overrides).settings
    user_secret(user_id, settings.identity.default_region or None, typed=True)
    engine, _ = restored_engine(settings, whole_model=False)
    known = engine.graph.user_table.id_of.get(user_id)
    if known is not None:
        engine.serving.look_at(engine.graph, np.array([known], np.int32))
    live = engine.serving.live
    if live is None:
        raise ConfigurationError(
            "no bundle is in force, and structure alone scores rings, not accounts",
            do="Give --set model.bundle=default, or another of `fraudgraph model list`.",
        )
    if known is None:
        raise UsageError(f"there is no account {user_id!r}", do="`fraudgraph find --user ID` looks for one.")
    told = explain_user(live, engine.graph, known, engine.watermark_ms)
    with closing(open_reader(settings)) as reader:
        if format is Format.JSON:
            document: dict[str, object] = {
                "user_id": user_id,
                "probability": round(told.probability, 4),
                "bundle": live.bundle.name,
                "commit": engine.commit,
            }
            print_json(document | (_reasons_json(told, reader) if explain else {}))
            return
        typer.echo(
            f"{_plain(user_id)}: {told.probability:.1%} likely to take part in organised fraud, by "
            f"{live.bundle.name}, as of commit {engine.commit}"
        )
        if explain:
            _print_reasons(told, reader)


@commands.command("event", epilog="Example: fraudgraph score event order.json --store sqlite:///shop.db")
def event(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One event as JSON; - reads standard input.")],
    format: FormatOption = Format.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Says what an event would do if it came now; nothing is written.

    The store's graph is read into memory first: about half a minute for a million accounts.
    """
    from fraudgraph.app import decode_one, open_reader, restored_engine
    from fraudgraph.whatif import what_if

    settings = effective_settings(store, config, overrides).settings
    body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    engine, decoder = restored_engine(settings)
    told = what_if(engine, decode_one(decoder, body))
    live = engine.serving.live
    with closing(open_reader(settings)) as reader:
        if format is Format.JSON:
            document: dict[str, object] = {
                "user_id": told.user_id,
                "known": told.known,
                "order_fraud": _rounded(told.fraud),
                "probability_before": _rounded(told.before),
                "probability": _rounded(told.after),
                "bundle": None if live is None else live.bundle.name,
                "commit": engine.commit,
                "ring": _ring_json(told),
            }
            print_json(document | ({} if told.explanation is None else _reasons_json(told.explanation, reader)))
            return
        _print_event(told, reader)


def _print_event(told: WhatIf, reader: StoreReader) -> None:
    name = _plain(told.user_id)
    if told.fraud is not None:
        typer.echo(f"this order: {told.fraud:.1%} likely to be fraud")
    if told.after is not None:
        before = "new" if told.before is None else f"{told.before:.1%} before"
        typer.echo(f"{name}: {told.after:.1%} likely to take part in organised fraud with this event ({before})")
    elif not told.known:
        typer.echo(f"{name} is a new account")
    ring = told.ring_after
    if ring is None:
        typer.echo("it would be in no ring, and shares no identifier with one")
    elif told.ring_before is None:
        typer.echo(f"it would make a ring of {ring.users} accounts: {ring.probability:.1%} ({ring.reason})")
    else:
        where = "in" if told.joins else "beside"
        typer.echo(
            f"it would be {where} ring {ring.ring_id} of {ring.users} accounts: {ring.probability:.1%}, before "
            f"{told.ring_before.probability:.1%} ({ring.reason})"
        )
    if told.explanation is not None:
        _print_reasons(told.explanation, reader)


def _print_reasons(told: Explanation, reader: StoreReader) -> None:
    rows = [
        (f"{part.log_odds:+.2f}", _words(part, reader))
        for part in told.parts[:SHOWN_PARTS]
        if abs(part.log_odds) >= _NOTHING
    ]
    how = "adds, beside an average account" if told.adds_up else "does, taken away alone"
    typer.echo(f"\nwhat each {how}, in log-odds (+0.7 doubles the odds):")
    print_table((Column("log-odds", right=True), Column("what", folds=True)), rows)
    if told.left_out:
        typer.echo(f"{told.left_out} older links were not looked at")


def _words(part: Part, reader: StoreReader) -> str:
    from fraudgraph.cli.lookup import named

    if isinstance(part.other, bytes):
        found = reader.find(part.kind, part.other)
        shown = f"new {part.name}" if found is None else named(part.name, found.mask)
        return f"{shown}, {part.value} account{'s' if part.value != 1 else ''}"
    if part.other:
        return f"{part.name} with {part.other}"
    return _WORDS.get(part.name, part.name.replace("_", " "))


def _reasons_json(told: Explanation, reader: StoreReader) -> dict[str, object]:
    reasons = []
    for part in told.parts:
        is_ident = isinstance(part.other, bytes)
        found = reader.find(part.kind, part.other) if isinstance(part.other, bytes) else None
        reasons.append(
            {
                "what": part.name,
                "shown": found.mask if found is not None else None if is_ident else part.other or None,
                "value": part.value,
                "log_odds": round(part.log_odds, 4),
            }
        )
    return {"reasons": reasons, "links_left_out": told.left_out}


def _ring_json(told: WhatIf) -> dict[str, object] | None:
    def ring(row: RingRow | None) -> dict[str, object] | None:
        if row is None:
            return None
        return {"users": row.users, "probability": row.probability, "reason": row.reason, "scorer": row.scorer}

    if told.ring_after is None:
        return None
    known = told.ring_before is not None
    return {
        "ring_id": told.ring_after.ring_id if known else None,
        "joins": told.joins,
        "before": ring(told.ring_before),
        "after": ring(told.ring_after),
    }


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 4)


def _plain(text: str) -> str:
    from fraudgraph.reports.escape import plain

    return plain(text)
