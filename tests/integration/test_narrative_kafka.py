"""The daemon on a real Kafka with a language model beside it: the alert goes out, and the words follow."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from support.cli import command, environment, fraudgraph
from support.kafka import Cluster, fresh_name
from support.model_server import Call, model_server
from support.ring_stories import RINGS

from fraudgraph.app import open_reader
from fraudgraph.narrative.claims import Claim, Plan, write_plan
from fraudgraph.settings import load_settings

LIMIT_S = 120.0
PLAN = Plan("unclear", (Claim("ring-size", ("R",)), Claim("active-between", ("R",))), (), (), (), (), sufficient=False)
"""Holds for any ring."""


def _until(what: Callable[[], Any], running: subprocess.Popen[bytes], log: Path) -> Any:
    deadline = time.monotonic() + LIMIT_S
    while not (got := what()):
        assert running.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return got


def test_a_ring_of_a_topic_is_alerted_and_then_told(kafka_address: str, tmp_path: Path) -> None:
    cluster, topic, log, alerts = Cluster(kafka_address), fresh_name(), tmp_path / "log", tmp_path / "alerts.jsonl"
    cluster.make(topic, partitions=2)
    cluster.send(topic, RINGS["fake_accounts"]().lines(), partitions=2, by_user=True)
    asked: list[str] = []

    def answer(call: Call) -> None:
        if call.probing:
            call.answer_probe()
            return
        asked.append(json.dumps(call.body))
        call.say(write_plan(PLAN).decode())

    with model_server(answer) as server:
        store = f"sqlite:///{tmp_path / 'shop.db'}"
        knobs = {
            "kafka.bootstrap": kafka_address,
            "kafka.topics": topic,
            "alerts.file": str(alerts),
            "daemon.http": "127.0.0.1:0",
            "narrator.kind": "compatible",
            "narrator.base_url": server.url,
            "narrator.model": "tiny",
            "narrator.cache_dir": str(tmp_path / "cache"),
            "narrator.input_price_milli": "150",
            "logging.level": "info",
        }
        words = ["daemon", "--store", store, *(w for k, v in knobs.items() for w in ("--set", f"{k}={v}"))]
        with log.open("wb") as err:
            running = subprocess.Popen(command(words), stderr=err, env=environment({}), cwd=tmp_path)
        try:
            _until(lambda: alerts.exists() and alerts.read_text().strip(), running, log)
            settings = load_settings(environment={}, flags={"store.url": store}).settings
            with closing(open_reader(settings)) as reader:
                ring_id = reader.alerts()[0].ring_id
                row = _until(lambda: reader.narrative(ring_id), running, log)
            assert row.model.startswith("compatible:127.0.0.1")
            page = re.findall(r'"page": "([^"]+)"', log.read_text())[0]
            with urllib.request.urlopen(f"http://{page}/metrics", timeout=10) as got:
                metrics = got.read().decode()
            assert 'fraudgraph_narratives_total{outcome="model"} 1.0' in metrics
            assert re.search(r'^fraudgraph_narrator_cost_total\{currency="USD"\} 1\.[0-9]*e-05$', metrics, re.MULTILINE)
        finally:
            running.terminate()
            running.wait(timeout=LIMIT_S)
    assert len(asked) == 1
    assert "fake0" not in asked[0]  # no account's own name went to the model
    shown = fraudgraph("rings", "show", ring_id, "--store", store)
    assert "Told by tiny" in shown.out
    assert "2 of 2 claims verified" in shown.out
