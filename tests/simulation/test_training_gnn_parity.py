"""What training reads of a stream is what a running engine computes at the same commit: no second implementation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.slicing import select, without_rejects
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.identity import ring_serial
from fraudgraph.scoring.gnn.features import HEAD_FEATURES, head_features, ident_bands, user_bands
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import simulate
from fraudgraph.testing.bundles import random_bundle
from training.gnn.dataset import Stream, replay_slices
from training.gnn.network import TypedSage
from training.gnn.recipe import saying
from training.gnn.train import graph_data, user_logits
from training.replay import passing_decoder, raw_batches
from training.splits import Cut
from training.worlds import with_labels

SPEC = WorldSpec(seed=95_001, users=400, days=45, ring_share=0.15)
CUTS = [Cut(SPEC.start_ms + days * DAY_MS, SPEC.end_ms) for days in (20, 40)]
BUNDLE = random_bundle(LinkPolicy(), 4)


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return list(with_labels(simulate(SPEC)))


@pytest.fixture(scope="module")
def stream(lines: list[bytes]) -> Stream:
    return replay_slices(lines, CUTS, Engine(LinkPolicy(), EngineRules(), StructuralScorer()))


@pytest.fixture(scope="module")
def served(lines: list[bytes]) -> list[Engine]:
    """Engines with a network, fed commit by commit, stopped where the slices were read."""
    out = []
    for last in CUTS:
        engine, decoder = Engine(LinkPolicy(), EngineRules(), StructuralScorer(), bundle=BUNDLE), passing_decoder()
        for commit in commits(lines, decoder):
            if commit.ts_ms.max(initial=0) > last.cut_ms:
                break
            engine.apply(commit)
        out.append(engine)
    return out


def commits(lines: list[bytes], decoder: Decoder) -> Iterator[DecodedBatch]:
    """Yields the events in batches, cut where a slice is read: before the first event that is later than a cut."""
    due = [cut.cut_ms for cut in CUTS]
    for raw in raw_batches(lines):
        batch = decoder.decode(raw)
        while due and (batch.ts_ms > due[0]).any():
            first = int(np.argmax(batch.ts_ms > due.pop(0)))
            if first:
                yield without_rejects(select(batch, np.arange(first)))
            batch = select(batch, np.arange(first, len(batch)))
        yield batch


def test_features_are_bit_equal(stream: Stream, served: list[Engine]) -> None:
    compared = 0
    for piece, engine in zip(stream.slices, served, strict=True):
        graph = engine.graph
        assert piece.names == [graph.user_table.key_of[user] for user in piece.users.tolist()]
        idents = (np.flatnonzero(graph.idents.degree > 0)).astype(np.int32)
        assert np.array_equal(piece.graph.bands[2 * piece.users], user_bands(graph, piece.users))
        assert np.array_equal(piece.graph.bands[2 * idents + 1], ident_bands(graph, idents))
        assert piece.head.tobytes() == head_features(graph, piece.users, piece.cut.cut_ms).tobytes()
        compared += piece.head.size + piece.graph.bands[2 * piece.users].size
    assert compared > 5_000


def test_embeddings_and_logits_are_those_that_are_served(stream: Stream, served: list[Engine]) -> None:
    for piece, engine in zip(stream.slices, served, strict=True):
        live = engine.serving.live
        assert live is not None
        model = TypedSage(BUNDLE.weights.schema).load(BUNDLE.weights)
        with torch.no_grad():
            trained = model(graph_data(model.schema, piece))[-1]["user"].numpy()
        np.testing.assert_allclose(live.network.embeddings(2 * piece.users), trained, rtol=0, atol=1e-4)
        calibrated = BUNDLE.manifest.calibration.apply(user_logits(model, piece)[0])
        asked = live.log_odds(engine.graph, piece.users, piece.cut.cut_ms)
        np.testing.assert_allclose(asked, calibrated, rtol=0, atol=1e-3)


def test_rings_get_the_probability_that_training_would_give(stream: Stream, served: list[Engine]) -> None:
    model = TypedSage(BUNDLE.weights.schema).load(BUNDLE.weights)
    say = saying(lambda piece: user_logits(model, piece), BUNDLE.manifest.calibration, BUNDLE.manifest.ring_head)
    compared = 0
    for piece, engine in zip(stream.slices, served, strict=True):
        expected = 1.0 / (1.0 + np.exp(-say(piece).rings))
        got = [engine.rows[serial].probability for serial in sorted(engine.register.members)]
        assert sorted(engine.register.members) == [ring_serial(row.ring_id) for _, row in sorted(engine.rows.items())]
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)
        compared += len(got)
    assert compared >= 5
    assert len(HEAD_FEATURES) == stream.slices[0].head.shape[1]


def test_a_slice_knows_nothing_of_later_events(lines: list[bytes], stream: Stream) -> None:
    first = stream.slices[0]
    assert first.last_ms.max() <= CUTS[0].cut_ms
    early = [line for line in lines if passing_time(line) <= CUTS[0].cut_ms]
    alone = replay_slices(early, CUTS[:1], Engine(LinkPolicy(), EngineRules(), StructuralScorer())).slices[0]
    assert first.names == alone.names
    assert first.head.tobytes() == alone.head.tobytes()


def passing_time(line: bytes) -> int:
    import msgspec

    return int(np.datetime64(msgspec.json.decode(line)["ts"].rstrip("Z"), "ms").astype(np.int64))


def test_another_policy_is_another_training() -> None:
    with pytest.raises(Exception, match="link policy"):
        Engine(replace(LinkPolicy(), theta=0.55), EngineRules(), StructuralScorer(), bundle=BUNDLE)
