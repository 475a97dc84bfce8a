"""Whatever happened, in whatever batches: the engine's embeddings and scores are PyG's full forward on the graph."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudgraph.durations import DAY_MS
from fraudgraph.scoring.gnn.engine import FeatureBatch, IncrementalNetwork, LinkBatch
from fraudgraph.scoring.gnn.kernels import FORGET, MUTE, PUT, REMOVE, UNMUTE
from fraudgraph.scoring.gnn.model import NetworkSchema, NetworkWeights, plain_schema, shop_schema
from training.gnn.graph import PlainGraph
from training.gnn.network import TypedSage

START_MS = 1_770_000_000_000
TOLERANCE = 1e-4
USERS, PER_KIND = 24, 3
SHOP_BANDS = {"user": (3, 5), "device": (2,), "ip": (4, 2), "card": (3,), "email": (2,), "phone": (2,), "address": (2,)}


def shop(layers: int, width: int, half_life_days: int | None) -> NetworkSchema:
    half_life_ms = None if half_life_days is None else half_life_days * DAY_MS
    return shop_schema(SHOP_BANDS, layers=layers, width=width, half_life_ms=half_life_ms)


class World:
    """A random history, told to the engine in batches and to a plain graph one by one."""

    def __init__(self, schema: NetworkSchema, seed: int, pull_degree: int, users: int, per_kind: int) -> None:
        self.random = np.random.default_rng(seed)
        self.schema = schema
        self.weights = NetworkWeights.random(schema, seed)
        self.engine = IncrementalNetwork(self.weights, pull_degree=pull_degree, nodes=4, links=4)
        self.graph = PlainGraph(schema)
        sizes = [users, *(per_kind for _ in schema.kinds[1:])]
        self.kind = np.repeat(np.arange(len(sizes)), sizes).astype(np.int8)
        self.of_kind = [np.flatnonzero(self.kind == kind) for kind in range(len(sizes))]
        self.now_ms = START_MS
        self.pace_ms = 2 * DAY_MS
        self.features(np.arange(len(self.kind)))

    def features(self, nodes: np.ndarray) -> FeatureBatch | None:
        """Gives nodes random features."""
        if not len(nodes):
            return None
        bands = np.zeros((len(nodes), max(len(kind.bands) for kind in self.schema.kinds)), np.int32)
        for i, node in enumerate(nodes.tolist()):
            values = [int(self.random.integers(0, most)) for most in self.schema.kinds[self.kind[node]].bands]
            bands[i, : len(values)] = values
            self.graph.nodes[node] = (int(self.kind[node]), tuple(values))
        batch = FeatureBatch(nodes.astype(np.int32), self.kind[nodes], bands)
        if len(self.graph.nodes) == len(nodes):
            self.engine.apply(None, batch)
        return batch

    def step(self, size: int, mutes: bool) -> None:
        """Applies one random batch."""
        changed = np.unique(self.random.integers(0, len(self.kind), int(self.random.integers(0, 4))))
        features = self.features(changed)
        rows = [self._operation(mutes) for _ in range(size)]
        op, family, a, b, last = (np.array(column) for column in zip(*rows, strict=True))
        int32 = np.int32
        self.engine.apply(
            LinkBatch(op.astype(np.int8), family.astype(int32), a.astype(int32), b.astype(int32), last), features
        )

    def _operation(self, mutes: bool) -> tuple[int, int, int, int, int]:
        random, graph = self.random, self.graph
        self.now_ms += int(random.integers(0, self.pace_ms))
        chance = random.random()
        if mutes and chance < 0.05:
            node = int(random.integers(0, len(self.kind)))
            if node in graph.muted:
                graph.muted.discard(node)
                return UNMUTE, 0, node, 0, self.now_ms
            graph.muted.add(node)
            return MUTE, 0, node, 0, self.now_ms
        if chance < 0.35 and graph.links:
            family, a, b = list(graph.links)[int(random.integers(0, len(graph.links)))]
            del graph.links[family, a, b]
            return REMOVE, family, a, b, self.now_ms
        family = int(random.integers(0, len(self.schema.families)))
        of = self.schema.families[family]
        a, b = (self._node(self.schema.kind(kind)) for kind in (of.a, of.b))
        if of.symmetric and a == b:
            b = int(self.of_kind[0][(a + 1) % len(self.of_kind[0])])
        # Late by up to a week, so that weights also fall.
        last_ms = self.now_ms - int(random.integers(0, 7 * DAY_MS))
        graph.links[graph.key(family, a, b)] = last_ms
        return PUT, family, a, b, last_ms

    def _node(self, kind: int) -> int:
        nodes = self.of_kind[kind]
        return int(nodes[int(len(nodes) * self.random.random() ** 2)])

    def check(self) -> None:
        """Compares all that the engine can read with PyG's forward, in float64, on the graph built anew."""
        module = TypedSage(self.schema).load(self.weights).double()
        data = self.graph.build()
        with torch.no_grad():
            layers = module(data)
            for layer, embeddings in enumerate(layers, start=1):
                for kind in self.schema.needed(layer):
                    nodes = self.of_kind[kind]
                    expected = embeddings[self.schema.kinds[kind].name].numpy()
                    np.testing.assert_allclose(
                        self.engine.embeddings(nodes.astype(np.int32), layer), expected, rtol=0, atol=TOLERANCE
                    )
            head = self.random.random((len(self.of_kind[0]), len(self.schema.head_features))).astype(np.float32)
            final = layers[-1][self.schema.kinds[0].name]
            logits = module.logits(final, torch.from_numpy(head).double() if head.shape[1] else None)
        outputs = self.of_kind[0].astype(np.int32)
        np.testing.assert_allclose(
            self.engine.probabilities(outputs, head), torch.sigmoid(logits).numpy(), rtol=0, atol=TOLERANCE
        )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    layers=st.integers(1, 3),
    width=st.sampled_from((1, 5, 16, 64)),
    typed=st.booleans(),
    half_life_days=st.sampled_from((None, 1, 30)),
    pull_degree=st.sampled_from((0, 2, 5, 1000)),
    mutes=st.booleans(),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    seed=st.integers(0, 2**20),
)
def test_any_history_in_any_batches_is_pygs_forward(
    layers: int,
    width: int,
    typed: bool,
    half_life_days: int | None,
    pull_degree: int,
    mutes: bool,
    sizes: list[int],
    seed: int,
) -> None:
    schema = shop(layers, width, half_life_days) if typed else plain_schema((3, 4), layers=layers, width=width)
    world = World(schema, seed, pull_degree, USERS, PER_KIND)
    # Beyond a hundred half-lives links weigh alike, which PyG's graph does not know.
    world.pace_ms = DAY_MS // 2
    for size in sizes:
        world.step(size, mutes)
    world.check()


@pytest.mark.parametrize(("layers", "batch", "hubs"), list(product((1, 2, 3), (1, 100, 10_000), (False, True))))
def test_long_histories_of_every_batch_size_are_pygs_forward(layers: int, batch: int, hubs: bool) -> None:
    """10,000 operations; with hubs, a few identifiers have hundreds of users and are pulled from."""
    world = World(shop(layers, 64, 90), 7 * layers + batch, 20 if hubs else 10_000, 600, 2 if hubs else 150)
    world.pace_ms = DAY_MS // 24
    for _ in range(10_000 // batch):
        world.step(batch, mutes=hubs)
    world.check()


def test_what_the_engine_reports_as_touched_has_exact_logits_and_nothing_else_moved() -> None:
    world = World(shop(2, 16, None), 3, 10_000, USERS, PER_KIND)
    users = world.of_kind[0].astype(np.int32)
    moved_at_all = 0
    for _ in range(200):
        before = world.engine.logits(users)
        ops = [world._operation(mutes=True)]
        op, family, a, b, last = (np.array(column) for column in zip(*ops, strict=True))
        batch = LinkBatch(op.astype(np.int8), family.astype(np.int32), a.astype(np.int32), b.astype(np.int32), last)
        affected = world.engine.apply(batch)
        after = world.engine.logits(users)
        np.testing.assert_allclose(affected.logits, world.engine.logits(affected.nodes), atol=1e-6)
        moved = set(users[np.abs(after - before) > 1e-5].tolist())
        assert moved <= set(affected.nodes.tolist())
        assert len(set(affected.nodes.tolist())) == len(affected.nodes)
        moved_at_all += len(moved)
    assert moved_at_all > 200


def test_time_passing_and_rescaling_change_no_score() -> None:
    """Six hundred half-lives of one link in use: weights would overflow without a rescale."""
    schema = shop(2, 16, 1)
    world = World(schema, 5, 100, USERS, PER_KIND)
    for day in range(0, 600, 7):
        world.now_ms = START_MS + day * DAY_MS
        for key in [key for key, last in world.graph.links.items() if last < world.now_ms - 40 * DAY_MS]:
            family, a, b = key
            del world.graph.links[key]
            one = np.array([a], np.int32), np.array([b], np.int32), np.array([0], np.int64) + world.now_ms
            world.engine.apply(LinkBatch(np.array([REMOVE], np.int8), np.array([family], np.int32), *one))
        world.step(5, mutes=False)
    world.check()


def test_a_heavy_link_that_goes_leaves_the_light_ones_exact() -> None:
    """Forty half-lives apart, a float32 sum keeps nothing of the light link: it must be added up anew."""
    schema = shop(2, 16, 1)
    world = World(schema, 11, 100, 4, 3)
    device = schema.family("device")
    heavy, light = (int(node) for node in world.of_kind[schema.kind("device")][:2])
    int32 = np.int32

    def apply(op: int, node: int, last_ms: int) -> None:
        world.engine.apply(
            LinkBatch(
                np.array([op], np.int8),
                np.array([device], int32),
                np.zeros(1, int32),
                np.array([node], int32),
                np.array([last_ms]),
            )
        )

    apply(PUT, light, START_MS)
    apply(PUT, heavy, START_MS + 40 * DAY_MS)
    apply(REMOVE, heavy, START_MS)
    world.graph.links[device, 0, light] = START_MS
    world.check()
    assert world.engine.figures().refreshed > 0


def test_a_node_that_is_forgotten_can_come_again_as_another_kind() -> None:
    world = World(shop(2, 16, None), 13, 100, 4, 3)
    world.engine.apply(LinkBatch(np.array([FORGET], np.int8), *(np.array([x], np.int32) for x in (0, 3, 0))))
    world.kind[3] = world.schema.kind("ip")
    del world.graph.nodes[3]
    world.of_kind = [np.flatnonzero(world.kind == kind) for kind in range(len(world.schema.kinds))]
    features = world.features(np.array([3]))
    world.engine.apply(None, features)
    for _ in range(20):
        world.step(5, mutes=False)
    world.check()
