"""Real servers over HTTP, called by the same client: tiny Falcons through transformers serve and llama.cpp."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support.model_venv import ROOT, TRANSFORMERS, model_planner, server_python, serving, serving_transformers
from support.snapshots import fake_accounts, household

from fraudgraph.narrative.claims import write_plan
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.llm.wire import Way
from fraudgraph.narrative.narrate import narrate
from fraudgraph.narrative.template import make_plan

LLAMA_CPP = ("llama-cpp-python[server]==0.3.36", "gguf==0.19.0", "safetensors==0.8.0")
QUICK_BUILD = "-DCMAKE_CXX_FLAGS_RELEASE=-O0 -DCMAKE_C_FLAGS_RELEASE=-O1 -DLLAVA_BUILD=OFF -DLLAMA_CURL=OFF"
"""llama.cpp comes as source: without the optimiser it is built in two minutes instead of four."""

SUPPORT = ROOT / "tests" / "support"
EVIDENCE = make_evidence(fake_accounts())
SECTIONS = ("summary", "risk_reasons", "innocent_explanations", "next_actions", "open_questions")


@pytest.fixture(scope="module")
def falcons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A Falcon that learned the plan of one ring by heart, and a random one."""
    python = server_python("transformers", TRANSFORMERS)
    folder = tmp_path_factory.mktemp("falcons")
    plan = folder / "plan.json"
    whole = make_plan(EVIDENCE.pack)
    short = {name: getattr(whole, name)[:2] for name in SECTIONS}  # what two layers learn in some seconds
    plan.write_bytes(write_plan(msgspec.structs.replace(whole, **short)))
    made = {"learned": folder / "learned", "random": folder / "random"}
    for name, out in made.items():
        words = [python, SUPPORT / "tiny_falcon.py", out, *([plan] if name == "learned" else [])]
        one = os.environ | {"OMP_NUM_THREADS": "1"}  # torch's threads wait for one another where others work too
        done = subprocess.run(words, env=one, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
    return made


@pytest.fixture(scope="module")
def transformers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_transformers(tmp_path_factory.mktemp("transformers")) as url:
        yield url


def test_transformers_serve_is_never_believed_for_its_200(
    transformers: str, falcons: dict[str, Path], tmp_path: Path
) -> None:
    """It ignores `response_format` and says 200; the probe sees that, and what the model says is checked here."""
    learned = model_planner(transformers, str(falcons["learned"]), tmp_path / "learned")
    told = narrate(EVIDENCE, learned)
    assert (told.fallback, told.removed, len(told.summary)) == ("", 0, 2)
    other = make_evidence(household())
    assert narrate(other, learned).narrator == "template"  # the same plan, of which little holds for another ring
    told = narrate(EVIDENCE, model_planner(transformers, str(falcons["random"]), tmp_path / "random"))
    assert told.narrator == "template"
    assert told.fallback.startswith("no answer (")


def test_llama_cpps_server_keeps_the_schema_even_of_a_random_model(falcons: dict[str, Path], tmp_path: Path) -> None:
    """Its grammar makes any model write a plan; of what a random one writes nothing holds."""
    python = server_python("llama-cpp", LLAMA_CPP, {"CMAKE_ARGS": QUICK_BUILD})
    for name, model in falcons.items():
        out = tmp_path / f"{name}.gguf"
        done = subprocess.run(
            [python, ROOT / "training" / "narrator" / "falcon_gguf.py", model, out], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        command = [python, "-m", "llama_cpp.server", "--model", out, "--host", "127.0.0.1", "--port", "{port}"]
        with serving([*command, "--n_ctx", "4096", "--n_threads", "1"], tmp_path / f"{name}.log") as url:
            planner = model_planner(url, name, tmp_path / name)
            told = narrate(EVIDENCE, planner)
            assert planner.client.probe().way is Way.SCHEMA_OBJECT
        if name == "learned":
            assert (told.narrator, told.fallback, told.removed, len(told.summary)) == ("learned", "", 0, 2)
        else:
            assert told.narrator == "template"
            assert "claims held" in told.fallback
