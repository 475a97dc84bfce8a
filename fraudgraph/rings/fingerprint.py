"""The shape of a ring without its names: what two rings have in common that share nobody and nothing.

A fingerprint is a set of numbers in log2 bands and a set of words, the same for any names of accounts and identifiers
and any order of rows:

- size: accounts, and accounts on the most shared identifiers (the three largest numbers);
- kinds: how many identifiers of each kind several members use;
- how much each account shares: the lower quartile, median and largest number of shared identifiers per account;
- time: days from the first account to the last;
- behaviour: the kinds of facts that speak for or against the ring.

Identifiers that tie nobody count nowhere. Two bands that are next to each other are half alike. `similarity` is the
mean over numbers (half) and the Jaccard index of the words (half).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import IDENTIFIER_KINDS
from fraudgraph.graph.policy import LinkPolicy, band
from fraudgraph.rings import facts_behaviour, facts_calm, facts_money, facts_sharing
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.snapshot import PastRing, RingSnapshot

ALIKE = 0.8
"""From here on two rings look alike: numbers in the same or the next bands, and most of their behaviour in common."""

MOST = 3
"""So many past rings are cited at most, the most alike first."""

_TYPOLOGY = (*facts_sharing.KINDS, *facts_behaviour.KINDS, *facts_money.KINDS, *facts_calm.KINDS)
_STRUCTURE = frozenset({"shared-identifier", "bridge"})
_TOP = 3


def fingerprint(view: RingView) -> tuple[str, ...]:
    """Returns a ring's fingerprint: sorted `name=band` and words; empty where the ring has no members any more."""
    if not view.users:
        return ()
    shared = [i for i in view.shared if not i.hub]
    kinds = Counter(i.kind for i in shared)
    largest = sorted((len(i.links) for i in shared), reverse=True)
    degrees = sorted(sum(len(i.links) >= 2 and not i.hub for i in view.by_user[user_id]) for user_id in view.users)
    first = [user.first_ms for user in view.users.values()]
    numbers = {
        "users": view.size,
        **{f"share-{place}": largest[place] if place < len(largest) else 0 for place in range(_TOP)},
        **{f"shared-{kind.label}": kinds[kind] for kind in IDENTIFIER_KINDS},
        "degree-low": degrees[len(degrees) // 4],
        "degree-mid": degrees[len(degrees) // 2],
        "degree-top": degrees[-1],
        "days": (max(first) - min(first)) // DAY_MS,
    }
    words = {
        kind.name
        for kind in _TYPOLOGY
        if kind.name not in _STRUCTURE and any(draft.weight != 0.0 for draft in kind.derive(view))
    }
    return (*sorted(f"{name}={band(value + 1)}" for name, value in numbers.items()), *sorted(words))


def similarity(one: Iterable[str], other: Iterable[str]) -> float:
    """Returns how alike two fingerprints are, in [0, 1], rounded to 1e-4; symmetric, 1 for equal ones."""
    (ours, our_words), (theirs, their_words) = _read(one), _read(other)
    names = ours.keys() | theirs.keys()
    apart = [abs(ours.get(name, 0) - theirs.get(name, 0)) for name in names]
    # A kind that neither shares says nothing about the two.
    told = [d for d, name in zip(apart, names, strict=True) if ours.get(name, 0) or theirs.get(name, 0)]
    numbers = sum(max(0.0, 1.0 - d / 2.0) for d in told) / len(told) if told else 1.0
    union = our_words | their_words
    words = len(our_words & their_words) / len(union) if union else 1.0
    return round((numbers + words) / 2.0, 4)


def with_past(snapshot: RingSnapshot, known: Iterable[PastRing], policy: LinkPolicy) -> RingSnapshot:
    """Returns the snapshot with the rings with a verdict that it looks like, the most alike first.

    Args:
        known: rings with a verdict that stands, about other accounts than these.
    """
    ours: tuple[str, ...] | None = None
    alike = []
    for past in known if snapshot.users else ():
        ours = ours or fingerprint(RingView(snapshot, policy))
        if (degree := similarity(ours, past.fingerprint)) >= ALIKE:
            alike.append((-degree, past.decision_id, past))
    return replace(snapshot, past=tuple(past for _, _, past in sorted(alike, key=lambda row: row[:2])[:MOST]))


def _read(tokens: Iterable[str]) -> tuple[dict[str, int], set[str]]:
    numbers, words = {}, set()
    for name, separator, value in _parts(tokens):
        if separator:
            numbers[name] = int(value)
        else:
            words.add(name)
    return numbers, words


def _parts(tokens: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    for token in tokens:
        yield token.partition("=")
