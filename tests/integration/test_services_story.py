"""`fraudgraph services` as one tries it out: up, fill, one run of the daemon, down."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from support.cli import fraudgraph

from fraudgraph.errors import DependencyError
from fraudgraph.services.jars import cache_folder, fetch_jars, find_program
from fraudgraph.services.kafka import COORDINATES, KafkaServer


def test_up_fill_daemon_down(tmp_path: Path) -> None:
    folder = tmp_path / "services"
    store = f"sqlite:///{tmp_path / 'shop.db'}"
    assert fraudgraph("simulate", "--users", 300, "--days", 3, "--out", tmp_path / "world").code == 0
    events = tmp_path / "world" / "events.jsonl"
    try:
        said = fraudgraph("services", "up", "--folder", folder, "--port", 0)
        assert said.code == 0, said.err
        again = fraudgraph("services", "up", "--folder", folder)
        assert again.err == said.err
        status = fraudgraph("services", "status", "--folder", folder, "--format", "json").json["kafka"]
        assert status["bootstrap"].startswith("127.0.0.1:")
        assert status["pid"]
        assert Path(status["log"]).stat().st_size > 0
        assert fraudgraph("services", "fill", events, "--folder", folder).code == 0
        run = fraudgraph("daemon", "--once", "--store", store, "--set", f"kafka.bootstrap={status['bootstrap']}")
        assert run.code == 0, run.err
        rerun = fraudgraph("ingest", events, "--store", store, "--format", "json").json
        assert rerun["events"] == 0, "the same events, from a file: every one is known, or too late"
    finally:
        assert fraudgraph("services", "down", "--folder", folder).code == 0
    assert "down" in fraudgraph("services", "status", "--folder", folder).out
    assert "does not run" in fraudgraph("services", "down", "--folder", folder).err


def test_a_taken_port_and_a_missing_program_say_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(DependencyError, match="is taken"):
            KafkaServer(tmp_path / "kafka", cache_folder()).start(port=taken.getsockname()[1])
    with pytest.raises(DependencyError, match="not installed"):
        find_program("no-such-program")
    with pytest.raises(DependencyError, match="holds no Kafka"):
        KafkaServer(tmp_path / "none", cache_folder()).make_topic("t", 1)


def test_jars_that_are_there_are_not_fetched_again() -> None:
    folder = fetch_jars("kafka", COORDINATES, cache_folder())
    changed = folder.stat().st_mtime_ns
    assert fetch_jars("kafka", COORDINATES, cache_folder()) == folder
    assert folder.stat().st_mtime_ns == changed
    assert not list(folder.parent.glob(".fetching-*"))
