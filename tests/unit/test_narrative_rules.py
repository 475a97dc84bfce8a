"""Settings of the narrator: what is refused before anything is sent, and what doctor says of a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import fraudgraph
from support.model_server import Call, model_server

from fraudgraph.errors import ConfigurationError
from fraudgraph.narrative.llm.build import cache_folder, make_client
from fraudgraph.narrative.llm.rules import KEY_VARIABLE, NarratorRules

URL = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"kind": "compatible", "base_url": URL}, "model is not set"),
        ({"kind": "compatible", "model": "m"}, "base_url is not set"),
        ({"kind": "azure", "model": "m"}, "base_url is not set"),
        ({"kind": "compatible", "model": "m", "base_url": "file:///etc/passwd"}, "no http or https address"),
        ({"kind": "compatible", "model": "m", "base_url": "localhost:8000"}, "no http or https address"),
        ({"kind": "compatible", "model": "m", "base_url": "http://me:secret@host/v1"}, "carries a password"),
    ],
)
def test_what_cannot_work_is_refused_at_once(knobs: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        NarratorRules(**knobs)  # type: ignore[arg-type]  # text for each of them
    assert "secret" not in str(caught.value)


def test_the_key_comes_from_the_environment(tmp_path: Path) -> None:
    rules = NarratorRules(kind="openai", model="m", cache_dir=str(tmp_path))
    assert rules.url == "https://api.openai.com/v1"
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
        make_client(rules, {"OPENAI_API_KEY": "sk-of-another-program"})
    client = make_client(rules, {KEY_VARIABLE: "sk-x"})
    assert client is not None
    assert client.endpoint.key == "sk-x"
    assert make_client(NarratorRules(), {}) is None
    for broken in ("sk-x\nX-Evil: 1", "sk-…", "sk-\x00"):
        with pytest.raises(ConfigurationError, match="no key has") as caught:
            make_client(rules, {KEY_VARIABLE: broken})
        assert "sk-" not in str(caught.value)


def test_the_cache_is_the_users_or_where_it_is_said(tmp_path: Path) -> None:
    assert cache_folder(NarratorRules(cache_dir="x"), {}) == Path("x")
    assert cache_folder(NarratorRules(), {"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "fraudgraph" / "narrator"


def _prose(call: Call) -> None:
    call.say("Hello!")


def _strict(call: Call) -> None:
    call.answer_probe()


@pytest.mark.parametrize(
    ("handler", "state", "says"),
    [
        (_strict, "ok", "asked by responses"),
        (_prose, "warning", "does not keep a JSON schema"),
        (lambda call: call.raw(401, b"{}"), "warning", "key-refused"),
        (lambda call: call.raw(500, b"{}"), "warning", "server-error"),
    ],
)
def test_doctor_says_what_the_model_can_do(
    tmp_path: Path, handler: Callable[[Call], None], state: str, says: str
) -> None:
    with model_server(handler) as server:
        knobs = {
            "kind": "compatible",
            "model": "m",
            "base_url": server.url,
            "cache_dir": str(tmp_path),
            "retries": 0,
        }
        chosen = [word for name, value in knobs.items() for word in ("--set", f"narrator.{name}={value}")]
        said = fraudgraph("doctor", "--format", "json", "--store", f"sqlite:///{tmp_path / 'none.db'}", *chosen)
    check = next(c for c in json.loads(said.out)["checks"] if c["name"] == "narrator")
    assert check["state"] == state
    assert says in check["what"] + check["do"]
