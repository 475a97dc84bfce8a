"""A ring's evidence, under whatever id it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudgraph.cli.output import note
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from fraudgraph.narrative.port import Narrative, Planner
    from fraudgraph.rings.snapshot import RingSnapshot
    from fraudgraph.settings import Settings
    from fraudgraph.stores.port import StoreReader


def read_ring(reader: StoreReader, ring_id: str, as_decided: str | None = None) -> RingSnapshot:
    """Returns the evidence of a ring under the id that it has now, or as it was kept with a decision.

    Raises:
        UsageError: no ring has or had this id, it has no members any more, or nothing was kept.
    """
    now = reader.resolve_ring(ring_id)
    if as_decided is not None:
        kept = reader.frozen(as_decided)
        if kept is None or reader.resolve_ring(kept.ring_id) != now:
            raise UsageError(
                f"no evidence of ring {ring_id} was kept with {as_decided!r}",
                do=f"`fraudgraph rings history {ring_id}` shows decisions; a false positive keeps none.",
            )
        return kept
    snapshot = None if now is None else reader.snapshot(now)
    if snapshot is None:
        raise UsageError(f"no ring has the id {ring_id!r}", do="`fraudgraph rings list` shows the ids.")
    if not snapshot.users:
        raise UsageError(f"ring {now} lives no more", do=f"`fraudgraph rings history {now}` says why.")
    if snapshot.status == "closed":
        note(f"ring {now} has closed: what tied its accounts has expired, and only what is left is shown")
        note(f"next: `fraudgraph rings history {now}` tells when, and what was decided")
    if now != ring_id:
        note(f"ring {ring_id} is now part of ring {now}, which is shown")
    return snapshot


def planner_of(settings: Settings) -> Planner | None:
    """Returns the configured language model's planner; says so where the template narrates."""
    from fraudgraph.app import make_planner

    planner = make_planner(settings)
    if planner is None:
        note("no language model is configured (narrator.kind): the template narrates")
    return planner


def told(
    reader: StoreReader, snapshot: RingSnapshot, settings: Settings, planner: Planner | None = None
) -> Narrative | None:
    """Returns what a model says of a ring: as kept for this evidence, else by asking; None where the template narrates.

    Args:
        planner: who is asked where nothing is kept.
    """
    from fraudgraph.narrative.evidence import make_evidence
    from fraudgraph.narrative.kept import retold
    from fraudgraph.narrative.narrate import narrate

    row = reader.narrative(snapshot.ring_id)
    if row is None and planner is None:
        return None
    evidence = make_evidence(snapshot, settings.links)
    kept = None if row is None else retold(evidence, row.evidence_hash, row.body)
    return kept if kept is not None or planner is None else narrate(evidence, planner)
