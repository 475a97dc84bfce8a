"""What anybody would try first: connected components with a degree cap, and Louvain, on the same links."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudgraph.engine import Engine
from fraudgraph.events.kinds import EntityKind
from training.ring_truth import Truth

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

MIN_USERS = 3
ALL_KINDS = ("device", "card", "email", "phone", "address", "ip")
WITHOUT_IP = ALL_KINDS[:-1]
STRONG = ALL_KINDS[:-2]


@dataclass(frozen=True, slots=True)
class LinkTable:
    """Links alive at the end of a stream; all columns `[n]` but the users' names.

    Attributes:
        names: of the users.
        user: index into `names`.
        ident: dense number of the identifier.
        kind: EntityKind.
        first_ms: first use.
    """

    names: list[str]
    user: I32
    ident: I32
    kind: npt.NDArray[np.uint8]
    first_ms: I64


@dataclass(frozen=True, slots=True)
class Rival:
    """A way of finding groups: kinds of identifier that link, and the most users of one.

    Attributes:
        louvain: communities of the graph of users and identifiers; its components where False.
    """

    name: str
    kinds: tuple[str, ...]
    cap: int
    louvain: bool

    def groups(self, links: LinkTable, until_ms: int | None = None) -> I32:
        """Returns `[users]` the group of each user; of links first used by `until_ms`, all where None."""
        rows = np.isin(links.kind, [int(EntityKind[kind.upper()]) for kind in self.kinds])
        if until_ms is not None:
            rows &= links.first_ms <= until_ms
        user, ident = links.user[rows], links.ident[rows]
        degree = np.bincount(ident, minlength=1)
        kept = (degree[ident] >= 2) & (degree[ident] <= self.cap)
        user, ident = user[kept], np.unique(ident[kept], return_inverse=True)[1].astype(np.int32)
        n = len(links.names)
        return _louvain(n, user, ident) if self.louvain else _components(n, user, ident)


COMPONENTS = tuple(
    Rival(name, kinds, 10, False)
    for name, kinds in (("all kinds", ALL_KINDS), ("without IP", WITHOUT_IP), ("device, card, e-mail, phone", STRONG))
)
LOUVAIN = tuple(
    Rival(f"{name}, cap {cap}", kinds, cap, True)
    for name, kinds in (("all kinds", ALL_KINDS), ("without IP", WITHOUT_IP), ("device, card, e-mail, phone", STRONG))
    for cap in (10, 256)
)


def links_of(engine: Engine) -> LinkTable:
    """Returns an engine's living links."""
    links, graph = engine.graph.links, engine.graph
    slots = np.flatnonzero(links.user[: int(links.state[1])] >= 0)
    users, place = np.unique(links.user[slots], return_inverse=True)
    return LinkTable(
        names=[graph.user_table.key_of[user] or "" for user in users.tolist()],
        user=place.astype(np.int32),
        ident=links.ident[slots].astype(np.int32),
        kind=graph.idents.kind[links.ident[slots]].copy(),
        first_ms=links.first_ms[slots].astype(np.int64),
    )


def teams(names: list[str], group: I32, min_users: int = MIN_USERS) -> list[list[str]]:
    """Returns the groups of at least so many users, by their numbers."""
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(order) else []
    return [[names[user] for user in part.tolist()] for part in parts if len(part) >= min_users]


def first_found(rival: Rival, min_users: int, links: LinkTable, truth: Truth, moments: Iterable[int]) -> dict[int, int]:
    """Returns ring -> first of the moments at which a group of at least so many users is that ring."""
    found: dict[int, int] = {}
    suspects = {name for ring in truth.rings for name in ring.members}
    for now_ms in moments:
        group = rival.groups(links, now_ms)
        touched = np.unique(group[[place for place, name in enumerate(links.names) if name in suspects]])
        kept = np.where(np.isin(group, touched), group, -1)
        order = np.flatnonzero(kept >= 0)
        for team in teams([links.names[user] for user in order.tolist()], kept[order], min_users):
            verdict = truth.judge(team)
            if verdict.is_right:
                found.setdefault(verdict.ring, now_ms)
    return found


def _components(users: int, user: I32, ident: I32) -> I32:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = users + (int(ident.max()) + 1 if len(ident) else 0)
    graph = coo_array((np.ones(len(user), np.int8), (user, ident + users)), shape=(size, size))
    group: I32 = connected_components(graph, directed=False)[1][:users].astype(np.int32)
    return group


def _louvain(users: int, user: I32, ident: I32) -> I32:
    """Louvain (Blondel et al., 2008; igraph's multilevel) over users and identifiers, unweighted."""
    import igraph

    size = users + (int(ident.max()) + 1 if len(ident) else 0)
    graph = igraph.Graph(n=size, edges=np.column_stack([user, ident + users]))
    igraph.set_random_number_generator(random.Random(0))
    membership = graph.community_multilevel().membership
    igraph.set_random_number_generator(random)
    return np.array(membership[:users], np.int32)
