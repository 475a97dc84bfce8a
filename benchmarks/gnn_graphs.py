"""Graphs for `benchmarks.gnn`: links of shops in the order in which they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.graph.types import I8, I32, I64
from fraudgraph.scoring.gnn.model import NetworkSchema, plain_schema, shop_schema

BANDS: Final = 16
START_MS: Final = 1_770_000_000_000
CAPPED: Final = 100
HUB_LINKS: Final = 44_000
"""Of all that come; some 38,000 of them are there when the clock starts."""
LINKS_PER_HUB: Final = 150_000


@dataclass(frozen=True, slots=True)
class Stream:
    """Links in the order in which they come, each once.

    Attributes:
        name: what kind of graph.
        kind: `[nodes]`; bands: `[nodes, 2]`.
        family, a, b, last_ms: `[links]`.
    """

    name: str
    schema: NetworkSchema
    kind: I8
    bands: I32
    family: I32
    a: I32
    b: I32
    last_ms: I64


def _degrees(random: np.random.Generator, identifiers: int, links: int) -> I64:
    """Returns how many links each identifier has: a power law with a tail, cut at `CAPPED`."""
    weight = np.minimum(CAPPED, 1 + random.pareto(2.0, identifiers))
    return np.maximum(1, np.minimum(CAPPED, np.round(weight * links / weight.sum()))).astype(np.int64)


def _pairs(random: np.random.Generator, users: int, degrees: I64, links: int, hubs: bool) -> tuple[I64, I64]:
    """Returns users and identifiers of distinct links; with `hubs`, a few identifiers grow to 38,000 users."""
    ident = random.permutation(np.repeat(np.arange(len(degrees)), degrees))
    user = random.integers(0, users, len(ident))
    if hubs:
        count = max(1, links // LINKS_PER_HUB)
        at = random.choice(len(ident), count * HUB_LINKS, replace=False)
        ident[at] = random.integers(0, count, len(at))
    _, first = np.unique(user * len(degrees) + ident, return_index=True)
    first.sort()
    return user[first[:links]], ident[first[:links]]


def plain(nodes: int, links: int, *, hubs: bool, seed: int = 7) -> Stream:
    """Returns a graph of one kind of node and of link: half of the nodes stand for users, half for identifiers."""
    random = np.random.default_rng(seed)
    users = nodes // 2
    user, ident = _pairs(random, users, _degrees(random, nodes - users, int(links * 1.05)), links, hubs)
    number = random.permutation(nodes)
    return Stream(
        f"homogeneous{', hubs of 38,000' if hubs else ''}",
        plain_schema((BANDS, BANDS)),
        np.zeros(nodes, np.int8),
        random.integers(0, BANDS, (nodes, 2)).astype(np.int32),
        np.zeros(len(user), np.int32),
        number[user].astype(np.int32),
        number[users + ident].astype(np.int32),
        np.full(len(user), START_MS),
    )


def shop(nodes: int, links: int, *, hubs: bool, seed: int = 7) -> Stream:
    """Returns a typed graph: four tenths users, six kinds of identifier, two hundredths transfers and referrals."""
    random = np.random.default_rng(seed)
    users = nodes * 2 // 5
    between = links // 50
    user, ident = _pairs(random, users, _degrees(random, nodes - users, int(links * 1.05)), links - between, hubs)
    bands = (BANDS, BANDS)
    kinds = ("user", "device", "ip", "card", "email", "phone", "address")
    kind_of_ident = 1 + np.arange(nodes - users) % 6
    family = np.append(kind_of_ident[ident] - 1, 6 + random.integers(0, 2, between))
    a = np.append(user, random.integers(0, users, between))
    b = np.append(users + ident, (a[len(user) :] + 1 + random.integers(0, users - 1, between)) % users)
    order = random.permutation(len(a))
    number = random.permutation(nodes)
    kind = np.empty(nodes, np.int8)
    kind[number] = np.append(np.zeros(users, np.int64), kind_of_ident)
    return Stream(
        f"typed, 7 kinds, 16 relations{', hubs of 38,000' if hubs else ''}",
        shop_schema(dict.fromkeys(kinds, bands), half_life_ms=30 * DAY_MS),
        kind,
        random.integers(0, BANDS, (nodes, 2)).astype(np.int32),
        family[order].astype(np.int32),
        number[a[order]].astype(np.int32),
        number[b[order]].astype(np.int32),
        START_MS + np.arange(len(a), dtype=np.int64) * (90 * DAY_MS // links),
    )
