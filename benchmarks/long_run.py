"""A million random operations through the graph and its ties, compared with a full rebuild again and again.

`python -m benchmarks.long_run [--operations 1000000] [--seed 7] [--every 20000]`; about a minute

An operation is a link that comes or is used again, an analyst's word (an identifier is harmless, or is so no more; two
accounts are tied, or no more), or a link that expires. Events come late and in any order, identifiers become hubs and
return, time stands still and jumps. After every 20,000 operations all is made anew, without any of the detector's
compiled code: the live links from the list of all uses (numpy), the strength of each by the policy's own definition,
hard ties and soft ties from these, and the components (scipy and networkx in turn). Links, their last use, the users of
each identifier and the components as sets must be equal. The first difference ends the run with exit code 1, its seed
and its operation.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from math import prod
from typing import Final

import networkx as nx
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.graph.hot import GraphLimits, HotGraph, distinct
from fraudgraph.graph.policy import KindPolicy, LinkPolicy
from fraudgraph.graph.types import I64
from fraudgraph.rings.forest import find_root
from fraudgraph.rings.ties import Ties

POLICY: Final = LinkPolicy(
    kinds={
        "device": KindPolicy(prior=0.95, hub_users=12, ttl_days=20),
        "card": KindPolicy(prior=0.95, hub_users=8, ttl_days=30),
        "email": KindPolicy(prior=0.95, hub_users=4, ttl_days=30),
        "phone": KindPolicy(prior=0.90, hub_users=5, ttl_days=25),
        "address": KindPolicy(prior=0.45, hub_users=16, ttl_days=25),
        "ip": KindPolicy(prior=0.40, hub_users=12, ttl_days=10),
    },
    locality_days=2,
    locality_per_band=0.8,
    max_pair_users=8,
)
"""Short and narrow, so that links expire, bands change and hubs come and go all the time."""

LIMITS: Final = GraphLimits(user_days=40, order_days=20, transfer_days=30)
LATENESS_MS: Final = 6 * HOUR_MS
START_MS: Final = 1_770_000_000_000
USERS: Final = 6_000
BATCH: Final = 500
SHARE: Final = {
    EntityKind.DEVICE: 0.2,
    EntityKind.IP: 0.25,
    EntityKind.CARD: 0.15,
    EntityKind.EMAIL: 0.1,
    EntityKind.PHONE: 0.1,
    EntityKind.ADDRESS: 0.2,
}
FEW: Final = 150
"""Identifiers of a kind that the crowd uses: with the lives of links above, they stand about the border of a hub."""
CROWD: Final = 1_500


class DifferentError(Exception):
    """What the detector keeps is not what a rebuild gives."""


@dataclass(slots=True)
class Shop:
    """A seeded shop, and the plain list of all that was done to it.

    Attributes:
        uses: per batch, `[n, 4]`: user, kind, identifier, ms.
        benign: identifiers that are harmless now.
        together: pairs of users that are tied now -> until when.
    """

    rng: np.random.Generator
    now_ms: int = START_MS
    uses: list[I64] = field(default_factory=list)
    benign: set[tuple[int, int]] = field(default_factory=set)
    together: dict[tuple[int, int], int] = field(default_factory=dict)

    def batch(self) -> DecodedBatch:
        """Draws the next uses, none of them before the watermark, and lets some time pass."""
        rng = self.rng
        kinds = rng.choice([int(kind) for kind in SHARE], BATCH, p=list(SHARE.values()))
        users = rng.integers(0, USERS, BATCH)
        # Accounts of a crowd and what a crowd uses: hubs, their borders, and a giant component. The others at home:
        # three accounts that share all they do, and now and then meet a stranger.
        where = rng.random(BATCH)
        users = np.where(where < 0.1, users % CROWD, users)
        identifiers = np.select(
            [where < 0.1, where < 0.93],
            [rng.integers(0, FEW, BATCH), FEW + users // 3],
            rng.integers(0, 3 * USERS, BATCH),
        )
        hours = rng.choice([0, 1, 2, 5, 24], p=[0.2, 0.38, 0.3, 0.09, 0.03])
        passed = int(hours) * HOUR_MS
        until_ms = self.now_ms + passed + LATENESS_MS
        rows = np.column_stack((users, kinds, identifiers, rng.integers(self.now_ms, until_ms, BATCH))).astype(np.int64)
        self.now_ms += passed
        self.uses.append(rows)
        return _decoded(rows, len(self.uses) * BATCH)

    def say(self) -> int:
        """Changes what analysts said; returns how many words that were."""
        rng, words = self.rng, 0
        if rng.random() < 0.2:
            # Mostly of the few: whatever the analyst calls harmless is something that is much shared.
            kind, top = (
                int(rng.choice([int(k) for k in SHARE])),
                USERS if rng.random() < 0.2 else FEW,
            )
            self.benign ^= {(kind, int(rng.integers(0, top)))}
            words += 1
        if rng.random() < 0.2:
            a, b = sorted(rng.choice(USERS, 2, replace=False).tolist())
            self.together[a, b] = self.now_ms + int(rng.integers(1, 20 * DAY_MS))
            words += 1
        if rng.random() < 0.05 and self.together:
            del self.together[sorted(self.together)[int(rng.integers(0, len(self.together)))]]
            words += 1
        self.together = {pair: until for pair, until in self.together.items() if until > self.now_ms}
        return words

    def live(self) -> dict[tuple[int, int, int], int]:
        """Returns the links that have not expired, by (user, kind, identifier), with their last use."""
        longest_ms = max(kind.ttl_days for kind in POLICY.kinds.values()) * DAY_MS
        while len(self.uses) > 1 and int(self.uses[0][:, 3].max()) + longest_ms <= self.now_ms:
            del self.uses[0]
        rows = np.concatenate(self.uses)
        ttl_ms = (
            np.array([0, *(POLICY.kinds[EntityKind(k).label].ttl_days for k in range(1, len(EntityKind)))]) * DAY_MS
        )
        rows = rows[rows[:, 3] + ttl_ms[rows[:, 1]] > self.now_ms]
        found: dict[tuple[int, int, int], int] = {}
        for user, kind, identifier, ms in rows.tolist():
            found[user, kind, identifier] = max(found.get((user, kind, identifier), 0), ms)
        return found


def _key(kind: int, identifier: int) -> bytes:
    return kind.to_bytes(8, "big") + identifier.to_bytes(8, "big")


def _decoded(rows: I64, first: int) -> DecodedBatch:
    n = len(rows)
    offset = np.arange(first, first + n, dtype=np.int64)
    return DecodedBatch(
        partitions=["p"],
        partition_of=np.zeros(n, np.int32),
        offset=offset,
        next_offset=offset + 1,
        broker_ms=None,
        event_key=[i.to_bytes(16, "big") for i in offset.tolist()],
        type=np.full(n, EventType.LOGIN, np.uint8),
        ts_ms=rows[:, 3].copy(),
        user=[f"u{user}" for user in rows[:, 0].tolist()],
        counterparty=[None] * n,
        amount_minor=np.zeros(n, np.int64),
        currency=np.zeros(n, np.uint16),
        order_key=[None] * n,
        status=np.zeros(n, np.uint8),
        link_event=np.arange(n, dtype=np.int32),
        link_kind=rows[:, 1].astype(np.uint8),
        link_key=[_key(kind, identifier) for kind, identifier in rows[:, 1:3].tolist()],
        link_mask=[""] * n,
        seal=lambda i: b"",
    )


def rebuilt(shop: Shop, links: dict[tuple[int, int, int], int]) -> tuple[list[tuple[int, int]], int, int]:
    """Returns all ties between nodes (user u is u, identifiers follow), how many nodes, and how many ties are soft."""
    users_of: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for (user, kind, identifier), last_ms in links.items():
        users_of[kind, identifier].append((user, last_ms))
    ties = [pair for pair, until in shop.together.items() if until > shop.now_ms]
    weak: dict[tuple[int, int], list[tuple[str, float]]] = defaultdict(list)
    node = USERS
    for (kind, identifier), uses in users_of.items():
        label, active = EntityKind(kind).label, len(uses)
        node += 1
        if active < 2 or (kind, identifier) in shop.benign:
            continue
        if not POLICY.is_weak(label):
            ties += [
                (user, node)
                for user, last_ms in uses
                if POLICY.strength(label, active, shop.now_ms - last_ms) >= POLICY.theta
            ]
        elif active <= POLICY.max_pair_users:
            for (a, a_ms), (b, b_ms) in combinations(sorted(uses), 2):
                strength = POLICY.strength(label, active, shop.now_ms - min(a_ms, b_ms))
                if strength:
                    weak[a, b].append((label, strength))
    soft = [
        pair
        for pair, shared in weak.items()
        if any(label != "ip" for label, _ in shared) and 1.0 - prod(1.0 - s for _, s in shared) >= POLICY.theta
    ]
    return ties + soft, node + 1, len(soft)


def parts_of(ties: list[tuple[int, int]], nodes: int, *, by_networkx: bool) -> set[frozenset[int]]:
    """Returns the sets of users that hold together, two users or more."""
    groups: dict[int, list[int]] = defaultdict(list)
    if by_networkx:
        network = nx.Graph(ties)
        for name, part in enumerate(nx.connected_components(network)):
            groups[name] = [node for node in part if node < USERS]
    else:
        a, b = np.array(ties, np.int64).reshape(-1, 2).T
        _, labels = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(nodes, nodes)), directed=False)
        for user, name in enumerate(labels[:USERS].tolist()):
            groups[name].append(user)
    return {frozenset(group) for group in groups.values() if len(group) >= 2}


def compare(shop: Shop, graph: HotGraph, ties: Ties, *, by_networkx: bool) -> tuple[int, int, int]:
    """Compares everything; returns the numbers of live links, components of two users or more, and soft ties.

    Raises:
        DifferentError: something is not equal.
    """
    links = shop.live()
    slots = np.flatnonzero(graph.links.user >= 0)
    names = [int((name or "u-1")[1:]) for name in graph.user_table.key_of]
    kept = {}
    keys = _keys_of(graph, graph.links.ident[slots])
    for slot, (kind, identifier) in zip(slots.tolist(), keys, strict=True):
        kept[names[int(graph.links.user[slot])], kind, identifier] = int(graph.links.last_ms[slot])
    if kept != links:
        raise DifferentError(f"links: {len(kept)} kept, {len(links)} alive, {len(kept.items() ^ links.items())} differ")
    degree = np.bincount(graph.links.ident[slots], minlength=len(graph.idents.degree))
    if (degree != graph.idents.degree).any():
        raise DifferentError("users of an identifier")
    wanted, nodes, soft = rebuilt(shop, links)
    parts = parts_of(wanted, nodes, by_networkx=by_networkx)
    groups: dict[int, list[int]] = defaultdict(list)
    for name, user in graph.user_table.id_of.items():
        groups[int(find_root(ties.forest, 2 * user))].append(int(name[1:]))
    found = {frozenset(group) for group in groups.values() if len(group) >= 2}
    if found != parts:
        raise DifferentError(f"components: {len(found)} kept, {len(parts)} rebuilt, {len(found ^ parts)} differ")
    return len(links), len(parts), soft


def _keys_of(graph: HotGraph, idents: np.ndarray) -> list[tuple[int, int]]:
    from fraudgraph.graph.interning import key_bytes

    return [
        (int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big"))
        for key in key_bytes(graph.keys, idents.astype(np.int32))
    ]


def run(operations: int, seed: int, every: int) -> None:
    """Runs the operations and prints what was compared.

    Raises:
        DifferentError: at the first difference.
    """
    shop = Shop(np.random.default_rng(seed))
    graph, ties = HotGraph(POLICY, LIMITS), Ties(POLICY)
    done = checks = expired = words = soft = hubs = timed = 0
    spent = 0.0
    due = every
    links = parts = 0
    while done < operations:
        batch = shop.batch()
        said = shop.say()
        benign = frozenset(_key(*each) for each in shop.benign)
        began = time.process_time()
        change = graph.apply(batch, None, shop.now_ms)
        marked = graph.mark_benign(benign)
        change.idents = distinct(np.concatenate((change.idents, marked)))
        id_of = graph.user_table.id_of
        # As the desk does it: a constraint on an account that nobody has seen, or that is forgotten, waits.
        pairs = {
            (min(id_of[f"u{a}"], id_of[f"u{b}"]), max(id_of[f"u{a}"], id_of[f"u{b}"])): until
            for (a, b), until in shop.together.items()
            if f"u{a}" in id_of and f"u{b}" in id_of
        }
        ties.update(graph, change, shop.now_ms, pairs)
        if checks:  # until the first one, kernels are compiled
            spent += time.process_time() - began
            timed += BATCH + said + len(change.links_deleted)
        done += BATCH + said + len(change.links_deleted)
        expired += len(change.links_deleted)
        words += said
        if done >= due:
            due += every
            known = {pair: until for pair, until in shop.together.items() if {f"u{u}" for u in pair} <= id_of.keys()}
            here = Shop(shop.rng, shop.now_ms, shop.uses, shop.benign, known)
            try:
                links, parts, now_soft = compare(here, graph, ties, by_networkx=checks % 2 == 0)
            except DifferentError as different:
                raise DifferentError(f"seed {seed}, after operation {done:,}: {different}") from None
            checks += 1
            soft += now_soft
            hubs += int((graph.idents.degree > ties.tables.limit[graph.idents.kind]).sum())
    days = (shop.now_ms - START_MS) / DAY_MS
    print(
        f"seed {seed}: {done:,} operations over {days:,.0f} days: {expired:,} links expired, {words:,} analysts' words"
    )
    print(f"{checks:,} full rebuilds (networkx and scipy in turn): links, users of identifiers and components equal")
    print(f"at the end {links:,} live links in {parts:,} components; on average {soft // checks:,} soft ties, and")
    print(f"{hubs // checks:,} hubs; {timed / spent:,.0f} operations/s of CPU in batches of {BATCH}")


def main() -> int:
    """Returns 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--every", type=int, default=20_000)
    asked = parser.parse_args()
    try:
        run(asked.operations, asked.seed, asked.every)
    except DifferentError as different:
        print(f"DIFFERENT: {different}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
