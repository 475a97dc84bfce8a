"""Makes a client of the rules; clocks and the environment come from whoever starts the program."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fraudgraph.errors import ConfigurationError
from fraudgraph.narrative.llm.breaker import Breaker
from fraudgraph.narrative.llm.client import ModelClient
from fraudgraph.narrative.llm.endpoint import Endpoint
from fraudgraph.narrative.llm.memory import Memory, Spent
from fraudgraph.narrative.llm.rules import KEY_VARIABLE, NarratorRules

_NANO_PER_MILLI = 1_000_000


def make_client(
    rules: NarratorRules,
    environment: Mapping[str, str],
    *,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> ModelClient | None:
    """Returns the client for the configured model, or None where the template narrates.

    Raises:
        ConfigurationError: the endpoint needs a key, and there is none.
        DependencyError: the cache folder cannot be written.
    """
    if rules.kind == "template":
        return None
    key = environment.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(
            f"{KEY_VARIABLE} holds characters that no key has", do="Set it to the key alone, in one line."
        )
    if not key and rules.kind != "compatible":
        raise ConfigurationError(
            f"narrator.kind is {rules.kind}, and {KEY_VARIABLE} is not set",
            do="Set it to the endpoint's key in the environment; settings files take none.",
        )
    endpoint = Endpoint(
        kind=rules.kind,
        base_url=rules.url,
        model=rules.model,
        key=key,
        api_version=rules.api_version,
        timeout_s=rules.timeout_s,
        retries=rules.retries,
        max_reply_tokens=rules.max_reply_tokens,
        temperature=rules.temperature,
        seed=rules.seed,
        input_price_milli=rules.input_price_milli,
        output_price_milli=rules.output_price_milli,
    )
    return ModelClient(
        endpoint,
        Memory(cache_folder(rules, environment), clock),
        daily=Spent(rules.daily_tokens, rules.daily_cost_milli * _NANO_PER_MILLI),
        breaker=Breaker(failures=rules.failures, cooldown_s=rules.cooldown_s, clock=monotonic),
        concurrency=rules.concurrency,
        monotonic=monotonic,
    )


def cache_folder(rules: NarratorRules, environment: Mapping[str, str]) -> Path:
    """Returns the folder of kept replies and of the day's budget."""
    if rules.cache_dir:
        return Path(rules.cache_dir)
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fraudgraph" / "narrator"
