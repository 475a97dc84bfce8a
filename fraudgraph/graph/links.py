"""The link table: who used what, first, last and how often, in columns, expired by event time.

A link is a run of uses with gaps below its kind's time to live. Uses may arrive out of order within the allowed
lateness, so the run before the current one is kept until no late use can join the two: then the result does not depend
on the order of arrival. A third run cannot be alive unless a stream's partitions are further apart than
a time to live; the oldest is then dropped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudgraph.graph.heap import Heap, heap_pop, heap_push, heap_replace_top, new_heap, reserve_heap
from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I32, I64, U8, U32, Int
from fraudgraph.kernels import njit

NO_TIME = -1


class Links(NamedTuple):
    """Columns by slot, `[cap]`.

    Attributes:
        user, ident: int32, the two ends; `user` is -1 where the slot is free.
        first_ms, last_ms, uses: the current run.
        prev_first_ms, prev_last_ms, prev_uses: the run before it; `prev_last_ms` is -1 where there is none.
        sources: uint32, bit `1 << EventType`: low half for the current run, high half for the run before.
        next_of_user, prev_of_user, next_of_ident, prev_of_ident: int32 lists around each end, -1 at their ends.
        tie_ends_ms: int64, until when the link ties its ends in the forest; -1 where it does not.
        table: `[2^k]` int32 slots by hash of (user, ident), -1 where empty; at most half full.
        free: int32 stack of slots to re-use.
        ends: heap of slots by a moment at which the link may expire.
        state: `[3]` int64: links alive, next slot never used, length of `free`.
    """

    user: I32
    ident: I32
    first_ms: I64
    last_ms: I64
    uses: I32
    prev_first_ms: I64
    prev_last_ms: I64
    prev_uses: I32
    sources: U32
    next_of_user: I32
    prev_of_user: I32
    next_of_ident: I32
    prev_of_ident: I32
    tie_ends_ms: I64
    table: I32
    free: I32
    ends: Heap
    state: I64


def new_links(capacity: int = 1024) -> Links:
    """Returns an empty table with room for `capacity` links."""

    def ids() -> I32:
        return np.full(capacity, -1, np.int32)

    def times() -> I64:
        return np.full(capacity, NO_TIME, np.int64)

    return Links(
        user=ids(),
        ident=ids(),
        first_ms=times(),
        last_ms=times(),
        uses=np.zeros(capacity, np.int32),
        prev_first_ms=times(),
        prev_last_ms=times(),
        prev_uses=np.zeros(capacity, np.int32),
        sources=np.zeros(capacity, np.uint32),
        next_of_user=ids(),
        prev_of_user=ids(),
        next_of_ident=ids(),
        prev_of_ident=ids(),
        tie_ends_ms=times(),
        table=np.full(table_size(capacity), -1, np.int32),
        free=np.empty(capacity, np.int32),
        ends=new_heap(capacity),
        state=np.zeros(3, np.int64),
    )


_OWN_SIZE = {"table", "ends", "state"}


def reserve_links(links: Links, more: int) -> Links:
    """Returns a table with room for `more` new links."""
    alive, top = int(links.state[0]), int(links.state[1])
    if top + more > len(links.user):
        capacity = (top + more) * 3 // 2
        fills = dict.fromkeys(("user", "ident", "prev_last_ms", "tie_ends_ms"), -1)
        columns = {
            name: grown(column, capacity, fills.get(name, 0))
            for name, column in links._asdict().items()
            if name not in _OWN_SIZE
        }
        links = links._replace(**columns)
    links = links._replace(ends=reserve_heap(links.ends, more))
    if 2 * (alive + more) > len(links.table):
        table = np.full(table_size(alive + more), -1, np.int32)
        place_slots(table, links.user, links.ident, top)
        links = links._replace(table=table)
    return links


def table_size(links: int) -> int:
    """Returns the size of a hash table for so many links."""
    return int(1 << max(4, (2 * links).bit_length()))


@njit(cache=True, inline="always")
def _home(user: Int, ident: Int, mask: Int) -> Int:
    """Returns where a pair belongs (splitmix64's finaliser, Steele et al. 2014)."""
    x = (np.uint64(user) << np.uint64(32)) | np.uint64(ident)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return np.int64(x & np.uint64(mask))


@njit(cache=True)
def place_slots(table: I32, user: I32, ident: I32, top: Int) -> None:
    """Fills an empty hash table with all living links."""
    mask = len(table) - 1
    for slot in range(top):
        if user[slot] >= 0:
            at = _home(user[slot], ident[slot], mask)
            while table[at] >= 0:
                at = (at + 1) & mask
            table[at] = slot


@njit(cache=True)
def find_slot(links: Links, user: Int, ident: Int) -> Int:
    """Returns the slot of a link, or -1."""
    mask = len(links.table) - 1
    at = _home(user, ident, mask)
    while links.table[at] >= 0:
        slot = links.table[at]
        if links.user[slot] == user and links.ident[slot] == ident:
            return slot
        at = (at + 1) & mask
    return -1


@njit(cache=True)
def enlist(links: Links, user_head: I32, ident_head: I32, slot: Int) -> None:
    """Puts a slot at the head of the lists of both its ends."""
    user, ident = links.user[slot], links.ident[slot]
    links.next_of_user[slot] = user_head[user]
    links.prev_of_user[slot] = -1
    if user_head[user] >= 0:
        links.prev_of_user[user_head[user]] = slot
    user_head[user] = slot
    links.next_of_ident[slot] = ident_head[ident]
    links.prev_of_ident[slot] = -1
    if ident_head[ident] >= 0:
        links.prev_of_ident[ident_head[ident]] = slot
    ident_head[ident] = slot


@njit(cache=True)
def add_link(
    links: Links, user_head: I32, ident_head: I32, user: Int, ident: Int, ts_ms: Int, source: Int, ttl_ms: Int
) -> Int:
    """Opens a new link and returns its slot; the caller reserved room and knows that there is none."""
    if links.state[2] > 0:
        links.state[2] -= 1
        slot = np.int64(links.free[links.state[2]])
    else:
        slot = links.state[1]
        links.state[1] += 1
    links.state[0] += 1
    mask = len(links.table) - 1
    at = _home(user, ident, mask)
    while links.table[at] >= 0:
        at = (at + 1) & mask
    links.table[at] = slot
    links.user[slot] = user
    links.ident[slot] = ident
    links.first_ms[slot] = ts_ms
    links.last_ms[slot] = ts_ms
    links.uses[slot] = 1
    links.prev_last_ms[slot] = -1
    links.prev_first_ms[slot] = -1
    links.prev_uses[slot] = 0
    links.sources[slot] = source
    links.tie_ends_ms[slot] = -1
    enlist(links, user_head, ident_head, slot)
    heap_push(links.ends, ts_ms + ttl_ms, slot)
    return slot


@njit(cache=True)
def use_link(links: Links, slot: Int, ts_ms: Int, source: Int, ttl_ms: Int) -> None:
    """Counts one more use of a link at any time, in any order (see the module's first lines)."""
    first, last = links.first_ms[slot], links.last_ms[slot]
    source = np.uint32(source)
    if ts_ms >= last + ttl_ms:
        links.prev_first_ms[slot] = first
        links.prev_last_ms[slot] = last
        links.prev_uses[slot] = links.uses[slot]
        links.sources[slot] = (links.sources[slot] << np.uint32(16)) | source
        links.first_ms[slot] = ts_ms
        links.last_ms[slot] = ts_ms
        links.uses[slot] = 1
        return
    if ts_ms > first - ttl_ms:
        links.sources[slot] |= source
        links.uses[slot] += 1
        if ts_ms > last:
            links.last_ms[slot] = ts_ms
        elif ts_ms < first:
            links.first_ms[slot] = ts_ms
    else:
        _use_run_before(links, slot, ts_ms, source, ttl_ms)
    prev_last = links.prev_last_ms[slot]
    if prev_last >= 0 and links.first_ms[slot] < prev_last + ttl_ms:
        links.first_ms[slot] = min(links.first_ms[slot], links.prev_first_ms[slot])
        links.uses[slot] += links.prev_uses[slot]
        links.sources[slot] = (links.sources[slot] & np.uint32(0xFFFF)) | (links.sources[slot] >> np.uint32(16))
        links.prev_first_ms[slot] = -1
        links.prev_last_ms[slot] = -1
        links.prev_uses[slot] = 0


@njit(cache=True)
def _use_run_before(links: Links, slot: Int, ts_ms: Int, source: Int, ttl_ms: Int) -> None:
    prev_first, prev_last = links.prev_first_ms[slot], links.prev_last_ms[slot]
    if prev_last >= 0 and ts_ms <= prev_first - ttl_ms:
        return
    if prev_last < 0 or ts_ms >= prev_last + ttl_ms:
        links.prev_first_ms[slot] = ts_ms
        links.prev_last_ms[slot] = ts_ms
        links.prev_uses[slot] = 1
        links.sources[slot] = (links.sources[slot] & np.uint32(0xFFFF)) | (np.uint32(source) << np.uint32(16))
        return
    links.prev_first_ms[slot] = min(prev_first, ts_ms)
    links.prev_last_ms[slot] = max(prev_last, ts_ms)
    links.prev_uses[slot] += 1
    links.sources[slot] |= np.uint32(source) << np.uint32(16)


@njit(cache=True)
def remove_link(links: Links, user_head: I32, ident_head: I32, slot: Int) -> None:
    """Takes a link out of the table and its lists, and keeps the slot for re-use."""
    user, ident = links.user[slot], links.ident[slot]
    mask = len(links.table) - 1
    at = _home(user, ident, mask)
    while links.table[at] != slot:
        at = (at + 1) & mask
    hole = at
    while True:
        at = (at + 1) & mask
        other = links.table[at]
        if other < 0:
            break
        home = _home(links.user[other], links.ident[other], mask)
        if ((at - home) & mask) >= ((at - hole) & mask):
            links.table[hole] = other
            hole = at
    links.table[hole] = -1
    before, after = links.prev_of_user[slot], links.next_of_user[slot]
    if before >= 0:
        links.next_of_user[before] = after
    else:
        user_head[user] = after
    if after >= 0:
        links.prev_of_user[after] = before
    before, after = links.prev_of_ident[slot], links.next_of_ident[slot]
    if before >= 0:
        links.next_of_ident[before] = after
    else:
        ident_head[ident] = after
    if after >= 0:
        links.prev_of_ident[after] = before
    links.user[slot] = -1
    links.ident[slot] = -1
    links.tie_ends_ms[slot] = -1
    links.free[links.state[2]] = slot
    links.state[2] += 1
    links.state[0] -= 1


@njit(cache=True)
def next_expired(links: Links, ident_kind: U8, ttl_ms: I64, now_ms: Int) -> Int:
    """Returns the slot of a link that ended at or before `now_ms`, taken off the heap, or -1 when there is none."""
    while links.ends.size[0] > 0 and links.ends.when_ms[0] <= now_ms:
        slot = links.ends.item[0]
        ends = links.last_ms[slot] + ttl_ms[ident_kind[links.ident[slot]]]
        if ends <= now_ms:
            heap_pop(links.ends)
            return slot
        heap_replace_top(links.ends, ends, slot)
    return -1
