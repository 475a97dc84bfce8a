"""A hierarchical timing wheel of (moment, item), for many items that end at known event times.

A moment sits in the slot of its highest byte that differs from the wheel's own moment (Varghese and Lauck 1987,
scheme 7; the same idea as a radix heap). Adding is O(1), and so is each of an entry's at most seven moves towards its
end. Slots are chains of small blocks, so moving a slot reads memory in order; a binary heap of a million entries
costs twenty scattered reads for each entry.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I64, Int
from fraudgraph.kernels import njit

BLOCK: Final = 32
"""Entries in a block."""

ENTRY: Final = np.dtype([("when_ms", np.int64), ("item", np.int32)], align=True)
_CHAIN: Final = np.dtype([("count", np.int32), ("next", np.int32)], align=True)
_SLOTS: Final = 8 * 256
_NOW, _FREE, _SIZE, _ROOM = range(_SLOTS, _SLOTS + 4)


class Wheel(NamedTuple):
    """Entries in `b` blocks, chained by slot; only a chain's first block may be part full.

    Few arrays, because a kernel that calls another one passes each of them as seven words.

    Attributes:
        entries: `[b * BLOCK]` records `when_ms`, `item`.
        blocks: `[b]` records: `count` of entries; `next`, the next block of the slot, or the next free one, or -1.
        slots: `[8 * 256 + 4]` int64: each slot's first block, -1 where it is empty; then the wheel's moment, the first
            free block, the number of entries, and how many there may be.
    """

    entries: npt.NDArray[np.void]
    blocks: npt.NDArray[np.void]
    slots: I64


def new_wheel(entries: int) -> Wheel:
    """Returns an empty wheel."""
    slots = np.full(_SLOTS + 4, -1, np.int64)
    slots[_NOW], slots[_SIZE], slots[_ROOM] = 0, 0, 0
    return reserve_entries(Wheel(np.empty(0, ENTRY), np.empty(0, _CHAIN), slots), entries)


def reserve_entries(wheel: Wheel, entries: int) -> Wheel:
    """Returns a wheel with room for that many entries."""
    if entries <= wheel.slots[_ROOM]:
        return wheel
    # Beside full blocks, each slot may have one that is not full.
    have = len(wheel.blocks)
    need = max(have + 1, _SLOTS + -(-entries // BLOCK))
    blocks, slots = grown(wheel.blocks, need), wheel.slots.copy()
    blocks["next"][have:] = np.arange(have + 1, need + 1)
    blocks["next"][-1] = slots[_FREE]
    slots[_FREE], slots[_ROOM] = have, entries
    return Wheel(grown(wheel.entries, need * BLOCK), blocks, slots)


@njit(cache=True)
def wheel_now(wheel: Wheel) -> Int:
    """Returns the wheel's moment."""
    return wheel.slots[_NOW]


@njit(cache=True)
def level_of(one_ms: Int, other_ms: Int) -> Int:
    """Returns the place of the highest byte in which two moments differ; 0 where none does."""
    apart = np.uint64(one_ms) ^ np.uint64(other_ms)
    level = 0
    while apart >= np.uint64(256):
        apart >>= np.uint64(8)
        level += 1
    return level


@njit(cache=True)
def slot_at(level: Int, when_ms: Int) -> Int:
    """Returns a moment's slot at a level."""
    return level * 256 + ((when_ms >> (8 * level)) & 255)


@njit(cache=True)
def wheel_put(wheel: Wheel, when_ms: Int, item: Int) -> bool:
    """Adds an entry; returns False where there is no room.

    One that has ended goes to the slot of the wheel's own moment.
    """
    slots, blocks = wheel.slots, wheel.blocks
    if slots[_SIZE] == slots[_ROOM]:
        return False
    slots[_SIZE] += 1
    ends_ms = max(when_ms, slots[_NOW])
    slot = slot_at(level_of(slots[_NOW], ends_ms), ends_ms)
    block = slots[slot]
    if block < 0 or blocks[block]["count"] == BLOCK:
        fresh = slots[_FREE]
        slots[_FREE] = blocks[fresh]["next"]
        blocks[fresh]["next"] = block
        slots[slot] = fresh
        block = fresh
    entry = wheel.entries[block * BLOCK + blocks[block]["count"]]
    entry["when_ms"] = when_ms
    entry["item"] = item
    blocks[block]["count"] += 1
    return True


@njit(cache=True)
def take_block(wheel: Wheel, slot: Int, out: npt.NDArray[np.void]) -> Int:
    """Moves the first block of a slot's entries into `out` `[BLOCK]`; returns how many."""
    slots, blocks = wheel.slots, wheel.blocks
    block = slots[slot]
    if block < 0:
        return 0
    n = blocks[block]["count"]
    out[:n] = wheel.entries[block * BLOCK : block * BLOCK + n]
    slots[slot] = blocks[block]["next"]
    blocks[block]["count"] = 0
    blocks[block]["next"] = slots[_FREE]
    slots[_FREE] = block
    slots[_SIZE] -= n
    return n


@njit(cache=True)
def advance_wheel(wheel: Wheel, now_ms: Int, buffer: npt.NDArray[np.void]) -> None:
    """Moves the wheel's moment; what is due by then, and not taken yet, is now in the slot of that moment.

    The caller has emptied the slots that end before `now_ms`; `buffer` is `[BLOCK]`.
    """
    level = level_of(wheel.slots[_NOW], now_ms)
    wheel.slots[_NOW] = now_ms
    if level == 0:
        return
    slot = slot_at(level, now_ms)
    while wheel.slots[slot] >= 0:
        for entry in buffer[: take_block(wheel, slot, buffer)]:
            wheel_put(wheel, entry["when_ms"], entry["item"])


@njit(cache=True)
def take_all(wheel: Wheel) -> npt.NDArray[np.void]:
    """Empties the wheel; returns its entries in no order."""
    out = np.empty(wheel.slots[_SIZE], ENTRY)
    n = 0
    for slot in range(_SLOTS):
        while wheel.slots[slot] >= 0:
            n += take_block(wheel, slot, out[n:])
    return out
