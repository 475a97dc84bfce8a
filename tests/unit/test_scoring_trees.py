"""Trees' columns against another way to compute them; trees on disk; trees in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array, diags_array

from fraudgraph.engine import Engine, EngineRules
from fraudgraph.errors import ConfigurationError
from fraudgraph.events.kinds import IDENTIFIER_KINDS
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.graph.types import F64
from fraudgraph.scoring.bundle import EVENTS_FILE, MANIFEST_FILE, TREES_FILE, Bundle, read_bundle, write_bundle
from fraudgraph.scoring.fitting import require_fit
from fraudgraph.scoring.gnn.features import FEATURES
from fraudgraph.scoring.gnn.feed import network_graph
from fraudgraph.scoring.library import BundleLibrary
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.scoring.trees import BoostedTrees
from fraudgraph.scoring.trees_columns import ColumnReader, names_of
from fraudgraph.scoring.trees_kernels import HALF_LIFE_MS, NARROW_USERS, OWN_COLUMNS, SHARED_COLUMNS
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import simulate
from fraudgraph.testing.bundles import random_bundle, random_trees, random_trees_bundle, with_event_head
from training.replay import passing_decoder, raw_batches
from training.worlds import with_labels

SPEC = WorldSpec(seed=95_201, users=200, days=30, ring_share=0.2)
_BANDS = len(FEATURES["user"])


@pytest.fixture(scope="module")
def engine() -> Engine:
    engine, decoder = Engine(LinkPolicy(), EngineRules(), StructuralScorer()), passing_decoder()
    for raw in raw_batches(with_labels(simulate(SPEC))):
        engine.apply(decoder.decode(raw))
    return engine


def means_by_matrices(engine: Engine) -> tuple[np.ndarray, F64, F64]:
    """Returns the accounts, and the means of bands one and two steps away, by whole matrices in floats."""
    graph = network_graph(engine.graph)
    users = np.flatnonzero(graph.kind[::2] == 0)
    _, a, b, weight = graph.messages(HALF_LIFE_MS)
    narrow = (b % 2 == 0) | (engine.graph.idents.degree[b // 2] <= NARROW_USERS)
    a, b, weight = a[narrow], b[narrow], weight[narrow]
    row = np.full(len(graph.kind), -1, np.int64)
    row[2 * users] = np.arange(len(users))
    hops = graph.kind[b] > 0
    links = csr_array((weight[hops], (row[a[hops]], b[hops])), shape=(len(users), len(graph.kind)))
    onward = diags_array(1.0 / np.maximum(links.sum(axis=0), 1e-12)) @ links.T
    first = diags_array(1.0 / np.maximum(links.sum(axis=1), 1e-12)) @ links
    near = first @ (onward @ graph.bands[2 * users].astype(np.float64))
    return users.astype(np.int32), near, first @ (onward @ near)


def test_means_of_neighbours_are_those_of_whole_matrices(engine: Engine) -> None:
    users, near, farther = means_by_matrices(engine)
    columns = ColumnReader()(engine.graph, users, SPEC.end_ms)[:, OWN_COLUMNS + SHARED_COLUMNS :]
    np.testing.assert_allclose(columns[:, :_BANDS], near, atol=1e-4)
    np.testing.assert_allclose(columns[:, _BANDS : 2 * _BANDS], farther, atol=1e-4)
    assert near.std() > 0.1


def test_steps_are_counted_as_by_sets(engine: Engine) -> None:
    graph, names = engine.graph, names_of("b")
    users = np.flatnonzero(graph.users.last_ms >= 0).astype(np.int32)
    columns = ColumnReader()(graph, users, SPEC.end_ms, "b")
    slots = np.flatnonzero(graph.links.user >= 0)
    of_user: dict[int, list[int]] = {}
    of_ident: dict[int, set[int]] = {}
    for user, ident in zip(graph.links.user[slots].tolist(), graph.links.ident[slots].tolist(), strict=True):
        of_user.setdefault(user, []).append(ident)
        of_ident.setdefault(ident, set()).add(user)

    weak = [kind for kind in IDENTIFIER_KINDS if graph.policy.is_weak(kind.label)]

    def step(user: int, *, ties: bool = False) -> set[int]:
        over = [ident for ident in of_user.get(user, []) if len(of_ident[ident]) <= NARROW_USERS]
        over = [ident for ident in over if not ties or graph.idents.kind[ident] not in weak]
        return {other for ident in over for other in of_ident[ident]}

    for row, user in enumerate(users.tolist()):
        first = step(user) - {user}
        second = {other for near in first for other in step(near, ties=True)} - first - {user}
        assert columns[row, names.index("reach_1")] == len(first)
        assert columns[row, names.index("reach_2")] == len(second)
        widest = max((len(of_ident[ident]) for ident in of_user.get(user, [])), default=0)
        assert max(columns[row, names.index("most_users_device") - 0 : names.index("hubs")]) == widest
        assert columns[row, names.index("hubs")] == 0


def test_columns_do_not_depend_on_who_else_is_asked_for(engine: Engine) -> None:
    users = np.flatnonzero(engine.graph.users.last_ms >= 0).astype(np.int32)
    read = ColumnReader()
    whole = read(engine.graph, users, SPEC.end_ms)
    backwards = read(engine.graph, np.ascontiguousarray(users[::-1]), SPEC.end_ms)
    assert whole[::-1].tobytes() == backwards.tobytes()
    for row in range(0, len(users), 37):
        assert read(engine.graph, users[row : row + 1], SPEC.end_ms)[0].tobytes() == whole[row].tobytes()
    assert read(engine.graph, users[:0], SPEC.end_ms).shape == (0, whole.shape[1])


@pytest.mark.parametrize("features", ["a", "b", "c", "d"])
def test_a_bundle_of_trees_comes_back_as_it_went(features: str, tmp_path: Path) -> None:
    bundle = with_event_head(random_trees_bundle(LinkPolicy(), 1, features=features), 2)  # type: ignore[arg-type]  # one of the four
    written = write_bundle(bundle, tmp_path / "trees-1")
    read = BundleLibrary(tmp_path)("trees-1")
    assert read.manifest == written.manifest
    assert read.trees is not None and bundle.trees is not None and read.event_trees is not None
    rows = np.random.default_rng(1).uniform(0, 9, (50, len(read.trees.columns))).astype(np.float32)
    assert read.trees.logits(rows).tobytes() == bundle.trees.logits(rows).tobytes()
    assert (read.network is not None) == (features == "d")
    Engine(LinkPolicy(), EngineRules(), StructuralScorer(), bundle=read)


@pytest.mark.parametrize("name", [TREES_FILE, EVENTS_FILE])
def test_what_was_touched_is_refused(name: str, tmp_path: Path) -> None:
    write_bundle(with_event_head(random_trees_bundle(LinkPolicy(), 1), 2), tmp_path / "trees-1")
    path = tmp_path / "trees-1" / name
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    with pytest.raises(ConfigurationError, match=f"{name}.*{MANIFEST_FILE}"):
        read_bundle(tmp_path / "trees-1")
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_bundle(tmp_path / "trees-1")


def test_only_trees_over_the_named_columns_are_taken() -> None:
    trees = random_trees(("one", "two"), 1)
    assert BoostedTrees(trees.data, ("one", "two")).logits(np.zeros((0, 2), np.float32)).shape == (0,)
    with pytest.raises(ConfigurationError, match="columns"):
        BoostedTrees(trees.data, ("two", "one"))
    with pytest.raises(ConfigurationError, match="no model"):
        BoostedTrees(b"\x80\x04N.", ("one", "two"))


def test_a_manifest_and_its_parts_must_fit_together() -> None:
    trees, network = random_trees_bundle(LinkPolicy(), 1), random_bundle(LinkPolicy(), 1)
    with pytest.raises(ConfigurationError, match="lacks a part"):
        Bundle(trees.manifest)
    with pytest.raises(ConfigurationError, match="lacks a part"):
        Bundle(network.manifest, network.network, trees.trees)
    with pytest.raises(ConfigurationError, match="no trees"):
        replace(network.manifest, kind="trees")
    with pytest.raises(ConfigurationError, match="no network"):
        _ = trees.weights
    assert trees.manifest.trees is not None
    stale = replace(trees.manifest, trees=replace(trees.manifest.trees, columns_hash="0" * 16))
    with pytest.raises(ConfigurationError, match="the trees of the bundle"):
        require_fit(stale, LinkPolicy().hash)


def test_the_shipped_bundle_keeps_its_digest() -> None:
    assert BundleLibrary(Path("nowhere"))("default").manifest.digest == "21ee3a05e26aaee0"
