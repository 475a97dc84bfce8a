"""Identifiers of a simulated world: different ones read differently, and the seed alone decides how."""

from __future__ import annotations

import numpy as np
import pytest

from fraudgraph.events.kinds import EntityKind
from fraudgraph.simulate.identifiers import Pools

FAR = 5_000_000
IDS = np.concatenate([np.arange(20_000), np.arange(FAR, FAR + 20_000)])


@pytest.mark.parametrize("kind", list(EntityKind))
def test_different_identifiers_have_different_texts(kind: EntityKind) -> None:
    texts = Pools(4).text(kind, IDS)
    assert len(set(texts)) == len(IDS)
    assert texts == Pools(4).text(kind, IDS)
    assert texts != Pools(5).text(kind, IDS)


def test_ids_of_orders_and_events_are_different_too() -> None:
    pools = Pools(4)
    assert len(set(pools.order_ids(IDS))) == len(IDS)
    assert len(set(pools.event_ids(IDS))) == len(IDS)


def test_nobody_gets_an_identifier_twice() -> None:
    pools = Pools(4)
    taken = np.concatenate([pools.take(EntityKind.CARD, count) for count in (3, 0, 5)])
    assert taken.tolist() == list(range(8))
    assert pools.take(EntityKind.DEVICE, 1).tolist() == [0]
