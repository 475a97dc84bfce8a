"""Who narrates, and within which limits; the section `[narrator]` of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from fraudgraph.errors import ConfigurationError

KEY_VARIABLE = "FRAUDGRAPH_NARRATOR_KEY"
"""Environment variable of the endpoint's key, which comes from nowhere else."""

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class NarratorRules:
    """How rings are told.

    Attributes:
        kind: `template` asks no model; `compatible` is any server with OpenAI's chat or responses API.
        base_url: "" is OpenAI's own, for `openai` only.
        api_version: of Azure's older API; "" for its version-free one.
        timeout_s, retries: of one attempt, and how many follow it.
        daily_tokens, daily_cost_milli: of a UTC day, over all processes that share the cache; money in thousandths of
            `currency`.
        input_price_milli, output_price_milli: thousandths of `currency` per million tokens.
        failures, cooldown_s: after so many failures in a row the model is left alone for so long.
        reading: the model is also asked for up to three sentences of its own, shown apart and as not verified.
        cache_dir: "" is `fraudgraph/narrator` below XDG_CACHE_HOME, else below ~/.cache.
    """

    kind: Literal["template", "openai", "azure", "compatible"] = "template"
    base_url: str = ""
    model: str = ""
    api_version: str = ""
    timeout_s: Annotated[int, Meta(ge=1, le=600)] = 20
    retries: Annotated[int, Meta(ge=0, le=5)] = 1
    max_reply_tokens: Annotated[int, Meta(ge=64, le=32_768)] = 1500
    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] = 0.0
    seed: int = 7
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 2
    failures: Annotated[int, Meta(ge=1)] = 3
    cooldown_s: Annotated[int, Meta(ge=1)] = 60
    daily_tokens: Annotated[int, Meta(ge=0)] = 2_000_000
    daily_cost_milli: Annotated[int, Meta(ge=0)] = 5_000
    input_price_milli: Annotated[int, Meta(ge=0)] = 0
    output_price_milli: Annotated[int, Meta(ge=0)] = 0
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")] = "USD"
    reading: bool = False
    cache_dir: str = ""

    def __post_init__(self) -> None:
        if self.kind == "template":
            return
        if not self.model:
            raise ConfigurationError(
                f"narrator.kind is {self.kind}, and narrator.model is not set",
                do='Name the model or deployment, or set narrator.kind = "template".',
            )
        split = urlsplit(self.url)
        if self.url and (split.scheme not in ("http", "https") or not split.hostname or "@" in split.netloc):
            raise ConfigurationError(
                "narrator.base_url is no http or https address, or carries a password",
                do=f"Write it as http://127.0.0.1:8000/v1; the key is {KEY_VARIABLE} in the environment.",
            )
        if not self.url:
            raise ConfigurationError(
                f"narrator.kind is {self.kind}, and narrator.base_url is not set",
                do="Give the address of the server, such as http://127.0.0.1:8000/v1.",
            )

    @property
    def url(self) -> str:
        """The address that is asked."""
        return self.base_url or (OPENAI_URL if self.kind == "openai" else "")
