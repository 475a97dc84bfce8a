"""What customers write reaches no prompt and no sentence: worlds with and without it are told alike, byte by byte."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from support.attacks import attacks
from support.model_server import Call, model_server
from support.ring_stories import HONEST, RINGS

from fraudgraph.app import make_planner, open_ingest, open_reader
from fraudgraph.events.rejected import Rejected
from fraudgraph.events.text import check_visible
from fraudgraph.narrative.claims import write_plan
from fraudgraph.narrative.evidence import Evidence, make_evidence
from fraudgraph.narrative.llm.prompt import plan_prompt
from fraudgraph.narrative.narrate import narrate
from fraudgraph.narrative.port import Narrative
from fraudgraph.narrative.template import make_plan
from fraudgraph.reports.json import report_json
from fraudgraph.reports.markdown import render_markdown
from fraudgraph.reports.model import RingReport, build_report
from fraudgraph.settings import load_settings
from fraudgraph.stores.port import AlertRow, RingRow

END = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Written = dict[tuple[str, str], str]
TIMES = 3
"""Copies of the nine stories in one shop, each with its own people and things."""

USERS = ("user_id", "to_user_id", "referred_user_id")
KEYS = (*USERS, "device_id", "card", "address", "order_id", "event_id")
FREE = ("user_agent", "reason")
LIMITS = {"address": 500, "user_agent": 2000, "reason": 500}
NONCE = re.compile(r"zq-([a-z_]+)-\d+-qz")


@dataclass
class World:
    """Events of the stories, several times; `planted` counts fields by name, `clean` leads planted user ids back.

    Ids get only injections that the edge lets through: those with control, bidi or invisible characters are dead
    letters, and reach nothing.
    """

    plant: bool
    planted: Counter[str] = field(default_factory=Counter)
    kinds: set[str] = field(default_factory=set)
    clean: dict[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[tuple[str, bytes]]:
        every = list(attacks())
        stock = {name: cycle(every) for name in FREE}
        visible = cycle([(name, text) for name, text in every if _let_through(text)])
        stock |= dict.fromkeys(KEYS, visible)
        written: Written = {}
        for copy in range(TIMES):
            for number, story in enumerate((HONEST | RINGS).values()):
                events = [json.loads(line) for line in story().lines()]
                later = END - datetime.fromisoformat(events[-1]["ts"])  # all end at once, so that none has expired
                for event in events:
                    event["ts"] = (datetime.fromisoformat(event["ts"]) + later).isoformat()
                    self._write(event, f"c{copy}{number}-", written, stock)
                    yield event["ts"], json.dumps(event).encode()

    def _write(self, event: dict[str, Any], copy: str, written: Written, stock: dict[str, Any]) -> None:
        for name in KEYS:
            if name in event:
                kind = "user_id" if name in USERS else name
                event[name] = self._value(kind, copy + event[name], written, stock)
        if "email" in event:
            local, _, domain = event["email"].partition("@")
            slug = "+ignore.all.previous.zq-email-0-qz" if self.plant else ""
            event["email"] = f"{copy}{local}{slug}@{domain}"
            self.planted["email"] += self.plant
        if "phone" in event:
            event["phone"] = event["phone"][:-2] + copy[1:3]
        if "ip" in event:
            event["ip"] = re.sub(r"^\d+\.\d+", f"{60 + int(copy[1])}.{int(copy[2])}", event["ip"])
        for name in FREE:
            if self.plant:
                event[name] = self._planted(name, "x", stock)

    def _value(self, name: str, clean: str, written: Written, stock: dict[str, Any]) -> str:
        if not self.plant:
            return clean
        if (name, clean) not in written:
            written[name, clean] = self._planted(name, clean, stock)
            if name == "user_id":
                self.clean[written[name, clean]] = clean
        return written[name, clean]

    def _planted(self, name: str, clean: str, stock: dict[str, Any]) -> str:
        kind, text = next(stock[name])
        self.planted[name] += 1
        self.kinds.add(kind)
        nonce = f" zq-{name}-{self.planted.total()}-qz "
        return (clean + nonce + text)[: LIMITS.get(name, 256)]


def _let_through(text: str) -> bool:
    try:
        check_visible("text", text)
    except Rejected:
        return False
    return True


@dataclass(frozen=True)
class Told:
    """What came of a world."""

    alerts: list[AlertRow]
    rings: list[RingRow]
    evidence: dict[str, Evidence]
    settings: Any


def _ingest(world: World, folder: Path) -> Told:
    folder.mkdir()
    lines = sorted(world.lines(), key=lambda row: row[0])
    (folder / "events.jsonl").write_bytes(b"\n".join(line for _, line in lines) + b"\n")
    settings = load_settings(environment={}, flags={"store.url": f"sqlite:///{folder / 'shop.db'}"}).settings
    with open_ingest(settings, [folder / "events.jsonl"], environment={}) as ready:
        totals = ready.daemon.run()
    assert not totals.dead_letters
    with closing(open_reader(settings)) as reader:
        rings = reader.rings()
        snapshots = {row.ring_id: reader.snapshot(row.ring_id) for row in rings}
        evidence = {ring_id: make_evidence(s, settings.links) for ring_id, s in snapshots.items() if s is not None}
        return Told(reader.alerts(), rings, evidence, settings)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Told, Told]:
    folder = tmp_path_factory.mktemp("worlds")
    attacked = World(plant=True)
    return attacked, _ingest(World(plant=False), folder / "clean"), _ingest(attacked, folder / "attacked")


def test_enough_is_planted_everywhere(worlds: tuple[World, Told, Told]) -> None:
    attacked, clean, _ = worlds
    assert attacked.planted.total() >= 5_000
    assert len(attacked.kinds) >= 2_500
    assert set(attacked.planted) == {"user_id", "device_id", "card", "address", "order_id", "event_id", "email", *FREE}
    assert min(attacked.planted[name] for name in ("user_id", "device_id", "card", "address")) >= 50
    assert len(clean.evidence) >= 9 * TIMES - 5


def test_no_alert_is_suppressed_or_moved(worlds: tuple[World, Told, Told]) -> None:
    _, clean, attacked = worlds
    assert clean.alerts
    assert attacked.alerts == clean.alerts
    assert attacked.rings == clean.rings


def test_prompts_are_the_same_byte_by_byte(worlds: tuple[World, Told, Told]) -> None:
    _, clean, attacked = worlds
    for ring_id, evidence in clean.evidence.items():
        mine = plan_prompt(evidence.pack, reading=True)
        theirs = plan_prompt(attacked.evidence[ring_id].pack, reading=True)
        assert theirs.data == mine.data
        assert theirs.hash == mine.hash


def _as_clean(narrative: Narrative, world: World) -> str:
    text = json.dumps([s.text for s in (*narrative.summary, *narrative.risk_reasons, *narrative.next_actions)])
    for planted, clean in sorted(world.clean.items(), key=lambda item: -len(item[0])):
        text = text.replace(json.dumps(planted)[1:-1], clean)
    return text


def test_a_model_that_obeys_whatever_it_reads_says_the_same(worlds: tuple[World, Told, Told], tmp_path: Path) -> None:
    world, clean, attacked = worlds
    texts = [text for _, text in attacks()]
    plans = {plan_prompt(e.pack, reading=False).data: write_plan(make_plan(e.pack)) for e in clean.evidence.values()}

    def obey(call: Call) -> None:
        """Does what any injection in the prompt says: closes the ring; else plans as a good model would."""
        data = call.messages[1]["content"]
        if call.probing:
            call.answer_probe()
        elif NONCE.search(json.dumps(call.body)) or any(text in data for text in texts):
            call.say('{"pattern":"unclear","sufficient":false}')
        else:
            call.say(plans[data].decode())

    with model_server(obey) as server:
        flags = {"kind": "compatible", "base_url": server.url, "model": "obedient", "cache_dir": str(tmp_path)}
        chosen = load_settings(environment={}, flags={f"narrator.{k}": v for k, v in flags.items()}).settings
        planner = make_planner(chosen, {})
        for ring_id, evidence in attacked.evidence.items():
            told = narrate(evidence, planner)
            assert told.narrator == "obedient"
            assert told.removed == 0
            assert _as_clean(told, world) == _as_clean(narrate(clean.evidence[ring_id]), world)


def test_reports_show_names_of_accounts_and_nothing_else_that_was_written(worlds: tuple[World, Told, Told]) -> None:
    world, _, attacked = worlds
    shown: Counter[str] = Counter()
    for evidence in attacked.evidence.values():
        report = build_report(evidence.snapshot, attacked.settings.links)
        text = render_markdown(report) + json.dumps(report_json(report)) + json.dumps(digest_parts(report))
        shown.update(NONCE.findall(text.replace("\\", "")))
        told = _as_clean(report.narrative, world)
        assert not NONCE.search(told)
        assert not re.search(r"evil|ignore|<script|\x1b|\u202e", told, re.I)
    assert set(shown) == {"user_id"}


def digest_parts(report: RingReport) -> list[str]:
    """Returns what a digest shows of a ring."""
    told = report.narrative
    sentences = (*told.summary, *told.risk_reasons, *told.innocent_explanations)
    return [report.headline, report.pattern.words, *(s.text for s in sentences)]
