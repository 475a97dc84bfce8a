"""`fraudgraph model` and `train`: what is there, what is refused, what a promotion leaves in the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import fraudgraph, process

from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import WEIGHTS_FILE, write_bundle
from fraudgraph.scoring.manifest import Metric
from fraudgraph.testing.bundles import random_bundle

EVENTS = """\
{"type":"signup","event_id":"1","ts":"2026-01-01T00:00:00Z","user_id":"u1","device_id":"d1"}
{"type":"signup","event_id":"2","ts":"2026-01-01T01:00:00Z","user_id":"u2","device_id":"d1"}
{"type":"signup","event_id":"3","ts":"2026-01-01T02:00:00Z","user_id":"u3","device_id":"d1"}
"""


def figure(model: str, value: float) -> Metric:
    return Metric("simulated", "ring", "average precision", model, value, value - 0.1, value + 0.1)


def bundle(folder: Path, name: str, seed: int, value: float, **changes: str) -> None:
    drawn = random_bundle(LinkPolicy(), seed, name=name)
    metrics = (figure("structural-1", 0.5), figure(f"network-1/{name}", value))
    write_bundle(replace(drawn, manifest=replace(drawn.manifest, metrics=metrics, **changes)), folder / name)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    bundle(folder, "first", 1, 0.6)
    bundle(folder, "second", 2, 0.7)
    bundle(folder, "old", 3, 0.7, features_hash="0" * 16)
    bundle(folder, "elsewhere", 4, 0.7, policy_hash="0" * 16)
    bundle(folder, "torn", 5, 0.7)
    weights = folder / "torn" / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-1])
    return folder


@pytest.fixture
def shop(tmp_path: Path, models: Path) -> dict[str, str]:
    """Returns the environment of a shop with a store and models."""
    events = tmp_path / "events.jsonl"
    events.write_text(EVENTS)
    env = {
        "FRAUDGRAPH_STORE__URL": f"sqlite:///{tmp_path / 'shop.db'}",
        "FRAUDGRAPH_MODEL__FOLDER": str(models),
        "FRAUDGRAPH_AUTHOR": "ann",
    }
    assert fraudgraph("ingest", events, env=env).code == 0
    return env


def in_force(env: dict[str, str]) -> str:
    return str(fraudgraph("model", "list", "--format", "json", env=env).json["in_force"])


def test_bundles_are_listed_with_what_is_wrong_with_them(models: Path) -> None:
    env = {"FRAUDGRAPH_MODEL__FOLDER": str(models), "FRAUDGRAPH_STORE__URL": f"sqlite:///{models / 'none.db'}"}
    listed = {each["name"]: each for each in fraudgraph("model", "list", "--format", "json", env=env).json["bundles"]}
    assert [name for name, each in listed.items() if each["usable"] and not each["shipped"]] == ["first", "second"]
    assert "features" in listed["old"]["why_not"]
    assert "link policy" in listed["elsewhere"]["why_not"]
    assert "weights" in listed["torn"]["why_not"]
    table = fraudgraph("model", "list", env=env)
    assert "cannot be used" in table.out
    assert "in force: structural" in table.err


def test_a_promotion_is_in_force_audited_and_rolled_back(shop: dict[str, str]) -> None:
    assert in_force(shop) == "structural"
    for name in ("first", "second"):
        said = fraudgraph("model", "promote", name, env=shop)
        assert (said.code, said.err.splitlines()[-1]) == (0, f"{name} is in force")
    assert in_force(shop) == "second"
    assert fraudgraph("model", "rollback", env=shop).code == 0
    assert in_force(shop) == "first"
    steps = fraudgraph("audit", "list", "--format", "json", env=shop).json["audit"]
    assert [(row["what"], row["author"], row["before"], row["after"]) for row in steps] == [
        ("promotion", "ann", "structural", "first"),
        ("promotion", "ann", "first", "second"),
        ("promotion", "ann", "second", "first"),
    ]
    assert fraudgraph("model", "promote", "structural", env=shop).code == 0
    assert in_force(shop) == "structural"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("old", "Train it again"),
        ("elsewhere", "put back the [links]"),
        ("torn", "Copy the whole folder again"),
        ("absent", "Name one of"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(shop: dict[str, str], name: str, says: str) -> None:
    said = fraudgraph("model", "promote", name, env=shop)
    assert said.code == 4
    assert says in said.err
    assert in_force(shop) == "structural"


def test_nothing_to_roll_back_is_said(shop: dict[str, str]) -> None:
    said = fraudgraph("model", "rollback", env=shop)
    assert said.code == 2
    assert "nothing was ever promoted" in said.err


def test_figures_stand_side_by_side_with_their_intervals(models: Path) -> None:
    env = {"FRAUDGRAPH_MODEL__FOLDER": str(models)}
    table = fraudgraph("model", "compare", "first", "second", env=env).out
    assert "0.600 [0.500, 0.700] / 0.500" in table
    assert "0.700 [0.600, 0.800] / 0.500" in table
    found = fraudgraph("model", "compare", "first", "second", "--format", "json", env=env).json["figures"]
    assert found[0]["bundles"][1]["network-1/second"] == pytest.approx([0.7, 0.6, 0.8])
    assert fraudgraph("model", "compare", "first", env=env).code == 2


def test_a_card_says_what_the_model_is_not_good_for(models: Path) -> None:
    said = fraudgraph("model", "show", "first", env={"FRAUDGRAPH_MODEL__FOLDER": str(models)})
    assert said.code == 0
    assert "## Not good for" in said.out
    assert "- Anything." in said.out
    torn = fraudgraph("model", "show", "torn", env={"FRAUDGRAPH_MODEL__FOLDER": str(models)})
    assert torn.code == 4


def test_without_data_or_with_too_much_nothing_is_trained(tmp_path: Path) -> None:
    assert fraudgraph("train").code == 2
    assert fraudgraph("train", "--worlds", "--data", tmp_path).code == 2
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[network]\nwidht = 8\n")
    said = fraudgraph("train", "--worlds", "--config", wrong)
    assert said.code == 4
    assert "widht" in said.err
    wrong.write_text('name = "No Name"\n')
    assert "no name of a bundle" in fraudgraph("train", "--worlds", "--config", wrong).err
    assert "the bundle's name is 'network'" in fraudgraph("train", "--worlds", "--out", tmp_path / "elsewhere").err


def test_without_pytorch_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    said = process("train", "--worlds", env={"PYTHONPATH": str(tmp_path)})
    assert said.code == 5
    assert "fraudgraph-rings[train]" in said.err
