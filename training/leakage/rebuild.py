"""What a table's rows would hold had they been made honestly, and what, had they been made at the stream's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fraudgraph.engine import Engine
from fraudgraph.errors import UsageError
from fraudgraph.events.decoder import Decoder
from fraudgraph.graph.types import I32, I64, Bool
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.trees_columns import names_of
from training.gnn.dataset import Slice, Stream, read_slice, slices_of_stream
from training.labels import LabelLog, maturity_ms
from training.leakage.table import STOP, TEST, TRAIN, Table
from training.prepared import Show, components_of, survey
from training.replay import Events
from training.splits import Cut

COLUMNS = names_of("c")
MAX_CUTS = 48
"""Moments that are rebuilt; of a table with more of them, so many are looked at, evenly over time."""


@dataclass(frozen=True, slots=True)
class Moment:
    """All accounts that were there at a moment.

    Attributes:
        names: `[u]`; columns: `[u, len(COLUMNS)]` as of the moment.
        component: `[u]`; last_ms: `[u]` last event by then.
    """

    names: list[str]
    columns: F32
    component: I32
    last_ms: I64

    def rows_of(self, users: Sequence[str]) -> I64:
        """Returns the row of each user; -1 for who was not there."""
        place = {name: at for at, name in enumerate(self.names)}
        return np.array([place.get(user, -1) for user in users], np.int64)


@dataclass(frozen=True, slots=True)
class History:
    """A stream at some moments and at its end, with all that was ever said of its accounts.

    Attributes:
        moments: by cut; end: the stream's end.
        last_ms: each account's last event.
    """

    moments: dict[int, Moment]
    end: Moment
    labels: LabelLog
    last_ms: dict[str, int]
    end_ms: int
    maturity_ms: int


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A table's rows, rebuilt from the events.

    Attributes:
        causal: `[n, len(COLUMNS)]` as of each row's cut; future: as of the end of the stream; nan where not rebuilt.
        rebuilt: `[n]` rows whose moment was rebuilt and whose account was there.
        component: `[n]` of each row's account at its moment; -1 where not rebuilt.
        label_cut_ms: `[n]` until when labels may have been read for each row.
    """

    history: History
    causal: F32
    future: F32
    rebuilt: Bool
    component: I64
    label_cut_ms: I64


def read_history(
    moments: I64,
    data: Events,
    engine: Engine,
    *,
    decoder: Decoder,
    show: Show = lambda done, total, words: None,
) -> History:
    """Replays the events and reads all accounts at each moment, and once more at the end.

    Args:
        moments: any number of them, in any order; of more than `MAX_CUTS`, so many are read.
        engine: a new one, as the shop has it.

    Raises:
        UsageError: the events end before the moments, or hold no label.
    """
    seen = survey(data, decoder)
    mature_ms = maturity_ms(seen.labels.labels.values(), seen.last_ms)
    if mature_ms < 0:
        raise UsageError("no label and no chargeback of the events says fraud", do="Audit with the labels in them.")
    if int(moments.max()) > seen.last_ms:
        raise UsageError(
            "the table has moments after the last event", do="Give the events that the table was made from, to the end."
        )
    cuts = [Cut(moment, seen.last_ms) for moment in _sampled(moments)]
    stream = Stream([])
    pieces = slices_of_stream(data, cuts, engine, stream, decoder=decoder, events_per_commit=seen.commit, show=show)
    read = {piece.cut.cut_ms: _moment(piece) for piece in pieces}  # to the end: there the engine stands then
    end = _moment(read_slice(engine, Cut(seen.last_ms, seen.last_ms)))
    return History(read, end, seen.labels, stream.last_ms, seen.last_ms, mature_ms)


def rebuild(table: Table, history: History, label_cut_ms: int | None = None) -> Rebuilt:
    """Returns a table's rows as they should be.

    Args:
        label_cut_ms: until when labels were read for the rows that are learnt from; where None, until the next part of
            the split begins, or to the end where the parts do not follow each other.
    """
    shape = len(table), len(COLUMNS)
    causal, future = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    component = np.full(len(table), -1, np.int64)
    for cut_ms, moment in history.moments.items():
        rows = np.flatnonzero(table.cut_ms == cut_ms)
        place = moment.rows_of([table.users[row] for row in rows.tolist()])
        there = place >= 0
        causal[rows[there]] = moment.columns[place[there]]
        component[rows[there]] = moment.component[place[there]]
    place = history.end.rows_of(table.users)
    left = (place >= 0) & (component >= 0)
    future[left] = history.end.columns[place[left]]
    label_cuts = _label_cuts(table, history.end_ms, label_cut_ms)
    return Rebuilt(history, causal, future, component >= 0, component, label_cuts)


def _moment(piece: Slice) -> Moment:
    return Moment(piece.names, piece.columns, components_of(piece), piece.last_ms)


def in_order(table: Table) -> bool:
    """Returns whether every part of the split ends before the next one begins."""
    parts = [table.cut_ms[table.role(role)] for role in (TRAIN, STOP, TEST)]
    filled = [part for part in parts if len(part)]
    return len(filled) > 1 and all(int(early.max()) < int(late.min()) for early, late in pairwise(filled))


def _sampled(cut_ms: I64) -> list[int]:
    moments = np.unique(cut_ms)
    if len(moments) > MAX_CUTS:
        moments = moments[np.unique(np.linspace(0, len(moments) - 1, MAX_CUTS).round().astype(np.int64))]
    return [int(moment) for moment in moments]


def _label_cuts(table: Table, end_ms: int, given_ms: int | None) -> I64:
    out = np.full(len(table), end_ms, np.int64)
    if given_ms is not None:
        out[table.learnt] = given_ms
    elif in_order(table):
        later = end_ms
        for role in (TEST, STOP, TRAIN):
            rows = table.role(role)
            if rows.any():
                out[rows] = later
                later = int(table.cut_ms[rows].min())
    return out


def own_table(piece: Slice, role: str, known: Bool, positive: Bool) -> Table:
    """Returns the rows of a slice that has its targets.

    Args:
        known, positive: `[u]` accounts that teach; those of them that are fraud.
    """
    rows = np.flatnonzero(known)
    return Table(
        users=tuple(piece.names[row] for row in rows.tolist()),
        cut_ms=np.full(len(rows), piece.cut.cut_ms, np.int64),
        names=COLUMNS,
        x=piece.columns[rows],
        label=positive[rows],
        split=np.full(len(rows), role),
    )
