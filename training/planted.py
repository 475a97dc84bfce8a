"""Rings planted into a real background: what simulated rings do, in the terms of a payment platform.

The background is the real peer-to-peer data without its chargebacks, so that nothing that a bank said is in the stream.
A planted ring is one of the simulator's, seen through what this platform records: cards and devices by the day of their
first use, and transfers. Its shared devices and phones become shared devices, its shared cards and addresses shared
cards; shared IPs leave no trace. Stolen cards are added cards, orders are transfers with the amount and to the receiver
of some real transfer. Every new account has, beside what the ring gives it, the cards and devices of some real account,
on the same days of its life; where that account shares one with somebody, the new one shares a real one too, drawn by
the number of its users. Accounts that are taken over are real ones.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.simulate.identifiers import NONE
from fraudgraph.simulate.rings import Ring
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import World, simulate
from fraudgraph.tables import import_tables, load_mapping
from training.ring_truth import TrueRing, Truth, linked_ms
from training.ring_watch import Line

MAPPING = Path(__file__).parents[1] / "configs" / "datasets" / "p2p.toml"
DAYS = 180
_SEEN_AS = {
    EntityKind.DEVICE: "device_id",
    EntityKind.PHONE: "device_id",
    EntityKind.CARD: "card",
    EntityKind.ADDRESS: "card",
}
_STEALS_CARDS = ("fake_accounts", "payment_abuse")
_SETTLED_MS = 60 * DAY_MS


class _Event(msgspec.Struct):
    type: str
    ts: datetime
    user_id: str
    device_id: str | None = None
    card: str | None = None
    to_user_id: str | None = None
    amount: str | None = None


_DECODER = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True)
class Background:
    """Real events, and what planted accounts are drawn from.

    Attributes:
        lines: without chargebacks, in order of time.
        first_ms: user -> first event.
        fraud: users with a chargeback.
        owned: user -> (kind, identifier, time) of each first use.
        shared: kind -> the users' links to identifiers of two or more, one entry per link.
        payments: (receiver, amount) of the real transfers.
        start_ms, end_ms: of the days in which rings are planted.
    """

    lines: list[Line]
    first_ms: dict[str, int]
    fraud: frozenset[str]
    owned: dict[str, list[tuple[str, str, int]]]
    shared: dict[str, list[str]]
    payments: list[tuple[str, str]]
    start_ms: int
    end_ms: int


def load_background(folder: Path) -> Background:
    """Returns the background out of the tables of the peer-to-peer data."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "events.jsonl"
        import_tables(load_mapping(MAPPING), folder, out)
        written = out.read_bytes().splitlines()
    return background_of(written)


def time_of(line: bytes) -> int:
    """Returns the event time of a line, in ms."""
    return int(_DECODER.decode(line).ts.timestamp() * 1000)


def background_of(written: list[bytes]) -> Background:
    """Returns the background of events in order of time."""
    lines: list[Line] = []
    first_ms: dict[str, int] = {}
    fraud = set()
    owned: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    users_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    payments = []
    for line in written:
        event = _DECODER.decode(line)
        ts = int(event.ts.timestamp() * 1000)
        if event.type == "chargeback":
            fraud.add(event.user_id)
            continue
        lines.append((ts, line))
        first_ms.setdefault(event.user_id, ts)
        if event.to_user_id is not None:
            first_ms.setdefault(event.to_user_id, ts)
            payments.append((event.to_user_id, event.amount or "1.00"))
        for kind, thing in (("card", event.card), ("device_id", event.device_id)):
            if thing is not None:
                owned[event.user_id].append((kind, thing, ts))
                users_of[kind, thing].add(event.user_id)
    shared: dict[str, list[str]] = {"card": [], "device_id": []}
    for (kind, thing), users in users_of.items():
        if len(users) > 1:
            shared[kind] += [thing] * len(users)
    end_ms = (lines[-1][0] // DAY_MS + 1) * DAY_MS
    return Background(lines, first_ms, frozenset(fraud), dict(owned), shared, payments, end_ms - DAYS * DAY_MS, end_ms)


def plant(background: Background, seed: int, members: int) -> tuple[list[Line], Truth]:
    """Returns the background with rings of about `members` accounts in it, in order of time, and the truth."""
    start = datetime.fromtimestamp(background.start_ms / 1000, UTC).date()
    world = simulate(_spec(seed, members, start))
    planting = _Planting(background, world, np.random.default_rng([seed, 0x97]))
    rings = [planting.ring(ring) for ring in world.rings]
    lines = sorted([*background.lines, *planting.lines], key=lambda line: line[0])
    return lines, Truth(rings, len(background.first_ms) + planting.opened)


def _spec(seed: int, members: int, start: date) -> WorldSpec:
    # Only the rings are taken out of this world; it is as large as the share of rings in it allows.
    users = max(1_000, members * 6)
    return WorldSpec(seed=seed, users=users, days=DAYS, start=start, ring_share=members / users, currency="USD")


class _Planting:
    def __init__(self, background: Background, world: World, rng: np.random.Generator) -> None:
        self._background = background
        self._world = world
        self._rng = rng
        order = np.lexsort((world.events.ts, world.events.user))
        self._events = world.events.take(order)
        settled = [
            user
            for user, first in background.first_ms.items()
            if first < background.start_ms - _SETTLED_MS and user not in background.fraud
        ]
        self._victims = [settled[i] for i in rng.permutation(len(settled)).tolist()]
        self._shared = {kind: frozenset(things) for kind, things in background.shared.items()}
        self._templates = sorted(background.owned)
        self.lines: list[Line] = []
        self.opened = 0

    def ring(self, ring: Ring) -> TrueRing:
        """Plants a ring and returns the truth about it."""
        uses: list[tuple[int, str | int, object]] = []
        members, victims = set(), set()
        for member, user in enumerate(ring.users):
            low, high = self._events.user.searchsorted([user, user + 1])
            rows = np.arange(low, high)
            if ring.victim[member]:
                name = self._victims.pop()
                victims.add(name)
                rows = rows[self._events.ring[rows] == ring.number]
            else:
                name = f"planted-{ring.number}-{member}"
                members.add(name)
                self.opened += 1
                if len(rows):
                    self._own_things(name, int(self._events.ts[rows[0]]))
            uses += self._acts(ring, name, rows)
        return TrueRing(ring.typology, frozenset(members), frozenset(victims), linked_ms(uses))

    def _acts(self, ring: Ring, name: str, rows: npt.NDArray[np.intp]) -> list[tuple[int, str | int, object]]:
        events = self._events
        planned = {kind: {x for tools in ring.tools for x in tools.get(kind, [])} for kind in _SEEN_AS}
        uses: dict[tuple[str, str], int] = {}
        for row in rows.tolist():
            day = int(events.ts[row]) // DAY_MS * DAY_MS
            for kind, seen_as in _SEEN_AS.items():
                thing = int(getattr(events, kind.label)[row])
                stolen = kind is EntityKind.CARD and events.ring[row] != NONE and ring.typology in _STEALS_CARDS
                if thing in planned[kind] or (stolen and thing != NONE):
                    uses.setdefault((seen_as, f"planted-{kind.label}-{thing}"), day)
            if events.type[row] == EventType.ORDER:
                receiver, amount = self._background.payments[int(self._rng.integers(len(self._background.payments)))]
                if receiver != name:
                    self._write(int(events.ts[row]), name, type="transfer", to_user_id=receiver, amount=amount)
        for (seen_as, thing_name), day in uses.items():
            self._write(day, name, type="login", **{seen_as: thing_name})
        return [(day, name, thing) for thing, day in uses.items()]

    def _own_things(self, name: str, first_ms: int) -> None:
        """Gives a new account what some real account has, on the same days of its life."""
        background = self._background
        template = self._templates[int(self._rng.integers(len(self._templates)))]
        things = background.owned[template]
        born = min(ts for _, _, ts in things)
        for number, (kind, thing, ts) in enumerate(things):
            at = first_ms // DAY_MS * DAY_MS + ts - born
            if at >= background.end_ms:
                continue
            is_shared = thing in self._shared[kind]
            pool = background.shared[kind]
            own = pool[int(self._rng.integers(len(pool)))] if is_shared else f"{name}-{number}"
            self._write(at, name, type="login", **{kind: own})

    def _write(self, ts: int, user: str, **fields: str) -> None:
        stamp = datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec="milliseconds")
        event = {"event_id": f"planted-{len(self.lines)}", "ts": stamp, "user_id": user, **fields}
        if "amount" in fields:
            event["currency"] = "USD"
        self.lines.append((ts, msgspec.json.encode(event)))
