"""Transfers and referrals between two users, summed per pair, kind and currency.

They are rare beside links, so a Python loop over the few of a batch is good enough; what reads them for every ring
(`rings.features`) reads columns.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I32, I64, U8, U16


class TransferColumns(NamedTuple):
    """Columns by slot, `[cap]`.

    Attributes:
        sender, receiver: int32 users; -1 where the slot is free.
        kind: uint8 EventType.TRANSFER or EventType.REFERRAL.
        currency: uint16, ISO 4217 number.
        first_ms, last_ms: int64.
        uses: int32, how many.
        amount_minor: int64.
        next_out, next_in: int32 lists of the sender's and the receiver's; -1 at their ends.
    """

    sender: I32
    receiver: I32
    kind: U8
    currency: U16
    first_ms: I64
    last_ms: I64
    uses: I32
    amount_minor: I64
    next_out: I32
    next_in: I32


_FREE = frozenset({"sender", "receiver", "next_out", "next_in"})
"""Columns in which a slot that nobody uses holds -1."""


def _new_columns(capacity: int) -> TransferColumns:
    return TransferColumns(
        sender=np.full(capacity, -1, np.int32),
        receiver=np.full(capacity, -1, np.int32),
        kind=np.zeros(capacity, np.uint8),
        currency=np.zeros(capacity, np.uint16),
        first_ms=np.zeros(capacity, np.int64),
        last_ms=np.zeros(capacity, np.int64),
        uses=np.zeros(capacity, np.int32),
        amount_minor=np.zeros(capacity, np.int64),
        next_out=np.full(capacity, -1, np.int32),
        next_in=np.full(capacity, -1, np.int32),
    )


class Transfers:
    """The table of transfers; a pair that was silent for the time to live starts anew."""

    def __init__(self, ttl_ms: int) -> None:
        self.columns = _new_columns(256)
        self._ttl_ms = ttl_ms
        self._slot_of: dict[tuple[int, int, int, int], int] = {}
        self._free: list[int] = []
        self._top = 0
        self._ends: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._slot_of)

    def add(
        self,
        heads_out: I32,
        heads_in: I32,
        *,
        sender: int,
        receiver: int,
        kind: int,
        currency: int,
        ts_ms: int,
        amount_minor: int,
    ) -> int:
        """Counts one transfer or referral; returns its slot."""
        key = (sender, receiver, kind, currency)
        slot = self._slot_of.get(key)
        if slot is None:
            slot = self._allocate()
            self._slot_of[key] = slot
            self._fill(slot, key, ts_ms, ts_ms, 0, 0)
            self._enlist(slot, heads_out, heads_in)
            heapq.heappush(self._ends, (ts_ms + self._ttl_ms, slot))
        c = self.columns
        if ts_ms >= c.last_ms[slot] + self._ttl_ms:
            # Forgotten, or about to be: whichever came first must not matter.
            self._fill(slot, key, ts_ms, ts_ms, 0, 0)
        elif ts_ms <= c.first_ms[slot] - self._ttl_ms:
            return slot
        c.first_ms[slot] = min(int(c.first_ms[slot]), ts_ms)
        c.last_ms[slot] = max(int(c.last_ms[slot]), ts_ms)
        c.uses[slot] += 1
        c.amount_minor[slot] += amount_minor
        return slot

    def forget(self, heads_out: I32, heads_in: I32, now_ms: int) -> list[tuple[int, int, int]]:
        """Removes what was silent for the time to live; returns (slot, sender, receiver) of each."""
        gone = []
        c = self.columns
        while self._ends and self._ends[0][0] <= now_ms:
            slot = self._ends[0][1]
            ends_ms = int(c.last_ms[slot]) + self._ttl_ms
            if ends_ms > now_ms:
                heapq.heapreplace(self._ends, (ends_ms, slot))
                continue
            heapq.heappop(self._ends)
            sender, receiver = int(c.sender[slot]), int(c.receiver[slot])
            _unlist(heads_out, sender, c.next_out, slot)
            _unlist(heads_in, receiver, c.next_in, slot)
            del self._slot_of[(sender, receiver, int(c.kind[slot]), int(c.currency[slot]))]
            c.sender[slot] = -1
            c.receiver[slot] = -1
            self._free.append(slot)
            gone.append((slot, sender, receiver))
        return gone

    def end(self, slots: Sequence[int], now_ms: int) -> None:
        """Lets transfers end at `now_ms`; `forget` takes them."""
        if not slots:
            return
        due = set(slots)
        self.columns.last_ms[list(due)] = now_ms - self._ttl_ms
        self._ends = [(min(when_ms, now_ms) if slot in due else when_ms, slot) for when_ms, slot in self._ends]
        heapq.heapify(self._ends)

    def restore(self, heads_out: I32, heads_in: I32, rows: dict[str, I64]) -> None:
        """Takes up stored rows (`stores.port.TRANSFER_COLUMNS`)."""
        slots = rows["slot"].tolist()
        self._top = max(slots, default=-1) + 1
        self.columns = _new_columns(max(256, self._top * 3 // 2))
        taken = set(slots)
        self._free = [slot for slot in range(self._top - 1, -1, -1) if slot not in taken]
        names = ("from_user", "to_user", "kind", "currency", "first_ms", "last_ms", "count", "amount_minor")
        for slot, sender, receiver, kind, currency, first, last, count, amount in zip(
            slots, *(rows[name].tolist() for name in names), strict=True
        ):
            key = (sender, receiver, kind, currency)
            self._slot_of[key] = slot
            self._fill(slot, key, first, last, count, amount)
            self._enlist(slot, heads_out, heads_in)
            self._ends.append((last + self._ttl_ms, slot))
        heapq.heapify(self._ends)

    def _allocate(self) -> int:
        if self._free:
            return self._free.pop()
        slot = self._top
        self._top += 1
        if slot >= len(self.columns.sender):
            capacity = self._top * 3 // 2
            columns = {
                name: grown(column, capacity, -1 if name in _FREE else 0)
                for name, column in self.columns._asdict().items()
            }
            self.columns = TransferColumns(**columns)
        return slot

    def _fill(
        self, slot: int, key: tuple[int, int, int, int], first_ms: int, last_ms: int, count: int, amount_minor: int
    ) -> None:
        c = self.columns
        c.sender[slot], c.receiver[slot], c.kind[slot], c.currency[slot] = key
        c.first_ms[slot] = first_ms
        c.last_ms[slot] = last_ms
        c.uses[slot] = count
        c.amount_minor[slot] = amount_minor

    def _enlist(self, slot: int, heads_out: I32, heads_in: I32) -> None:
        c = self.columns
        sender, receiver = c.sender[slot], c.receiver[slot]
        c.next_out[slot] = heads_out[sender]
        heads_out[sender] = slot
        c.next_in[slot] = heads_in[receiver]
        heads_in[receiver] = slot


def _unlist(heads: I32, user: int, following: I32, slot: int) -> None:
    at = int(heads[user])
    if at == slot:
        heads[user] = following[slot]
        return
    while int(following[at]) != slot:
        at = int(following[at])
    following[at] = following[slot]
