"""Ten thousand personal data, each said once to the shop: none is in a request, log, cache, store or export."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import fraudgraph
from support.model_server import Call, ModelServer, model_server

from fraudgraph.app import make_planner, open_ingest, open_reader
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.kept import Asked, keep
from fraudgraph.narrative.narrate import narrate
from fraudgraph.reports.html import render_html
from fraudgraph.reports.json import report_json
from fraudgraph.reports.markdown import render_markdown
from fraudgraph.reports.model import build_report
from fraudgraph.settings import Settings, load_settings

GROUPS, SIZE = 335, 5
PER_PERSON = 6
START = datetime(2026, 2, 20, tzinfo=UTC)
_TOKEN = re.compile(rb"[0-9A-Za-z]+")
_ADDRESS = re.compile(rb"\d+\.\d+\.\d+\.\d+")


def _pan(number: int) -> str:
    """Returns a card number with its check digit (Luhn)."""
    body = f"400055{number:09d}"
    total = sum(sum(divmod(int(d) * (2 if i % 2 == 0 else 1), 10)) for i, d in enumerate(body))
    return body + str(-total % 10)


def _person(number: int) -> dict[str, str]:
    """Returns what a customer tells, each of it with a word or number that nobody else has."""
    return {
        "card": _pan(number),
        "email": f"mailqx{number}@example.com",
        "phone": f"+4915{100_000_000 + number}",
        "address": f"Nameqx{number} Muster, Wegqx{number} 7, 10115 Berlin",
        "ip": f"{60 + number // 62_500}.{number // 250 % 250}.{number % 250}.77",
    }


def _canaries(number: int) -> dict[str, bytes]:
    told = _person(number)
    return {
        "pan": told["card"].encode(),
        "email": f"mailqx{number}".encode(),
        "phone": told["phone"][1:].encode(),
        "address": f"Wegqx{number}".encode(),
        "ip": told["ip"].encode(),
        "name": f"Nameqx{number}".encode(),
    }


def _events() -> list[bytes]:
    rows: list[tuple[datetime, dict[str, Any]]] = []
    for group in range(GROUPS):
        for place in range(SIZE):
            number = group * SIZE + place
            at = START + timedelta(minutes=3 * number)
            user = {"user_id": f"shop-{number}", "device_id": f"device of {group}"}
            told = _person(number)
            agent = {"user_agent": f"Nameqx{number} {told['email']}", "reason": f"{told['phone']} {told['card']}"}
            rows.append((at, {"type": "signup", **user, **agent, "email": told["email"], "ip": told["ip"]}))
            order = {"order_id": f"o{number}", "amount": "80.00", "currency": "EUR", "status": "approved"}
            rows.append((at + timedelta(minutes=9), {"type": "order", **user, **agent, **told, **order}))
    rows.sort(key=lambda row: row[0])
    return [
        json.dumps({"event_id": f"e{n}", "ts": at.isoformat(), **event}).encode() for n, (at, event) in enumerate(rows)
    ]


def _found(haystack: bytes) -> Counter[str]:
    """Returns how many canaries of each kind are in it."""
    tokens = set(_TOKEN.findall(haystack)) | set(_ADDRESS.findall(haystack))
    folded = {token.lower() for token in tokens}
    found: Counter[str] = Counter()
    for number in range(GROUPS * SIZE):
        for kind, canary in _canaries(number).items():
            found[kind] += canary in tokens or canary.lower() in folded
    return found


def test_the_search_finds_what_is_there() -> None:
    everything = b"\n".join(_events())
    assert _found(everything) == dict.fromkeys(("pan", "email", "phone", "address", "ip", "name"), GROUPS * SIZE)
    assert GROUPS * SIZE * PER_PERSON >= 10_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("canaries")
    (folder / "events.jsonl").write_bytes(b"\n".join(_events()))
    flags = {"store.url": f"sqlite:///{folder / 'shop.db'}", "narrator.cache_dir": str(folder / "cache")}
    settings = load_settings(environment={}, flags=flags).settings
    with open_ingest(settings, [folder / "events.jsonl"], environment={}) as ready:
        assert not ready.daemon.run().dead_letters
    return settings


def _narrator(settings: Settings, server: ModelServer) -> Settings:
    flags = {
        "store.url": settings.store.url,
        "narrator.cache_dir": settings.narrator.cache_dir,
        "narrator.kind": "compatible",
        "narrator.base_url": server.url,
        "narrator.model": "tiny",
        "narrator.reading": "true",
    }
    return load_settings(environment={}, flags=flags).settings


def test_no_canary_leaves(shop: Settings, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    said: list[bytes] = []

    def echo(call: Call) -> None:
        """Keeps whatever it is asked, as a provider may; answers badly at times, so that there is a repair round."""
        if call.probing:
            call.answer_probe()
        else:
            empty = {name: [] for name in ("summary", "risk_reasons", "innocent_explanations", "next_actions")}
            bad = {"kind": "burst", "evidence": ["E1"], "slots": [], "connective": "none"}
            plan = {**empty, "pattern": "unclear", "open_questions": [], "sufficient": False, "summary": [bad, bad]}
            call.say(json.dumps(plan))

    rings = 0
    with caplog.at_level(logging.DEBUG), model_server(echo) as server, closing(open_reader(shop)) as reader:
        settings = _narrator(shop, server)
        planner = make_planner(settings, {})
        for row in reader.rings():
            snapshot = reader.snapshot(row.ring_id)
            assert snapshot is not None
            evidence = make_evidence(snapshot, settings.links)
            told = narrate(evidence, planner)
            report = build_report(snapshot, settings.links, told)
            said += [json.dumps(report_json(report), ensure_ascii=False).encode(), render_markdown(report).encode()]
            said.append(keep(evidence, None, Asked("m", "p")).body)
            if rings < 5:
                said.append(render_html(report, "").encode())
            rings += 1
        requests = list(server.sent)
    assert rings >= GROUPS
    assert len(requests) > rings
    store = Path(shop.store.url.removeprefix("sqlite:///"))
    out = store.with_name("dossier.zip")
    first = fraudgraph("rings", "dossier", report.snapshot.ring_id, "--out", out, "--store", shop.store.url)
    assert first.code == 0
    digest = fraudgraph("triage", "--since", "30d", "--top", 200, "--format", "json", "--store", shop.store.url)
    assert digest.code == 0
    places = {
        "requests": b"\n".join(requests),
        "logs": caplog.text.encode() + "".join(capfd.readouterr()).encode(),
        "caches": b"\n".join(p.read_bytes() for p in Path(shop.narrator.cache_dir).iterdir()),
        "store": store.read_bytes(),
        "exports": b"\n".join(said) + _unzipped(out) + digest.out.encode(),
    }
    for place, content in places.items():
        assert content, place
        assert not sum(_found(content).values()), f"{place}: {_found(content)}"


def _unzipped(file: Path) -> bytes:
    import zipfile

    with zipfile.ZipFile(file) as archive:
        return b"\n".join(archive.read(name) for name in archive.namelist())
