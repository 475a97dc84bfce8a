"""The tables below the graph against dictionaries and heapq."""

from __future__ import annotations

import heapq

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudgraph.graph.heap import (
    heap_pop,
    heap_push,
    heap_replace_top,
    keyed_put,
    keyed_remove,
    new_heap,
    new_keyed_heap,
    reserve_heap,
    reserve_items,
)
from fraudgraph.graph.interning import (
    UserTable,
    forget_key,
    intern_keys,
    key_bytes,
    key_halves,
    look_up_keys,
    new_key_table,
    reserve_keys,
    restore_keys,
)

numbers = st.integers(0, 40)


def crowded(number: int) -> bytes:
    """Returns a key; many of them belong to the same few places of any table."""
    low = (number % 3) | (number << 40)
    return number.to_bytes(8, "little") + low.to_bytes(8, "little")


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(st.lists(numbers, max_size=12), st.sets(numbers, max_size=12)), max_size=14))
def test_keys_get_ids_that_are_theirs_until_forgotten(steps: list[list[int] | set[int]]) -> None:
    """Lists are keys to intern, sets are keys to forget."""
    table = new_key_table(4)
    model: dict[bytes, int] = {}
    for step in steps:
        keys = [crowded(number) for number in step]
        if isinstance(step, list) and keys:
            table = reserve_keys(table, len(keys))
            ids, is_new = np.empty(len(keys), np.int32), np.empty(len(keys), np.bool_)
            intern_keys(table, key_halves(keys), ids, is_new)
            for key, number, new in zip(keys, ids.tolist(), is_new.tolist(), strict=True):
                assert new == (key not in model)
                assert model.setdefault(key, number) == number
        elif isinstance(step, set):
            for key in keys:
                if key in model:
                    forget_key(table, model.pop(key))
        assert len(set(model.values())) == len(model)
        assert all(number < table.state[1] <= 41 for number in model.values())
        assert table.state[0] == len(model)
        ids = np.array(list(model.values()), np.int32)
        assert key_bytes(table, ids) == list(model)
        everything = [crowded(number) for number in range(42)]
        found = look_up_keys(table, key_halves(everything)).tolist()
        assert found == [model.get(key, -1) for key in everything]
    restored = restore_keys(np.array(list(model.values()), np.int64), key_halves(list(model)))
    found = look_up_keys(restored, key_halves(everything if steps else [])).tolist()
    assert found == ([model.get(key, -1) for key in everything] if steps else [])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=60), st.integers(0, 60))
def test_users_get_the_lowest_free_id_also_after_a_restart(steps: list[tuple[bool, int]], restart: int) -> None:
    table = UserTable()
    model: dict[str, int] = {}
    for place, (comes, number) in enumerate(steps):
        name = f"u{number}"
        if place == restart:
            table = UserTable()
            table.restore([(user, key) for key, user in model.items()])
        if comes:
            free = min(set(range(len(model) + 1)) - set(model.values()))
            assert table.intern(name) == model.setdefault(name, free)
        elif name in model:
            table.forget(model.pop(name))
        assert table.id_of == model
        assert {user: key for user, key in enumerate(table.key_of) if key is not None} == {
            user: key for key, user in model.items()
        }


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["push", "push", "pop", "replace"]), st.integers(0, 9)), max_size=80))
def test_heap_is_heapq(steps: list[tuple[str, int]]) -> None:
    heap = new_heap(1)
    model: list[tuple[int, int]] = []
    for place, (what, when_ms) in enumerate(steps):
        if what == "push":
            heap = reserve_heap(heap, 1)
            heap_push(heap, when_ms, place)
            heapq.heappush(model, (when_ms, place))
        elif model:
            top = (int(heap.when_ms[0]), int(heap.item[0]))
            assert top[0] == model[0][0]
            # Of equal moments any may be first.
            model.remove(top)
            heapq.heapify(model)
            if what == "pop":
                heap_pop(heap)
            else:
                heap_replace_top(heap, when_ms, place)
                heapq.heappush(model, (when_ms, place))
        count = int(heap.size[0])
        entries = zip(heap.when_ms[:count].tolist(), heap.item[:count].tolist(), strict=True)
        assert sorted(entries) == sorted(model)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["put", "put", "remove"]), st.integers(0, 11), st.integers(0, 9)), max_size=80)
)
def test_keyed_heap_holds_each_item_once_at_its_last_moment(steps: list[tuple[str, int, int]]) -> None:
    heap = new_keyed_heap(2)
    model: dict[int, int] = {}
    for what, item, when_ms in steps:
        heap = reserve_items(heap, 12)
        if what == "put":
            keyed_put(heap, when_ms, item)
            model[item] = when_ms
        else:
            keyed_remove(heap, item)
            model.pop(item, None)
        count = int(heap.size[0])
        assert dict(zip(heap.item[:count].tolist(), heap.when_ms[:count].tolist(), strict=True)) == model
        assert count == len(model)
        if model:
            assert heap.when_ms[0] == min(model.values())
