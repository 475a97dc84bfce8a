"""Real data as it is: who the called rings of the payment platform are, and the device farms of the e-commerce set."""

from __future__ import annotations

import csv
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.settings import Settings
from fraudgraph.tables import import_tables, load_mapping
from training.planted import Background, time_of
from training.ring_comparison import LINE
from training.ring_figures import RESAMPLES, Estimate, median
from training.ring_truth import TrueRing, Truth
from training.ring_watch import Line, Watch, calls_of, new_engine, run
from training.rivals import COMPONENTS, links_of, teams

ECOM = Path(__file__).parents[1] / "configs" / "datasets" / "ecom.toml"
LISTED = Settings().alerts.list_min_probability
DECILES = 10
_FARM_DAYS = (datetime(2015, 1, 1, tzinfo=UTC), datetime(2015, 1, 14, tzinfo=UTC))
_AT_ONCE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the queue: `lift` is its members' part of known fraud over that of all users."""

    rings: int
    users: int
    fraud: int
    least_probability: float
    lift: Estimate


@dataclass(frozen=True, slots=True)
class CleanComponent:
    """A large component without fraud, and the first ring in the queue that lies mostly in it.

    Attributes:
        place: in the queue, from 1; None where no living ring lies in it.
        alerted: how many of its users ever were in a ring at the alert line.
    """

    kind: str
    users: int
    fraud: int
    place: int | None
    probability: float
    alerted: int


@dataclass(frozen=True, slots=True)
class Lift:
    """The payment platform's queue at the end of its data, beside what banks said.

    Attributes:
        all_rings: lift of everybody in a living ring; `surest_tenth`: of the tenth of highest probability.
        without_recency: of the tenth of highest priority were every ring just seen.
        quiet_days: median days since the last event of rings with known fraud, and of the others.
        listed: the rings that the queue shows unless it is asked for all.
        alerted_users, alerted_fraud: users ever in a ring at the alert line; of them known fraud.
    """

    users: int
    fraud: int
    rings: int
    deciles: list[Part]
    all_rings: Estimate
    surest_tenth: Estimate
    without_recency: Estimate
    quiet_days: tuple[float, float]
    listed: Part
    alerts: int
    alerted_users: int
    alerted_fraud: int
    components: list[CleanComponent]


def lift(background: Background) -> Lift:
    """Runs the background without chargebacks and returns what its queue holds; labels are looked at afterwards."""
    truth, fraud = Truth([], len(background.first_ms)), background.fraud
    engine, watch = new_engine(), Watch(truth, LINE)
    for _ in run(background.lines, engine, DAY_MS, watch.see):
        pass
    key_of = engine.graph.user_table.key_of
    serials = sorted(engine.register.members, key=lambda serial: (-engine.rows[serial].rank, serial))
    queue = [[key_of[user] or "" for user in engine.register.members[serial].tolist()] for serial in serials]
    chances = [engine.rows[serial].probability for serial in serials]
    base = len(fraud) / len(background.first_ms)
    tenths = [part.tolist() for part in np.array_split(np.arange(len(queue)), DECILES)]
    surest = sorted(range(len(queue)), key=lambda place: -chances[place])
    rules, rows = engine.rules.priority, [engine.rows[serial] for serial in serials]
    dearest = sorted(range(len(queue)), key=lambda place: -rules.priority(rows[place].rank, rows[place].last_seen_ms))
    quiet = np.array([(background.end_ms - row.last_seen_ms) / DAY_MS for row in rows])
    has_fraud = np.array([any(user in fraud for user in ring) for ring in queue], np.bool_)
    deciles = [_part_of(queue, chances, tenth, fraud, base) for tenth in tenths]
    listed = [place for place, chance in enumerate(chances) if chance >= LISTED]
    return Lift(
        users=len(background.first_ms),
        fraud=len(fraud),
        rings=len(queue),
        deciles=deciles,
        all_rings=_lift(queue, fraud, base),
        surest_tenth=_lift([queue[place] for place in surest[: len(tenths[0])]], fraud, base),
        without_recency=_lift([queue[place] for place in dearest[: len(tenths[0])]], fraud, base),
        quiet_days=(float(np.median(quiet[has_fraud])), float(np.median(quiet[~has_fraud]))),
        listed=_part_of(queue, chances, listed, fraud, base),
        alerts=len(watch.alerts),
        alerted_users=len(watch.honest),
        alerted_fraud=len(watch.honest & fraud),
        components=[_clean(kind, background, queue, chances, watch) for kind in ("device_id", "card")],
    )


def _part_of(
    queue: Sequence[list[str]], chances: Sequence[float], places: Sequence[int], fraud: frozenset[str], base: float
) -> Part:
    rings = [queue[place] for place in places]
    return Part(
        len(rings),
        sum(map(len, rings)),
        sum(user in fraud for ring in rings for user in ring),
        min((chances[place] for place in places), default=float("nan")),
        _lift(rings, fraud, base),
    )


def _lift(rings: Sequence[list[str]], fraud: frozenset[str], base: float) -> Estimate:
    """Returns the lift of the rings' members, with an interval over rings."""
    users = np.array([len(ring) for ring in rings], np.float64)
    found = np.array([sum(user in fraud for user in ring) for ring in rings], np.float64)
    if not len(rings):
        return Estimate(float("nan"), float("nan"), float("nan"))
    drawn = np.random.default_rng(0).integers(0, len(rings), (RESAMPLES, len(rings)))
    low, high = np.quantile(found[drawn].sum(axis=1) / users[drawn].sum(axis=1) / base, (0.025, 0.975))
    return Estimate(float(found.sum() / users.sum() / base), float(low), float(high))


def _clean(
    kind: str, background: Background, queue: list[list[str]], chances: list[float], watch: Watch
) -> CleanComponent:
    """Returns the largest component of users who ever shared a kind of identifier."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [(user, thing) for user, owned in background.owned.items() for k, thing, _ in owned if k == kind]
    users, user = np.unique([u for u, _ in pairs], return_inverse=True)
    things, thing = np.unique([t for _, t in pairs], return_inverse=True)
    size = len(users) + len(things)
    graph = coo_array((np.ones(len(pairs), np.int8), (user, thing + len(users))), shape=(size, size))
    label = connected_components(graph, directed=False)[1][: len(users)]
    largest = np.bincount(label).argmax()
    members = set(users[label == largest].tolist())
    places = [place for place, ring in enumerate(queue) if 2 * len(members.intersection(ring)) > len(ring)]
    return CleanComponent(
        kind=kind.removesuffix("_id"),
        users=len(members),
        fraud=len(members & background.fraud),
        place=places[0] + 1 if places else None,
        probability=max((chances[place] for place in places), default=0.0),
        alerted=len(members & watch.honest),
    )


@dataclass(frozen=True, slots=True)
class Farms:
    """What was made of the e-commerce set. Farms: devices with at least three accounts of the block.

    Attributes:
        farm_users: their accounts; `block_users`: all of the block, on other devices too.
        found: farms that an alerted ring was, at some time.
        alerts, right, outside: rings when alerted; those that are a farm; those mostly of accounts outside the block.
        called_users, called_fraud, called_farm: accounts ever in an alerted ring; of them fraud by `class`, in a farm.
        after, after_fraud: accounts in rings alerted after the block's days; of them fraud.
        delay_hours: from a farm's third account to its alert.
        components: groups, farms found, groups outside, by components (cap 10) on the links at the block's end.
    """

    rows: int
    fraud: int
    block_users: int
    farms: int
    farm_users: int
    found: int
    alerts: int
    right: int
    outside: int
    called_users: int
    called_fraud: int
    called_farm: int
    after: int
    after_fraud: int
    delay_hours: Estimate
    components: tuple[int, int, int]


def farms(folder: Path) -> Farms:
    """Runs the e-commerce set in the order of time and compares with its block of January."""
    rows = _accounts(folder / "fraud_data_prefix.csv")
    fraud = {user for user, _, _, _, is_fraud in rows if is_fraud}
    first, last = (int(day.timestamp() * 1000) for day in _FARM_DAYS)
    block = {u for u, signup, bought, _, _ in rows if first <= signup < last and bought - signup <= _AT_ONCE_MS}
    on_device: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for user, signup, _, device, _ in rows:
        if user in block:
            on_device[device].append((signup, user))
    rings = [
        TrueRing("device_farm", frozenset(user for _, user in some), frozenset(), sorted(some)[2][0])
        for some in on_device.values()
        if len(some) >= 3
    ]
    truth = Truth(rings, len(rows))
    engine, watch = new_engine(), Watch(truth, LINE)
    before, links = set[str](), None
    for end_ms in run(shop_lines(folder), engine, HOUR_MS, watch.see):
        if end_ms <= last:
            before = set(watch.called)
        elif links is None:
            links = links_of(engine)
    after = watch.called - before
    links = links or links_of(engine)
    groups = teams(links.names, COMPONENTS[2].groups(links))
    judged = calls_of(groups, [1.0] * len(groups), truth).judged
    return Farms(
        rows=len(rows),
        fraud=len(fraud),
        block_users=len(block),
        farms=len(rings),
        farm_users=len(truth.ring_of),
        found=len(watch.found_ms),
        alerts=len(watch.alerts),
        right=sum(verdict.is_right for verdict in watch.alerts),
        outside=sum(verdict.is_false for verdict in watch.alerts),
        called_users=len(watch.called),
        called_fraud=len(watch.called & fraud),
        called_farm=sum(user in truth.ring_of for user in watch.called),
        after=len(after),
        after_fraud=len(after & fraud),
        delay_hours=median([[(ms - (rings[n].linked_ms or 0)) / HOUR_MS] for n, ms in watch.found_ms.items()]),
        components=(
            len(judged),
            len({verdict.ring for verdict in judged if verdict.is_right}),
            sum(verdict.is_false for verdict in judged),
        ),
    )


def _accounts(path: Path) -> list[tuple[str, int, int, str, bool]]:
    """Returns (user, signup, purchase, device, is fraud) of each row."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            (row["user_id"], _ms(row["signup_time"]), _ms(row["purchase_time"]), row["device_id"], row["class"] == "1")
            for row in csv.DictReader(file)
        ]


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def shop_lines(folder: Path) -> Iterator[Line]:
    """Yields the events of the e-commerce set, in order of time."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "events.jsonl"
        import_tables(load_mapping(ECOM), folder, out)
        for line in out.read_bytes().splitlines():
            yield time_of(line), line
