"""An engine's state by keys instead of dense ids, so that two engines can be compared whatever they went through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudgraph.engine import Engine
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.interning import key_bytes
from fraudgraph.graph.users import COUNTS
from fraudgraph.rings.features import RING_FEATURES, RING_MONEY
from fraudgraph.rings.forest import find_root
from fraudgraph.rings.measure import RingMeasure

Identifier = tuple[EntityKind, bytes]


@dataclass(frozen=True, slots=True)
class LinkView:
    """A living link; `before` is (first_ms, last_ms, count, sources) of the run before, while a use can join it."""

    first_ms: int
    last_ms: int
    count: int
    sources: int
    before: tuple[int, int, int, int] | None
    strength: float
    hub: bool


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order; `status` has bit `1 << Status` for each status seen."""

    user: str
    ts_ms: int
    amount_minor: int
    refunded_minor: int
    charged_minor: int
    currency: int
    status: int


@dataclass(frozen=True, slots=True)
class UserView:
    """A user's activity; `counts` by name as in `graph.users.COUNTS`."""

    first_ms: int
    last_ms: int
    signup_ms: int
    first_spend_ms: int
    counts: dict[str, int]
    label: int


@dataclass(frozen=True, slots=True)
class GraphView:
    """What Law 1 promises to be the same for any cut into batches.

    Attributes:
        transfers: by (sender, receiver, EventType, currency): first_ms, last_ms, count, amount in minor units.
        components: members of every component of at least two users, in the forest.
    """

    watermark_ms: int
    links: dict[tuple[str, Identifier], LinkView]
    users: dict[str, UserView]
    orders: dict[bytes, OrderView]
    transfers: dict[tuple[str, str, int, int], tuple[int, int, int, int]]
    components: frozenset[frozenset[str]]


def graph_view(engine: Engine) -> GraphView:
    """Returns the graph and its components by keys."""
    return GraphView(
        watermark_ms=engine.watermark_ms,
        links=_links(engine),
        users=_users(engine),
        orders=_orders(engine),
        transfers=_transfers(engine),
        components=_components(engine),
    )


def rings_view(engine: Engine) -> dict[int, frozenset[str]]:
    """Returns the members of every living ring by its serial."""
    return {serial: _names(engine, team) for serial, team in sorted(engine.register.members.items())}


def measures_view(engine: Engine, teams: Iterable[frozenset[str]]) -> dict[frozenset[str], dict[str, float]]:
    """Returns features and money of teams of users by name, measured now: whole numbers are exact."""
    graph = engine.graph
    named = sorted(teams, key=sorted)
    ids = [np.array(sorted(graph.user_table.id_of[name] for name in team), np.int32) for team in named]
    starts = np.zeros(len(ids) + 1, np.int64)
    np.cumsum([len(team) for team in ids], out=starts[1:])
    members = np.concatenate(ids) if ids else np.empty(0, np.int32)
    features, money = RingMeasure()(graph, engine.ties.tables.limit, engine.watch, members, starts)
    return {
        team: dict(zip(RING_FEATURES, features[place].tolist(), strict=True))
        | dict(zip(RING_MONEY, money[place].tolist(), strict=True))
        for place, team in enumerate(named)
    }


def _name(engine: Engine, user: int) -> str:
    name = engine.graph.user_table.key_of[user]
    assert name is not None, f"user {user} is forgotten, and something still speaks of them"
    return name


def _names(engine: Engine, users: npt.NDArray[np.int32]) -> frozenset[str]:
    return frozenset(_name(engine, int(user)) for user in users)


def _links(engine: Engine) -> dict[tuple[str, Identifier], LinkView]:
    graph, now_ms, policy = engine.graph, engine.watermark_ms, engine.policy
    links = graph.links
    slots = np.flatnonzero(links.user >= 0)
    keys = key_bytes(graph.keys, links.ident[slots])
    found = {}
    for slot, key in zip(slots.tolist(), keys, strict=True):
        ident = int(links.ident[slot])
        kind = EntityKind(int(graph.idents.kind[ident]))
        users, last_ms = int(graph.idents.degree[ident]), int(links.last_ms[slot])
        sources = int(links.sources[slot])
        before = None
        if links.prev_last_ms[slot] >= 0 and links.prev_last_ms[slot] + graph.ttl_ms[kind] > now_ms:
            run = (links.prev_first_ms[slot], links.prev_last_ms[slot], links.prev_uses[slot])
            before = (int(run[0]), int(run[1]), int(run[2]), sources >> 16)
        view = LinkView(
            first_ms=int(links.first_ms[slot]),
            last_ms=last_ms,
            count=int(links.uses[slot]),
            sources=sources & 0xFFFF,
            before=before,
            strength=policy.strength(kind.label, users, now_ms - last_ms),
            hub=users > policy.kinds[kind.label].hub_users,
        )
        found[_name(engine, int(links.user[slot])), (kind, key)] = view
    assert len(found) == len(slots), "a pair has two links"
    return found


def _users(engine: Engine) -> dict[str, UserView]:
    users = engine.graph.users
    return {
        name: UserView(
            first_ms=int(users.first_ms[user]),
            last_ms=int(users.last_ms[user]),
            signup_ms=int(users.signup_ms[user]),
            first_spend_ms=int(users.first_spend_ms[user]),
            counts=dict(zip(COUNTS, users.counts[user].tolist(), strict=True)),
            label=int(users.label[user]),
        )
        for name, user in engine.graph.user_table.id_of.items()
    }


def _orders(engine: Engine) -> dict[bytes, OrderView]:
    orders = engine.graph.orders
    slots = np.flatnonzero(orders.user >= 0).astype(np.int32)
    return {
        key: OrderView(
            user=_name(engine, int(orders.user[slot])),
            ts_ms=int(orders.ts_ms[slot]),
            amount_minor=int(orders.amount_minor[slot]),
            refunded_minor=int(orders.refunded_minor[slot]),
            charged_minor=int(orders.charged_minor[slot]),
            currency=int(orders.currency[slot]),
            status=int(orders.status[slot]),
        )
        for slot, key in zip(slots.tolist(), key_bytes(engine.graph.order_keys, slots), strict=True)
    }


def _transfers(engine: Engine) -> dict[tuple[str, str, int, int], tuple[int, int, int, int]]:
    c = engine.graph.transfers.columns
    return {
        (_name(engine, int(c.sender[i])), _name(engine, int(c.receiver[i])), int(c.kind[i]), int(c.currency[i])): (
            int(c.first_ms[i]),
            int(c.last_ms[i]),
            int(c.uses[i]),
            int(c.amount_minor[i]),
        )
        for i in np.flatnonzero(c.sender >= 0).tolist()
    }


def _components(engine: Engine) -> frozenset[frozenset[str]]:
    groups: dict[int, list[str]] = {}
    for name, user in engine.graph.user_table.id_of.items():
        root = int(find_root(engine.ties.forest, 2 * user))
        groups.setdefault(root, []).append(name)
    return frozenset(frozenset(group) for group in groups.values() if len(group) > 1)
