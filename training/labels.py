"""The label clock: what was known about whom at a moment, and who has been silent long enough to count as clean.

A label has three times: `about_ms`, the act that it is about; `arrived_ms`, when somebody told; and the moment at which
it is read. Training at a cut T with labels read until L sees, of each account that was there at T:

- **known**, left out: a label about it had arrived by T. From then on what happens to it is what the shop did about it
  (a blocked account falls silent), and a network would learn that. Worlds in which nobody reacts may keep them.
- **censored**, left out: not *mature*. An account is mature when a report of whatever it did up to T + horizon would
  have arrived by L, but for 1 - `MATURE_SHARE` of the reports. Unlabelled is not negative. Those with a report are left
  out just the same: kept, they would be the only active accounts of late, and activity would look like fraud.
- **positive**: mature, and its latest label that arrived by L, about an act up to T + horizon, says fraud.
- **negative**: mature, and that label says legitimate, or there is none.

How long maturity takes is estimated from the labels themselves. A mature account without a label is still no proof:
fraud that nobody ever reports is among the negatives, so a network's probability is that of being *reported*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fraudgraph.events.batch import DecodedBatch, LabelRow
from fraudgraph.events.kinds import EventType

I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

MATURE_SHARE = 0.9
"""Of the reports of an act that must have arrived before silence counts."""

CHARGEBACK = "chargeback"
SOURCE_WEIGHTS: Mapping[str, float] = {CHARGEBACK: 0.5, "analyst": 1.0}
"""A chargeback says that a payment was disputed, often by an honest buyer or on the account of a victim."""
OTHER_WEIGHT = 0.5
"""Of a source that is not listed, such as a rule: it repeats what a feature may already say."""

UNKNOWN, NEGATIVE, POSITIVE = -1, 0, 1


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody said of an account; `key` and `supersedes` as of `LabelRow`."""

    user: str
    fraud: bool
    about_ms: int
    arrived_ms: int
    source: str
    key: bytes
    supersedes: bytes | None = None


@dataclass(frozen=True, slots=True)
class Targets:
    """`n` accounts at a cut.

    Attributes:
        target: `[n]` int8 of `POSITIVE`, `NEGATIVE`, `UNKNOWN` (left out: known before, or censored).
        weight: `[n]` of its source; 1 for a mature account without a label; 0 where left out.
    """

    target: I8
    weight: F64


@dataclass(slots=True)
class LabelLog:
    """All labels of a stream, chargebacks among them, with the clock to read them by."""

    labels: dict[bytes, Label] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=lambda: SOURCE_WEIGHTS)
    _order: dict[bytes, tuple[str, int]] = field(default_factory=dict)

    def take(self, batch: DecodedBatch) -> None:
        """Takes in a batch's labels and chargebacks; one about an order is about the account that ordered.

        A chargeback arrives when its event happens, and is about the order that it names; about itself where that
        order was never seen.
        """
        for i in np.flatnonzero(np.isin(batch.type, (EventType.ORDER, EventType.CHARGEBACK))).tolist():
            key, user, ts_ms = batch.order_key[i], batch.user[i], int(batch.ts_ms[i])
            if batch.type[i] == EventType.ORDER:
                if key is not None:
                    self._order.setdefault(key, (user, ts_ms))
                continue
            about = self._order.get(key, (user, ts_ms)) if key is not None else (user, ts_ms)
            self._add(Label(user, True, min(about[1], ts_ms), ts_ms, CHARGEBACK, batch.event_key[i]))
        self.add(batch.labels)

    def add(self, rows: Iterable[LabelRow]) -> None:
        """Takes in labels; one about an order that was never seen is about nobody."""
        for row in rows:
            user = self._user_of(row)
            if user is not None:
                self._add(Label(user, row.fraud, row.about_ms, row.arrived_ms, row.source, row.key, row.supersedes))

    def known(self, until_ms: int, *, about_until_ms: int | None = None) -> dict[str, Label]:
        """Returns the latest label of each account among those that had arrived.

        Args:
            until_ms: labels that arrived later do not exist yet, nor do those that supersede.
            about_until_ms: labels about later acts are left out; none are where None.
        """
        arrived = [label for label in self.labels.values() if label.arrived_ms <= until_ms]
        replaced = {label.supersedes for label in arrived if label.supersedes is not None}
        latest: dict[str, Label] = {}
        for label in arrived:
            if label.key in replaced or (about_until_ms is not None and label.about_ms > about_until_ms):
                continue
            best = latest.get(label.user)
            if best is None or (label.arrived_ms, label.key) > (best.arrived_ms, best.key):
                latest[label.user] = label
        return latest

    def targets(
        self,
        users: Sequence[str],
        last_ms: I64,
        *,
        cut_ms: int,
        horizon_ms: int,
        label_cut_ms: int,
        maturity_ms: int,
        keep_known: bool = False,
    ) -> Targets:
        """Returns what each account that was there at `cut_ms` is to a training that reads labels until `label_cut_ms`.

        Args:
            last_ms: `[n]` last act of each account as of the label cut: silence since then is silence.
            maturity_ms: as of the function of this name.
            keep_known: nobody reacted to labels.
        """
        before = {} if keep_known else self.known(cut_ms)
        since = self.known(label_cut_ms, about_until_ms=cut_ms + horizon_ms)
        mature = np.minimum(last_ms, cut_ms + horizon_ms) + maturity_ms <= label_cut_ms
        target = np.full(len(users), UNKNOWN, np.int8)
        weight = np.zeros(len(users))
        for row in np.flatnonzero(mature).tolist():
            user = users[row]
            if user in before:
                continue
            label = since.get(user)
            target[row] = POSITIVE if label is not None and label.fraud else NEGATIVE
            weight[row] = 1.0 if label is None else self.weights.get(label.source, OTHER_WEIGHT)
        return Targets(target, weight)

    def _user_of(self, row: LabelRow) -> str | None:
        if row.about_user is not None:
            return row.about_user
        owner = None if row.about_order is None else self._order.get(row.about_order)
        return None if owner is None else owner[0]

    def _add(self, label: Label) -> None:
        self.labels.setdefault(label.key, label)


def maturity_ms(labels: Iterable[Label], label_cut_ms: int, share: float = MATURE_SHARE) -> int:
    """Returns the delay within which a share of all reports of fraud arrive, estimated from those that have.

    Reports that take long are missing where the act is recent, so delays are right-truncated: the plain quantile would
    be too short. This is the estimator of Lagakos, Barraj and De Gruttola (Biometrika 1988): in reversed time, the
    hazard of a delay among acts that are old enough for it to have been seen. Delays longer than the oldest act cannot
    be seen by anybody. Returns -1 where no fraud was reported yet.
    """
    told = [
        (label.arrived_ms - label.about_ms, label_cut_ms - label.about_ms)
        for label in labels
        if label.fraud and label.arrived_ms <= label_cut_ms
    ]
    if not told:
        return -1
    delay, room = np.array(told, np.int64).T
    moments, count = np.unique(delay, return_counts=True)
    at_risk = np.searchsorted(np.sort(delay), moments, side="right") - np.searchsorted(np.sort(room), moments)
    stays = 1.0 - count / at_risk
    arrived = np.append(np.cumprod(stays[::-1])[::-1][1:], 1.0)
    return int(moments[np.searchsorted(arrived, share)])
