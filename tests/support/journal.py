"""Small journals for tests of the core: events in plain words, and the decoded batches that they make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.engine import EngineRules
from fraudgraph.events.batch import DeadLetter, DecodedBatch, LabelRow
from fraudgraph.events.clock import ClockRules
from fraudgraph.events.kinds import EntityKind, EventType, RejectReason, Status
from fraudgraph.graph.hot import GraphLimits
from fraudgraph.graph.policy import KindPolicy, LinkPolicy

LATENESS_MS = 6 * HOUR_MS
START_MS = 100 * DAY_MS

SMALL_POLICY = LinkPolicy(
    kinds={
        "device": KindPolicy(prior=0.95, hub_users=5, ttl_days=4),
        "card": KindPolicy(prior=0.95, hub_users=3, ttl_days=6),
        "email": KindPolicy(prior=0.9, hub_users=2, ttl_days=6),
        "phone": KindPolicy(prior=0.9, hub_users=3, ttl_days=5),
        "address": KindPolicy(prior=0.45, hub_users=6, ttl_days=5),
        "ip": KindPolicy(prior=0.4, hub_users=4, ttl_days=3),
    },
    rarity_per_band=0.9,
    locality_days=1,
    locality_per_band=0.6,
    max_pair_users=4,
)
"""So short and narrow that bands, idling, demotion and return happen within a dozen events."""

SMALL_RULES = EngineRules(
    clock=ClockRules(
        allowed_lateness_ms=LATENESS_MS, max_skew_ms=90 * DAY_MS, max_gap_ms=200 * DAY_MS, confirmations=2
    ),
    limits=GraphLimits(user_days=9, order_days=5, transfer_days=7),
    min_users=3,
    max_users=6,
    max_strangers=2,
)


def key(text: str) -> bytes:
    """Returns a 16-byte key, as a pseudonym would be."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Happening:
    """An event in plain words. `label` is (fraud, user that it is about, id of the label that it supersedes)."""

    id: str
    ts_ms: int
    user: str = ""
    type: EventType = EventType.LOGIN
    links: tuple[tuple[EntityKind, str], ...] = ()
    other: str | None = None
    amount_minor: int = 0
    currency: int = 0
    order: str | None = None
    status: Status = Status.NONE
    label: tuple[bool, str | None, str | None] | None = None


@dataclass(slots=True)
class Source:
    """Partitions in the order of arrival: (partition, event), None for a record that cannot be decoded."""

    arrivals: list[tuple[str, Happening | None]]
    offsets: list[int] = field(init=False)

    def __post_init__(self) -> None:
        counts: dict[str, int] = {}
        self.offsets = []
        for partition, _ in self.arrivals:
            self.offsets.append(counts.get(partition, 0))
            counts[partition] = counts.get(partition, 0) + 1

    def batch(self, start: int, stop: int) -> DecodedBatch:
        """Returns the records `start:stop`; partitions end with their last record."""
        return self.pick(range(start, stop), range(stop, len(self.arrivals)))

    def pick(self, now: Iterable[int], later: Iterable[int]) -> DecodedBatch:
        """Returns some records as a batch; partitions without one `later` end with it."""
        rows = [(*self.arrivals[i], self.offsets[i]) for i in now]
        rest = {self.arrivals[i][0] for i in later}
        names = list(dict.fromkeys(partition for partition, _ in self.arrivals))
        here = {partition for partition, _, _ in rows}
        return decoded(rows, names=names, ended=tuple(n for n in names if n in here and n not in rest))

    def holds(self, stop: int, positions: Mapping[str, int]) -> bool:
        """Returns whether an engine that was given the records up to `stop` stands before one of them."""
        given = dict(zip((partition for partition, _ in self.arrivals[:stop]), self.offsets[:stop], strict=True))
        return any(position <= given[partition] for partition, position in positions.items())


def decoded(
    rows: Sequence[tuple[str, Happening | None, int]],
    *,
    names: list[str],
    ended: tuple[str, ...] = (),
    broker_ms: Iterable[int] | None = None,
) -> DecodedBatch:
    """Returns a batch of (partition, event, offset)."""
    good = [(partition, event, offset) for partition, event, offset in rows if event is not None]
    bad = [(partition, offset) for partition, event, offset in rows if event is None]
    events = [event for _, event, _ in good]
    links = [(i, kind, text) for i, event in enumerate(events) for kind, text in event.links]
    return DecodedBatch(
        partitions=names,
        partition_of=np.array([names.index(partition) for partition, _, _ in good], np.int32),
        offset=np.array([offset for _, _, offset in good], np.int64),
        next_offset=np.array([offset + 1 for _, _, offset in good], np.int64),
        broker_ms=None if broker_ms is None else np.array(list(broker_ms), np.int64),
        event_key=[key(event.id) for event in events],
        type=np.array([event.type for event in events], np.uint8),
        ts_ms=np.array([event.ts_ms for event in events], np.int64),
        user=[event.user for event in events],
        counterparty=[event.other for event in events],
        amount_minor=np.array([event.amount_minor for event in events], np.int64),
        currency=np.array([event.currency for event in events], np.uint16),
        order_key=[None if event.order is None else key(f"order {event.order}") for event in events],
        status=np.array([event.status for event in events], np.uint8),
        link_event=np.array([i for i, _, _ in links], np.int32),
        link_kind=np.array([kind for _, kind, _ in links], np.uint8),
        link_key=[key(f"{kind.label} {text}") for _, kind, text in links],
        link_mask=[f"{kind.label} ••" for _, kind, _ in links],
        seal=lambda i: events[i].id.encode(),
        labels=[_label(i, event) for i, event in enumerate(events) if event.label is not None],
        dead_letters=[
            DeadLetter(RejectReason.MALFORMED_JSON, "not JSON", partition, offset, b"") for partition, offset in bad
        ],
        damaged_through={
            partition: max(offset for p, offset in bad if p == partition) + 1 for partition in {p for p, _ in bad}
        },
        ended=ended,
    )


def _label(place: int, event: Happening) -> LabelRow:
    assert event.label is not None
    fraud, user, supersedes = event.label
    return LabelRow(
        event=place,
        key=key(event.id),
        about_user=user,
        about_order=None,
        fraud=fraud,
        about_ms=event.ts_ms,
        arrived_ms=event.ts_ms,
        source="review",
        supersedes=None if supersedes is None else key(supersedes),
    )


STEPS_MS = (0, 0, 0, 0, HOUR_MS, HOUR_MS, HOUR_MS, 3 * HOUR_MS, 7 * HOUR_MS, DAY_MS, DAY_MS + 1, 2 * DAY_MS)
KINDS = (
    EntityKind.DEVICE,
    EntityKind.CARD,
    EntityKind.EMAIL,
    EntityKind.PHONE,
    EntityKind.ADDRESS,
    EntityKind.ADDRESS,
    EntityKind.IP,
    EntityKind.IP,
)
TYPES = (
    EventType.LOGIN,
    EventType.LOGIN,
    EventType.SIGNUP,
    EventType.ORDER,
    EventType.ORDER,
    EventType.PAYMENT,
    EventType.REFUND,
    EventType.CHARGEBACK,
    EventType.TRANSFER,
    EventType.REFERRAL,
    EventType.LABEL,
)
PARTITIONS = 3
USERS, IDENTIFIERS, ORDERS = 12, 3, 4
EVENT_NUMBERS = 2**32
"""Any number below it is an event (`events_of`)."""


def events_of(numbers: Sequence[int]) -> list[Happening]:
    """Returns events in ascending time, one per number: its digits in mixed radix choose each property.

    Numbers are scattered first (the finaliser of SplitMix64, Steele et al. 2014), since a generator prefers small ones.
    """
    events: list[Happening] = []
    now_ms = START_MS
    for place, drawn in enumerate(numbers):
        number = drawn + 1
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
            number = ((number ^ (number >> shift)) * factor) % 2**64

        def choose(n: int) -> int:
            nonlocal number
            number, digit = divmod(number, n)
            return digit

        now_ms += STEPS_MS[choose(len(STEPS_MS))]
        kind = TYPES[choose(len(TYPES))]
        user = f"u{choose(USERS)}"
        links = tuple(
            dict.fromkeys((KINDS[choose(len(KINDS))], str(choose(IDENTIFIERS))) for _ in range(1 + choose(5)))
        )
        other = f"u{choose(USERS)}"
        amount, currency = choose(4) * 100 + 1, (978, 840)[choose(2)]
        order, status = f"{choose(ORDERS)}", Status(choose(5))
        verdict, supersedes = choose(2) == 1, choose(4)
        event = Happening(f"e{place}", now_ms, user, kind, links)
        if kind is EventType.LABEL:
            earlier = [e for e in events if e.label is not None]
            taken_back = earlier[-1 - supersedes].id if supersedes < len(earlier) else None
            event = replace(event, user="", links=(), label=(verdict, user, taken_back))
        elif kind in (EventType.TRANSFER, EventType.REFERRAL):
            event = replace(event, other=other, amount_minor=amount, currency=currency, status=status)
        elif kind not in (EventType.LOGIN, EventType.SIGNUP):
            event = replace(
                event, order=order if verdict else None, amount_minor=amount, currency=currency, status=status
            )
        events.append(event)
    return events


def arrivals_of(events: Sequence[Happening], delays: Sequence[int], partitions: int) -> list[tuple[str, Happening]]:
    """Returns events as they arrive, each less than the allowed lateness after its time, in up to 3 partitions.

    Each partition begins with events that say from when it is: until two more follow, its first one is not believed.
    """
    openings = [
        (START_MS, -1, f"p{i % partitions}", Happening(f"open {i}", START_MS, "opener")) for i in range(3 * PARTITIONS)
    ]
    placed = [
        (event.ts_ms + delay % LATENESS_MS, place, f"p{delay % partitions}", event)
        for place, (event, delay) in enumerate(zip(events, delays, strict=True))
    ]
    arrived = sorted([*openings, *placed], key=lambda row: row[:2])
    return [(partition, event) for _, _, partition, event in arrived]


def is_settled(events: Sequence[Happening]) -> bool:
    """Returns whether no two events of a user or an order are so far apart that lateness decides what they are.

    A life that ends by silence is forgotten for good; a late event that would have joined it to the next one comes
    too late for that. Links alone remember the run before.
    """
    rules = SMALL_RULES.limits
    spans = {days * DAY_MS for days in (rules.user_days, rules.order_days, rules.transfer_days)}
    times: dict[str, list[int]] = {}
    for event in events:
        for name in {event.user, event.other or "", f"order {event.order}"}:
            times.setdefault(name, []).append(event.ts_ms)
    return not any(
        span <= later - earlier < span + LATENESS_MS
        for moments in times.values()
        for earlier in moments
        for later in moments
        for span in spans
    )
