"""A model's server that does everything wrong, over real HTTP: every ring is told all the same, and nothing blocks."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec
import pytest
from support.model_server import Call, model_server
from support.snapshots import fake_accounts

from fraudgraph.narrative.claims import write_plan
from fraudgraph.narrative.evidence import Evidence, make_evidence
from fraudgraph.narrative.llm.breaker import Breaker
from fraudgraph.narrative.llm.client import MAX_REPLY_BYTES, ModelClient
from fraudgraph.narrative.llm.endpoint import Endpoint
from fraudgraph.narrative.llm.memory import Memory, Spent
from fraudgraph.narrative.llm.planner import ModelPlanner
from fraudgraph.narrative.llm.wire import Ability, Way
from fraudgraph.narrative.narrate import narrate
from fraudgraph.narrative.port import Narrative
from fraudgraph.narrative.template import make_plan

TIMES = int(os.environ.get("NARRATOR_FAULTS", "100"))
NEVER = 10**9
PLENTY = Spent(10**12, 10**15)


@cache
def _evidence() -> Evidence:
    return make_evidence(fake_accounts())


@cache
def _template() -> Narrative:
    return narrate(_evidence())


def _good_plan() -> str:
    return write_plan(make_plan(_evidence().pack)).decode()


def _planner(url: str, folder: Path, *, failures: int = NEVER, timeout_s: float = 5.0) -> ModelPlanner:
    endpoint = Endpoint("compatible", url, "tiny", timeout_s=timeout_s, retries=0)
    memory = Memory(folder, time.time)
    memory.keep_ability(f"{endpoint.name}:", msgspec.json.encode(Ability(Way.JSON_SCHEMA)).decode())
    breaker = Breaker(failures=failures, cooldown_s=1e9, clock=time.monotonic)
    return ModelPlanner(ModelClient(endpoint, memory, daily=PLENTY, breaker=breaker, concurrency=1_000))


def _half_a_body(call: Call) -> None:
    call.promise(1_000, b'{"choices": [')


FAULTS: dict[str, tuple[Callable[[Call], None], str]] = {
    "429": (lambda c: c.raw(429, b"{}", Retry_After="60"), "rate-limit"),
    "500": (lambda c: c.raw(500, b"{}"), "server-error"),
    "503 with an endless page": (lambda c: c.raw(503, b"x" * 3_000_000), "server-error"),
    "401": (lambda c: c.raw(401, b"{}"), "key-refused"),
    "redirect": (lambda c: c.raw(302, b"", Location="http://203.0.113.9/"), "server-error"),
    "prose with 200": (lambda c: c.say("I am afraid that this ring is guilty. Block everybody."), "unreadable-reply"),
    "HTML with 200": (lambda c: c.raw(200, b"<html><h1>Welcome</h1>", Content_Type="text/html"), "unreadable-reply"),
    "nothing with 200": (lambda c: c.raw(200, b""), "unreadable-reply"),
    "null content": (lambda c: c.say(None), "unreadable-reply"),
    "no choice": (lambda c: c.raw(200, b'{"choices": []}'), "unreadable-reply"),
    "truncated": (lambda c: c.say(_good_plan()[:200], finish="length"), "truncated"),
    "truncated, and says that it is whole": (lambda c: c.say(_good_plan()[:200]), "unreadable-reply"),
    "refusal": (lambda c: c.say(None, refusal="I cannot help with that."), "declined"),
    "content filter": (lambda c: c.say("", finish="content_filter"), "content-filter"),
    "control characters": (lambda c: c.say(_good_plan().replace("summary", "sum\x00\x1b[31mmary")), "unreadable-reply"),
    "raw control characters": (lambda c: c.raw(200, b'{"choices": [\x00\x1b]}'), "unreadable-reply"),
    "lone surrogates": (
        lambda c: c.raw(200, rb'{"choices":[{"message":{"content":"{\ud800}"}}]}'),
        "unreadable-reply",
    ),
    "no UTF-8": (lambda c: c.raw(200, b'{"choices":[{"message":{"content":"\xff\xfe"}}]}'), "unreadable-reply"),
    "oversize": (lambda c: c.say("x" * (MAX_REPLY_BYTES + 1)), "oversize-reply"),
    "deep nesting": (lambda c: c.say('{"pattern":' + '[{"a":' * 20_000 + "}"), "unreadable-reply"),
    "deep nesting around it": (lambda c: c.raw(200, b'{"x":' + b"[" * 200_000), "unreadable-reply"),
    "a plan of another shape": (lambda c: c.say('{"pattern": 7, "summary": "guilty"}'), "unreadable-reply"),
    "a plan with a field more": (
        lambda c: c.say(json.dumps(json.loads(_good_plan()) | {"severity": "critical"})),
        "unreadable-reply",
    ),
    "half a body": (_half_a_body, "unreachable"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_ring_is_told_whatever_the_server_does(tmp_path: Path, fault: str) -> None:
    handler, trouble = FAULTS[fault]
    with model_server(handler) as server:
        planner = _planner(server.url, tmp_path)
        told = [narrate(_evidence(), planner) for _ in range(TIMES)]
        assert len(server.calls) == TIMES  # each of them was really asked for
    assert {n.fallback for n in told} == {f"no answer ({trouble})"}
    assert all(replace_fallback(n) == _template() for n in told)


def replace_fallback(narrative: Narrative) -> Narrative:
    return msgspec.structs.replace(narrative, fallback="")


def test_every_ring_is_told_where_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as bound:  # bound and not listening: the port is nobody else's
        bound.bind(("127.0.0.1", 0))
        planner = _planner(f"http://127.0.0.1:{bound.getsockname()[1]}/v1", tmp_path)
        told = [narrate(_evidence(), planner) for _ in range(TIMES)]
    assert {n.fallback for n in told} == {"no answer (unreachable)"}
    assert all(replace_fallback(n) == _template() for n in told)


@pytest.mark.parametrize("how", ["says nothing", "drips headers", "drips the body"])
def test_every_ring_is_told_where_the_server_hangs(tmp_path: Path, how: str) -> None:
    stop = threading.Event()
    hang: dict[str, Callable[[Call], None]] = {
        "says nothing": lambda c: stop.wait(60.0) and None,
        "drips headers": lambda c: c.drip(60.0, stop),
        "drips the body": lambda c: c.drip_body(60.0, stop),
    }
    told: list[Narrative] = []
    with model_server(hang[how]) as server:
        planner = _planner(server.url, tmp_path, timeout_s=0.05)
        threads = [threading.Thread(target=lambda: told.append(narrate(_evidence(), planner))) for _ in range(TIMES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
        stop.set()
    assert len(told) == TIMES
    assert {n.fallback for n in told} == {"no answer (timeout)"}


def test_once_the_breaker_is_open_nothing_is_sent_and_the_template_speaks(tmp_path: Path) -> None:
    with model_server(lambda c: c.raw(500, b"{}")) as server:
        planner = _planner(server.url, tmp_path, failures=3)
        told = [narrate(_evidence(), planner) for _ in range(TIMES)]
        assert len(server.calls) == 3
    assert [n.fallback for n in told] == ["no answer (server-error)"] * 3 + ["no answer (breaker-open)"] * (TIMES - 3)
    assert all(replace_fallback(n) == _template() for n in told)


def test_a_plan_that_holds_is_told_as_the_models(tmp_path: Path) -> None:
    with model_server(lambda c: c.say(_good_plan())) as server:
        told = narrate(_evidence(), _planner(server.url, tmp_path))
    assert (told.narrator, told.fallback, told.removed) == ("tiny", "", 0)
    assert told.summary == _template().summary


def test_a_plan_that_does_not_hold_is_mended_once_with_codes_alone(tmp_path: Path) -> None:
    good = make_plan(_evidence().pack)
    lie = replace_claim(good)

    def handle(call: Call) -> None:
        call.say(write_plan(good if len(call.messages) > 2 else lie).decode())

    with model_server(handle) as server:
        told = narrate(_evidence(), _planner(server.url, tmp_path))
        assert len(server.calls) == 2
        complaint = server.calls[1].messages[-1]["content"]
    assert told.removed == 0
    assert told.narrator == "tiny"
    codes = json.loads(complaint.rpartition("\n")[2])
    assert codes == [{"section": "summary", "place": 0, "why": "unknown-evidence"}]


def replace_claim(plan):  # type: ignore[no-untyped-def]  # a plan whose first claim cites what there is not
    first = msgspec.structs.replace(plan.summary[0], evidence=("E99",))
    return msgspec.structs.replace(plan, summary=(first, *plan.summary[1:]))


def test_a_liar_is_told_by_the_template(tmp_path: Path) -> None:
    good = make_plan(_evidence().pack)
    claims = tuple(msgspec.structs.replace(c, evidence=("E98",)) for c in good.summary)
    lies = msgspec.structs.replace(good, summary=claims, risk_reasons=claims)
    with model_server(lambda c: c.say(write_plan(lies).decode())) as server:
        told = narrate(_evidence(), _planner(server.url, tmp_path))
        assert len(server.calls) == 2
    assert told.narrator == "template"
    assert "claims held" in told.fallback
