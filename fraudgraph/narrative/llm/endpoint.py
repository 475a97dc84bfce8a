"""What a language model's endpoint is, what is asked of it, and how it fails."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal
from urllib.parse import urlsplit

from fraudgraph.errors import DependencyError

Kind = Literal["openai", "azure", "compatible"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model at one address, and the limits under which it is asked.

    Attributes:
        base_url: `https://api.openai.com/v1`, `https://NAME.openai.azure.com`, `http://127.0.0.1:8000/v1`.
        api_version: of Azure; "" for its version-free `/openai/v1/`.
        key: never shown; "" where the server asks for none.
        timeout_s: for one attempt; there are `1 + retries`.
        max_reply_tokens: more are cut off by the server.
        input_price_milli, output_price_milli: thousandths of the currency per million tokens.
    """

    kind: Kind
    base_url: str
    model: str
    key: str = ""
    api_version: str = ""
    timeout_s: float = 20.0
    retries: int = 1
    max_reply_tokens: int = 1200
    temperature: float = 0.0
    seed: int = 7
    input_price_milli: int = 0
    output_price_milli: int = 0

    def __repr__(self) -> str:
        return f"Endpoint({self.kind}, {self.host}, {self.model})"

    @property
    def host(self) -> str:
        """Host and port, for messages: an address may carry a password."""
        split = urlsplit(self.base_url)
        return split.hostname + (f":{split.port}" if split.port else "") if split.hostname else "no host"

    @property
    def private(self) -> bool:
        """Whether what is sent cannot be read on the way: over TLS, or on this machine."""
        split = urlsplit(self.base_url)
        return split.scheme == "https" or split.hostname in ("localhost", "127.0.0.1", "::1")

    @property
    def name(self) -> str:
        """Kind, host and model: what a person would call it."""
        return f"{self.kind}:{self.host}:{self.model}"

    @property
    def pinned(self) -> str:
        """The name with what else its answers depend on; a narrative is stored with it."""
        return f"{self.name} temperature={self.temperature} seed={self.seed} tokens={self.max_reply_tokens}"

    def cost_nano(self, tokens_in: int, tokens_out: int) -> int:
        """Returns what so many tokens cost, in billionths of the currency: 150 for one at 0.15 per million."""
        return tokens_in * self.input_price_milli + tokens_out * self.output_price_milli


class Trouble(StrEnum):
    """Why a model's words cannot be had."""

    BUSY = "busy"
    BREAKER = "breaker-open"
    BUDGET = "budget-spent"
    CACHE = "cache-unusable"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    REFUSED_BY_SERVER = "server-error"
    RATE_LIMIT = "rate-limit"
    KEY = "key-refused"
    OVERSIZE = "oversize-reply"
    TRUNCATED = "truncated"
    FILTERED = "content-filter"
    DECLINED = "declined"
    UNREADABLE = "unreadable-reply"


_DO: Mapping[Trouble, str] = {
    Trouble.BUSY: "Raise narrator.concurrency, or wait.",
    Trouble.BREAKER: "Wait for narrator.cooldown_s; `fraudgraph doctor` asks it now.",
    Trouble.BUDGET: "Raise narrator.daily_tokens or narrator.daily_cost_milli, or wait for the next day (UTC).",
    Trouble.CACHE: "Name a folder that may be written with narrator.cache_dir.",
    Trouble.UNREACHABLE: "Check narrator.base_url, and that the server runs.",
    Trouble.TIMEOUT: "Raise narrator.timeout_s, or use a faster model.",
    Trouble.REFUSED_BY_SERVER: "Check narrator.base_url, narrator.model and narrator.api_version.",
    Trouble.RATE_LIMIT: "Lower narrator.concurrency, or ask the provider for more.",
    Trouble.KEY: "Set FRAUDGRAPH_NARRATOR_KEY to a key of that endpoint.",
    Trouble.OVERSIZE: "This server does not keep narrator.max_reply_tokens; use another one.",
    Trouble.TRUNCATED: "Raise narrator.max_reply_tokens.",
    Trouble.FILTERED: "The template speaks instead; the provider's content filter can be adjusted there.",
    Trouble.DECLINED: "The template speaks instead; another model may answer.",
    Trouble.UNREADABLE: "The template speaks instead; a model that keeps a JSON schema answers.",
}


class ModelError(DependencyError):
    """A model's words cannot be had; `trouble` says why, and the template speaks instead.

    Attributes:
        status: of HTTP, where the server refused with one.
    """

    def __init__(self, trouble: Trouble, endpoint: Endpoint, detail: str = "", *, status: int | None = None) -> None:
        more = f" ({detail})" if detail else ""
        super().__init__(f"the model at {endpoint.host}: {trouble.value}{more}", do=_DO[trouble])
        self.trouble = trouble
        self.status = status


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked: fixed instructions, then data and nothing but data, then what the answer must fit.

    Attributes:
        rounds: (role, text) after the first message: the model's earlier answer and complaints about it.
    """

    instructions: str
    data: str
    schema: Mapping[str, Any]
    rounds: tuple[tuple[Literal["assistant", "user"], str], ...] = ()

    @property
    def hash(self) -> str:
        """BLAKE2b of everything that is sent, 128 bits in hex."""
        whole = json.dumps([self.instructions, self.data, self.schema, self.rounds], sort_keys=True)
        return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()

    @property
    def characters(self) -> int:
        """Length of the texts."""
        schema = len(json.dumps(self.schema))
        return len(self.instructions) + len(self.data) + schema + sum(len(text) for _, text in self.rounds)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one reply took; `nano` is money in billionths of the currency, 0 for a cached one."""

    tokens_in: int = 0
    tokens_out: int = 0
    nano: int = 0
    cached: bool = False
