"""`fraudgraph services` as one tries it out: up, fill, one run of the daemon, down."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from support.cli import fraudgraph

from fraudgraph.errors import DependencyError
from fraudgraph.services.jars import cache_folder, fetch_jars, find_program
from fraudgraph.services.kafka import COORDINATES, KafkaServer
from fraudgraph.services.neo4j import Neo4jServer


def test_up_fill_daemon_down(tmp_path: Path) -> None:
    folder = tmp_path / "services"
    assert fraudgraph("simulate", "--users", 300, "--days", 3, "--out", tmp_path / "world").code == 0
    events = tmp_path / "world" / "events.jsonl"
    try:
        said = fraudgraph("services", "up", "--folder", folder, "--port", 0, "--neo4j-port", 0)
        assert said.code == 0, said.err
        again = fraudgraph("services", "up", "--folder", folder)
        assert again.err == said.err
        status = fraudgraph("services", "status", "--folder", folder, "--format", "json").json
        kafka, neo4j = status["kafka"], status["neo4j"]
        assert kafka["bootstrap"].startswith("127.0.0.1:")
        assert neo4j["url"].startswith("neo4j://neo4j@127.0.0.1:")
        password = Path(neo4j["password_file"])
        assert password.stat().st_mode & 0o777 == 0o600
        assert password.read_text().strip() not in said.err + json.dumps(status)
        for service in (kafka, neo4j):
            assert service["pid"]
            assert Path(service["log"]).stat().st_size > 0
        assert fraudgraph("services", "fill", events, "--folder", folder).code == 0
        store = [
            *("--store", neo4j["url"], "--set", f"neo4j.password_file={password}"),
            *("--set", f"neo4j.local_folder={tmp_path}"),
        ]
        run = fraudgraph("daemon", "--once", *store, "--set", f"kafka.bootstrap={kafka['bootstrap']}")
        assert run.code == 0, run.err
        rerun = fraudgraph("ingest", events, *store, "--format", "json").json
        assert rerun["events"] == 0, "the same events, from a file: every one is known, or too late"
        assert fraudgraph("services", "down", "--folder", folder, "--only", "neo4j").code == 0
        refused = fraudgraph("rings", "list", *store)
        assert (refused.code, "does not answer" in refused.err) == (5, True), refused.err
    finally:
        assert fraudgraph("services", "down", "--folder", folder).code == 0
    assert fraudgraph("services", "status", "--folder", folder).out.split() == ["kafka", "down", "neo4j", "down"]
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
    for read in (Neo4jServer.url.fget, Neo4jServer.password.fget):
        assert read is not None
        with pytest.raises(DependencyError, match="holds no Neo4j"):
            read(Neo4jServer(tmp_path / "none", cache_folder()))


def test_jars_that_are_there_are_not_fetched_again() -> None:
    folder = fetch_jars("kafka", COORDINATES, cache_folder())
    changed = folder.stat().st_mtime_ns
    assert fetch_jars("kafka", COORDINATES, cache_folder()) == folder
    assert folder.stat().st_mtime_ns == changed
    assert not list(folder.parent.glob(".fetching-*"))
