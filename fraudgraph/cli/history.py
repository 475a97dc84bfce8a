"""`fraudgraph rings history`: a ring's life as a timeline, under all the ids that it had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from fraudgraph.cases.decisions import Decision
    from fraudgraph.stores.port import LineageRow, StoreReader


class Format(StrEnum):
    """How the history is written."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the story.

    Attributes:
        at_ms: event time.
        what: a step of the lineage, `alert`, a verdict, or `undone`.
        text: the rest of the sentence.
        document: the same for programs.
    """

    at_ms: int
    ring_id: str
    what: str
    text: str
    document: dict[str, object]


def history(
    ring_id: Annotated[str, typer.Argument(metavar="RING_ID", help="The ring's id, of now or of any time before.")],
    format: Annotated[Format, typer.Option("--format", help="Table for people, JSON for programs.")] = Format.TABLE,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Tells a ring's story: how it grew, split and merged, its alerts and its decisions, oldest first.

    Follows an old id to the ring that it became. Times are event time; decisions count from the moment shown.
    """
    from fraudgraph.app import open_reader
    from fraudgraph.rings.facts_words import minute, rfc3339

    settings = effective_settings(store, config, overrides).settings
    with closing(open_reader(settings)) as reader:
        now = reader.resolve_ring(ring_id)
        if now is None:
            raise UsageError(f"no ring has the id {ring_id!r}", do="`fraudgraph rings list` shows the ids.")
        moments = story(reader, ring_id)
    if now != ring_id:
        note(f"ring {ring_id} is now part of ring {now}, whose story follows its own")
    if format is Format.JSON:
        print_json(
            {
                "ring_id": now,
                "asked": ring_id,
                "history": [
                    {"at": rfc3339(m.at_ms), "ring_id": m.ring_id, "what": m.what, **m.document} for m in moments
                ],
            }
        )
        return
    print_table(
        [Column("when (UTC)"), Column("ring"), Column("what"), Column("how", folds=True)],
        [[minute(m.at_ms), m.ring_id, m.what, m.text] for m in moments],
    )


def story(reader: StoreReader, ring_id: str) -> list[Moment]:
    """Returns what happened to a ring and to those that it became, oldest first."""
    ids = list(_ids(reader, ring_id))
    moments: list[Moment] = []
    for each in ids:
        latest_ms = 0
        for step in reader.lineage(each):
            # Steps are in order; their times may lie within the allowed lateness of each other.
            latest_ms = max(latest_ms, step.at_ms)
            moments.append(_step(each, step, latest_ms))
    moments += [
        Moment(
            alert.at_ms,
            alert.ring_id,
            "alert",
            f"probability {alert.probability:.2f}: {alert.reason}",
            {"alert_id": alert.alert_id, "probability": alert.probability, "reason": alert.reason},
        )
        for alert in reader.alerts()
        if alert.ring_id in ids
    ]
    ring = reader.snapshot(ids[-1])
    here = set() if ring is None else {user.user_id for user in ring.users}
    for decision in reader.decisions():
        if decision.ring_id in ids or not here.isdisjoint(decision.members):
            moments += _decision(decision)
    return sorted(moments, key=lambda moment: moment.at_ms)


def _ids(reader: StoreReader, ring_id: str) -> Iterator[str]:
    """Yields the id, and those that the ring went on under."""
    passed = set()
    here: str | None = ring_id
    while here is not None and here not in passed:
        yield here
        passed.add(here)
        end = reader.lineage(here)
        own = [step for step in end if step.ring_id == here]
        here = own[-1].other_ring_id if own and own[-1].what == "merged" else None


def _step(ring_id: str, step: LineageRow, at_ms: int) -> Moment:
    from fraudgraph.rings.facts_words import count

    before, after = count(step.users_before, "account"), count(step.users_after, "account")
    mine = step.ring_id == ring_id
    text = {
        "born": f"with {after}",
        "grew": f"from {step.users_before} to {after}",
        "shrank": f"from {step.users_before} to {after}",
        "split": f"off {step.other_ring_id}, with {after}" if mine else f"{step.ring_id} fell off, with {after}",
        "merged": f"into {step.other_ring_id}" if mine else f"{step.ring_id} came in, with {before}",
        "closed": f"{before} share no longer enough",
        "dormant": f"with {after}",
        "revived": f"with {after}",
    }.get(step.what, f"from {before} to {after}")
    return Moment(
        at_ms,
        ring_id,
        step.what,
        text + (f"; {step.cause}" if step.cause else ""),
        {
            "of": step.ring_id,
            "users_before": step.users_before,
            "users_after": step.users_after,
            "other_ring_id": step.other_ring_id,
            "cause": step.cause or None,
        },
    )


def _decision(decision: Decision) -> list[Moment]:
    from fraudgraph.cli.decide import decision_json
    from fraudgraph.rings.facts_words import count, minute

    said = f"{count(len(decision.members), 'account')}, {decision.reason}, {decision.author} on"
    noted = f": {decision.note}" if decision.note else ""
    moments = [
        Moment(
            decision.at_ms,
            decision.ring_id,
            str(decision.verdict),
            f"{decision.decision_id}: {said} {minute(decision.ts_ms)}{noted}",
            {"decision": decision_json(decision)},
        )
    ]
    if decision.undone_at_ms is not None and decision.undone_ts_ms is not None:
        moments.append(
            Moment(
                decision.undone_at_ms,
                decision.ring_id,
                "undone",
                f"{decision.decision_id}, by {decision.undone_by} on {minute(decision.undone_ts_ms)}",
                {"decision_id": decision.decision_id, "author": decision.undone_by},
            )
        )
    return moments
