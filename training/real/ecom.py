"""The e-commerce set: whether a purchase is fraud, said within six hours after it, judged by time 70/30.

When the shop learned what is fraud is not known. What was bought before the split counts as known at the split, which
flatters every model that learns: reports take weeks.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.engine import Engine, Outcome
from fraudgraph.graph.types import F64, I64, Bool
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.trees import BoostedTrees
from fraudgraph.scoring.trees_columns import ColumnReader, FeatureSet, names_of
from training.gnn.dataset import Slice, replay_slices
from training.gnn.measure import OUTSIDE_RINGS
from training.gnn.train import TrainConfig, train, user_logits
from training.labels import NEGATIVE, POSITIVE, UNKNOWN, Targets
from training.prepared import components_of
from training.real.judged import Judged
from training.real_rings import shop_lines
from training.ring_watch import new_engine, run
from training.splits import Cut
from training.trees import TreeSettings
from training.trees.models import grow

TRAIN_SHARE = 0.7
TICK_MS = 6 * HOUR_MS
EVERY_DAYS = 14
"""Between two readings for the network, which reads whole graphs: it knows up to so much of what came after."""
POSITIVE_SHARE = 0.2
PRIOR, PROFILE, STRUCTURAL, NETWORK = "prior only", "trees on the profile", "structural scorer", "network"
TREES: Mapping[str, FeatureSet] = {
    "trees (a) own activity": "a",
    "trees (b) + sharing": "b",
    "trees (c) + neighbours": "c",
}
PROFILE_TREES = "trees (c) + profile"
PROFILE_COLUMNS = ("value", "age", "is_female", "source", "browser", "hours_waited", "hour", "weekday")


@dataclass(frozen=True, slots=True)
class Purchases:
    """`n` first purchases in order of time.

    Attributes:
        users: `[n]`; bought_ms: `[n]`; fraud: `[n]`; profile: `[n, len(PROFILE_COLUMNS)]`.
    """

    users: list[str]
    bought_ms: I64
    fraud: Bool
    profile: F32

    @property
    def first_test(self) -> int:
        """The first row of the test."""
        return int(TRAIN_SHARE * len(self.users))


@dataclass(frozen=True, slots=True)
class Seen:
    """What was known of each purchase at the end of its tick: trees' columns `[n, k]`, its ring's log-odds `[n]`."""

    columns: F32
    structural: F64


def load(path: Path) -> Purchases:
    """Returns the purchases of the set's file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: (row["purchase_time"], row["user_id"]))
    codes: dict[str, dict[str, int]] = {"source": {}, "browser": {}}
    profile = []
    for row in rows:
        signup, bought = _time(row["signup_time"]), _time(row["purchase_time"])
        profile.append(
            [
                float(row["purchase_value"]),
                float(row["age"]),
                row["sex"] == "F",
                *(codes[name].setdefault(row[name], len(codes[name])) for name in codes),
                (bought - signup).total_seconds() / 3600,
                bought.hour,
                bought.weekday(),
            ]
        )
    return Purchases(
        [row["user_id"] for row in rows],
        np.array([_ms(row["purchase_time"]) for row in rows], np.int64),
        np.array([row["class"] == "1" for row in rows], np.bool_),
        np.array(profile, np.float32),
    )


def see(folder: Path, purchases: Purchases) -> Seen:
    """Replays the set tick by tick and reads each buyer at the end of one."""
    in_tick: dict[int, list[int]] = defaultdict(list)
    for row, ms in enumerate((purchases.bought_ms // TICK_MS).tolist()):
        in_tick[ms].append(row)
    columns = np.zeros((len(purchases.users), len(names_of("c"))), np.float32)
    structural = np.full(len(purchases.users), OUTSIDE_RINGS)
    reader = ColumnReader()

    def look(engine: Engine, outcome: Outcome, now_ms: int) -> None:
        rows = in_tick.get(now_ms // TICK_MS - 1, [])
        if not rows:
            return
        ids = np.array([engine.graph.user_table.id_of[purchases.users[row]] for row in rows], np.int32)
        columns[rows] = reader(engine.graph, ids, now_ms)
        for row, ring in zip(rows, engine.graph.users.ring[ids].tolist(), strict=True):
            if ring > 0:
                chance = min(max(engine.rows[ring].probability, 1e-6), 1 - 1e-6)
                structural[row] = np.log(chance / (1 - chance))

    for _ in run(shop_lines(folder), new_engine(), TICK_MS, look):
        pass
    return Seen(columns, structural)


def judge(folder: Path, seed: int, epochs: int, say: Callable[[str], None]) -> tuple[Judged, Judged]:
    """Returns what models said of the later 30 % of purchases, and of those of a random split, for comparison only."""
    purchases = load(folder / "fraud_data_prefix.csv")
    seen = see(folder, purchases)
    say(f"e-commerce: {len(purchases.users):,} purchases read")
    test = np.arange(len(purchases.users)) >= purchases.first_test
    said = _trees(purchases, seen, ~test, seed)
    network, component = _network(folder, purchases, seed, epochs)
    said = {PRIOR: np.zeros(len(test)), STRUCTURAL: seen.structural, **said, NETWORK: network}
    honest = Judged(
        "temporal 70/30", {name: of[test] for name, of in said.items()}, purchases.fraud[test], component[test]
    )
    drawn = np.random.default_rng([seed, 0xEC]).random(len(test)) >= TRAIN_SHARE
    flattered = {name: of[drawn] for name, of in _trees(purchases, seen, ~drawn, seed).items()}
    return honest, Judged("random 70/30", flattered, purchases.fraud[drawn], component[drawn])


def _trees(purchases: Purchases, seen: Seen, learnt: Bool, seed: int) -> dict[str, F64]:
    """Returns what trees say of all purchases that learnt some of them."""
    out = {}
    settings = TreeSettings(seed=seed)
    sets: dict[str, tuple[F32, tuple[str, ...]]] = {PROFILE: (purchases.profile, PROFILE_COLUMNS)}
    for name, features in TREES.items():
        names = names_of(features)
        sets[name] = (seen.columns[:, : len(names)], names)
    sets[PROFILE_TREES] = (np.hstack((seen.columns, purchases.profile)), (*names_of("c"), *PROFILE_COLUMNS))
    for name, (rows, columns) in sets.items():
        weight = np.ones(int(learnt.sum()))
        grown, _ = grow(rows[learnt], purchases.fraud[learnt], weight, None, columns, settings, POSITIVE_SHARE)
        out[name] = BoostedTrees(grown, columns).logits(rows)
    return out


def _network(folder: Path, purchases: Purchases, seed: int, epochs: int) -> tuple[F64, I64]:
    """Returns what a network says of all purchases at the end of their fortnight, and each account's last component."""
    row_of = {user: row for row, user in enumerate(purchases.users)}
    split_ms, end_ms = int(purchases.bought_ms[purchases.first_test]), int(purchases.bought_ms[-1])
    step = EVERY_DAYS * DAY_MS
    moments = [*range(split_ms, int(purchases.bought_ms[0]), -step)][::-1]
    moments += [*range(split_ms + step, end_ms, step), end_ms]
    lines = (line for _, line in shop_lines(folder))
    stream = replay_slices(lines, [Cut(at, at) for at in moments], new_engine())
    since_ms = 0
    for piece in stream.slices:
        _aim(piece, purchases, row_of, since_ms)
        since_ms = piece.cut.cut_ms
    early = [piece for piece in stream.slices if piece.cut.cut_ms <= split_ms]
    config = TrainConfig(seed=seed, epochs=epochs, patience=epochs)
    said = partial(user_logits, train(config, early[:-1], early[-1:]).model)
    out, component = np.zeros(len(purchases.users)), np.arange(len(purchases.users))
    for piece in stream.slices:
        assert piece.targets is not None
        mine = np.flatnonzero(piece.targets.target != UNKNOWN)
        out[[row_of[piece.names[at]] for at in mine.tolist()]] = said(piece)[0][mine]
    last = stream.slices[-1]
    component[[row_of[name] for name in last.names]] = len(component) + components_of(last)
    return out, component.astype(np.int64)


def _aim(piece: Slice, purchases: Purchases, row_of: Mapping[str, int], since_ms: int) -> None:
    """Gives a slice the accounts that bought since the last one as targets."""
    rows = np.array([row_of[name] for name in piece.names], np.int64)
    bought = purchases.bought_ms[rows]
    fresh = (bought > since_ms) & (bought <= piece.cut.cut_ms)
    kind = np.where(purchases.fraud[rows], POSITIVE, NEGATIVE)
    piece.targets = Targets(np.where(fresh, kind, UNKNOWN).astype(np.int8), fresh.astype(np.float64))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _ms(text: str) -> int:
    return int(_time(text).timestamp() * 1000)
