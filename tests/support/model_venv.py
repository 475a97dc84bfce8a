"""Environments of real model servers, outside the project's own: made on demand, kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from fraudgraph.narrative.llm.breaker import Breaker
from fraudgraph.narrative.llm.client import ModelClient
from fraudgraph.narrative.llm.endpoint import Endpoint
from fraudgraph.narrative.llm.memory import Memory, Spent
from fraudgraph.narrative.llm.planner import ModelPlanner

ROOT = Path(__file__).parents[2]
UP_S = 180.0
TRANSFORMERS = ("transformers[serving]==5.24.0", "peft==0.21.2")
PLENTY = Spent(10**12, 10**15)


def model_planner(url: str, model: str, folder: Path) -> ModelPlanner:
    """Returns the planner that asks a server's model, as the program makes it, with time enough for a busy machine."""
    endpoint = Endpoint("compatible", url, model, timeout_s=120.0, retries=0, max_reply_tokens=1500)
    breaker = Breaker(failures=10, cooldown_s=1.0, clock=time.monotonic)
    return ModelPlanner(ModelClient(endpoint, Memory(folder, time.time), daily=PLENTY, breaker=breaker))


def server_python(name: str, packages: Sequence[str], environment: Mapping[str, str] | None = None) -> Path:
    """Returns the interpreter of an environment that holds these packages; made at first use, then kept.

    Skips the test, loudly, where there is no uv or the packages cannot be had.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fraudgraph" / "test-servers" / name
    python = cache / "bin" / "python"
    made = cache / "made-of"
    if made.exists() and made.read_text().split("\n") == list(packages):
        return python
    uv = shutil.which("uv") or ROOT / ".tools" / "bin" / "uv"
    if not Path(uv).exists():
        pytest.skip(f"no uv to make an environment for {name}: run `make setup`")
    shutil.rmtree(cache, ignore_errors=True)
    subprocess.run([uv, "venv", "--quiet", "--python", "3.11", cache], check=True)
    done = subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, *packages],
        env=os.environ | dict(environment or {}),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"{name} cannot be installed: {done.stderr.strip()[-300:]}")
    made.write_text("\n".join(packages))
    return python


@contextmanager
def serving(command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Runs a server on a free port of loopback (`{port}` in its command), and yields its address once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [str(word).replace("{port}", str(port)) for word in command]
    url = f"http://127.0.0.1:{port}/v1"
    with log.open("wb") as said:
        running = subprocess.Popen(
            words, stdout=said, stderr=said, env=os.environ | {"OMP_NUM_THREADS": "1"} | dict(environment or {})
        )
        try:
            ends = time.monotonic() + UP_S
            while not _answers(f"{url}/models"):
                if running.poll() is not None or time.monotonic() > ends:
                    pytest.fail(f"the server did not come up:\n{log.read_text()[-2000:]}")
                time.sleep(0.3)
            yield url
        finally:
            running.kill()
            running.wait()


@contextmanager
def serving_transformers(folder: Path) -> Iterator[str]:
    """Runs `transformers serve`, which loads whatever folder a request names, and yields its address."""
    (folder / "hub").mkdir()  # it lists what is there, and fails where there is no such folder
    python = server_python("transformers", TRANSFORMERS)
    command = [python.with_name("transformers"), "serve", "--host", "127.0.0.1", "--port", "{port}", "--device", "cpu"]
    with serving(command, folder / "log", {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1"}) as url:
        yield url


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2.0) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False
