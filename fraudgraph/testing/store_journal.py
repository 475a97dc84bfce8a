"""Random but valid journals for stores: what a commit holds is the difference of two plain models."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from functools import partial
from operator import methodcaller
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from hypothesis import strategies as st

from fraudgraph.durations import DAY_MS
from fraudgraph.events.batch import DeadLetter, LabelRow
from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind, EventType, RejectReason, Status
from fraudgraph.rings.rule_hits import AccountCondition, RingRules, RuleCondition, RuleHit, RuleTerm
from fraudgraph.stores.image import StoreImage
from fraudgraph.stores.port import (
    CLOSED_STATUSES,
    LINK_COLUMNS,
    ORDER_COLUMNS,
    TRANSFER_COLUMNS,
    USER_COLUMNS,
    AlertRow,
    Columns,
    CommitDelta,
    Entity,
    LineageRow,
    RingRow,
    Store,
    StoredState,
)

START_MS: Final = 1_770_000_000_000
FEW: Final = 5
"""How many users, identifiers of a kind, slots and rings a journal has: few, so that steps meet."""

DEVICE_KEY: Final = b"device-pseudonym"
IP_KEY: Final = b"address-of-an-ip"
ORDER_KEY: Final = b"order-pseudonym."

Numbers: TypeAlias = tuple[int, ...]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Model:
    """What a store must hold: rows by id, as tuples in the order of the port's columns."""

    watermark_ms: int = START_MS
    generation: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    seen: list[tuple[bytes, int]] = field(default_factory=list)
    entities: dict[tuple[int, int], tuple[str | bytes, str]] = field(default_factory=dict)
    links: dict[int, Numbers] = field(default_factory=dict)
    users: dict[int, Numbers] = field(default_factory=dict)
    orders: dict[int, tuple[Numbers, bytes]] = field(default_factory=dict)
    transfers: dict[int, Numbers] = field(default_factory=dict)
    labels: dict[bytes, LabelRow] = field(default_factory=dict)
    rings: dict[str, RingRow] = field(default_factory=dict)
    members: dict[str, dict[int, float]] = field(default_factory=dict)
    lineage: list[LineageRow] = field(default_factory=list)
    alerts: list[AlertRow] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def link(self, a: int, b: int, c: int) -> None:
        """A user uses an identifier: a new link, or one that is refreshed."""
        kind = IDENTIFIER_KINDS[b % len(IDENTIFIER_KINDS)]
        ends = (self._entity(EntityKind.USER, a), kind, self._entity(kind, c))
        slots = [slot for slot, row in self.links.items() if row[1:4] == ends]
        slot = slots[0] if slots else _free(self.links)
        before = self.links.get(slot, (slot, *ends, self.watermark_ms, 0, 0, 0, -1, -1, 0))
        sources = before[7] | 1 << before[6] % 8
        self.links[slot] = (*before[:5], self.watermark_ms + c, before[6] + 1, sources, *before[4:7])

    def unlink(self, a: int, b: int, c: int) -> None:
        """A link expires."""
        self.links.pop(a, None)

    def act(self, a: int, b: int, c: int) -> None:
        """A user's activity grows."""
        user = self._entity(EntityKind.USER, a)
        self.users[user] = (user, *(self.watermark_ms + b for _ in range(4)), *(c for _ in range(10)))

    def order(self, a: int, b: int, c: int) -> None:
        """An order is placed or changes its status."""
        user = self._entity(EntityKind.USER, b)
        key = _bytes("order", a, user, self.generation)
        slots = [slot for slot, (_, known) in self.orders.items() if known == key]
        slot = slots[0] if slots else _free(self.orders)
        self.orders[slot] = ((slot, user, self.watermark_ms, 1_000 * c, c, 0, 978, 1 << c), key)

    def drop_order(self, a: int, b: int, c: int) -> None:
        """An order is forgotten."""
        self.orders.pop(a, None)

    def transfer(self, a: int, b: int, c: int) -> None:
        """Money moves, or a user refers another."""
        sender, receiver = self._entity(EntityKind.USER, a), self._entity(EntityKind.USER, b)
        kind = EventType.TRANSFER if c % 2 else EventType.REFERRAL
        slots = [slot for slot, row in self.transfers.items() if (*row[1:3], row[8]) == (sender, receiver, kind)]
        slot = slots[0] if slots else _free(self.transfers)
        self.transfers[slot] = (slot, sender, receiver, self.watermark_ms, self.watermark_ms + c, c, 7 * c, 978, kind)

    def forget(self, a: int, b: int, c: int) -> None:
        """An entity goes, with all that is about it; its id comes back under another key."""
        kind = EntityKind(b % len(EntityKind))
        self.generation += 1
        self.entities.pop((kind, a), None)
        if kind is EntityKind.USER:
            self.users.pop(a, None)
            self.links = {slot: row for slot, row in self.links.items() if row[1] != a}
            self.orders = {slot: row for slot, row in self.orders.items() if row[0][1] != a}
            self.transfers = {slot: row for slot, row in self.transfers.items() if a not in row[1:3]}
            for members in self.members.values():
                members.pop(a, None)
        else:
            self.links = {slot: row for slot, row in self.links.items() if row[2:4] != (kind, a)}

    def ring(self, a: int, b: int, c: int) -> None:
        """A ring is born, changes its members, is closed or merged."""
        ring_id, other = f"R-{a}", f"R-{c}"
        status = ("open", "open", "open", "closed", "merged")[b]
        users = {self._entity(EntityKind.USER, user): (user + c) / 10 for user in (a, b, c)}
        self.rings[ring_id] = ring_row(ring_id, status=status, rank=float(b - c), last_seen_ms=self.watermark_ms)
        self.members[ring_id] = users
        step = "merged" if status == "merged" else "grew"
        self.lineage.append(LineageRow(ring_id, step, self.watermark_ms, b, c, other if step == "merged" else None))
        self.alerts.append(AlertRow(f"A-{a}-{b}", ring_id, self.watermark_ms, 0.5, 3.5, "new"))

    def note(self, a: int, b: int, c: int) -> None:
        """A label arrives, a record fails, an event id is seen, a position moves."""
        key = _bytes("label", a)
        times = (self.watermark_ms, self.watermark_ms + b)
        self.labels.setdefault(key, LabelRow(-1, key, f"user-{b}", None, c > 2, *times, "review", None))
        self.dead_letters.append(DeadLetter(RejectReason(1 + b), "late", "file:a", c, _bytes("sealed", a)))
        self.seen.append((_bytes("event", a, b, c), self.watermark_ms + b * DAY_MS))
        self.positions[f"file:{a}"] = self.positions.get(f"file:{a}", 0) + 1 + b

    def wait(self, a: int, b: int, c: int) -> None:
        """Days pass, so that links expire and rings go quiet."""
        self.watermark_ms += (1 + a) * 9 * DAY_MS

    def _entity(self, kind: EntityKind, number: int) -> int:
        new = f"user-{number}-{self.generation}" if kind is EntityKind.USER else _bytes(kind, number, self.generation)
        key, _ = self.entities.get((kind, number), (new, ""))
        self.entities[kind, number] = (key, f"mask {self.generation}")
        return number


STEPS: Final[tuple[Callable[[Model, int, int, int], None], ...]] = (
    Model.link,
    Model.link,
    Model.unlink,
    Model.act,
    Model.order,
    Model.drop_order,
    Model.transfer,
    Model.forget,
    Model.ring,
    Model.ring,
    Model.note,
    Model.wait,
)

_small = st.integers(0, FEW - 1)
journals = st.lists(
    st.lists(st.tuples(st.sampled_from(STEPS), _small, _small, _small), min_size=10, max_size=30),
    min_size=2,
    max_size=8,
)
"""Commits of some 20 steps each."""


def play(
    commits: Iterable[Iterable[tuple[Callable[[Model, int, int, int], None], int, int, int]]],
) -> tuple[Model, list[CommitDelta]]:
    """Returns the model after all commits, and the delta of each."""
    model, deltas = Model(), []
    for number, steps in enumerate(commits, start=1):
        before = copy.deepcopy(model)
        for step, a, b, c in steps:
            step(model, a, b, c)
        deltas.append(difference(before, model, number))
    return model, deltas


def difference(before: Model, after: Model, commit: int) -> CommitDelta:
    """Returns the delta that leads from one model to the other; an id with a new identity is deleted first."""
    entities_deleted = _gone(before.entities, after.entities, lambda row: row[0])
    users_gone = {number for kind, number in entities_deleted if kind == EntityKind.USER}
    users_left = {user: row for user, row in before.users.items() if user not in users_gone}
    members_left = {
        ring_id: {user: probability for user, probability in members.items() if user not in users_gone}
        for ring_id, members in before.members.items()
    }
    orders = _changed(before.orders, after.orders)
    return CommitDelta(
        commit=commit,
        watermark_ms=after.watermark_ms,
        positions=_changed(before.positions, after.positions),
        clocks_ms=_changed(before.positions, after.positions),
        seen_keys=[key for key, _ in after.seen[len(before.seen) :]],
        seen_ts_ms=[ts_ms for _, ts_ms in after.seen[len(before.seen) :]],
        entities=[(*number, *row) for number, row in _changed(before.entities, after.entities).items()],
        entities_deleted=entities_deleted,
        links=as_columns(LINK_COLUMNS, _changed(before.links, after.links).values()),
        links_deleted=_gone(before.links, after.links, lambda row: row[1:4]),
        users=as_columns(USER_COLUMNS, _changed(users_left, after.users).values()),
        orders=as_columns(ORDER_COLUMNS, [row for row, _ in orders.values()]),
        order_keys=[key for _, key in orders.values()],
        orders_deleted=_gone(before.orders, after.orders, lambda row: (row[0][1], row[1])),
        transfers=as_columns(TRANSFER_COLUMNS, _changed(before.transfers, after.transfers).values()),
        transfers_deleted=_gone(before.transfers, after.transfers, lambda row: (row[1], row[2], row[8])),
        labels=list(_changed(before.labels, after.labels).values()),
        rings=list(_changed(before.rings, after.rings).values()),
        members={ring_id: list(members.items()) for ring_id, members in _changed(members_left, after.members).items()},
        lineage=after.lineage[len(before.lineage) :],
        alerts=after.alerts[len(before.alerts) :],
        dead_letters=after.dead_letters[len(before.dead_letters) :],
        scorer_state=b"state" if commit % 2 else None,
        ring_serial=len(after.rings),
        started_ms=START_MS if commit == 1 else None,
    )


def as_columns(names: tuple[str, ...], rows: Iterable[Numbers]) -> Columns:
    """Returns rows as named int64 columns; empty without rows."""
    table = np.array(list(rows), np.int64)
    return dict(zip(names, table.T, strict=True)) if len(table) else {}


def ring_row(
    ring_id: str,
    *,
    status: str = "open",
    probability: float = 0.5,
    rank: float = 0.0,
    last_seen_ms: int = START_MS,
) -> RingRow:
    """Returns a ring with these values and plain others."""
    return RingRow(
        ring_id=ring_id,
        status=status,
        probability=probability,
        rank=rank,
        value_at_risk_minor=123_456,
        currency=978,
        users=3,
        identifiers=2,
        first_seen_ms=START_MS,
        last_seen_ms=last_seen_ms,
        reason="3 users share a device",
        scorer="structural-1",
        contributions={"burst": 0.1, "rotation": -1.25},
        rules=RingRules("0123456789abcdef", (_HIT,)),
    )


_HIT = RuleHit(
    rule="crowd",
    version="fedcba9876543210",
    severity="high",
    mode="shadow",
    description='Größe – with a "quote"',
    terms=(
        RuleTerm(
            RuleCondition("value_at_risk", ">=", 100, currency=978), "all", 123_456, "value at risk: 1,234.56 EUR"
        ),
        RuleTerm(
            RuleCondition(
                "accounts", ">", 0.5, accounts=(AccountCondition("orders", "==", 1),), part=True, window_ms=0
            ),
            "none",
            None,
            "unknown",
        ),
    ),
)
"""A rule's words on a ring, with whole numbers and others."""


def all_columns(state: StoredState) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    """Returns the tables of numbers, each with the port's names of its columns."""
    return [
        (state.links, LINK_COLUMNS),
        (state.users, USER_COLUMNS),
        (state.orders, ORDER_COLUMNS),
        (state.transfers, TRANSFER_COLUMNS),
    ]


def plain(state: StoredState) -> dict[str, Any]:
    """Returns a loaded state as plain values that compare by `==`."""
    tables = {
        f"table {i}": list(zip(*(columns[name].tolist() for name in names), strict=True))
        for i, (columns, names) in enumerate(all_columns(state))
    }
    return tables | {
        "commit": state.commit,
        "watermark_ms": state.watermark_ms,
        "positions": state.positions,
        "clocks_ms": state.clocks_ms,
        "ring_serial": state.ring_serial,
        "started_ms": state.started_ms,
        "scorer_state": state.scorer_state,
        "seen": list(zip(state.seen_keys, state.seen_ts_ms, strict=True)),
        "entities": list(state.entities),
        "order_keys": state.order_keys,
        "labels": state.labels,
        "rings": sorted(state.rings, key=lambda ring: ring.ring_id),
        "members": {ring_id: sorted(members) for ring_id, members in state.members.items()},
    }


def plain_image(image: StoreImage) -> dict[str, Any]:
    """Returns an image as plain values that compare by `==`."""
    delta = {each.name: getattr(image.delta, each.name) for each in fields(image.delta)}
    for name in ("links", "users", "orders", "transfers"):
        delta[name] = {column: values.tolist() for column, values in delta[name].items()}
    delta["members"] = {ring_id: sorted(members) for ring_id, members in image.delta.members.items()}
    delta["alerts"] = sorted(image.delta.alerts, key=lambda alert: alert.alert_id)
    return {each.name: getattr(image, each.name) for each in fields(image)} | {"delta": delta}


def expected(model: Model, deltas: list[CommitDelta]) -> dict[str, Any]:
    """Returns what `plain` must give after the journal."""
    living = sorted(ring_id for ring_id, ring in model.rings.items() if ring.status not in CLOSED_STATUSES)
    tables: list[list[Any]] = [
        [row for _, row in sorted(model.links.items())],
        [row for _, row in sorted(model.users.items())],
        [row for _, (row, _) in sorted(model.orders.items())],
        [row for _, row in sorted(model.transfers.items())],
    ]
    return {f"table {i}": rows for i, rows in enumerate(tables)} | {
        "commit": len(deltas),
        "watermark_ms": model.watermark_ms,
        "positions": model.positions,
        "clocks_ms": model.positions,
        "ring_serial": len(model.rings),
        "started_ms": START_MS if deltas else None,
        "scorer_state": b"state",
        "seen": [(key, ts_ms) for key, ts_ms in model.seen if ts_ms >= model.watermark_ms],
        "entities": [
            (kind, number, model.entities[kind, number][0])
            for number, kind in sorted((number, kind) for kind, number in model.entities)
        ],
        "order_keys": [key for _, (_, key) in sorted(model.orders.items())],
        "labels": list(model.labels.values()),
        "rings": [model.rings[ring_id] for ring_id in living],
        "members": {ring_id: sorted(model.members[ring_id].items()) for ring_id in living},
    }


def questions(model: Model) -> list[Callable[[Store], object]]:
    """Returns every read call, about everything in the model and about a ring that is not there."""
    asked: list[Callable[[Store], object]] = [
        methodcaller("rings"),
        methodcaller("rings", statuses=("open", "merged"), min_probability=0.5, limit=3),
        methodcaller("alerts"),
        methodcaller("dead_letters", limit=4),
    ]
    for ring_id in [*model.rings, "R-none"]:
        asked += [methodcaller("resolve_ring", ring_id), partial(_evidence, ring_id)]
    for (kind, number), (key, mask) in model.entities.items():
        asked.append(methodcaller("find", EntityKind(kind), key))
        if isinstance(key, str):
            asked += [methodcaller("identifiers_of", key), methodcaller("rings_of", key)]
        else:
            asked.append(methodcaller("users_of", Entity(EntityKind(kind), number, key.hex(), mask, 0), 3))
    return asked + [methodcaller("find_order", key) for _, key in model.orders.values()]


def _evidence(ring_id: str, store: Store) -> object:
    """A snapshot without the version of the store's own schema."""
    ring = store.snapshot(ring_id)
    if ring is None:
        return None
    same = {name: value for name, value in ring.versions.items() if name != "schema"}
    return {name: getattr(ring, name) for name in ring.__slots__} | {"versions": same}


def _changed(before: dict[K, V], after: dict[K, V]) -> dict[K, V]:
    return {number: row for number, row in after.items() if before.get(number) != row}


def _gone(before: dict[K, V], after: dict[K, V], identity: Callable[[V], object]) -> list[K]:
    return [n for n, row in before.items() if n not in after or identity(after[n]) != identity(row)]


def _free(table: dict[int, Any]) -> int:
    return next(slot for slot in range(len(table) + 1) if slot not in table)


def _bytes(*parts: object) -> bytes:
    return "-".join(map(str, parts)).encode().ljust(16, b".")[:16]


def small_shop(commit: int) -> CommitDelta:
    """Ann, Bob and Eve share a device and an IP; Ann ordered once and sent Bob money; they are ring R-1."""
    links = [
        (3 * i + user, user, kind, 0, START_MS - 1, START_MS, 4, 1, -1, -1, 0)
        for i, kind in enumerate((EntityKind.DEVICE, EntityKind.IP))
        for user in range(3)
    ]
    return CommitDelta(
        commit=commit,
        watermark_ms=START_MS,
        positions={"file:a": 17},
        entities=[
            *((EntityKind.USER, number, name, "") for number, name in enumerate(("ann", "bob", "eve"))),
            (EntityKind.DEVICE, 0, DEVICE_KEY, "dev 0"),
            (EntityKind.IP, 0, IP_KEY, "ip 0"),
        ],
        links=as_columns(LINK_COLUMNS, links),
        users=as_columns(USER_COLUMNS, [(user, *range(10, 23), 1) for user in range(3)]),
        orders=as_columns(ORDER_COLUMNS, [(0, 0, 5, 1_999, 10, 20, 978, 1 << Status.DECLINED)]),
        order_keys=[ORDER_KEY],
        transfers=as_columns(TRANSFER_COLUMNS, [(0, 0, 1, 7, 8, 2, 500, 978, EventType.TRANSFER)]),
        rings=[ring_row("R-1", rank=4.0)],
        members={"R-1": [(0, 0.9), (1, 0.8), (2, 0.7)]},
        lineage=[LineageRow("R-1", "born", 3, 0, 3)],
    )
