"""Alerted rings are told beside the daemon: kept in the store by its one writer, and shown without asking again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from support.cli import fraudgraph
from support.model_server import Call, model_server
from support.ring_stories import RINGS

from fraudgraph.app import make_decoder, make_engine, make_planner, open_ingest, open_reader
from fraudgraph.committer import Committer
from fraudgraph.daemon import Daemon
from fraudgraph.events.keys import load_key
from fraudgraph.narration import Narration, StoredRings, saver
from fraudgraph.narrative.claims import write_plan
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.llm.prompt import plan_prompt
from fraudgraph.narrative.template import make_plan
from fraudgraph.narrative.worker import NarrationWorker
from fraudgraph.settings import Settings, load_settings
from fraudgraph.stores.port import CommitDelta
from fraudgraph.stores.url import open_store
from fraudgraph.streams.files import FileStream


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "events.jsonl").write_bytes(b"\n".join(RINGS["fake_accounts"]().lines()))
    with open_ingest(_settings(folder), [folder / "events.jsonl"], environment={}) as ready:
        assert ready.daemon.run().alerts == 1
    return folder


def _settings(folder: Path, url: str = "") -> Settings:
    flags = {"store.url": f"sqlite:///{folder / 'shop.db'}", "narrator.cache_dir": str(folder / "cache")}
    if url:
        flags |= {"narrator.kind": "compatible", "narrator.base_url": url, "narrator.model": "tiny"}
    return load_settings(environment={}, flags=flags).settings


@pytest.fixture
def model(shop: Path) -> Iterator[str]:
    """A model that plans each ring as the template does."""
    with closing(open_reader(_settings(shop))) as reader:
        packs = [make_evidence(s).pack for row in reader.rings() if (s := reader.snapshot(row.ring_id)) is not None]
    plans = {plan_prompt(pack, reading=False).data: write_plan(make_plan(pack)).decode() for pack in packs}

    def plan(call: Call) -> None:
        call.answer_probe() if call.probing else call.say(plans[call.messages[1]["content"]])

    with model_server(plan) as server:
        yield server.url


def _told(settings: Settings, shop: Path, *, alerts: bool) -> int:
    """Runs the worker until it has nothing to do; returns how many rings it told."""
    planner = make_planner(settings, {})
    assert planner is not None
    with (
        closing(open_store(settings.store.url, settings.links, settings.priority)) as store,
        Committer(store) as writer,
    ):
        writer.claim()
        save = saver(lambda row: writer.submit(store.save_narrative, row), lambda: 1_772_668_800_000)
        worker = NarrationWorker(
            lambda: StoredRings(open_reader(settings), settings.links), planner, planner.asked, save
        )
        if alerts:
            with closing(open_reader(settings)) as reader:
                Narration(worker).committed(CommitDelta(commit=9, watermark_ms=0, alerts=reader.alerts()))
            while worker.step():
                pass
        else:
            worker.start()
            ends = time.monotonic() + 30.0
            while not sum(worker.counts.values()) and time.monotonic() < ends:
                time.sleep(0.02)
            worker.close(wait_s=10.0)
        writer.submit(lambda: None).result()
        return worker.counts["model"]


def test_an_alerted_ring_is_told_kept_and_shown(shop: Path, model: str) -> None:
    settings = _settings(shop, model)
    store = ("--store", settings.store.url)
    with closing(open_reader(settings)) as reader:
        ring_id = reader.alerts()[0].ring_id
    before = fraudgraph("rings", "show", ring_id, *store).out
    assert "Told by template" in before
    assert _told(settings, shop, alerts=True) == 1
    with closing(open_reader(settings)) as reader:
        row = reader.narrative(ring_id)
        assert row is not None
        assert (row.model.partition(" ")[0].rpartition(":")[2], row.made_at_ms) == ("tiny", 1_772_668_800_000)
        assert b"fake0" not in row.body
    shown = fraudgraph("rings", "show", ring_id, *store)  # without a model, and without asking
    assert "Told by tiny" in shown.out
    assert _told(settings, shop, alerts=False) == 0  # the next start finds nothing to do
    report = fraudgraph("rings", "show", ring_id, "--format", "json", *store).json
    assert report["ring_id"] == ring_id


def test_alerts_are_committed_while_the_model_hangs(tmp_path: Path) -> None:
    let_go, asked = threading.Event(), threading.Event()

    def hang(call: Call) -> None:
        asked.set()
        let_go.wait(60.0)
        call.raw(500, b"{}")

    (tmp_path / "events.jsonl").write_bytes(b"\n".join(RINGS["fake_accounts"]().lines()))
    with model_server(hang) as server:
        settings = _settings(tmp_path, server.url)
        planner = make_planner(settings, {})
        assert planner is not None
        keys, _ = load_key({}, tmp_path / "key")
        with (
            closing(open_store(settings.store.url, settings.links, settings.priority)) as store,
            closing(FileStream([tmp_path / "events.jsonl"])) as stream,
            Committer(store) as writer,
        ):
            save = saver(lambda row: writer.submit(store.save_narrative, row), lambda: 0)
            rings = partial(StoredRings, policy=settings.links)
            worker = NarrationWorker(lambda: rings(open_reader(settings)), planner, planner.asked, save)
            worker.start()
            engine, decoder = make_engine(settings), make_decoder(settings, keys)
            totals = Daemon(stream, decoder, engine, writer, followers=[Narration(worker)]).run()
            assert asked.wait(60.0)
            assert totals.alerts == 1
            with closing(open_reader(settings)) as reader:
                (alert,) = reader.alerts()
                assert reader.narrative(alert.ring_id) is None
            let_go.set()
            worker.close(wait_s=60.0)
        assert worker.counts["template"] == 1


def test_a_ring_is_told_on_demand_and_a_digest_too(shop: Path, model: str, tmp_path: Path) -> None:
    settings = _settings(shop)
    knobs = {"kind": "compatible", "base_url": model, "model": "asked", "cache_dir": str(tmp_path)}
    chosen = [word for name, value in knobs.items() for word in ("--set", f"narrator.{name}={value}")]
    store = ("--store", settings.store.url, *chosen)
    with closing(open_reader(settings)) as reader:
        ring_id = reader.rings()[0].ring_id
    assert "--narrate" in fraudgraph("rings", "show", "--help").out
    said = fraudgraph("rings", "show", ring_id, "--narrate", *store)
    assert said.code == 0
    digest = fraudgraph("triage", "--since", "90d", "--narrate", "--format", "json", *store)
    assert digest.json["first"][0]["narrator"] in ("asked", "tiny")
    doctor = json.loads(fraudgraph("doctor", "--format", "json", *store).out)
    narrator = next(check for check in doctor["checks"] if check["name"] == "narrator")
    assert narrator["state"] == "ok"
    assert "asked at 127.0.0.1" in narrator["what"]


def test_a_question_is_answered(shop: Path, model: str) -> None:
    store = ("--store", _settings(shop).store.url)
    ring_id = fraudgraph("rings", "list", "--format", "json", *store).json["rings"][0]["ring_id"]
    said = fraudgraph("ask", ring_id, "who brought the first device in?", *store)
    assert said.code == 0
    assert "fake0 (U" in said.out
    direct = fraudgraph("ask", ring_id, "--query", "first-use", "d1", "--format", "json", *store).json
    assert direct["answered"]
    assert direct["arguments"] == {"identifier": "d1"}
    assert all(sentence["evidence"] for sentence in direct["answer"])
    unknown = fraudgraph("ask", ring_id, "is it going to rain?", *store)
    assert unknown.code == 1
    assert "cannot be answered from the evidence" in unknown.err
    wrong = fraudgraph("ask", ring_id, "--query", "first-use", "D99", *store)
    assert wrong.code == 2
    assert "brought-in" in fraudgraph("ask", ring_id, "--queries").out


def test_without_a_model_narrate_says_so_and_the_template_speaks(shop: Path) -> None:
    settings = _settings(shop)
    with closing(open_reader(settings)) as reader:
        ring_id = reader.rings()[0].ring_id
    said = fraudgraph("rings", "show", ring_id, "--narrate", "--store", settings.store.url)
    assert said.code == 0
    assert "no language model is configured" in said.err
    missing = fraudgraph(
        "rings", "show", ring_id, "--narrate", "--store", settings.store.url,
        "--set", "narrator.kind=openai", "--set", "narrator.model=m",
    )  # fmt: skip
    assert missing.code == 4
    assert "FRAUDGRAPH_NARRATOR_KEY" in missing.err
