"""A model of your own, from simulated rings to verified words: pairs, a fine-tuning, and a real server around it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import msgspec
import pytest
from support.model_venv import ROOT, TRANSFORMERS, model_planner, server_python, serving_transformers

from fraudgraph.cli.evaluate_narrator import simulated
from fraudgraph.narrative.claims import read_plan
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.narrate import narrate
from fraudgraph.narrative.verifier import verify
from fraudgraph.settings import load_settings
from fraudgraph.testing.narrative_checker import Checker
from fraudgraph.testing.narrative_judge import JudgedRing, judge_narrator
from training.narrator.pairs import FILES, Pair, from_rings

RINGS = 2
"""As many as two layers learn by heart in half a minute."""


@pytest.fixture(scope="module")
def known() -> list[tuple[JudgedRing, Pair]]:
    """Rings of a simulated shop with their pairs, the shortest first."""
    settings = load_settings(environment={}).settings
    rings = list(simulated(settings, 7, 800, 30))
    made = [(ring, pair) for ring in rings for pair in from_rings([ring], 7, settings.links, innocent=0.0)]
    assert len(made) > RINGS
    return sorted(made, key=lambda row: sum(len(m["content"]) for m in row[1].messages))


def test_every_pair_is_what_the_client_sends_and_a_plan_that_holds(known: list[tuple[JudgedRing, Pair]]) -> None:
    for ring, pair in known:
        evidence = make_evidence(ring.snapshot)
        assert [message["role"] for message in pair.messages] == ["system", "user", "assistant"]
        lines = json.loads(pair.messages[1]["content"].splitlines()[1])["evidence"]
        assert lines == evidence.pack.text().splitlines()
        checked = verify(read_plan(pair.messages[2]["content"].encode()), evidence)
        assert not checked.failures
        assert not checked.connectives_removed


@pytest.fixture(scope="module")
def tuned(known: list[tuple[JudgedRing, Pair]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny Falcon that learnt two rings with all its weights, and a LoRA on top of it that learnt a third."""
    python = server_python("transformers", TRANSFORMERS)
    folder = tmp_path_factory.mktemp("tuned")
    one = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def call(*words: str | Path) -> None:
        done = subprocess.run([python, *words], env=one, cwd=folder, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr[-2000:]

    def pairs(name: str, rows: list[tuple[JudgedRing, Pair]]) -> Path:
        (folder / name).mkdir()
        for file in FILES:
            (folder / name / file).write_bytes(b"".join(msgspec.json.encode(pair) + b"\n" for _, pair in rows))
        return folder / name

    many, other = pairs("many", known[:RINGS]), pairs("other", known[RINGS : RINGS + 1])
    call(ROOT / "tests" / "support" / "tiny_falcon.py", folder / "base", many / FILES[0])
    tune = ("-m", "training.narrator", "tune", "--batch", "1")
    call(*tune, "--pairs", many, "--base", folder / "base", "--out", folder / "full", "--method", "full",
         "--epochs", "200", "--rate", "6e-3", "--enough", "0.01")  # fmt: skip
    call(*tune, "--pairs", other, "--base", folder / "full" / "model", "--out", folder / "lora",
         "--rank", "8", "--epochs", "12", "--rate", "1e-2")  # fmt: skip
    return {name: folder / name for name in ("full", "lora")}


def test_a_tuned_falcon_tells_the_rings_that_it_learnt_through_a_real_server(
    known: list[tuple[JudgedRing, Pair]], tuned: dict[str, Path], tmp_path: Path
) -> None:
    with serving_transformers(tmp_path) as url:
        planner = model_planner(url, str(tuned["full"] / "model"), tmp_path / "cache")
        rings = [ring for ring, _ in known[:RINGS]]
        for ring in rings:
            told = narrate(make_evidence(ring.snapshot), planner)
            assert (told.fallback, told.removed) == ("", 0)
            assert told.narrator == str(tuned["full"] / "model")
            assert not Checker(ring.snapshot).faults(told)
        figures = judge_narrator(rings, planner, floor=False)  # as `fraudgraph evaluate-narrator --narrator model`
        assert (figures.rings, figures.fallbacks, figures.faults) == (RINGS, 0, [])
        assert figures.top_told == figures.top > 0


def test_a_lora_learns_on_top_and_is_written_for_servers(tuned: dict[str, Path]) -> None:
    said = json.loads((tuned["lora"] / "training.json").read_text())
    assert said["after"] < 0.8 * said["before"]
    assert said["losses"] == sorted(said["losses"], reverse=True)
    adapter = json.loads((tuned["lora"] / "adapter" / "adapter_config.json").read_text())
    assert (adapter["peft_type"], adapter["r"]) == ("LORA", 8)
    for name in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"):
        assert (tuned["lora"] / "model" / name).exists()
        assert (tuned["full"] / "model" / name).exists()
    merged = (tuned["lora"] / "model" / "model.safetensors").read_bytes()
    assert merged != (tuned["full"] / "model" / "model.safetensors").read_bytes()
