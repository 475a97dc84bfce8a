"""The decoder and the engine that the settings describe."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.app.keys import read_keys, vault_of
from fraudgraph.app.models import bundle_name, make_library
from fraudgraph.app.rule_sets import configured_rules
from fraudgraph.app.stores import open_reader, open_writer
from fraudgraph.durations import HOUR_MS, MINUTE_MS
from fraudgraph.errors import ConfigurationError
from fraudgraph.settings import Settings

if TYPE_CHECKING:
    from fraudgraph.backtest import Side
    from fraudgraph.engine import Engine
    from fraudgraph.events.batch import DecodedBatch
    from fraudgraph.events.decoder import Decoder
    from fraudgraph.events.keys import KeyRing
    from fraudgraph.rules.schema import RuleSet


def backtest(
    before: Settings,
    after: Settings,
    paths: Sequence[str | Path],
    *,
    tick_ms: int,
    on_progress: Callable[[int, int | None, str], None] | None = None,
) -> tuple[Side, Side]:
    """Replays files under two settings, in memory; see `fraudgraph.backtest`.

    Raises:
        ConfigurationError: the two read identifiers differently, so that what they see cannot be compared.
    """
    from fraudgraph.backtest import Side, run_backtest
    from fraudgraph.events.keys import KeyRing
    from fraudgraph.streams.files import FileStream

    if before.identity != after.identity:
        raise ConfigurationError(
            "the two sides differ in [identity]",
            do="Ingest into two stores instead: identifiers would not be the same.",
        )
    # Nobody keeps these pseudonyms, so the key is no secret; that it is fixed makes two runs agree.
    decoder = make_decoder(before, KeyRing(pseudonyms=bytes(32), vault=bytes(32)))
    sides = Side(make_engine(before, configured_rules(before))), Side(make_engine(after, configured_rules(after)))
    with closing(FileStream(paths)) as stream:
        run_backtest(stream, decoder, sides, tick_ms=tick_ms, on_progress=on_progress)
    return sides


def make_decoder(settings: Settings, keys: KeyRing) -> Decoder:
    """Returns the decoder that the settings describe.

    Raises:
        ConfigurationError: the default currency is none.
    """
    from fraudgraph.events.decoder import Decoder
    from fraudgraph.events.pseudonyms import Pseudonymiser, TwoKeys
    from fraudgraph.events.rejected import Rejected

    pseudonymiser = (
        Pseudonymiser(keys.pseudonyms) if keys.previous is None else TwoKeys(keys.pseudonyms, keys.previous.pseudonyms)
    )
    try:
        return Decoder(
            pseudonymiser,
            vault_of(keys),
            default_region=settings.identity.default_region or None,
            default_currency=settings.identity.default_currency or None,
        )
    except Rejected:
        raise ConfigurationError(
            f"identity.default_currency {settings.identity.default_currency} is no currency",
            do="Give an ISO 4217 code such as EUR.",
        ) from None


def make_engine(settings: Settings, rules: RuleSet | None = None) -> Engine:
    """Returns the engine that the settings describe.

    Args:
        rules: in force from the start; over a store the journal says which rules are (`app.rule_sets`).

    Raises:
        ConfigurationError: a bundle is not there, or was trained on other features or under another link policy.
    """
    from fraudgraph.alerts.policy import AlertPolicy
    from fraudgraph.engine import Engine, EngineRules
    from fraudgraph.events.clock import ClockRules
    from fraudgraph.graph.hot import GraphLimits
    from fraudgraph.scoring.structural import StructuralScorer

    library, model = make_library(settings), settings.model
    decides = EngineRules(
        clock=ClockRules(
            allowed_lateness_ms=settings.time.allowed_lateness_minutes * MINUTE_MS,
            max_skew_ms=settings.time.max_skew_hours * HOUR_MS,
            max_gap_ms=settings.time.max_gap_days * 24 * HOUR_MS,
        ),
        limits=GraphLimits(
            user_days=settings.memory.user_days,
            order_days=settings.memory.order_days,
            transfer_days=settings.memory.transfer_days,
        ),
        priority=settings.priority,
        alerts=AlertPolicy(
            min_probability=settings.alerts.min_probability, weak_tie_strength=settings.alerts.weak_tie_strength
        ),
        second_reader=settings.cases.second_reader,
        min_users=settings.rings.min_users,
        max_users=settings.rings.max_users,
        max_strangers=settings.rings.max_strangers,
        warmup_days=settings.rings.warmup_days,
    )
    return Engine(
        settings.links,
        decides,
        StructuralScorer(),
        bundle=library(bundle_name(settings, model.bundle)) if model.bundle else None,
        shadow=library(bundle_name(settings, model.shadow)) if model.shadow else None,
        library=library,
        rule_set=rules,
    )


def restored_engine(
    settings: Settings, environment: Mapping[str, str] = os.environ, *, whole_model: bool = True
) -> tuple[Engine, Decoder]:
    """Returns an engine as of the store's last commit, to be asked and not to be fed, and what decodes events for it.

    Args:
        whole_model: whether the model is made for everybody, or for those alone whom `Serving.look_at` names.

    Raises:
        ConfigurationError: the key or the link policy is not the store's, or a bundle cannot be used.
        DependencyError, StoreError: the store is not there or cannot be read.
    """
    with closing(open_reader(settings)) as reader:  # refuses a store that is not there, and a wrong key
        read_keys(settings, reader.meta(), environment)
    with open_writer(settings, environment) as writer:
        engine = make_engine(settings)
        engine.restore(writer.store.load(), asked_only=not whole_model)
        return engine, make_decoder(settings, writer.keys)


def decode_one(decoder: Decoder, body: bytes) -> DecodedBatch:
    """Returns one event, given as JSON.

    Raises:
        UsageError: it is none; the message says why, without its values.
    """
    from fraudgraph.errors import UsageError
    from fraudgraph.streams.port import RawBatch

    batch = decoder.decode(RawBatch([body], ["asked"], [0], [0], [1]))
    for letter in batch.dead_letters:
        raise UsageError(
            f"that is no event ({letter.reason.code}: {letter.detail})", do="`fraudgraph schema` says what one is."
        )
    return batch
