"""The wire: what is posted in each way of asking, and what an answer must look like to count as one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from fraudgraph.narrative.llm.endpoint import Endpoint, Prompt, Trouble

SCHEMA_NAME = "answer"

_NOT_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What a reply may raise that is none: no JSON, no UTF-8, or nested without end."""


class Way(StrEnum):
    """How an endpoint is made to keep a schema, the strictest first."""

    RESPONSES = "responses"
    JSON_SCHEMA = "json-schema"
    SCHEMA_OBJECT = "json-object-with-schema"
    JSON_OBJECT = "json-object"
    PLAIN = "plain"

    @property
    def strict(self) -> bool:
        """Whether the server itself keeps the schema."""
        return self not in (Way.JSON_OBJECT, Way.PLAIN)


class Ability(msgspec.Struct, frozen=True):
    """What an endpoint can do: a way of asking, and whether temperature and seed may be set."""

    way: Way
    sampling: bool = True


class UnfitError(Exception):
    """An answer that is none, with the reason."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble
        self.detail = detail


class Answer(msgspec.Struct, frozen=True):
    """The text of a reply; the numbers of tokens are the server's word, None where it says none."""

    text: str
    tokens_in: int | None = None
    tokens_out: int | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _ChatUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chat(msgspec.Struct):
    choices: list[_Choice]
    usage: _ChatUsage | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    type: str
    content: list[_Part] | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _ResponsesUsage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Responses(msgspec.Struct):
    output: list[_Item]
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    usage: _ResponsesUsage | None = None


def request(prompt: Prompt, ability: Ability, endpoint: Endpoint, *, max_reply_tokens: int) -> dict[str, Any]:
    """Returns the arguments of `responses.create` or `chat.completions.create`."""
    if ability.way is Way.RESPONSES:
        return _responses_request(prompt, ability, endpoint, max_reply_tokens)
    messages = [
        {"role": "system", "content": _instructions(prompt, ability.way)},
        {"role": "user", "content": prompt.data},
        *({"role": role, "content": text} for role, text in prompt.rounds),
    ]
    # The newer name is the only one that OpenAI's reasoning models know, and one that others do not.
    limit = "max_tokens" if endpoint.kind == "compatible" else "max_completion_tokens"
    asked: dict[str, Any] = {"model": endpoint.model, "messages": messages, limit: max_reply_tokens}
    if ability.sampling:
        asked |= {"temperature": endpoint.temperature, "seed": endpoint.seed}
    if ability.way is Way.JSON_SCHEMA:
        schema = {"name": SCHEMA_NAME, "schema": dict(prompt.schema), "strict": True}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif ability.way is Way.SCHEMA_OBJECT:
        asked["response_format"] = {"type": "json_object", "schema": dict(prompt.schema)}
    elif ability.way is Way.JSON_OBJECT:
        asked["response_format"] = {"type": "json_object"}
    return asked


def _responses_request(prompt: Prompt, ability: Ability, endpoint: Endpoint, max_reply_tokens: int) -> dict[str, Any]:
    format = {"type": "json_schema", "name": SCHEMA_NAME, "schema": dict(prompt.schema), "strict": True}
    asked: dict[str, Any] = {
        "model": endpoint.model,
        "instructions": prompt.instructions,
        "input": [
            {"role": "user", "content": prompt.data},
            *({"role": role, "content": text} for role, text in prompt.rounds),
        ],
        "max_output_tokens": max_reply_tokens,
        "text": {"format": format},
        "store": False,
    }
    if ability.sampling:
        asked["temperature"] = endpoint.temperature
    return asked


def _instructions(prompt: Prompt, way: Way) -> str:
    """Returns the instructions; with the schema in them where the server does not keep it."""
    if way in (Way.JSON_SCHEMA, Way.SCHEMA_OBJECT):
        return prompt.instructions
    schema = msgspec.json.encode(prompt.schema).decode()
    return (
        f"{prompt.instructions}\n\nAnswer with one JSON object that fits this JSON schema, and nothing else:\n{schema}"
    )


def answer(body: bytes, way: Way) -> Answer:
    """Returns the text of a reply with status 200.

    Raises:
        UnfitError: it is cut off, filtered, a refusal, or not what the protocol says.
    """
    try:
        if way is Way.RESPONSES:
            return _responses_answer(msgspec.json.decode(body, type=_Responses))
        return _chat_answer(msgspec.json.decode(body, type=_Chat))
    except _NOT_JSON as error:
        raise UnfitError(Trouble.UNREADABLE, "the reply is not of the protocol") from error


def _chat_answer(reply: _Chat) -> Answer:
    if not reply.choices:
        raise UnfitError(Trouble.UNREADABLE, "no choice in the reply")
    choice = reply.choices[0]
    _require_whole(choice.finish_reason)
    if choice.message.refusal:
        raise UnfitError(Trouble.DECLINED, "the model declined")
    usage = reply.usage
    return _said(choice.message.content, (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None))


def _responses_answer(reply: _Responses) -> Answer:
    if reply.status == "incomplete":
        filtered = reply.incomplete_details is not None and reply.incomplete_details.reason == "content_filter"
        _require_whole("content_filter" if filtered else "length")
    parts = [part for item in reply.output if item.type == "message" for part in item.content or ()]
    if any(part.type == "refusal" for part in parts):
        raise UnfitError(Trouble.DECLINED, "the model declined")
    usage = reply.usage
    text = "".join(part.text or "" for part in parts if part.type == "output_text")
    return _said(text, (usage.input_tokens, usage.output_tokens) if usage else (None, None))


def _require_whole(finish_reason: str | None) -> None:
    if finish_reason == "length":
        raise UnfitError(Trouble.TRUNCATED, "the reply was cut off")
    if finish_reason == "content_filter":
        raise UnfitError(Trouble.FILTERED, "the provider's filter took the reply")


def _said(text: str | None, usage: tuple[int | None, int | None]) -> Answer:
    if not text or not text.strip():
        raise UnfitError(Trouble.UNREADABLE, "the reply is empty")
    return Answer(text, *usage)


def json_part(text: str) -> bytes:
    """Returns the object in a text that may have words or a code fence around it: from the first brace to the last."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1].encode("utf-8", "replace") if 0 <= start < end else b""


PROBE_WORD = "violet-17"
"""Said nowhere but in the schema of the probe: a reply that holds it comes from a server that keeps schemas."""

PROBE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"probe": {"type": "string", "enum": [PROBE_WORD]}},
    "required": ["probe"],
    "additionalProperties": False,
}


def keeps(way: Way, text: str) -> bool:
    """Returns whether the reply to a probe shows that the server did what was asked, and not only said 200."""
    if way is Way.PLAIN:
        return True
    try:
        said = msgspec.json.decode(text)
    except _NOT_JSON:
        return False
    return isinstance(said, dict) and (way is Way.JSON_OBJECT or said == {"probe": PROBE_WORD})
