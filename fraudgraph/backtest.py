"""What another configuration would have alerted: two engines over the same events, and the difference of their rings.

Both see the same commits, cut on ticks of event time, so that what differs comes from the configurations alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from fraudgraph.engine import Engine, Outcome
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.slicing import select, without_rejects
from fraudgraph.rings.identity import ring_serial
from fraudgraph.rules.figures import Seen
from fraudgraph.stores.port import CLOSED_STATUSES
from fraudgraph.streams.port import Stream

SAME = 0.5
"""Two alerted groups are the same story where they share at least this part of the smaller one."""

_POLL_EVENTS = 50_000


@dataclass(frozen=True, slots=True)
class AlertedRing:
    """A ring as it was at its first alert.

    Attributes:
        users: the shop's ids.
        value_at_risk_minor: in minor units of `currency` (ISO 4217 numeric).
    """

    ring_id: str
    at_ms: int
    probability: float
    value_at_risk_minor: int
    currency: int
    users: frozenset[str]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of alerted rings.

    Attributes:
        what: `kept`, `added`, `lost`, `merged`, `split`, or `regrouped` (several became several).
        before, after: in the order of their alerts.
    """

    what: str
    before: tuple[AlertedRing, ...]
    after: tuple[AlertedRing, ...]

    @property
    def users(self) -> frozenset[str]:
        """Everybody in it, on either side."""
        return frozenset().union(*(ring.users for ring in (*self.before, *self.after)))


@dataclass(slots=True)
class Side:
    """What one configuration made of the events.

    Attributes:
        ruled: by (rule, ring), the ring as it was when the rule first held of it.
        model_ms: ring -> when its probability first reached the alert line.
    """

    engine: Engine
    alerted: dict[str, AlertedRing] = field(default_factory=dict)
    ruled: dict[tuple[str, str], Seen] = field(default_factory=dict)
    model_ms: dict[str, int] = field(default_factory=dict)
    alerts: int = 0
    applied: int = 0
    dead_letters: int = 0

    def take(self, batch: DecodedBatch) -> None:
        """Applies one commit."""
        outcome = self.engine.apply(batch)
        self.applied += outcome.applied
        self.dead_letters += len(outcome.delta.dead_letters)
        self.alerts += len(outcome.delta.alerts)
        self._note(outcome)

    def _note(self, outcome: Outcome) -> None:
        for row in outcome.delta.rings:
            if row.status in CLOSED_STATUSES:
                continue
            if row.probability >= self.engine.rules.alerts.min_probability:
                self.model_ms.setdefault(row.ring_id, row.last_seen_ms)
            for hit in row.rules.hits:
                if (hit.rule, row.ring_id) not in self.ruled:
                    users = self._users(ring_serial(row.ring_id))
                    seen = Seen(hit.rule, hit.mode, row.ring_id, row.last_seen_ms, users)
                    self.ruled[hit.rule, row.ring_id] = seen
        for alert in outcome.delta.alerts:
            serial = ring_serial(alert.ring_id)
            row = self.engine.rows[serial]
            self.alerted.setdefault(
                alert.ring_id,
                AlertedRing(
                    ring_id=alert.ring_id,
                    at_ms=alert.at_ms,
                    probability=alert.probability,
                    value_at_risk_minor=row.value_at_risk_minor,
                    currency=row.currency,
                    users=self._users(serial),
                ),
            )

    def _users(self, serial: int) -> frozenset[str]:
        key_of = self.engine.graph.user_table.key_of
        return frozenset(key_of[user] or "" for user in self.engine.register.members[serial].tolist())


def run_backtest(
    stream: Stream,
    decoder: Decoder,
    sides: Sequence[Side],
    *,
    tick_ms: int,
    on_progress: Callable[[int, int | None, str], None] | None = None,
) -> None:
    """Reads a stream to its end, from its beginning, and lets every side see it in the same commits.

    Args:
        tick_ms: a commit ends where event time enters another tick.
        on_progress: called with bytes read, bytes in all, and words.
    """
    stream.seek({})
    while (raw := stream.poll(_POLL_EVENTS)) is not None:
        for commit in _ticks(decoder.decode(raw), tick_ms):
            for side in sides:
                side.take(commit)
        if on_progress is not None:
            on_progress(*stream.progress(), f"{sides[0].applied:,} events")


def _ticks(batch: DecodedBatch, tick_ms: int) -> Iterator[DecodedBatch]:
    """Yields runs of events of one tick; what is not an event goes with the last."""
    ends = np.flatnonzero(np.diff(batch.ts_ms // tick_ms)) + 1
    starts = [0, *ends.tolist()]
    for start, end in zip(starts, [*ends.tolist(), len(batch)], strict=True):
        part = select(batch, np.arange(start, end))
        yield part if end == len(batch) else without_rejects(part)


def difference(before: Iterable[AlertedRing], after: Iterable[AlertedRing]) -> list[Change]:
    """Returns what became of the rings, all of them, in the order of their first alerts.

    Rings with the same users are kept. Of the others, those of the two sides that share at least `SAME` of the smaller
    one belong together; what hangs together so is one change.
    """
    old, new = _in_order(before), _in_order(after)
    changes = [Change("kept", (a,), (b,)) for a, b in _equal(old, new)]
    kept_before = {change.before[0].ring_id for change in changes}
    kept_after = {change.after[0].ring_id for change in changes}
    old = [ring for ring in old if ring.ring_id not in kept_before]
    new = [ring for ring in new if ring.ring_id not in kept_after]
    holders: dict[str, list[int]] = defaultdict(list)
    for place, ring in enumerate(new):
        for user in ring.users:
            holders[user].append(place)
    group = list(range(len(old) + len(new)))

    def root(at: int) -> int:
        while group[at] != at:
            group[at] = group[group[at]]
            at = group[at]
        return at

    for place, ring in enumerate(old):
        shared: dict[int, int] = defaultdict(int)
        for user in ring.users:
            for other in holders[user]:
                shared[other] += 1
        for other, count in shared.items():
            if count >= SAME * min(len(ring.users), len(new[other].users)):
                group[root(len(old) + other)] = root(place)
    parts: dict[int, tuple[list[AlertedRing], list[AlertedRing]]] = defaultdict(lambda: ([], []))
    for at in range(len(group)):
        parts[root(at)][at >= len(old)].append(old[at] if at < len(old) else new[at - len(old)])
    changes += [Change(_what(len(a), len(b)), tuple(a), tuple(b)) for a, b in parts.values()]
    return sorted(changes, key=lambda change: min((r.at_ms, r.ring_id) for r in (*change.before, *change.after)))


def _equal(old: list[AlertedRing], new: list[AlertedRing]) -> Iterator[tuple[AlertedRing, AlertedRing]]:
    waiting: dict[frozenset[str], list[AlertedRing]] = defaultdict(list)
    for ring in reversed(new):
        waiting[ring.users].append(ring)
    for ring in old:
        if waiting[ring.users]:
            yield ring, waiting[ring.users].pop()


def _what(before: int, after: int) -> str:
    if not before:
        return "added"
    if not after:
        return "lost"
    if before == after == 1:
        return "kept"
    if after == 1:
        return "merged"
    return "split" if before == 1 else "regrouped"


def _in_order(rings: Iterable[AlertedRing]) -> list[AlertedRing]:
    return sorted(rings, key=lambda ring: (ring.at_ms, ring.ring_id))
