"""`fraudgraph rings decide` and `undo`: an analyst's verdict, and taking it back."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cases.reasons import CONSTRAINT_REASONS, VERDICT_REASONS, ConstraintKind, Verdict
from fraudgraph.cli.commands import (
    AuthorOption,
    Format,
    FormatOption,
    NoteOption,
    WaitOption,
    give,
    read_note,
    say,
)
from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, print_table
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from fraudgraph.cases.decisions import Decision
    from fraudgraph.reports.model import RingReport
    from fraudgraph.settings import Settings


def decide(
    ring_id: Annotated[str, typer.Argument(metavar="RING_ID", help="The ring's id, as `rings list` shows it.")],
    verdict: Annotated[Verdict, typer.Argument(help="What you found.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="CODE", help="Why, as a code; a wrong one lists those of the verdict.")
    ],
    members: Annotated[
        list[str] | None,
        typer.Option(
            "--members", metavar="U1,U2", help="Only these accounts; may be repeated. The whole ring if absent."
        ),
    ] = None,
    note_text: NoteOption = "",
    undo_of: Annotated[
        str | None, typer.Option("--undo-of", metavar="DECISION_ID", help="Takes that decision back first.")
    ] = None,
    benign_hub: Annotated[
        list[str] | None,
        typer.Option(
            "--benign-hub", metavar="KIND:VALUE", help="Also an identifier that ties nobody; may be repeated."
        ),
    ] = None,
    author: AuthorOption = None,
    wait: WaitOption = False,
    format: FormatOption = Format.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Records your verdict about a ring: it sticks to the accounts in it, whatever becomes of the ring.

    Confirmed accounts count as fraud from now on, those of a false positive as legitimate.
    """
    from fraudgraph.cases.orders import Constrain, Decide, Undo
    from fraudgraph.cli.constraints import about
    from fraudgraph.rings.facts_words import count

    if reason not in VERDICT_REASONS[verdict]:
        raise UsageError(
            f"{reason!r} is no reason for {verdict}", do=f"Give --reason {', '.join(VERDICT_REASONS[verdict])}."
        )
    hub_reason = reason if reason in CONSTRAINT_REASONS[ConstraintKind.BENIGN_HUB] else "other"
    settings = effective_settings(store, config, overrides).settings
    now, present = _present(settings, ring_id)
    chosen = _chosen(present, members)
    written = read_note(note_text)
    harmless = [
        Constrain(ConstraintKind.BENIGN_HUB, *about(settings, ConstraintKind.BENIGN_HUB, [each]), hub_reason, written)
        for each in benign_hub or ()
    ]
    if undo_of is not None:
        give(settings, Undo(undo_of), author=author, wait=wait)
    order = Decide(ring_id=now, verdict=verdict, reason=reason, note=written, members=tuple(chosen))
    recorded = give(settings, order, author=author, wait=wait)
    for constraint in harmless:
        give(settings, constraint, author=author, wait=wait)
    decision = _made(settings, recorded.source)
    text = ""
    if decision is not None:
        text = f"{decision.decision_id}: {decision.ring_id} {verdict} ({reason}), {count(len(chosen), 'account')}"
    say(recorded, {"decision": None if decision is None else decision_json(decision)}, text, format)


def undo(
    decision_id: Annotated[str, typer.Argument(metavar="DECISION_ID", help="The decision, such as D000001.")],
    author: AuthorOption = None,
    wait: WaitOption = False,
    format: FormatOption = Format.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Takes a decision back: its labels go, and its ring counts as if it had never been decided."""
    from fraudgraph.cases.orders import Undo

    settings = effective_settings(store, config, overrides).settings
    recorded = give(settings, Undo(decision_id), author=author, wait=wait)
    say(recorded, {"undone": decision_id}, f"{decision_id} is undone", format)


def read_decisions(settings: Settings, report: RingReport) -> list[Decision]:
    """Returns the decisions about any of a ring's accounts, in order."""
    from fraudgraph.app import open_reader

    users = {user.user_id for user in report.snapshot.users}
    with closing(open_reader(settings)) as reader:
        return [decision for decision in reader.decisions() if not users.isdisjoint(decision.members)]


def print_decisions(decisions: list[Decision]) -> None:
    """Prints decisions under a report; nothing where there are none."""
    from fraudgraph.rings.facts_words import count, minute

    if not decisions:
        return
    titles = ("id", "said (UTC)", "who", "verdict", "about")
    typer.echo("\nDecisions about these accounts")
    print_table(
        [*map(Column, titles), Column("why", folds=True)],
        [
            [
                decision.decision_id,
                minute(decision.ts_ms),
                decision.author,
                str(decision.verdict) if decision.stands else f"{decision.verdict} (undone)",
                count(len(decision.members), "account"),
                f"{decision.reason}: {decision.note}" if decision.note else decision.reason,
            ]
            for decision in decisions
        ],
    )


def decision_json(decision: Decision) -> dict[str, object]:
    """Returns a decision for programs; times in RFC 3339."""
    from fraudgraph.rings.facts_words import rfc3339

    return {
        "decision_id": decision.decision_id,
        "ring_id": decision.ring_id,
        "verdict": str(decision.verdict),
        "reason": decision.reason,
        "members": list(decision.members),
        "author": decision.author,
        "at": rfc3339(decision.ts_ms),
        "counts_from": rfc3339(decision.at_ms),
        "note": decision.note,
        "undone_by": decision.undone_by,
        "undone_at": None if decision.undone_ts_ms is None else rfc3339(decision.undone_ts_ms),
    }


def _present(settings: Settings, ring_id: str) -> tuple[str, list[str]]:
    """Returns the id that a ring has now, and its accounts."""
    from fraudgraph.app import open_reader

    with closing(open_reader(settings)) as reader:
        now = reader.resolve_ring(ring_id)
        ring = None if now is None else reader.snapshot(now)
    if now is None or ring is None:
        raise UsageError(f"no ring has the id {ring_id!r}", do="`fraudgraph rings list` shows the ids.")
    if not ring.users:
        raise UsageError(f"ring {ring_id} lives no more", do=f"`fraudgraph rings history {ring_id}` says why.")
    return now, [user.user_id for user in ring.users]


def _chosen(present: list[str], given: list[str] | None) -> list[str]:
    """Returns the accounts that a decision is about.

    Raises:
        UsageError: one of them is not in the ring; the message does not repeat it, it may be personal data.
    """
    if not given:
        return present
    chosen = [user for text in given for user in ([text] if text in present else text.split(","))]
    wrong = sum(user not in present for user in chosen)
    if wrong:
        raise UsageError(
            f"{wrong} of {len(chosen)} accounts of --members are not in the ring",
            do="Write account ids as `fraudgraph rings show` has them, with commas between.",
        )
    return chosen


def _made(settings: Settings, source: str) -> Decision | None:
    from fraudgraph.app import open_reader

    with closing(open_reader(settings)) as reader:
        return next((decision for decision in reader.decisions() if decision.source == source), None)
