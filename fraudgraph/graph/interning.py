"""128-bit pseudonyms and business keys -> small dense ints that are re-used after a delete."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fraudgraph.graph.columns import grown as grown
from fraudgraph.graph.types import I32, I64, U64, Bool, Int
from fraudgraph.kernels import njit

_EMPTY = -1


class KeyTable(NamedTuple):
    """Open addressing with linear probing over keyed pseudonyms, which are uniform, so a key is its own hash.

    Attributes:
        table: `[2^k]` int32 ids, -1 where empty; at most half full.
        high, low: `[cap]` uint64, the two halves of the key per id.
        free: `[cap]` int32 stack of ids to re-use.
        state: `[3]` int64: ids alive, next id never used, length of `free`.
    """

    table: I32
    high: npt.NDArray[np.uint64]
    low: npt.NDArray[np.uint64]
    free: I32
    state: I64


def new_key_table(capacity: int = 1024) -> KeyTable:
    """Returns an empty table with room for `capacity` keys."""
    return KeyTable(
        np.full(_table_size(capacity), _EMPTY, np.int32),
        np.zeros(capacity, np.uint64),
        np.zeros(capacity, np.uint64),
        np.empty(capacity, np.int32),
        np.zeros(3, np.int64),
    )


def key_halves(keys: list[bytes]) -> npt.NDArray[np.uint64]:
    """Returns `[n, 2]` halves of 16-byte keys."""
    return np.frombuffer(b"".join(keys), np.uint64).reshape(-1, 2)


def key_bytes(table: KeyTable, ids: I32) -> list[bytes]:
    """Returns the 16-byte keys of ids."""
    raw = np.stack([table.high[ids], table.low[ids]], axis=1).tobytes()
    return [raw[i : i + 16] for i in range(0, len(raw), 16)]


def reserve_keys(table: KeyTable, more: int) -> KeyTable:
    """Returns a table with room for `more` new keys."""
    alive, top = int(table.state[0]), int(table.state[1])
    if top + more > len(table.high):
        capacity = top + more + (top + more) // 2
        table = table._replace(
            high=grown(table.high, capacity), low=grown(table.low, capacity), free=grown(table.free, capacity)
        )
    if 2 * (alive + more) > len(table.table):
        bigger = np.full(_table_size(alive + more), _EMPTY, np.int32)
        _rehash(table.table, bigger, table.low)
        table = table._replace(table=bigger)
    return table


def _table_size(keys: int) -> int:
    return int(1 << max(4, (2 * keys).bit_length()))


@njit(cache=True)
def _rehash(old: I32, new: I32, low: U64) -> None:
    mask = len(new) - 1
    for i in range(len(old)):
        item = old[i]
        if item >= 0:
            at = np.int64(low[item]) & mask
            while new[at] >= 0:
                at = (at + 1) & mask
            new[at] = item


@njit(cache=True)
def intern_keys(keys: KeyTable, halves: U64, ids: I32, is_new: Bool) -> None:
    """Fills `ids` `[n]` int32 and `is_new` `[n]` bool for `[n, 2]` halves; the caller reserved room."""
    mask = len(keys.table) - 1
    for i in range(len(halves)):
        high, low = halves[i, 0], halves[i, 1]
        at = np.int64(low) & mask
        is_new[i] = True
        while keys.table[at] >= 0:
            item = keys.table[at]
            if keys.low[item] == low and keys.high[item] == high:
                ids[i] = item
                is_new[i] = False
                break
            at = (at + 1) & mask
        if is_new[i]:
            if keys.state[2] > 0:
                keys.state[2] -= 1
                item = keys.free[keys.state[2]]
            else:
                item = np.int32(keys.state[1])
                keys.state[1] += 1
            keys.state[0] += 1
            keys.table[at] = item
            keys.high[item] = high
            keys.low[item] = low
            ids[i] = item


@njit(cache=True)
def look_up_keys(keys: KeyTable, halves: U64) -> I32:
    """Returns the id of each of `[n, 2]` halves, -1 where it has none."""
    mask = len(keys.table) - 1
    ids = np.full(len(halves), -1, np.int32)
    for i in range(len(halves)):
        at = np.int64(halves[i, 1]) & mask
        while keys.table[at] >= 0:
            item = keys.table[at]
            if keys.low[item] == halves[i, 1] and keys.high[item] == halves[i, 0]:
                ids[i] = item
                break
            at = (at + 1) & mask
    return ids


@njit(cache=True)
def forget_key(keys: KeyTable, item: Int) -> None:
    """Removes an id from the table and keeps it for re-use."""
    vacate(keys, item)
    keys.state[0] -= 1
    keys.free[keys.state[2]] = item
    keys.state[2] += 1


@njit(cache=True)
def rename_keys(keys: KeyTable, former: U64, present: U64) -> I32:
    """Gives ids known by `former[i]` the key `present[i]` (`[n, 2]` halves); returns the id of each pair, -1 for none.

    Where both are known they are two things, and stay so.
    """
    ids = look_up_keys(keys, former)
    taken = look_up_keys(keys, present)
    mask = len(keys.table) - 1
    for i in range(len(ids)):
        item = ids[i]
        if item < 0 or taken[i] >= 0:
            ids[i] = -1
            continue
        vacate(keys, item)
        keys.high[item] = present[i, 0]
        keys.low[item] = present[i, 1]
        at = np.int64(keys.low[item]) & mask
        while keys.table[at] >= 0:
            at = (at + 1) & mask
        keys.table[at] = item
    return ids


@njit(cache=True)
def vacate(keys: KeyTable, item: Int) -> None:
    """Empties the place of an id in the table (backward-shift deletion, Knuth TAOCP 6.4 R)."""
    mask = len(keys.table) - 1
    at = np.int64(keys.low[item]) & mask
    while keys.table[at] != item:
        at = (at + 1) & mask
    hole = at
    while True:
        at = (at + 1) & mask
        other = keys.table[at]
        if other < 0:
            break
        home = np.int64(keys.low[other]) & mask
        if ((at - home) & mask) >= ((at - hole) & mask):
            keys.table[hole] = other
            hole = at
    keys.table[hole] = -1


def gaps_below(top: int, taken: I64) -> I32:
    """Returns the ids below `top` that are not taken, the lowest last: a stack from which the lowest comes first."""
    free = np.ones(top, np.bool_)
    free[taken] = False
    return np.flatnonzero(free)[::-1].astype(np.int32)


def restore_keys(ids: I64, halves: npt.NDArray[np.uint64]) -> KeyTable:
    """Returns a table in which `ids[i]` has the key `halves[i]`; the gaps between ids are free."""
    top = int(ids.max()) + 1 if len(ids) else 0
    table = new_key_table(max(1024, top + top // 4))
    table.high[ids] = halves[:, 0]
    table.low[ids] = halves[:, 1]
    table.state[0], table.state[1] = len(ids), top
    gaps = gaps_below(top, ids)
    table.free[: len(gaps)] = gaps
    table.state[2] = len(gaps)
    _place(table.table, table.low, ids)
    return table


@njit(cache=True)
def _place(table: I32, low: U64, ids: I64) -> None:
    mask = len(table) - 1
    for item in ids:
        at = np.int64(low[item]) & mask
        while table[at] >= 0:
            at = (at + 1) & mask
        table[at] = item


class UserTable:
    """User ids (business keys) -> dense ints; the lowest free one is used next.

    So ids are a function of who is known, and a restored engine goes on with the same ones: sums of floats over the
    members of a ring, which are in the order of their ids, stay equal to the last bit.
    """

    def __init__(self) -> None:
        self.id_of: dict[str, int] = {}
        self.key_of: list[str | None] = []
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.id_of)

    @property
    def top(self) -> int:
        """One more than the highest id ever used."""
        return len(self.key_of)

    def intern(self, key: str) -> int:
        """Returns the id of a key, giving it one if it has none."""
        found = self.id_of.get(key)
        if found is not None:
            return found
        if self._free:
            new = heapq.heappop(self._free)
            self.key_of[new] = key
        else:
            new = len(self.key_of)
            self.key_of.append(key)
        self.id_of[key] = new
        return new

    def rename(self, former: str, present: str) -> int:
        """Gives the id known by one key another key; returns it, -1 where there is none, or the other key is taken."""
        if former not in self.id_of or present in self.id_of:
            return -1
        user = self.id_of.pop(former)
        self.id_of[present] = user
        self.key_of[user] = present
        return user

    def forget(self, user: int) -> None:
        """Frees an id."""
        key = self.key_of[user]
        if key is not None:
            del self.id_of[key]
            self.key_of[user] = None
            heapq.heappush(self._free, user)

    def restore(self, pairs: list[tuple[int, str]]) -> None:
        """Takes up (id, key) pairs; the gaps between ids are free."""
        top = max((user for user, _ in pairs), default=-1) + 1
        self.key_of = [None] * top
        for user, key in pairs:
            self.key_of[user] = key
        self.id_of = {key: user for user, key in pairs}
        self._free = [i for i in range(top) if self.key_of[i] is None]
