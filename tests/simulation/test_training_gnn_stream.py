"""A bundle out of a shop's own event file: trained, stopped and taken up again, calibrated, usable by an engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_shop import write_shop

from fraudgraph.engine import Engine, EngineRules
from fraudgraph.errors import ConfigurationError, UsageError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import Bundle, read_bundle
from fraudgraph.scoring.library import BundleLibrary
from fraudgraph.scoring.structural import StructuralScorer
from training.calibrate import CHECK_SEED, FIT_SEED
from training.evaluate_rings import FULL
from training.gnn.command import recipe_of, train_bundle
from training.gnn.recipe import LabelPlan, Recipe, WorldPlan, read_recipe
from training.gnn.train import CHECKPOINT, TrainConfig
from training.replay import passing_decoder

CONFIGS = Path(__file__).parents[2] / "configs" / "training"


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "events.jsonl"
    write_shop(path)
    return path


def recipe(epochs: int, *, disjoint: bool = False) -> Recipe:
    return Recipe(
        name="own",
        network=TrainConfig(width=8, epochs=epochs, patience=epochs, rate=0.02),
        labels=LabelPlan(horizon_days=3, fit_cuts=3, disjoint=disjoint),
    )


def make_engine() -> Engine:
    return Engine(LinkPolicy(), EngineRules(), StructuralScorer())


def trained(plan: Recipe, events: Path, folder: Path) -> Bundle:
    return train_bundle(
        plan,
        events,
        folder,
        progress=lambda title: lambda *step: None,
        say=lambda text: None,
        make_engine=make_engine,
        decoder=passing_decoder(),
    )


def test_a_stream_becomes_a_bundle_that_knows_its_gangs(events: Path, tmp_path: Path) -> None:
    bundle = trained(recipe(12), events, tmp_path / "own")
    assert read_bundle(tmp_path / "own").manifest == bundle.manifest
    assert not (tmp_path / ".own.training").exists(), "the checkpoint goes with the end of the training"
    note = bundle.manifest.training
    assert note.positives >= 8
    (metric,) = bundle.manifest.metrics
    assert metric.data == "later time"
    assert metric.value > 0.3, "the base rate is some per cent"
    assert any("Fewer than" in sentence for sentence in note.caution)
    assert (bundle.manifest.ring_head.structural, bundle.manifest.ring_head.summaries) == (1.0, (0.0, 0.0))
    library = BundleLibrary(tmp_path)
    Engine(LinkPolicy(), EngineRules(), StructuralScorer(), bundle=library("own"))


def test_what_was_stopped_goes_on_to_the_same_numbers(events: Path, tmp_path: Path) -> None:
    whole = trained(recipe(3), events, tmp_path / "whole")
    folder = tmp_path / ".part.training"

    def stop(title: str) -> object:
        def show(done: int, total: int | None, words: str) -> None:
            if title.startswith("training") and done == 2:
                raise KeyboardInterrupt

        return show

    with pytest.raises(KeyboardInterrupt):
        train_bundle(
            recipe(3),
            events,
            tmp_path / "part",
            progress=stop,  # type: ignore[arg-type]  # as its type, with a narrower name
            say=lambda text: None,
            make_engine=make_engine,
            decoder=passing_decoder(),
        )
    assert (folder / CHECKPOINT).exists()
    resumed = trained(recipe(3), events, tmp_path / "part")
    assert resumed.manifest.digest == whole.manifest.digest


def test_disjoint_components_leave_less_to_be_judged_by(events: Path, tmp_path: Path) -> None:
    bundle = trained(recipe(2, disjoint=True), events, tmp_path / "apart")
    assert "components kept apart" in bundle.manifest.training.data


def test_a_stream_without_reports_or_too_short_is_refused(events: Path, tmp_path: Path) -> None:
    lines = events.read_text().splitlines(keepends=True)
    clean = tmp_path / "clean.jsonl"
    clean.write_text("".join(line for line in lines if "chargeback" not in line))
    with pytest.raises(UsageError, match="says fraud"):
        trained(recipe(2), clean, tmp_path / "none")
    short = tmp_path / "short.jsonl"
    short.write_text("".join(lines[: len(lines) // 6]))
    with pytest.raises(UsageError, match="too short"):
        trained(recipe(2), short, tmp_path / "none")


def test_the_documented_recipe_is_the_default_one() -> None:
    assert read_recipe(CONFIGS / "gnn.toml") == recipe_of(None)


def test_the_shipped_bundle_is_small_and_saw_no_seed_of_an_evaluation() -> None:
    folder = BundleLibrary(Path("nowhere")).path("default")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
    bundle, plan = read_bundle(folder), read_recipe(CONFIGS / "default.toml")
    learnt = {seed for name, seeds in bundle.manifest.training.seeds.items() if name != "network" for seed in seeds}
    roles = ("fit", "stop", "calibrate", "rings", "check")
    assert learnt == {seed for role in roles for seed in plan.worlds.seeds(role)}
    calibrated = {*range(FIT_SEED, FIT_SEED + 24), *range(CHECK_SEED, CHECK_SEED + 24)}
    assert not learnt & ({seed for seeds in FULL.seeds for seed in seeds} | calibrated)
    Engine(LinkPolicy(), EngineRules(), StructuralScorer(), bundle=bundle)


def test_no_seed_plays_two_parts() -> None:
    with pytest.raises(ConfigurationError, match="two parts"):
        WorldPlan(fit=(1, 10), rings=(10, 5))
