"""From the daemon's commits to the narration worker, and from the worker back to the one writer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future

import structlog

from fraudgraph.errors import FraudgraphError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.narrative.evidence import Evidence, make_evidence
from fraudgraph.narrative.kept import KeptPlan
from fraudgraph.narrative.worker import NarrationWorker
from fraudgraph.stores.port import QUEUE_STATUSES, CommitDelta, NarrativeRow, StoreReader


class StoredRings:
    """Reads rings for the worker, through a reader of its own."""

    def __init__(self, reader: StoreReader, policy: LinkPolicy) -> None:
        self._reader = reader
        self._policy = policy

    def evidence(self, ring_id: str) -> Evidence | None:
        """Returns a ring as of the last commit, or None where it lives no more."""
        snapshot = self._reader.snapshot(ring_id)
        return None if snapshot is None or not snapshot.users else make_evidence(snapshot, self._policy)

    def kept(self, ring_id: str) -> KeptPlan | None:
        """Returns what the store keeps about it."""
        row = self._reader.narrative(ring_id)
        if row is None:
            return None
        return KeptPlan(row.ring_id, row.evidence_hash, row.prompt_hash, row.model, row.verifier, row.body)

    def recent(self, limit: int) -> list[str]:
        """Returns the rings of the latest alerts, under their present ids."""
        found = (self._reader.resolve_ring(alert.ring_id) for alert in self._reader.alerts(limit=limit))
        return list(dict.fromkeys(ring_id for ring_id in found if ring_id is not None))

    def close(self) -> None:
        """Closes the reader."""
        self._reader.close()


class Narration:
    """Has every alerted ring told, and told anew when it has changed; a `Follower` of the daemon."""

    def __init__(self, worker: NarrationWorker) -> None:
        self._worker = worker

    def committed(self, delta: CommitDelta | None) -> None:
        """Offers the rings of the alerts to the worker; those that find its queue full are told at the next start.

        Of other rings that changed it takes up those that it was offered before, as long as they wait for an analyst.
        """
        if delta is None:
            return
        for step in delta.lineage:
            if step.what == "merged" and step.other_ring_id is not None:
                self._worker.merged(step.ring_id, step.other_ring_id)
        for row in delta.rings:
            if row.status in QUEUE_STATUSES:
                self._worker.changed(row.ring_id)
        for alert in delta.alerts:
            self._worker.offer(alert.ring_id)


def saver(submit: Callable[[NarrativeRow], Future[None]], wall_ms: Callable[[], int]) -> Callable[[KeptPlan], None]:
    """Returns what hands a plan to the store's writing thread, and logs where it could not be kept."""
    log = structlog.get_logger("fraudgraph.narrator")

    def done(future: Future[None]) -> None:
        if not future.cancelled() and isinstance(error := future.exception(), FraudgraphError):
            log.warning("a narrative could not be kept", why=error.what)

    def save(plan: KeptPlan) -> None:
        row = NarrativeRow(
            ring_id=plan.ring_id,
            evidence_hash=plan.evidence_hash,
            prompt_hash=plan.prompt_hash,
            model=plan.model,
            verifier=plan.verifier,
            made_at_ms=wall_ms(),
            body=plan.body,
        )
        try:
            submit(row).add_done_callback(done)
        except CancelledError:
            return  # the daemon ends; the next run tells this ring

    return save
