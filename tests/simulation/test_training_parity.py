"""Every column that training reads of an account or an order is what a running engine reads at that moment.

The two are cut into commits differently, and one is asked for all accounts at once, the other for few at a time.
Counts, times and money are bit-equal, and so are means of neighbours, which are whole numbers; embeddings agree within
1e-4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.kinds import EventType
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.identity import ring_serial
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.event_head import order_rows
from fraudgraph.scoring.gnn.features import user_bands
from fraudgraph.scoring.gnn.live import LiveNetwork
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.scoring.trees_columns import NEAR, OWN, SHARED
from fraudgraph.scoring.trees_live import LiveTrees
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import simulate
from fraudgraph.testing.bundles import random_bundle, random_trees_bundle, with_event_head
from training.event_heads import order_log
from training.gnn.dataset import Slice, Stream, replay_slices
from training.gnn.network import TypedSage
from training.gnn.recipe import saying
from training.gnn.train import embeddings_and_logits
from training.gnn.worlds import PAYMENTS, SHOP, THIN, Draw, lines_of
from training.learner import logits_of
from training.replay import passing_decoder, raw_batches
from training.splits import Cut
from training.trees import TreeModel
from training.trees.orders import Examples, read_orders

WORLDS = [
    Draw(WorldSpec(seed=95_101 + place, users=260, days=40, ring_share=0.15), reports, labelled=True)
    for place, reports in enumerate((SHOP, THIN, PAYMENTS))
]
EMBEDDED = with_event_head(random_trees_bundle(LinkPolicy(), 6, features="d", name="embedded"), 7)
PLAIN = random_trees_bundle(LinkPolicy(), 8, features="c", name="plain")
NETWORK = with_event_head(random_bundle(LinkPolicy(), 9, name="network"), 10)
TOLERANCE = 1e-4
EVERY_ORDER = 8
"""So many orders of a world for one that is read."""
COMMIT = 170
"""Events of a running engine's commit; training has its own."""


def engine_with(bundle: Bundle | None) -> Engine:
    return Engine(LinkPolicy(), EngineRules(), StructuralScorer(), bundle=bundle)


@dataclass
class Replayed:
    """A world by the way of training: slices, and the orders that were read."""

    drawn: Draw
    lines: list[bytes]
    stream: Stream
    wanted: dict[bytes, tuple[bool, float]] = field(default_factory=dict)

    @property
    def cuts(self) -> list[Cut]:
        return [piece.cut for piece in self.stream.slices]

    def orders(self, bundle: Bundle) -> Examples:
        return read_orders(self.lines, engine_with(bundle), self.wanted, decoder=passing_decoder())


@pytest.fixture(scope="module", params=WORLDS, ids=[drawn.reports for drawn in WORLDS])
def replayed(request: pytest.FixtureRequest) -> Replayed:
    drawn = request.param
    lines = list(lines_of(simulate(drawn.spec), drawn))
    cuts = [Cut(drawn.spec.start_ms + days * DAY_MS, drawn.spec.end_ms) for days in (22, 36)]
    out = Replayed(drawn, lines, replay_slices(lines, cuts, engine_with(None)))
    orders = sorted(order_log(lines, passing_decoder()).orders)
    out.wanted = dict.fromkeys(orders[::EVERY_ORDER], (False, 1.0))
    return out


def running(replayed: Replayed, bundle: Bundle) -> Iterator[tuple[Slice, Engine]]:
    """Yields an engine with the bundle where each slice was read, cut into commits of its own."""
    engine, decoder, due = engine_with(bundle), passing_decoder(), list(replayed.stream.slices)
    waiting: list[bytes] = []

    def commit() -> None:
        for raw in raw_batches(waiting, COMMIT):
            engine.apply(decoder.decode(raw))
        waiting.clear()

    for line in replayed.lines:
        moment = decoder.decode(next(raw_batches([line]))).ts_ms
        if due and len(moment) and moment[0] > due[0].cut.cut_ms:
            commit()
            yield due.pop(0), engine
        waiting.append(line)
    assert not due


def asked(engine: Engine, bundle: Bundle, replayed: Replayed) -> Iterator[tuple[bytes, DecodedBatch]]:
    """Yields each wanted order, decoded alone, when all before it was committed."""
    decoder, waiting, left = passing_decoder(), [], set(replayed.wanted)
    for line in replayed.lines:
        batch = decoder.decode(next(raw_batches([line])))
        if len(batch) and batch.type[0] == EventType.ORDER and batch.order_key[0] in left:
            for raw in raw_batches(waiting, COMMIT):
                engine.apply(decoder.decode(raw))
            waiting = []
            left.discard(batch.order_key[0])
            yield batch.order_key[0] or b"", batch
        waiting.append(line)


compared: dict[str, int] = {}


def same(what: str, training: np.ndarray, serving: np.ndarray) -> None:
    assert training.dtype == serving.dtype
    assert training.shape == serving.shape
    assert training.tobytes() == serving.tobytes(), what
    compared[what] = compared.get(what, 0) + training.size


def near(what: str, training: np.ndarray, serving: np.ndarray) -> None:
    np.testing.assert_allclose(serving, training, rtol=0, atol=TOLERANCE)
    compared[what] = compared.get(what, 0) + training.size


def test_accounts(replayed: Replayed) -> None:
    model = TreeModel("d", weights=EMBEDDED.weights)
    for piece, engine in running(replayed, EMBEDDED):
        live, graph = engine.serving.live, engine.graph
        assert isinstance(live, LiveTrees) and live.inner is not None
        users = np.array([graph.user_table.id_of[name] for name in piece.names], np.int32)
        assert np.count_nonzero(graph.users.last_ms >= 0) == len(users)
        same("bands", piece.graph.bands[2 * piece.users], user_bands(graph, users))
        width = len(OWN) + len(SHARED) + len(NEAR)
        rows = [live.columns(graph, part, piece.cut.cut_ms) for part in np.array_split(users, 7)]
        served = np.vstack(rows)
        same("columns of accounts", piece.columns, np.ascontiguousarray(served[:, :width]))
        h, logits, _ = embeddings_and_logits(TypedSage(EMBEDDED.weights.schema).load(EMBEDDED.weights), piece)
        near("embeddings", h, live.inner.network.embeddings(2 * users))
        near("log-odds of the network", logits, live.inner.log_odds(graph, users, piece.cut.cut_ms))
        # On their grids they are equal but where they lie that close to a border.
        trained = model.columns(piece)[0][:, width:]
        assert (trained != served[:, width:]).mean() < 1e-3


def test_members_and_their_rings(replayed: Replayed) -> None:
    say = saying(logits_of(PLAIN), PLAIN.manifest.calibration, PLAIN.manifest.ring_head)
    for piece, engine in running(replayed, PLAIN):
        live = engine.serving.live
        assert isinstance(live, LiveTrees)
        of_training = {
            frozenset(piece.names[row] for row in team.tolist()): at for at, team in enumerate(piece.rings.teams())
        }
        said = 1.0 / (1.0 + np.exp(-say(piece).rings))
        for serial, team in engine.register.members.items():
            names = [engine.graph.user_table.key_of[user] or "" for user in team.tolist()]
            at = of_training[frozenset(names)]
            order = np.argsort(names)
            rows = slice(*piece.rings.starts[at : at + 2].tolist())
            mine = np.argsort([piece.names[row] for row in piece.rings.member[rows].tolist()])
            as_of_ms = int(engine.graph.users.last_ms[team].max())
            same(
                "columns of members", piece.rings.columns[rows][mine], live.columns(engine.graph, team, as_of_ms)[order]
            )
            row = next(row for row in engine.rows.values() if ring_serial(row.ring_id) == serial)
            assert row.probability == pytest.approx(float(said[at]), abs=TOLERANCE)
            compared["rings"] = compared.get("rings", 0) + 1


@pytest.mark.parametrize("bundle", [EMBEDDED, NETWORK], ids=["trees", "network"])
def test_orders(replayed: Replayed, bundle: Bundle) -> None:
    if replayed.drawn.reports == PAYMENTS:
        assert not replayed.wanted, "a payment platform has no orders"
        return
    examples, engine, rows = replayed.orders(bundle), engine_with(bundle), []
    said = []
    for _, batch in asked(engine, bundle, replayed):
        live = engine.serving.live
        assert isinstance(live, LiveTrees | LiveNetwork)
        rows.append(order_rows(live, engine.graph, batch, np.zeros(1, np.int32))[0])
        said.append(float(engine.score(batch)[0]))
    assert len(rows) == len(examples) > 50
    served, exact = np.array(rows), len(bundle.manifest.event_head.columns) - 2 - bundle.weights.schema.width
    same("columns of orders", np.ascontiguousarray(examples.rows[:, :exact]), np.ascontiguousarray(served[:, :exact]))
    on_grid = np.isclose(examples.rows[:, exact:], served[:, exact:], rtol=0, atol=1e-6, equal_nan=True)
    assert on_grid.mean() > 0.999
    assert bundle.event_trees is not None and bundle.manifest.event_head is not None
    expected = bundle.manifest.event_head.calibration.apply(bundle.event_trees.logits(examples.rows))
    agree = on_grid.all(axis=1)
    np.testing.assert_allclose(np.array(said)[agree], (1.0 / (1.0 + np.exp(-expected)))[agree], rtol=0, atol=1e-6)


def test_enough_was_compared() -> None:
    """To be read after the others, as pytest runs them."""
    if not compared:
        pytest.skip("the other tests of this file did not run")
    assert sum(compared.values()) >= 100_000, compared
    assert compared["rings"] >= 5
