"""A binary min-heap of (moment, item) in two arrays, for everything that ends at a known event time.

Entries are lazy: an item that was refreshed keeps its one old entry, and is put back at its new moment when
the old one comes up. So there is one entry per item, however often it is used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I32, I64, Int
from fraudgraph.kernels import njit


class Heap(NamedTuple):
    """`when_ms` `[cap]` int64, `item` `[cap]` int32, `size` `[1]` int64."""

    when_ms: I64
    item: I32
    size: I64


def new_heap(capacity: int) -> Heap:
    """Returns an empty heap."""
    return Heap(np.empty(capacity, np.int64), np.empty(capacity, np.int32), np.zeros(1, np.int64))


def reserve_heap(heap: Heap, more: int) -> Heap:
    """Returns a heap with room for `more` pushes."""
    need = int(heap.size[0]) + more
    if need <= len(heap.when_ms):
        return heap
    capacity = need + need // 2
    return Heap(grown(heap.when_ms, capacity), grown(heap.item, capacity), heap.size)


@njit(cache=True)
def heap_push(heap: Heap, when_ms: Int, item: Int) -> None:
    """Adds an entry; the caller reserved room."""
    i = heap.size[0]
    heap.size[0] = i + 1
    while i > 0:
        up = (i - 1) >> 1
        if heap.when_ms[up] <= when_ms:
            break
        heap.when_ms[i] = heap.when_ms[up]
        heap.item[i] = heap.item[up]
        i = up
    heap.when_ms[i] = when_ms
    heap.item[i] = item


@njit(cache=True)
def heap_replace_top(heap: Heap, when_ms: Int, item: Int) -> None:
    """Puts an entry in the place of the earliest one."""
    size = heap.size[0]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap.when_ms[child + 1] < heap.when_ms[child]:
            child += 1
        if heap.when_ms[child] >= when_ms:
            break
        heap.when_ms[i] = heap.when_ms[child]
        heap.item[i] = heap.item[child]
        i = child
    heap.when_ms[i] = when_ms
    heap.item[i] = item


@njit(cache=True)
def heap_pop(heap: Heap) -> None:
    """Removes the earliest entry."""
    last = heap.size[0] - 1
    heap.size[0] = last
    if last > 0:
        heap_replace_top(heap, heap.when_ms[last], heap.item[last])


class KeyedHeap(NamedTuple):
    """A min-heap with at most one entry per item, which can be moved: `position` `[items]` int32, -1 where absent.

    `when_ms` and `item` have room for all items, so a push never fails.
    """

    when_ms: I64
    item: I32
    position: I32
    size: I64


def new_keyed_heap(items: int) -> KeyedHeap:
    """Returns an empty heap for items below `items`."""
    return KeyedHeap(
        np.empty(items, np.int64), np.empty(items, np.int32), np.full(items, -1, np.int32), np.zeros(1, np.int64)
    )


def reserve_items(heap: KeyedHeap, items: int) -> KeyedHeap:
    """Returns a heap for items below `items`."""
    return KeyedHeap(grown(heap.when_ms, items), grown(heap.item, items), grown(heap.position, items, -1), heap.size)


@njit(cache=True)
def keyed_put(heap: KeyedHeap, when_ms: Int, item: Int) -> None:
    """Adds an item, or moves it to another moment."""
    at = heap.position[item]
    if at < 0:
        at = heap.size[0]
        heap.size[0] = at + 1
        _rise(heap, at, when_ms, item)
    elif when_ms < heap.when_ms[at]:
        _rise(heap, at, when_ms, item)
    else:
        _sink(heap, at, when_ms, item)


@njit(cache=True)
def keyed_remove(heap: KeyedHeap, item: Int) -> None:
    """Removes an item, if it is there."""
    at = heap.position[item]
    if at < 0:
        return
    heap.position[item] = -1
    last = heap.size[0] - 1
    heap.size[0] = last
    if at < last:
        when_ms, moved = heap.when_ms[last], heap.item[last]
        if at > 0 and heap.when_ms[(at - 1) >> 1] > when_ms:
            _rise(heap, at, when_ms, moved)
        else:
            _sink(heap, at, when_ms, moved)


@njit(cache=True)
def _rise(heap: KeyedHeap, at: Int, when_ms: Int, item: Int) -> None:
    while at > 0:
        up = (at - 1) >> 1
        if heap.when_ms[up] <= when_ms:
            break
        heap.when_ms[at] = heap.when_ms[up]
        heap.item[at] = heap.item[up]
        heap.position[heap.item[at]] = at
        at = up
    heap.when_ms[at] = when_ms
    heap.item[at] = item
    heap.position[item] = at


@njit(cache=True)
def _sink(heap: KeyedHeap, at: Int, when_ms: Int, item: Int) -> None:
    size = heap.size[0]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap.when_ms[child + 1] < heap.when_ms[child]:
            child += 1
        if heap.when_ms[child] >= when_ms:
            break
        heap.when_ms[at] = heap.when_ms[child]
        heap.item[at] = heap.item[child]
        heap.position[heap.item[at]] = at
        at = child
    heap.when_ms[at] = when_ms
    heap.item[at] = item
    heap.position[item] = at
