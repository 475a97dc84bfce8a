"""Trees and an event head out of a shop's own file: by the same recipe as a network, and put in force the same way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from support.small_shop import write_shop

from fraudgraph.engine import Engine, EngineRules
from fraudgraph.errors import ConfigurationError, UsageError
from fraudgraph.events.kinds import EventType
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import Bundle, read_bundle
from fraudgraph.scoring.card import card_of
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.testing.bundles import random_bundle
from fraudgraph.whatif import what_if
from training.event_heads import order_log
from training.gnn.command import train_bundle
from training.gnn.recipe import LabelPlan, Recipe, read_recipe
from training.replay import passing_decoder, raw_batches
from training.trees import TreeModel, TreeSettings
from training.trees.orders import EventSettings, OrderLog, Period, Report, drawn, parts_before

CONFIGS = Path(__file__).parents[2] / "configs" / "training"
LABELS = LabelPlan(horizon_days=10, fit_cuts=3)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "events.jsonl"
    write_shop(path)
    return path


def make_engine() -> Engine:
    return Engine(LinkPolicy(), EngineRules(), StructuralScorer())


def trained(
    events: Path, folder: Path, features: Literal["a", "b", "c", "d"] = "c", head: EventSettings | None = None
) -> Bundle:
    settings = TreeSettings(features=features, rounds=40, network="default" if features == "d" else "")
    return train_bundle(
        Recipe(name=folder.name, trees=settings, labels=LABELS, event_head=head),
        events,
        folder,
        progress=lambda title: lambda *step: None,
        say=lambda text: None,
        make_engine=make_engine,
        decoder=passing_decoder(),
    )


@pytest.fixture(scope="module")
def bundle(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("models") / "own"
    made = trained(events, folder, head=EventSettings(rounds=30))
    read = read_bundle(folder)
    assert (read.manifest, read.manifest.digest) == (made.manifest, made.manifest.digest)
    return read


def test_a_stream_becomes_trees_that_know_its_gangs(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.kind, manifest.schema, bundle.network) == ("trees", None, None)
    assert manifest.trees is not None and manifest.trees.features == "c"
    accounts = next(each for each in manifest.metrics if each.level == "user")
    assert accounts.model == "trees-1/own"
    assert accounts.value > 0.3, "the base rate is some per cent"
    assert "boosted trees over" in card_of(manifest)


def test_the_event_head_knows_a_gangs_order_from_an_honest_one(bundle: Bundle, events: Path) -> None:
    head = bundle.manifest.event_head
    assert head is not None and bundle.event_trees is not None
    assert head.positives >= 20 and head.cut_ms > 0
    own, alone = (each for each in bundle.manifest.metrics if each.level == "order")
    assert (own.model, alone.model) == ("event-1/own", "account alone")
    assert own.value > 0.9, "gangs order for 400, an hour after they signed up"
    engine = Engine(LinkPolicy(), EngineRules(), StructuralScorer(), bundle=bundle)
    decoder, said = passing_decoder(), {}
    for raw in raw_batches(events, 50):
        batch = decoder.decode(raw)
        for user, kind, chance in zip(batch.user, batch.type.tolist(), engine.score(batch).tolist(), strict=True):
            assert np.isnan(chance) == (kind != EventType.ORDER)
            said.setdefault((user[0], kind), []).append(chance)
        engine.apply(batch)
    assert np.median(said["f", EventType.ORDER]) > 3 * np.median(said["h", EventType.ORDER])


def test_an_order_is_judged_without_changing_anything(bundle: Bundle, events: Path) -> None:
    engine = Engine(LinkPolicy(), EngineRules(), StructuralScorer(), bundle=bundle)
    batches = [passing_decoder().decode(raw) for raw in raw_batches(events, 400)]
    for batch in batches[:3]:
        engine.apply(batch)
    _, alone = next(
        part for part in parts_before(batches[3], dict.fromkeys(batches[3].order_key, (True, 1.0))) if part[1]
    )
    assert alone is not None
    before = engine.score(alone).tolist()
    told = what_if(engine, alone)
    assert told.fraud == before[0] == engine.score(alone).tolist()[0]
    assert told.after is not None and told.explanation is not None
    assert told.explanation.adds_up


def test_trees_that_read_a_network_carry_it(events: Path, tmp_path: Path) -> None:
    bundle = trained(events, tmp_path / "both", "d")
    assert bundle.network is not None
    assert bundle.weights.schema == read_bundle(CONFIGS.parents[1] / "fraudgraph/bundles/default").weights.schema
    assert bundle.manifest.trees is not None
    assert bundle.manifest.trees.columns[-1] == "network_log_odds"
    Engine(LinkPolicy(), EngineRules(), StructuralScorer(), bundle=bundle)


def test_a_stream_with_too_few_reported_orders_gets_no_event_head(events: Path, tmp_path: Path) -> None:
    lines = events.read_text().splitlines(keepends=True)
    few = tmp_path / "few.jsonl"
    reported = 0
    with few.open("w") as file:
        for line in lines:
            reported += "chargeback" in line
            if "chargeback" not in line or reported % 5 == 0:
                file.write(line)
    bundle = trained(few, tmp_path / "few", head=EventSettings(rounds=30))
    assert bundle.manifest.event_head is None


def test_the_documented_recipe_is_the_default_one() -> None:
    assert read_recipe(CONFIGS / "trees.toml") == Recipe(name="trees", trees=TreeSettings(), event_head=EventSettings())


def test_an_order_teaches_when_a_report_of_it_would_have_come() -> None:
    log = OrderLog()
    log.orders = {
        b"early": ("u1", 10),
        b"late": ("u1", 60),
        b"other": ("u2", 20),
        b"clean": ("u3", 20),
        b"again": ("u4", 30),
    }

    def report(key: bytes, order: bytes | None, user: str, arrived_ms: int, fraud: bool = True, **more: bytes) -> None:
        log.reports[key] = Report(user, order, fraud, arrived_ms, "analyst", key, **more)

    report(b"1", b"early", "u1", 40)
    report(b"2", None, "u2", 50)
    report(b"3", b"again", "u4", 50)
    report(b"4", b"again", "u4", 70, fraud=False, supersedes=b"3")
    report(b"5", b"clean", "u3", 200)
    period = Period(0, 100, 100)
    assert log.targets(period, 30, keep_known=False) == {
        b"early": (True, 1.0),
        b"clean": (False, 1.0),
        b"again": (False, 1.0),
    }, "late: reported before; other: its account was reported; clean: nobody knew yet"
    assert log.targets(replace(period, label_cut_ms=45), 30, keep_known=False) == {b"early": (True, 1.0)}
    assert log.targets(period, 30, keep_known=True).keys() == {b"early", b"clean", b"again"}
    assert log.targets(period, 80, keep_known=False) == {b"early": (True, 1.0)}, "who orders late is not mature"


def test_drawn_orders_stand_for_those_that_were_not() -> None:
    targets = {f"{place}".encode(): (place % 100 == 0, 1.0) for place in range(1_000)}
    kept = drawn(targets, 99, 1)
    assert sum(fraud for fraud, _ in kept.values()) == 10
    assert len(kept) == 109
    assert sum(weight for fraud, weight in kept.values() if not fraud) == pytest.approx(990)


def test_a_batch_falls_apart_before_each_wanted_order_and_loses_nothing(events: Path) -> None:
    batch = passing_decoder().decode(next(raw_batches(events, 300)))
    keys = sorted(order_log(events, passing_decoder()).orders)[::3]
    parts = list(parts_before(batch, dict.fromkeys(keys, (True, 1.0))))
    assert sum(len(part) for part, _ in parts) == len(batch)
    assert [key for part, _ in parts for key in part.event_key] == batch.event_key
    asked = [alone for _, alone in parts if alone is not None]
    named = zip(batch.order_key, batch.type.tolist(), strict=True)
    assert len(asked) == sum(key in keys and kind == EventType.ORDER for key, kind in named) > 3
    assert all(part.event_key[0] == alone.event_key[0] for part, alone in parts if alone is not None)


def test_a_model_without_its_network_or_with_another_half_life_is_refused() -> None:
    weights = random_bundle(LinkPolicy(), 1).weights
    with pytest.raises(ConfigurationError, match="network"):
        TreeModel("d")
    with pytest.raises(ConfigurationError, match="network"):
        TreeModel("c", weights=weights)
    with pytest.raises(ConfigurationError, match="half-life"):
        TreeModel("c", half_life_ms=1)
    with pytest.raises(UsageError, match="fitted"):
        TreeModel("a").logits(None)  # type: ignore[arg-type]  # nothing is looked at
