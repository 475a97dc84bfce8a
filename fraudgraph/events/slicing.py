"""Parts of decoded batches, for the few events that must wait for the next batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from fraudgraph.events.batch import ArrivedCommand, DeadLetter, DecodedBatch


def select(batch: DecodedBatch, rows: npt.NDArray[np.intp]) -> DecodedBatch:
    """Returns the events at `rows` (ascending) of a batch, with its dead letters and ends of partitions."""
    picked = rows.tolist()
    place = np.full(len(batch), -1, np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    link_place = place[batch.link_event]
    links = np.flatnonzero(link_place >= 0)
    sources = _sources(batch)
    return replace(
        batch,
        partition_of=batch.partition_of[rows],
        offset=batch.offset[rows],
        next_offset=batch.next_offset[rows],
        broker_ms=None if batch.broker_ms is None else batch.broker_ms[rows],
        event_key=[batch.event_key[i] for i in picked],
        type=batch.type[rows],
        ts_ms=batch.ts_ms[rows],
        user=[batch.user[i] for i in picked],
        counterparty=[batch.counterparty[i] for i in picked],
        amount_minor=batch.amount_minor[rows],
        currency=batch.currency[rows],
        order_key=[batch.order_key[i] for i in picked],
        status=batch.status[rows],
        link_event=link_place[links],
        link_kind=batch.link_kind[links],
        link_key=[batch.link_key[i] for i in links.tolist()],
        link_mask=[batch.link_mask[i] for i in links.tolist()],
        seal=_Seals([sources[i] for i in picked]),
        labels=[replace(row, event=int(place[row.event])) for row in batch.labels if place[row.event] >= 0],
        commands=[(int(place[i]), command) for i, command in batch.commands if place[i] >= 0],
    )


def hold_back(batch: DecodedBatch, held: npt.NDArray[np.bool_]) -> tuple[DecodedBatch, DecodedBatch]:
    """Returns the held events, with the rejects that lie behind them in their partitions, and the rest."""
    first = {
        name: int(batch.offset[held & (batch.partition_of == place)].min())
        for place, name in enumerate(batch.partitions)
        if (held & (batch.partition_of == place)).any()
    }
    letters: tuple[list[DeadLetter], list[DeadLetter]] = ([], [])
    for letter in batch.dead_letters:
        letters[letter.partition in first and letter.offset > first[letter.partition]].append(letter)
    waiting = replace(
        select(batch, np.flatnonzero(held)),
        dead_letters=letters[True],
        damaged_through={name: after for name, after in batch.damaged_through.items() if name in first},
        ended=(),
    )
    return waiting, replace(select(batch, np.flatnonzero(~held)), dead_letters=letters[False])


def take_commands(batch: DecodedBatch) -> tuple[list[ArrivedCommand], DecodedBatch]:
    """Returns the commands of a batch, and the batch without them."""
    if not batch.commands:
        return [], batch
    commands = [
        ArrivedCommand(
            command=command,
            key=batch.event_key[at],
            partition=batch.partitions[int(batch.partition_of[at])],
            offset=int(batch.offset[at]),
            next_offset=int(batch.next_offset[at]),
            seal=partial(batch.seal, at),
        )
        for at, command in batch.commands
    ]
    rest = np.ones(len(batch), np.bool_)
    rest[[at for at, _ in batch.commands]] = False
    return commands, select(batch, np.flatnonzero(rest))


def without_rejects(batch: DecodedBatch) -> DecodedBatch:
    """Returns a batch of the good events alone."""
    return replace(batch, dead_letters=[], damaged_through={}, ended=())


class _Seals:
    """Seals events of several batches; flat, however often they were held."""

    def __init__(self, sources: list[tuple[Callable[[int], bytes], int]]) -> None:
        self.sources = sources

    def __call__(self, event: int) -> bytes:
        seal, place = self.sources[event]
        return seal(place)


def _sources(batch: DecodedBatch) -> list[tuple[Callable[[int], bytes], int]]:
    return batch.seal.sources if isinstance(batch.seal, _Seals) else [(batch.seal, i) for i in range(len(batch))]


def concatenate(first: DecodedBatch, second: DecodedBatch) -> DecodedBatch:
    """Returns the events of two batches, those of `first` before those of `second`, without their former names.

    Whoever reads those does so as a batch arrives, before any of it waits.
    """
    names = list(dict.fromkeys([*first.partitions, *second.partitions]))
    index = {name: i for i, name in enumerate(names)}
    n = len(first)

    def places(batch: DecodedBatch) -> npt.NDArray[np.int32]:
        table = np.array([index[name] for name in batch.partitions], np.int32)
        return table[batch.partition_of] if len(batch) else batch.partition_of

    def broker(batch: DecodedBatch) -> npt.NDArray[np.int64]:
        return np.full(len(batch), -1, np.int64) if batch.broker_ms is None else batch.broker_ms

    through = dict(first.damaged_through)
    for name, after in second.damaged_through.items():
        through[name] = max(after, through.get(name, 0))
    timed = first.broker_ms is not None or second.broker_ms is not None
    return DecodedBatch(
        partitions=names,
        partition_of=np.concatenate((places(first), places(second))),
        offset=np.concatenate((first.offset, second.offset)),
        next_offset=np.concatenate((first.next_offset, second.next_offset)),
        broker_ms=np.concatenate((broker(first), broker(second))) if timed else None,
        event_key=first.event_key + second.event_key,
        type=np.concatenate((first.type, second.type)),
        ts_ms=np.concatenate((first.ts_ms, second.ts_ms)),
        user=first.user + second.user,
        counterparty=first.counterparty + second.counterparty,
        amount_minor=np.concatenate((first.amount_minor, second.amount_minor)),
        currency=np.concatenate((first.currency, second.currency)),
        order_key=first.order_key + second.order_key,
        status=np.concatenate((first.status, second.status)),
        link_event=np.concatenate((first.link_event, second.link_event + np.int32(n))),
        link_kind=np.concatenate((first.link_kind, second.link_kind)),
        link_key=first.link_key + second.link_key,
        link_mask=first.link_mask + second.link_mask,
        seal=_Seals(_sources(first) + _sources(second)),
        labels=first.labels + [replace(row, event=row.event + n) for row in second.labels],
        commands=first.commands + [(i + n, command) for i, command in second.commands],
        dead_letters=first.dead_letters + second.dead_letters,
        damaged_through=through,
        ended=second.ended,
    )
