"""Scores one order now: trees over what it names and what was known of that, and what the model says of the account."""

from __future__ import annotations

import numpy as np

from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.kinds import EventType
from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.types import F64, I32
from fraudgraph.scoring.event_columns import COLUMNS, LOG_ODDS, event_columns, users_of
from fraudgraph.scoring.gnn.live import LiveNetwork
from fraudgraph.scoring.gnn.model import F32, NetworkSchema
from fraudgraph.scoring.live_model import LiveModel
from fraudgraph.scoring.trees_embedding import LOG_ODDS_PARTS, embedding_columns, embedding_names


def head_columns(schema: NetworkSchema | None) -> tuple[str, ...]:
    """Returns the columns of an event head in order, beside a network of this schema or beside none."""
    return (*COLUMNS, LOG_ODDS, *(() if schema is None else embedding_names(schema.width)))


def order_rows(live: LiveModel, graph: HotGraph, batch: DecodedBatch, rows: I32) -> F32:
    """Returns the columns of some events of a batch that was not applied to the graph, `[n, k]`."""
    users, moments = users_of(graph, batch, rows), batch.ts_ms[rows]
    network = live if isinstance(live, LiveNetwork) else live.inner
    width = 1 if network is None else 2 + network.bundle.weights.schema.width
    of_model = np.full((len(rows), width), np.nan, np.float32)
    known = np.flatnonzero(users >= 0)
    if len(known):
        who, when = users[known], np.maximum(moments[known], graph.users.last_ms[users[known]])
        said = live.log_odds(graph, who, when)
        of_model[known, 0] = np.rint(said * LOG_ODDS_PARTS) / LOG_ODDS_PARTS
        if network is not None:
            embeddings = network.network.embeddings((2 * who).astype(np.int32))
            of_model[known, 1:] = embedding_columns(embeddings, network.log_odds(graph, who, when))
    return np.hstack((event_columns(graph, batch, rows), of_model))


def score_orders(live: LiveModel | None, graph: HotGraph, batch: DecodedBatch) -> F64:
    """Returns the probability that each event is a fraudulent order, `[n]`.

    It is nan where the event is no order, and everywhere where the bundle in force has no event head. Nothing changes.
    """
    out = np.full(len(batch), np.nan)
    if live is None or live.bundle.event_trees is None or live.bundle.manifest.event_head is None:
        return out
    rows = np.flatnonzero(batch.type == EventType.ORDER).astype(np.int32)
    if len(rows):
        logits = live.bundle.event_trees.logits(order_rows(live, graph, batch, rows))
        log_odds = live.bundle.manifest.event_head.calibration.apply(logits)
        out[rows] = 1.0 / (1.0 + np.exp(-log_odds))
    return out
