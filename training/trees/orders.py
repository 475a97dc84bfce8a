"""The event head: trees that say how likely one order is fraud, learnt from what came back about earlier orders.

Orders have the label clock of accounts (`training.labels`), read by order: a chargeback names its order, and so may a
label. Learnt from is an order that is *mature*, when a report about it would have arrived; that its account had been
reported for by then is left out, since what happens from then on is what the shop did about it. An order without a
report is no proof of anything where its account was reported for another one; it is left out too.

Each order is read over the graph as it stood right before it, and of the account by a model that has learnt from
earlier time only: so its log-odds err as they will when they serve.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from fraudgraph.engine import Engine
from fraudgraph.errors import UsageError
from fraudgraph.events.batch import DecodedBatch, LabelRow
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.kinds import EventType
from fraudgraph.events.slicing import select, without_rejects
from fraudgraph.graph.types import F64, Bool
from fraudgraph.scoring.event_columns import EVENT_COLUMNS_HASH
from fraudgraph.scoring.event_head import head_columns, order_rows
from fraudgraph.scoring.gnn.model import F32, NetworkSchema
from fraudgraph.scoring.manifest import EventNote, Metric
from fraudgraph.scoring.trees import BoostedTrees
from training.gnn.heads import USER_PRIOR, fit_user_calibration
from training.labels import CHARGEBACK, OTHER_WEIGHT, SOURCE_WEIGHTS
from training.replay import EVENTS_PER_COMMIT, Events, raw_batches
from training.ring_figures import resamples
from training.trees.models import TreeSettings, grow

LEVEL = "order"
MIN_POSITIVES = 20
"""Reported orders below which an event head would be fitted, or calibrated, to chance."""


class EventSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the event head is grown; as of `TreeSettings`.

    Attributes:
        most_orders: without a report that are read, evenly drawn; each costs a commit of its own.
    """

    rounds: Annotated[int, Meta(ge=1)] = 80
    rate: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.08
    leaves: Annotated[int, Meta(ge=2)] = 8
    child_weight: Annotated[float, Meta(ge=0.0)] = 5.0
    l2: Annotated[float, Meta(ge=0.0)] = 1.0
    positive_share: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.2
    most_orders: Annotated[int, Meta(ge=100)] = 20_000
    seed: int = 1

    @property
    def trees(self) -> TreeSettings:
        """The same, for `grow`."""
        return TreeSettings(
            rounds=self.rounds,
            rate=self.rate,
            leaves=self.leaves,
            child_weight=self.child_weight,
            l2=self.l2,
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What was said of an order, or of an account where `order` is None; times as of `training.labels.Label`."""

    user: str
    order: bytes | None
    fraud: bool
    arrived_ms: int
    source: str
    key: bytes
    supersedes: bytes | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """Orders from `first_ms` to before `last_ms`, and what had arrived about them by `label_cut_ms`."""

    first_ms: int
    last_ms: int
    label_cut_ms: int


@dataclass(slots=True)
class OrderLog:
    """All orders of a stream and all that was said of them.

    Attributes:
        orders: account and time by the key of the order; the first event that names it counts.
    """

    orders: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    reports: dict[bytes, Report] = field(default_factory=dict)

    def take(self, batch: DecodedBatch) -> None:
        """Takes in a batch's orders, chargebacks and labels."""
        for i in np.flatnonzero(np.isin(batch.type, (EventType.ORDER, EventType.CHARGEBACK))).tolist():
            key, user, ts_ms = batch.order_key[i], batch.user[i], int(batch.ts_ms[i])
            if batch.type[i] == EventType.ORDER:
                if key is not None:
                    self.orders.setdefault(key, (user, ts_ms))
            else:
                self._add(Report(user, key, True, ts_ms, CHARGEBACK, batch.event_key[i]))
        self.add(batch.labels)

    def add(self, rows: Iterable[LabelRow]) -> None:
        """Takes in labels; one about an account counts as about none of its orders, and makes them suspect."""
        for row in rows:
            owner = None if row.about_order is None else self.orders.get(row.about_order)
            user = row.about_user or (owner[0] if owner is not None else "")
            self._add(Report(user, row.about_order, row.fraud, row.arrived_ms, row.source, row.key, row.supersedes))

    def targets(self, period: Period, maturity_ms: int, *, keep_known: bool) -> dict[bytes, tuple[bool, float]]:
        """Returns of each order that teaches whether it was fraud, and the weight of who says so."""
        arrived = [report for report in self.reports.values() if report.arrived_ms <= period.label_cut_ms]
        replaced = {report.supersedes for report in arrived if report.supersedes is not None}
        latest: dict[bytes, Report] = {}
        suspected: dict[str, int] = {}
        for report in sorted(arrived, key=lambda each: (each.arrived_ms, each.key)):
            if report.key in replaced:
                continue
            if report.order is not None:
                latest[report.order] = report
            if report.fraud:
                suspected.setdefault(report.user, report.arrived_ms)
        until_ms = min(period.last_ms, period.label_cut_ms - maturity_ms)
        out: dict[bytes, tuple[bool, float]] = {}
        for order, (user, ts_ms) in self.orders.items():
            if not period.first_ms <= ts_ms < until_ms:
                continue
            said, since_ms = latest.get(order), suspected.get(user)
            if since_ms is not None and since_ms <= ts_ms and not keep_known:
                continue
            if said is not None:
                out[order] = said.fraud, SOURCE_WEIGHTS.get(said.source, OTHER_WEIGHT)
            elif since_ms is None:
                out[order] = False, 1.0
        return out

    def _add(self, report: Report) -> None:
        self.reports.setdefault(report.key, report)


@dataclass(frozen=True, slots=True)
class Examples:
    """`n` orders as the event head sees them.

    Attributes:
        weight: `[n]` of who says so, times how many orders one stands for where they were drawn.
        account: `[n]` number of the account, for resampling.
    """

    rows: F32
    truth: Bool
    weight: F64
    account: F64

    def __len__(self) -> int:
        return len(self.truth)


def drawn(targets: dict[bytes, tuple[bool, float]], most: int, seed: int) -> dict[bytes, tuple[bool, float]]:
    """Returns all positives and at most so many of the others, evenly, which stand for the rest by their weight."""
    negatives = sorted(order for order, (fraud, _) in targets.items() if not fraud)
    if len(negatives) <= most:
        return targets
    kept = np.random.default_rng(seed).choice(len(negatives), most, replace=False)
    share = most / len(negatives)
    chosen = {negatives[place] for place in kept.tolist()}
    return {
        order: (fraud, weight if fraud else weight / share)
        for order, (fraud, weight) in targets.items()
        if fraud or order in chosen
    }


def read_orders(
    events: Events,
    engine: Engine,
    wanted: dict[bytes, tuple[bool, float]],
    *,
    decoder: Decoder,
    events_per_commit: int = EVENTS_PER_COMMIT,
) -> Examples:
    """Replays a stream, commits before each order that is wanted, and reads it over the graph as it stands then.

    Args:
        engine: a new one, with the bundle whose model is asked about the account.
    """
    rows, truth, weight, accounts = [], [], [], []
    numbers: dict[str, int] = {}
    left = dict(wanted)
    for raw in raw_batches(events, events_per_commit):
        for part, asked in parts_before(decoder.decode(raw), left):
            if asked is not None:
                live = engine.serving.live
                assert live is not None
                key = asked.order_key[0]
                assert key is not None
                fraud, heavy = left.pop(key)
                rows.append(order_rows(live, engine.graph, asked, np.zeros(1, np.int32))[0])
                truth.append(fraud)
                weight.append(heavy)
                accounts.append(numbers.setdefault(asked.user[0], len(numbers)))
            engine.apply(part)
        if not left:
            break
    width = len(rows[0]) if rows else 0
    return Examples(
        np.array(rows, np.float32).reshape(len(rows), width),
        np.array(truth, np.bool_),
        np.array(weight, np.float64),
        np.array(accounts, np.float64),
    )


def parts_before(
    batch: DecodedBatch, wanted: dict[bytes, tuple[bool, float]]
) -> Iterator[tuple[DecodedBatch, DecodedBatch | None]]:
    """Yields a batch in parts that begin at each wanted order, and that order alone; None for the part before any."""
    is_order = batch.type == EventType.ORDER
    places = [i for i in np.flatnonzero(is_order).tolist() if batch.order_key[i] in wanted]
    first_of = {batch.order_key[i]: i for i in reversed(places)}
    begins = sorted(first_of.values())
    if not begins:
        yield batch, None
        return
    if begins[0] > 0:
        yield without_rejects(select(batch, np.arange(begins[0]))), None
    for begin, end in zip(begins, [*begins[1:], len(batch)], strict=True):
        part = select(batch, np.arange(begin, end))
        alone = without_rejects(select(batch, np.arange(begin, begin + 1)))
        yield (part if end == len(batch) else without_rejects(part)), alone


@dataclass(frozen=True, slots=True)
class FittedHead:
    """An event head with its note, and how good it is on later orders."""

    trees: BoostedTrees
    note: EventNote
    metrics: tuple[Metric, ...]


def fit_head(
    fit: Sequence[Examples],
    later: Sequence[Examples],
    *,
    settings: EventSettings,
    schema: NetworkSchema | None,
    calibration: Literal["platt", "isotonic"],
    prior: float | None,
    name: str,
    data: str,
    cut_ms: int,
) -> FittedHead:
    """Returns the event head fitted on some orders, calibrated and measured on later ones.

    Args:
        prior: part of orders that are fraud; as of the later ones where None.

    Raises:
        UsageError: fewer than `MIN_POSITIVES` orders of either were reported.
    """
    learnt, told = _joined(fit), _joined(later)
    for what, each in (("to learn from", learnt), ("to calibrate on", told)):
        if each.truth.sum() < MIN_POSITIVES or each.truth.all():
            raise UsageError(
                f"{int(each.truth.sum())} reported orders of {len(each)} are too few {what}",
                do="Give a longer stream, or leave [event_head] out of the training's file.",
            )
    names = head_columns(schema)
    data_of_trees, rounds = grow(
        learnt.rows, learnt.truth, learnt.weight, None, names, settings.trees, settings.positive_share
    )
    trees = BoostedTrees(data_of_trees, names)
    logits = trees.logits(told.rows)
    stands_for = np.where(told.truth, 1.0, told.weight)
    base = float(stands_for[told.truth].sum() / stands_for.sum())
    line = fit_user_calibration(logits, told.truth, calibration, base if prior is None else prior)
    note = EventNote(
        columns=names,
        columns_hash=EVENT_COLUMNS_HASH,
        rounds=rounds,
        calibration=line,
        data=data,
        cut_ms=cut_ms,
        orders=len(learnt),
        positives=int(learnt.truth.sum()),
    )
    account = np.nan_to_num(told.rows[:, names.index("account_log_odds")].astype(np.float64), nan=-99.0)
    return FittedHead(trees, note, (_metric(f"event-1/{name}", logits, told), _metric("account alone", account, told)))


def _joined(parts: Sequence[Examples]) -> Examples:
    full = [part for part in parts if len(part)]
    if not full:
        return Examples(np.empty((0, 0), np.float32), np.empty(0, np.bool_), np.empty(0), np.empty(0))
    shift = np.cumsum([0, *(part.account.max() + 1 for part in full[:-1])])
    return Examples(
        np.vstack([part.rows for part in full]),
        np.concatenate([part.truth for part in full]),
        np.concatenate([part.weight for part in full]),
        np.concatenate([part.account + at for part, at in zip(full, shift.tolist(), strict=True)]),
    )


def _metric(model: str, said: F64, told: Examples) -> Metric:
    """Returns the average precision over later orders; resampled are accounts, whose orders depend."""
    from sklearn.metrics import average_precision_score

    weight = np.where(told.truth, 1.0, told.weight)
    account = np.unique(told.account, return_inverse=True)[1]

    def figure(drawn_weights: F64) -> float:
        each = weight * drawn_weights[account]
        if not each[told.truth].any():
            return float("nan")
        return float(average_precision_score(told.truth, said, sample_weight=each))

    count = int(account.max()) + 1
    low, high = np.nanquantile([figure(weights) for weights in resamples(count)[:200]], (0.025, 0.975))
    return Metric("later orders", LEVEL, "average precision", model, figure(np.ones(count)), float(low), float(high))


ORDER_PRIOR = USER_PRIOR
"""Orders that are fraud, among all, where the worlds have more: a stand-in, as for accounts."""
