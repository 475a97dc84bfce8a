"""The payment platform: at the beginning of each quarter, whom will a bank report within it?

At each origin everything is learnt anew from what was known by then: slices at the beginning of each earlier month
whose own 90 days had ended. Then every account that is there and not yet reported is ranked, and the next 90 days say
who was reported. A chargeback is an event of the stream, so it has arrived when it is read; its own time is all that is
known of what it is about.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.graph.types import F64, Bool
from fraudgraph.scoring.trees_columns import FeatureSet
from fraudgraph.tables import import_tables, load_mapping
from training.gnn.dataset import Slice, replay_slices
from training.gnn.recipe import structural
from training.gnn.train import TrainConfig, train, user_logits
from training.labels import POSITIVE, UNKNOWN
from training.planted import MAPPING
from training.prepared import components_of, targets_of
from training.real.judged import Judged
from training.ring_watch import new_engine
from training.rivals_labels import LabelPropagation, PersonalisedPageRank
from training.splits import Cut
from training.trees import TreeModel

HORIZON_DAYS = 90
MONTHS = [(2017, month) for month in range(3, 13)] + [(2018, month) for month in range(1, 5)]
"""Moments at which the stream is read; before March 2017 hardly anybody is there."""
ORIGINS = [(2017, 10), (2018, 1), (2018, 4)]
"""Moments that are tested: the last one's 90 days end with the data."""
END = (2018, 7)
POSITIVE_SHARE = 0.2
HALF_LIFE_DAYS = 30

PRIOR, STRUCTURAL, NETWORK = "prior only", "structural scorer", "network"
TREES: dict[str, FeatureSet] = {
    "trees (a) own activity": "a",
    "trees (b) + sharing": "b",
    "trees (c) + neighbours": "c",
}
TREES_D = "trees (d) + embeddings"
PROPAGATION, PAGERANK = "label propagation", "personalised PageRank"

Score = Callable[[Slice], F64]


@contextmanager
def events_of(folder: Path) -> Iterator[Path]:
    """Yields a file with the platform's events, chargebacks among them."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "events.jsonl"
        import_tables(load_mapping(MAPPING), folder, out)
        yield out


def moment(year: int, month: int) -> int:
    """Returns the last instant before a month, ms since the epoch.

    What is known by the day only stands at that day's midnight: at the first instant of a month, a day of the future
    would be seen.
    """
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000) - 1


def read(folder: Path) -> list[Slice]:
    """Returns the slices of all months, with the 90 days after each as targets, and of the end of the data."""
    horizon_ms = HORIZON_DAYS * DAY_MS
    cuts = [Cut(at, at + horizon_ms) for at in (*(moment(*month) for month in MONTHS), moment(*END))]
    with events_of(folder) as events:
        stream = replay_slices(events, cuts, new_engine())
    stream.aim(horizon_ms, 0)
    stream.tell_known()
    return stream.slices


def reported(piece: Slice) -> Bool:
    """Returns which accounts of a slice had been reported by its cut, `[u]`."""
    assert piece.known is not None
    return np.asarray(piece.known == POSITIVE)


def judge(slices: Sequence[Slice], seed: int, epochs: int, say: Callable[[str], None]) -> list[Judged]:
    """Returns what models that were trained at each origin say there."""
    out = []
    for year, month in ORIGINS:
        at = moment(year, month)
        (test,) = (piece for piece in slices if piece.cut.cut_ms == at)
        learnt = [piece for piece in slices if piece.cut.label_cut_ms <= at]
        models = _models(learnt, seed, epochs)
        say(f"P2P, origin {year}-{month:02d}: learnt from {len(learnt)} months")
        targets = targets_of(test).target
        kept = targets != UNKNOWN
        said = {name: score(test)[kept] for name, score in models.items()}
        unit = components_of(test)[kept].astype(np.int64)
        out.append(Judged(f"{year}-{month:02d}-01", said, targets[kept] == POSITIVE, unit))
    return out


def learnt_from(slices: Sequence[Slice], name: str) -> tuple[int, int]:
    """Returns how many account-months, and reports among them, the models of an origin learnt from."""
    at = moment(int(name[:4]), int(name[5:7]))
    targets = [targets_of(piece).target for piece in slices if piece.cut.label_cut_ms <= at]
    return sum(int((each != UNKNOWN).sum()) for each in targets), sum(int((each == POSITIVE).sum()) for each in targets)


def _models(learnt: Sequence[Slice], seed: int, epochs: int) -> dict[str, Score]:
    """Returns the models by name; the network keeps the last slice to stop at, the trees learn from all."""
    half_life_ms = HALF_LIFE_DAYS * DAY_MS
    config = TrainConfig(seed=seed, epochs=epochs, patience=epochs, half_life_days=HALF_LIFE_DAYS)
    trained = train(config, learnt[:-1], learnt[-1:])
    weights = trained.model.export()
    trees = {name: TreeModel(features, seed=seed).fit(learnt, POSITIVE_SHARE) for name, features in TREES.items()} | {
        TREES_D: TreeModel("d", seed=seed, weights=weights).fit(learnt, POSITIVE_SHARE)
    }
    return {
        PRIOR: lambda piece: np.zeros(len(piece.users)),
        STRUCTURAL: lambda piece: structural(piece).users,
        PROPAGATION: _first(LabelPropagation(half_life_ms).logits),
        PAGERANK: _first(PersonalisedPageRank(half_life_ms).logits),
        **{name: _first(model.logits) for name, model in trees.items()},
        NETWORK: _first(partial(user_logits, trained.model)),
    }


def _first(logits: Callable[[Slice], tuple[F64, F64]]) -> Score:
    return lambda piece: np.asarray(logits(piece)[0], np.float64)
