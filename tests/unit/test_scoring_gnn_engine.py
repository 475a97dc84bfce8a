"""The network's schema and engine refuse what they cannot serve, and keep no memory of what is gone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fraudgraph.errors import ConfigurationError
from fraudgraph.scoring.gnn.engine import FeatureBatch, IncrementalNetwork, LinkBatch
from fraudgraph.scoring.gnn.kernels import FORGET, MUTE, PUT, REMOVE
from fraudgraph.scoring.gnn.model import Family, Kind, NetworkSchema, NetworkWeights, plain_schema, shop_schema
from fraudgraph.scoring.gnn.state import SERIAL
from training.gnn.network import TypedSage

INT32 = np.int32
KINDS = ("user", "device", "ip", "card", "email", "phone", "address")


def engine(half_life_ms: int | None = None, pull_degree: int = 100) -> IncrementalNetwork:
    """An engine with two users (0, 1) and two devices (2, 3)."""
    schema = shop_schema(dict.fromkeys(KINDS, (4,)), width=8, half_life_ms=half_life_ms)
    out = IncrementalNetwork(NetworkWeights.random(schema, 1), pull_degree=pull_degree)
    out.apply(None, FeatureBatch(np.arange(4, dtype=INT32), np.array([0, 0, 1, 1], np.int8), np.zeros((4, 1), INT32)))
    return out


def links(op: int, a: int, b: int = 0, family: int = 0, last_ms: int = 0) -> LinkBatch:
    """A batch of one operation."""
    return LinkBatch(
        np.array([op], np.int8),
        np.array([family], INT32),
        np.array([a], INT32),
        np.array([b], INT32),
        np.array([last_ms]),
    )


@pytest.mark.parametrize(
    ("layers", "width", "outputs", "families"),
    [
        (0, 8, ("node",), ()),
        (4, 8, ("node",), ()),
        (2, 65, ("node",), ()),
        (2, 8, (), ()),
        (2, 8, ("other",), ()),
        (2, 8, ("node",), (Family("link", "node", "other"),)),
        (2, 8, ("node",), (Family("link", "node", "thing", symmetric=True),)),
    ],
)
def test_a_schema_that_cannot_be_served_is_refused(
    layers: int, width: int, outputs: tuple[str, ...], families: tuple[Family, ...]
) -> None:
    with pytest.raises(ConfigurationError):
        NetworkSchema((Kind("node", (2,)), Kind("thing", (2,))), families, outputs, layers, width)


def test_weights_of_another_shape_are_refused() -> None:
    weights = NetworkWeights.random(plain_schema((3,), width=8), 1)
    with pytest.raises(ConfigurationError, match="head"):
        NetworkWeights(
            weights.schema,
            weights.encoder,
            weights.relation,
            weights.own,
            weights.bias,
            weights.head[:4],
            weights.head_x,
            0.0,
        )


@pytest.mark.parametrize(
    "batch",
    [
        links(PUT, 0, 1),
        links(PUT, 2, 0),
        links(PUT, 0, 4),
        links(PUT, 0, 1_000_000),
        links(PUT, -1, 2),
        links(MUTE, 5),
        links(FORGET, 7),
        links(PUT, 0, 2, family=8),
        links(5, 0, 2),
        LinkBatch(np.zeros(1, np.int8), np.zeros(1, INT32), np.zeros(1, INT32), np.zeros(0, INT32)),
    ],
    ids=[
        "two-users",
        "ends-swapped",
        "not-given",
        "far-out",
        "negative",
        "mute-unknown",
        "forget-unknown",
        "no-family",
        "no-operation",
        "no-ends",
    ],
)
def test_operations_on_other_nodes_are_refused(batch: LinkBatch) -> None:
    with pytest.raises(ConfigurationError):
        engine().apply(batch)


def test_a_node_with_links_is_not_forgotten() -> None:
    network = engine()
    network.apply(links(PUT, 0, 2))
    with pytest.raises(ConfigurationError):
        network.apply(links(FORGET, 0))


def test_features_outside_of_their_bands_and_changed_kinds_are_refused() -> None:
    network = engine()
    for node, kind, band in ((0, 0, 4), (0, 0, -1), (0, 1, 0), (-1, 0, 0)):
        with pytest.raises(ConfigurationError):
            network.apply(
                None, FeatureBatch(np.array([node], INT32), np.array([kind], np.int8), np.array([[band]], INT32))
            )


def test_a_link_too_old_to_be_weighed_is_refused() -> None:
    network = engine(half_life_ms=1000)
    network.apply(links(PUT, 0, 2, last_ms=1_000_000))
    with pytest.raises(ConfigurationError, match="half-lives"):
        network.apply(links(PUT, 1, 2, last_ms=900_000))


def test_only_outputs_are_read() -> None:
    network = engine()
    for node in (2, 9, 5_000, -1):
        with pytest.raises(ConfigurationError):
            network.logits(np.array([node], INT32))


def test_the_same_link_again_touches_nobody_and_an_absent_one_is_no_error() -> None:
    network = engine()
    assert set(network.apply(links(PUT, 0, 2)).nodes.tolist()) == {0}
    assert len(network.apply(links(PUT, 0, 2)).nodes) == 0
    assert len(network.apply(links(REMOVE, 1, 3)).nodes) == 0


def test_what_comes_and_goes_takes_no_more_memory() -> None:
    network = engine()
    network.apply(links(PUT, 0, 2))
    network.apply(links(PUT, 1, 2))
    held = network.figures().bytes
    for _ in range(500):
        for op in (REMOVE, PUT):
            network.apply(links(op, 0, 2))
            network.apply(links(op, 1, 2))
    assert network.figures().bytes == held
    assert network.figures().links == 2


def test_links_of_many_half_lives_ago_still_have_a_mean() -> None:
    """A hundred half-lives and more: their weights would be nothing, and their mean nothing by nothing."""
    network = engine(half_life_ms=1000)
    fresh = engine()
    for some in (network, fresh):
        some.apply(links(PUT, 0, 2, last_ms=0))
    for last_ms in range(0, 400_000, 20_000):
        network.apply(links(PUT, 1, 3, last_ms=last_ms))
    user = np.zeros(1, INT32)
    np.testing.assert_allclose(network.embeddings(user), fresh.embeddings(user), atol=1e-5)
    assert network.drift(np.arange(4, dtype=INT32)) < 1e-6


def test_drift_is_seen_where_a_sum_is_wrong() -> None:
    network = engine()
    network.apply(links(PUT, 0, 2))
    assert network.drift(np.arange(4, dtype=INT32)) < 1e-6
    network._state.memory[16:24] += 0.5  # the row after node 0's own line
    assert network.drift(np.arange(4, dtype=INT32)) > 0.1


def test_batches_are_numbered_anew_after_the_last_number() -> None:
    network = engine()
    network._state.counters[SERIAL] = 2**31 - 2
    for _ in range(3):
        assert network.apply(links(PUT, 0, 2)).nodes.tolist() == [0]
        assert network.apply(links(REMOVE, 0, 2)).nodes.tolist() == [0]


def test_weights_go_to_pyg_and_back_unchanged() -> None:
    weights = NetworkWeights.random(shop_schema(dict.fromkeys(KINDS, (4,)), layers=3, width=8, half_life_ms=None), 2)
    back = TypedSage(weights.schema).load(weights).export()
    for name in ("encoder", "relation", "own", "bias", "head", "head_x"):
        np.testing.assert_array_equal(getattr(weights, name), getattr(back, name))


def test_reading_and_ingesting_load_no_torch() -> None:
    """It takes seconds to start and hundreds of megabytes; only training and this project's tests need it."""
    rooms = "app, cli.rings, cli.ingest, daemon, engine, scoring.gnn.engine"
    code = "".join(f"import fraudgraph.{room}\n" for room in rooms.split(", "))
    code += "import sys\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0
