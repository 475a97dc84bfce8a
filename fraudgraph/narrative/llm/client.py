"""The one place from which a language model is asked: nothing else in fraudgraph imports `openai`."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from fraudgraph.errors import DependencyError
from fraudgraph.narrative.llm.breaker import Breaker
from fraudgraph.narrative.llm.endpoint import Endpoint, ModelError, Prompt, Trouble, Usage
from fraudgraph.narrative.llm.memory import Memory, Spent
from fraudgraph.narrative.llm.wire import (
    PROBE_SCHEMA,
    Ability,
    Answer,
    UnfitError,
    Way,
    answer,
    json_part,
    keeps,
    request,
)

if TYPE_CHECKING:
    from openai import OpenAI

T = TypeVar("T")

MAX_REPLY_BYTES = 262_144
"""More than any plan needs; what is longer is not read to its end."""

ABILITY_MAX_AGE_S = 86_400.0
CHARACTERS_PER_TOKEN = 3
"""Fewer than English has (about 4): a reservation errs on the dear side."""

_RETRY_PAUSE_S = 1.0
_PROBE_REPLY_TOKENS = 512
"""Room for a reasoning model's thoughts before it says one word."""

_OVERHEAD_TOKENS = 32
_NEXT_WAY = frozenset({400, 404, 405, 415, 422, 500, 501})
"""Statuses with which servers answer to a way of asking that they do not know; llama.cpp says 500."""

_NO_SUCH_FIELD = frozenset({400, 422})
"""Among them those that may mean temperature or seed, which reasoning models refuse."""

_OURS = frozenset({Trouble.BUSY, Trouble.BUDGET, Trouble.CACHE})
"""What says nothing about the other side."""


class ModelClient:
    """Asks one endpoint, within its limits; every failure is a `ModelError` and comes within the deadline.

    Safe among threads. In the order in which they are looked at: replies kept under the hash of prompt and model, the
    circuit breaker, the day's budget, calls at a time. One attempt and the endpoint's retries are the library's; a
    server that names its own delay is not tried again. Redirects are not followed. Bodies of errors are not read.

    Args:
        daily: tokens and money of a UTC day, among all processes that share the memory.
        concurrency: calls at a time; one more is refused at once, and not queued.
        monotonic: seconds; the deadline's clock.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        memory: Memory,
        *,
        daily: Spent,
        breaker: Breaker,
        concurrency: int = 2,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint
        self._memory = memory
        self._daily = daily
        self._breaker = breaker
        self._slots = threading.BoundedSemaphore(concurrency)
        self._monotonic = monotonic
        self._deadline = threading.local()
        self._library: OpenAI | None = None
        self._library_lock = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether the circuit breaker refuses calls now."""
        return self._breaker.open

    def ask(self, prompt: Prompt, accept: Callable[[bytes], T]) -> tuple[T, Usage]:
        """Returns what `accept` makes of the model's JSON object, and what it took.

        Args:
            accept: reads the object; raises ValueError where it does not fit, which counts as the model's failure. A
                kept reply goes through it as a new one does.

        Raises:
            ModelError: the model cannot be had, or what it said is no answer.
        """
        key = self._key(prompt)
        kept = self._remembered(lambda: self._memory.reply(key))
        if kept is not None:
            try:
                return accept(kept), Usage(cached=True)
            except ValueError:
                pass  # of another version, or tampered with: ask again
        with self._guarded():
            ability = self._known() or self._probe()
            (value, body), usage = self._call(prompt, ability, lambda said: _accepted(said, ability.way, accept))
        self._remembered(lambda: self._memory.keep_reply(key, body))
        return value, usage

    def probe(self) -> Ability:
        """Returns how this endpoint is to be asked, found out anew.

        Raises:
            ModelError: it cannot be had.
        """
        with self._guarded():
            return self._probe()

    def _known(self) -> Ability | None:
        kept = self._remembered(lambda: self._memory.ability(self._ability_key, ABILITY_MAX_AGE_S))
        try:
            return None if kept is None else msgspec.json.decode(kept, type=Ability)
        except msgspec.DecodeError:
            return None  # of another version

    def _probe(self) -> Ability:
        """Asks in each way, the strictest first, for a word that only the schema says."""
        last = self._trouble(Trouble.UNREADABLE)
        for way in Way:
            try:
                found = self._tried(way)
            except ModelError as error:
                if error.status not in _NEXT_WAY:
                    raise
                last = error
                continue
            if found is not None:
                self._keep(found)
                return found
        raise last

    def _tried(self, way: Way) -> Ability | None:
        """Returns the ability where the way works, without temperature and seed where the server refuses those."""
        prompt, read = _probe_prompt(way), partial(_shown, way=way)
        found = Ability(way)
        try:
            kept, _ = self._call(prompt, found, read)
        except ModelError as error:
            if error.status not in _NO_SUCH_FIELD:
                raise
            found = Ability(way, sampling=False)
            kept, _ = self._call(prompt, found, read)
        return found if kept else None

    def _keep(self, found: Ability) -> None:
        body = msgspec.json.encode(found).decode()
        self._remembered(lambda: self._memory.keep_ability(self._ability_key, body))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Asks the circuit breaker, and tells it how the call ended."""
        if not self._breaker.allow():
            raise self._trouble(Trouble.BREAKER)
        try:
            yield
        except ModelError as error:
            if error.trouble in _OURS:
                self._breaker.abandoned()
            else:
                self._breaker.failed()
            raise
        self._breaker.succeeded()

    def _call(self, prompt: Prompt, ability: Ability, read: Callable[[bytes], tuple[T, Answer]]) -> tuple[T, Usage]:
        """Sends one request within the day's budget; what a failed one cost nobody knows, so it stays spent."""
        reserved = (prompt.characters // CHARACTERS_PER_TOKEN + _OVERHEAD_TOKENS, self._limit(prompt))
        nano = self.endpoint.cost_nano(*reserved)
        if not self._remembered(lambda: self._memory.spend(sum(reserved), nano, at_most=self._daily)):
            raise self._trouble(Trouble.BUDGET)
        try:
            value, said = read(self._send(prompt, ability))
        except UnfitError as error:
            raise self._trouble(error.trouble, error.detail) from error
        except ModelError as error:
            if error.trouble is Trouble.BUSY:
                self._remembered(lambda: self._memory.spend(-sum(reserved), -nano))
            raise
        used = (_counted(said.tokens_in, reserved[0]), _counted(said.tokens_out, len(said.text)))
        cost = self.endpoint.cost_nano(*used)
        self._remembered(lambda: self._memory.spend(sum(used) - sum(reserved), cost - nano))
        return value, Usage(*used, nano=cost)

    def _send(self, prompt: Prompt, ability: Ability) -> bytes:
        """Posts from a thread of its own: names are looked up and headers trickle in without any library's deadline."""
        if not self._slots.acquire(blocking=False):
            raise self._trouble(Trouble.BUSY)
        limit_s = (self.endpoint.timeout_s + _RETRY_PAUSE_S) * (1 + self.endpoint.retries)
        ends_s = self._monotonic() + limit_s
        done: queue.SimpleQueue[bytes | ModelError] = queue.SimpleQueue()

        def work() -> None:
            self._deadline.ends_s = ends_s
            outcome: bytes | ModelError = self._trouble(Trouble.UNREACHABLE, "the call broke off")
            try:
                outcome = self._post(prompt, ability)
            except ModelError as error:
                outcome = error
            finally:  # whatever happens, nobody waits for it
                self._slots.release()
                done.put(outcome)

        threading.Thread(target=work, name="narrator-call", daemon=True).start()
        try:
            outcome = done.get(timeout=limit_s)
        except queue.Empty:
            raise self._trouble(Trouble.TIMEOUT) from None
        if isinstance(outcome, ModelError):
            raise outcome
        return outcome

    def _post(self, prompt: Prompt, ability: Ability) -> bytes:
        import httpx2
        import openai

        asked = request(prompt, ability, self.endpoint, max_reply_tokens=self._limit(prompt))
        try:
            library = self._opened()
            create: Any = library.responses if ability.way is Way.RESPONSES else library.chat.completions
            with create.with_streaming_response.create(**asked) as response:
                return self._read(response)
        except (openai.APITimeoutError, httpx2.TimeoutException) as error:
            raise self._trouble(Trouble.TIMEOUT) from error
        except openai.APIStatusError as error:
            raise self._refusal(error.status_code) from error
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._trouble(Trouble.UNREACHABLE, type(error).__name__) from error

    def _read(self, response: Any) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_REPLY_BYTES:
                raise self._trouble(Trouble.OVERSIZE, f"more than {MAX_REPLY_BYTES:,} bytes")
            if self._late():
                raise self._trouble(Trouble.TIMEOUT)
        return bytes(body)

    def _refusal(self, status: int) -> ModelError:
        trouble = {401: Trouble.KEY, 403: Trouble.KEY, 429: Trouble.RATE_LIMIT}.get(status, Trouble.REFUSED_BY_SERVER)
        return ModelError(trouble, self.endpoint, f"status {status}", status=status)

    def _limit(self, prompt: Prompt) -> int:
        most = self.endpoint.max_reply_tokens
        return min(most, _PROBE_REPLY_TOKENS) if prompt.schema is PROBE_SCHEMA else most

    def _opened(self) -> OpenAI:
        """Returns the library's client, made at first use: its import takes a while."""
        with self._library_lock:
            if self._library is None:
                self._library = _library_of(self.endpoint, self._before, _after)
            return self._library

    def _before(self, request: Any) -> None:
        """Keeps a call that nobody waits for any more from being sent."""
        if self._late():
            raise TimeoutError("too late")

    def _late(self) -> bool:
        ends_s: float = self._deadline.ends_s
        return self._monotonic() > ends_s

    @property
    def _ability_key(self) -> str:
        return f"{self.endpoint.name}:{self.endpoint.api_version}"

    def _key(self, prompt: Prompt) -> str:
        return hashlib.blake2b(f"{self.endpoint.pinned} {prompt.hash}".encode(), digest_size=16).hexdigest()

    def _remembered(self, step: Callable[[], T]) -> T:
        """Runs a step of the memory; without one there is no budget, so nothing is sent."""
        try:
            return step()
        except ModelError:
            raise
        except DependencyError as error:
            raise self._trouble(Trouble.CACHE, error.what) from error

    def _trouble(self, trouble: Trouble, detail: str = "") -> ModelError:
        return ModelError(trouble, self.endpoint, detail)


def _library_of(endpoint: Endpoint, before: Callable[[Any], None], after: Callable[[Any], None]) -> OpenAI:
    import openai

    http = openai.DefaultHttpxClient(
        follow_redirects=False, timeout=endpoint.timeout_s, event_hooks={"request": [before], "response": [after]}
    )
    shared: dict[str, Any] = {
        "api_key": endpoint.key or "none",  # the library insists on one, and would look for its own in the environment
        "timeout": endpoint.timeout_s,
        "max_retries": endpoint.retries,
        "default_headers": {"Accept-Encoding": "identity"},
        "http_client": http,
    }
    base_url = endpoint.base_url.rstrip("/")
    if endpoint.kind == "azure" and endpoint.api_version:
        return openai.AzureOpenAI(azure_endpoint=base_url, api_version=endpoint.api_version, **shared)
    if endpoint.kind == "azure" and not base_url.endswith("/openai/v1"):
        base_url += "/openai/v1"
    client = openai.OpenAI(base_url=f"{base_url}/", **shared)
    if endpoint.kind != "openai":
        client.organization = client.project = None  # the environment's are OpenAI's, and nobody else's business
    return client


def _after(response: Any) -> None:
    """Leaves bodies of errors unread, and does not sleep for as long as a server likes."""
    if response.status_code >= 300:
        if {"retry-after", "retry-after-ms"} & response.headers.keys():
            response.headers["x-should-retry"] = "false"
        response.close()


def _accepted(body: bytes, way: Way, accept: Callable[[bytes], T]) -> tuple[tuple[T, bytes], Answer]:
    said = answer(body, way)
    part = json_part(said.text)
    try:
        return (accept(part), part), said
    except ValueError as error:
        raise UnfitError(Trouble.UNREADABLE, "what the model said is no answer") from error


def _shown(body: bytes, way: Way) -> tuple[bool, Answer]:
    """Returns whether the reply to a probe shows that this way works; plain text may be cut off."""
    try:
        said = answer(body, way)
    except UnfitError as error:
        return way is Way.PLAIN and error.trouble is Trouble.TRUNCATED, Answer("")
    return keeps(way, said.text), said


def _counted(said: int | None, estimate: int) -> int:
    """Returns a server's count of tokens, or the estimate where it says none or nonsense."""
    return said if said is not None and 0 < said < 10_000_000 else estimate


def _probe_prompt(way: Way) -> Prompt:
    said = "Answer with a JSON object." if way is Way.JSON_OBJECT else "Say hello."
    return Prompt(instructions=said, data="Hello.", schema=PROBE_SCHEMA)
