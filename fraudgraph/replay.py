"""Dead letters once more: what a mended setting, or back-filling, lets in now is applied and leaves them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from fraudgraph.engine import Engine
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.kinds import EventType
from fraudgraph.events.slicing import select, without_rejects
from fraudgraph.events.vault import Vault
from fraudgraph.stores.port import Store, StoredDeadLetter
from fraudgraph.streams.port import RawBatch

PARTITION = "dead-letters"
"""Positions in it are the dead letters' own ids; no stream has it, and it is never committed as a position."""


@dataclass(slots=True)
class Replayed:
    """What a replay did: dead letters that were applied, that had come before, and that stay."""

    applied: int = 0
    duplicates: int = 0
    refused: int = 0


def replay_dead_letters(
    store: Store,
    decoder: Decoder,
    engine: Engine,
    vault: Vault,
    *,
    reasons: Collection[str] | None = None,
    batch_events: int = 1000,
) -> Replayed:
    """Applies dead letters as a back-fill, each batch in one commit with its deletion, and returns what came of it.

    Late events apply and event time does not move. What still cannot be used, or lies ahead of the stream, stays as
    it was, with its first reason and position. Past the watermark event ids are forgotten, so a too-late event that
    was a second delivery counts again: `reasons` leaves such out.

    Args:
        reasons: reason codes to replay; all where None.

    Raises:
        ConfigurationError: they were sealed with another key; nothing of their batch is committed.
        FencedError: another writer took the store over.
    """
    replayed = Replayed()
    store.claim()
    engine.restore(store.load())
    letters = [letter for letter in store.dead_letters() if reasons is None or letter.reason in reasons]
    for start in range(0, len(letters), batch_events):
        _replay_batch(letters[start : start + batch_events], store, decoder, engine, vault, replayed)
    return replayed


def _replay_batch(
    letters: Sequence[StoredDeadLetter],
    store: Store,
    decoder: Decoder,
    engine: Engine,
    vault: Vault,
    replayed: Replayed,
) -> None:
    ids = [letter.id for letter in letters]
    batch = decoder.decode(
        RawBatch(
            values=[vault.open(letter.ciphertext) for letter in letters],
            partitions=[PARTITION],
            partition_of=[0] * len(letters),
            offsets=ids,
            next_offsets=[number + 1 for number in ids],
        )
    )
    latest_ms = engine.watermark_ms + engine.rules.clock.allowed_lateness_ms + engine.rules.clock.max_skew_ms
    timely = (batch.ts_ms <= latest_ms) | (batch.type == EventType.COMMAND)
    batch = without_rejects(select(batch, np.flatnonzero(timely)))
    if len(batch):
        outcome = engine.apply(batch, backfill=True)
        refused = {letter.offset for letter in outcome.delta.dead_letters}
        outcome.delta.dead_letters = []
        outcome.delta.dead_letters_deleted = [number for number in batch.offset.tolist() if number not in refused]
        outcome.delta.positions.pop(PARTITION, None)
        store.commit(outcome.delta)
        replayed.applied += outcome.applied + outcome.commands
        replayed.duplicates += outcome.duplicates
        replayed.refused += len(refused)
    replayed.refused += len(letters) - len(batch)
