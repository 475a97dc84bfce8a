"""Fraud in a simulated world shows in who shares what, and hardly in what anybody does alone.

A tree on a user's own behaviour must stay far below the same tree that also sees the graph, and shuffling who
has which identifier must take the graph's advantage away. Otherwise the world would reward a detector that
never looks at rings.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EventType, Status
from fraudgraph.simulate.ledger import Events
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import World, simulate

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KINDS = ("device", "ip", "card", "email", "phone", "address")
HUB_USERS = 60
TRAIN, TEST = (11, 12, 13), (21, 22, 23)
SPEC = WorldSpec(seed=0, users=8_000, days=30)


def test_tabular_features_stay_far_below_graph_features(capsys: pytest.CaptureFixture[str]) -> None:
    worlds = {seed: simulate(replace(SPEC, seed=seed)) for seed in TRAIN + TEST}
    own = {seed: tabular(world.events) for seed, world in worlds.items()}
    truth = {seed: members(world) for seed, world in worlds.items()}
    tied = {seed: graph(world.events, own[seed]) for seed, world in worlds.items()}
    shuffled = {seed: graph(shuffle(world.events, seed), own[seed]) for seed, world in worlds.items()}

    alone = precision(own, truth)
    both = precision({s: np.hstack([own[s], tied[s]]) for s in worlds}, truth)
    broken = precision({s: np.hstack([own[s], shuffled[s]]) for s in worlds}, truth)
    base = float(np.concatenate([truth[s] for s in TEST]).mean())
    single = best_single(tied, truth)
    with capsys.disabled():
        print(f"\naverage precision: tabular {alone:.3f}, with graph {both:.3f}, with a shuffled graph {broken:.3f}")
        print(f"best single graph feature {single:.3f}, share of members {base:.3f}")

    assert single <= 0.6 * both, "one threshold must not find the rings"
    assert both >= 0.5
    assert alone <= 0.6 * both
    assert broken - alone <= 0.15 * (both - alone)


def precision(features: dict[int, Floats], truth: dict[int, npt.NDArray[np.bool_]]) -> float:
    """Returns the average precision on worlds that the tree has not seen."""
    tree = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.06, max_leaf_nodes=15, random_state=0)
    tree.fit(np.vstack([features[s] for s in TRAIN]), np.concatenate([truth[s] for s in TRAIN]))
    probability = tree.predict_proba(np.vstack([features[s] for s in TEST]))[:, 1]
    return float(average_precision_score(np.concatenate([truth[s] for s in TEST]), probability))


def best_single(features: dict[int, Floats], truth: dict[int, npt.NDArray[np.bool_]]) -> float:
    """Returns the average precision of the best ranking by one feature, upwards or downwards."""
    flags, table = np.concatenate([truth[s] for s in TEST]), np.vstack([features[s] for s in TEST])
    return max(float(average_precision_score(flags, sign * column)) for column in table.T for sign in (1, -1))


def members(world: World) -> npt.NDArray[np.bool_]:
    """Returns whether each user is in a ring, victims included."""
    flags = np.zeros(SPEC.users, dtype=np.bool_)
    flags[[user for ring in world.rings for user in ring.users]] = True
    return flags


def tabular(events: Events) -> Floats:
    """Returns what a user's own events say: counts, money, hours, ages, and how many identifiers they have."""
    user, n = events.user, SPEC.users
    columns = [count(user[events.type == kind]) for kind in EventType if kind < EventType.LABEL]
    columns += [count(user[events.status == status]) for status in Status]
    paid = (events.type == EventType.PAYMENT) & (events.amount >= 0)
    ordered = events.type == EventType.ORDER
    for rows in (paid, ordered, events.type == EventType.REFUND):
        money = np.bincount(user[rows], events.amount[rows], minlength=n)
        least, most = np.full(n, 1e12), np.zeros(n)
        np.minimum.at(least, user[rows], events.amount[rows])
        np.maximum.at(most, user[rows], events.amount[rows])
        columns += [money, money / np.maximum(1, count(user[rows])), least, most]
    total = np.maximum(1, count(user))
    angle = 2 * np.pi * (events.ts % DAY_MS) / DAY_MS
    columns += [np.bincount(user, wave(angle), minlength=n) / total for wave in (np.sin, np.cos)]
    columns.append(np.bincount(user, (events.ts // DAY_MS + 3) % 7 >= 5, minlength=n) / total)
    first, last = np.full(n, SPEC.end_ms), np.full(n, SPEC.start_ms)
    np.minimum.at(first, user, events.ts)
    np.maximum.at(last, user, events.ts)
    columns += [first, last, last - first, count(events.other[events.other >= 0])]
    columns.append(count(np.unique(user * 1000 + (events.ts - SPEC.start_ms) // DAY_MS) // 1000))
    columns += [count(pairs(events, kind)[0]) for kind in KINDS]
    return np.column_stack(columns)


def graph(events: Events, own: Floats) -> Floats:
    """Returns how many share a user's identifiers, one step and two steps away, and what those others do."""
    columns: list[Floats] = []
    links = []
    for kind in KINDS:
        user, identifier = pairs(events, kind)
        degree = np.bincount(identifier)[identifier]
        most = np.zeros(SPEC.users)
        np.maximum.at(most, user, degree)
        few = (degree > 1) & (degree <= HUB_USERS)
        columns += [most, np.bincount(user, degree, minlength=SPEC.users), count(user[few])]
        columns.append(np.bincount(user[few], degree[few] - 1, minlength=SPEC.users))
        if kind != "ip":
            links.append((user[few], identifier[few]))
    reach = np.ones(SPEC.users)
    for _ in range(2):
        reach = sum((spread(link, reach) for link in links), start=np.zeros(SPEC.users))
        columns.append(reach)
    kept = (EventType.SIGNUP, EventType.ORDER, EventType.REFUND, EventType.CHARGEBACK)
    for values in (*(own[:, int(kind)] for kind in kept), own[:, 8 + Status.DECLINED]):
        columns.append(sum((spread(link, values) for link in links), start=np.zeros(SPEC.users)))
    return np.column_stack(columns)


def spread(link: tuple[Ints, Ints], values: Floats) -> Floats:
    """Returns, per user, the sum of the values of those who share an identifier with them."""
    user, identifier = link
    if not len(user):
        return np.zeros(SPEC.users)
    total = np.bincount(identifier, values[user])
    return np.bincount(user, total[identifier] - values[user], minlength=SPEC.users)


def pairs(events: Events, kind: str) -> tuple[Ints, Ints]:
    """Returns the distinct (user, identifier) pairs of a kind."""
    column = getattr(events, kind)
    seen = column >= 0
    both = np.unique(np.stack([events.user[seen], column[seen]], axis=1), axis=0)
    return both[:, 0], both[:, 1]


def shuffle(events: Events, seed: int) -> Events:
    """Returns the events with each kind's identifiers dealt anew among the (user, identifier) pairs.

    Everybody keeps their number of identifiers, and every identifier its number of users.
    """
    rng = np.random.default_rng([seed, 99])
    dealt = {}
    for kind in KINDS:
        column = getattr(events, kind)
        seen = column >= 0
        _, which = np.unique(np.stack([events.user[seen], column[seen]], axis=1), axis=0, return_inverse=True)
        new = column.copy()
        new[seen] = rng.permutation(pairs(events, kind)[1])[which.ravel()]
        dealt[kind] = new
    return replace(events, **dealt)


def count(user: Ints) -> Floats:
    return np.bincount(user, minlength=SPEC.users).astype(np.float64)
