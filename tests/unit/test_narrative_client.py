"""The one client that sends: ways of asking, limits, cache, and what it never does."""

from __future__ import annotations

import ast
import json
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.model_server import Call, ModelServer, model_server

import fraudgraph
from fraudgraph.errors import DependencyError
from fraudgraph.narrative.llm.breaker import Breaker
from fraudgraph.narrative.llm.client import ModelClient
from fraudgraph.narrative.llm.endpoint import Endpoint, ModelError, Prompt, Trouble
from fraudgraph.narrative.llm.memory import Memory, Spent
from fraudgraph.narrative.llm.wire import Ability, Way

KEY = "sk-canary-5f3d"
PROMPT = Prompt("Choose.", "E1 burst members=5", {"type": "object", "properties": {}, "additionalProperties": False})
PLENTY = Spent(10**9, 10**15)


def _read(body: bytes) -> dict[str, Any]:
    found = json.loads(body)
    if not isinstance(found, dict) or "colour" not in found:
        raise ValueError
    return found


def _good(call: Call) -> None:
    call.answer_probe() if call.probing else call.say('{"colour": "blue"}')


@contextmanager
def _client(
    server: ModelServer, folder: Path, *, daily: Spent = PLENTY, clock: Callable[[], float] = time.time, **knobs: Any
) -> Iterator[ModelClient]:
    limits = {k: knobs.pop(k) for k in ("failures", "concurrency") if k in knobs}
    endpoint = Endpoint("compatible", server.url, "tiny", key=KEY, **({"timeout_s": 5.0, "retries": 0} | knobs))
    breaker = Breaker(failures=limits.get("failures", 3), cooldown_s=60.0, clock=time.monotonic)
    memory = Memory(folder, clock)
    yield ModelClient(endpoint, memory, daily=daily, breaker=breaker, concurrency=limits.get("concurrency", 2))


def test_nothing_else_imports_the_library() -> None:
    package = Path(fraudgraph.__file__).parent
    senders = ("openai", "httpx", "httpx2", "requests", "aiohttp", "http.client", "urllib.request", "urllib3")
    found = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name == sender or name.startswith(f"{sender}.") for name in names for sender in senders):
                found.add(file.relative_to(package).as_posix())
    assert "narrative/llm/client.py" in found
    assert found - {"narrative/llm/client.py"} <= {"services/jars.py"}  # which fetches Kafka for a trial


def _only(*ways: Way, ignores: bool = False) -> Callable[[Call], None]:
    """A server that knows these ways; others it refuses, or answers in prose with status 200."""

    def way_of(call: Call) -> Way:
        if call.path.endswith("/responses"):
            return Way.RESPONSES
        kind = call.format["type"]
        if kind == "json_object":
            return Way.SCHEMA_OBJECT if "schema" in call.format else Way.JSON_OBJECT
        return Way.JSON_SCHEMA if kind == "json_schema" else Way.PLAIN

    def handle(call: Call) -> None:
        way = way_of(call)
        if way in ways:
            call.say('{"colour": "blue"}') if not call.probing else call.answer_probe()
        elif way is Way.PLAIN or ignores:
            call.say("Hello! How can I help?") if call.probing else call.say('Sure:\n```json\n{"colour": "blue"}\n```')
        else:
            call.raw(404 if way is Way.RESPONSES else 500 if way is Way.JSON_SCHEMA else 400, b"{}")

    return handle


@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("ignores", [False, True])
def test_the_strictest_way_that_a_server_really_keeps_is_found(tmp_path: Path, way: Way, ignores: bool) -> None:
    with model_server(_only(way, ignores=ignores)) as server, _client(server, tmp_path) as client:
        assert client.probe() == Ability(way)
        assert client.ask(PROMPT, _read)[0] == {"colour": "blue"}
        probes = sum(call.probing for call in server.calls)
        client.ask(replace(PROMPT, data="another"), _read)
        assert sum(call.probing for call in server.calls) == probes  # kept for a day
        assert all("schema" in json.dumps(call.body) for call in server.calls if not call.probing)


def test_temperature_and_seed_are_left_out_where_they_are_refused(tmp_path: Path) -> None:
    def reasoning(call: Call) -> None:
        call.raw(400, b"{}") if "temperature" in call.body else _good(call)

    with model_server(reasoning) as server, _client(server, tmp_path) as client:
        assert client.probe() == Ability(Way.RESPONSES, sampling=False)


def test_a_reply_is_asked_for_once(tmp_path: Path) -> None:
    with model_server(_good) as server, _client(server, tmp_path, input_price_milli=150) as client:
        _, usage = client.ask(PROMPT, _read)
        assert (usage.tokens_in, usage.tokens_out, usage.nano, usage.cached) == (100, 20, 15_000, False)
        sent = len(server.calls)
        _, usage = client.ask(PROMPT, _read)
        assert usage.cached
        assert usage.nano == 0
        client.ask(replace(PROMPT, data="E1 burst members=6"), _read)
        assert len(server.calls) == sent + 1


def test_a_kept_reply_that_does_not_fit_any_more_is_asked_for_again(tmp_path: Path) -> None:
    with model_server(_good) as server, _client(server, tmp_path) as client:
        client.ask(PROMPT, _read)
        sent = len(server.calls)

        def stricter(body: bytes) -> str:
            if len(server.calls) == sent:
                raise ValueError("of an older version")
            return "new"

        assert client.ask(PROMPT, stricter)[0] == "new"


def test_the_files_are_for_the_owner_only_and_hold_no_key(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with model_server(_good) as server, _client(server, folder) as client:
        client.ask(PROMPT, _read)
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert KEY.encode() not in file.read_bytes()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_key_goes_to_the_server_and_nowhere_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"), model_server(_good) as server, _client(server, tmp_path) as client:
        client.ask(PROMPT, _read)
        assert all(call.headers["Authorization"] == f"Bearer {KEY}" for call in server.calls)
        server.handler = lambda call: call.raw(401, b'{"error": {"message": "bad key sk-canary-5f3d"}}')
        with pytest.raises(ModelError) as caught:
            client.ask(replace(PROMPT, data="x"), _read)
    assert caught.value.trouble is Trouble.KEY
    assert KEY not in str(caught.value) + repr(client.endpoint) + caplog.text


def test_what_the_environment_says_for_openai_is_nobody_elses_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-program")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with model_server(_good) as server, _client(server, tmp_path) as client:
        client.ask(PROMPT, _read)
        assert server.calls
        sent = json.dumps([call.headers for call in server.calls])
    assert "sk-of-another-program" not in sent
    assert "secret" not in sent


def test_the_days_budget_holds_among_clients_and_begins_anew_the_next_day(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    daily = Spent(3_000, 10**15)
    with model_server(_good) as server:
        server.handler = lambda call: (
            call.answer_probe() if call.probing else call.say('{"colour": 1}', usage=(1000, 9))
        )
        with _client(server, tmp_path, daily=daily, clock=lambda: now[0]) as client:
            client.ask(PROMPT, _read)
        with _client(server, tmp_path, daily=daily, clock=lambda: now[0]) as another:
            sent = len(server.calls)
            with pytest.raises(ModelError) as caught:
                for number in range(5):
                    another.ask(replace(PROMPT, data=str(number)), _read)
            assert caught.value.trouble is Trouble.BUDGET
            assert len(server.calls) <= sent + 1
            now[0] += 86_400
            another.ask(replace(PROMPT, data="tomorrow"), _read)


def test_money_is_counted_and_limited(tmp_path: Path) -> None:
    memory = Memory(tmp_path, time.time)
    with model_server(_good) as server:
        knobs = {"input_price_milli": 1_000_000, "output_price_milli": 2_000_000, "max_reply_tokens": 100}
        with _client(server, tmp_path, daily=Spent(10**9, 10 * 10**9), **knobs) as client:
            client.ask(PROMPT, _read)
            # The probe and the question: each 100 tokens in at 0.001, and 20 out at 0.002.
            assert memory.spent() == Spent(240, 2 * (100 * 1_000_000 + 20 * 2_000_000))
        with _client(server, tmp_path, daily=Spent(10**9, 300_000_000), **knobs) as poor, pytest.raises(ModelError):
            poor.ask(replace(PROMPT, data="x"), _read)


@pytest.mark.parametrize("usage", [None, (-5, -7), (10**12, 10**12), (0, 0)])
def test_a_server_that_counts_nonsense_is_counted_by_estimate(tmp_path: Path, usage: Any) -> None:
    counts = partial(Call.say, text='{"colour": 1, "probe": 2}', usage=usage)
    with model_server(counts) as server, _client(server, tmp_path) as client:
        _, found = client.ask(PROMPT, _read)
    assert 0 < found.tokens_in < 1_000
    assert 0 < found.tokens_out < 1_000


def test_a_call_more_than_allowed_at_once_is_refused_at_once(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(call: Call) -> None:
        if not call.probing:
            entered.set()
            leave.wait(5.0)
        _good(call)

    with model_server(slow) as server, _client(server, tmp_path, concurrency=1) as client:
        client.probe()
        first = threading.Thread(target=client.ask, args=(PROMPT, _read))
        first.start()
        assert entered.wait(5.0)
        for number in range(5):  # none of which counts against the server
            with pytest.raises(ModelError) as caught:
                client.ask(replace(PROMPT, data=str(number)), _read)
            assert caught.value.trouble is Trouble.BUSY
        leave.set()
        first.join()
        assert not client.open
        client.ask(replace(PROMPT, data="after"), _read)


def test_a_server_that_names_its_delay_is_not_waited_for(tmp_path: Path) -> None:
    with model_server(lambda call: call.raw(429, b"{}", Retry_After="50")) as server:
        with _client(server, tmp_path, retries=1) as client, pytest.raises(ModelError) as caught:
            client.probe()
        assert caught.value.trouble is Trouble.RATE_LIMIT
        assert len(server.calls) == 1


def test_one_retry_and_no_more(tmp_path: Path) -> None:
    with model_server(lambda call: call.raw(503, b"{}")) as server:
        with _client(server, tmp_path, retries=1) as client, pytest.raises(ModelError):
            client.probe()
        assert len(server.calls) == 2


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with (
        model_server(_good) as elsewhere,
        model_server(lambda call: call.raw(307, b"", Location=elsewhere.url)) as here,
    ):
        with _client(here, tmp_path) as client, pytest.raises(ModelError):
            client.probe()
        assert not elsewhere.calls


def test_headers_that_trickle_in_end_at_the_deadline(tmp_path: Path) -> None:
    stop = threading.Event()
    with model_server(lambda call: call.drip(30.0, stop)) as server, _client(server, tmp_path, timeout_s=0.1) as client:
        with pytest.raises(ModelError) as caught:
            client.probe()
        stop.set()
    assert caught.value.trouble is Trouble.TIMEOUT


def test_without_a_folder_for_the_budget_nothing_is_sent(tmp_path: Path) -> None:
    with model_server(_good) as server, _client(server, tmp_path) as client:
        (tmp_path / "narrator.sqlite").write_bytes(b"no database, but long enough to be looked at " * 99)
        with pytest.raises(ModelError) as caught:
            client.ask(PROMPT, _read)
        assert caught.value.trouble is Trouble.CACHE
        assert not server.calls
    (tmp_path / "file").touch()
    with pytest.raises(DependencyError, match="cache_dir"):
        Memory(tmp_path / "file" / "folder", time.time)


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    now = [0.0]
    memory = Memory(tmp_path, lambda: now[0], max_replies=3)
    for number in range(10):
        now[0] += 1.0
        memory.keep_reply(str(number), b"{}")
    assert [number for number in range(10) if memory.reply(str(number)) is not None] == [7, 8, 9]


@pytest.mark.parametrize(
    ("endpoint", "path", "header"),
    [
        (Endpoint("openai", "{}/v1", "m", key=KEY), "/v1/responses", "Authorization"),
        (Endpoint("compatible", "{}/v1", "m"), "/v1/responses", "Authorization"),
        (Endpoint("azure", "{}", "m", key=KEY), "/openai/v1/responses", "Authorization"),
        (
            Endpoint("azure", "{}", "m", key=KEY, api_version="2025-04-01-preview"),
            "/openai/responses?api-version=2025-04-01-preview",
            "Api-Key",
        ),
    ],
)
def test_each_kind_of_endpoint_is_called_where_it_listens(
    tmp_path: Path, endpoint: Endpoint, path: str, header: str
) -> None:
    with model_server(_good) as server:
        at = replace(endpoint, base_url=endpoint.base_url.format(server.url.removesuffix("/v1")))
        breaker = Breaker(failures=3, cooldown_s=1.0, clock=time.monotonic)
        client = ModelClient(at, Memory(tmp_path, time.time), daily=PLENTY, breaker=breaker)
        assert client.probe().way is Way.RESPONSES
        assert server.calls[0].path == path
        assert header in server.calls[0].headers
        assert server.calls[0].body["store"] is False
