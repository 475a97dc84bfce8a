"""Facts: typed, numbered statements about a ring, each recomputable from the snapshot that carries it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fraudgraph.errors import UsageError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings import facts_behaviour, facts_calm, facts_money, facts_past, facts_rules, facts_sharing
from fraudgraph.rings.facts_kinds import Fact, FactKind
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.snapshot import RingSnapshot

FACT_KINDS: Mapping[str, FactKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            *facts_sharing.KINDS,
            *facts_behaviour.KINDS,
            *facts_money.KINDS,
            *facts_calm.KINDS,
            *facts_past.KINDS,
            *facts_rules.KINDS,
        )
    }
)
"""Every kind of fact, by name; the order settles ties of weight."""


def facts(snapshot: RingSnapshot, policy: LinkPolicy | None = None) -> tuple[Fact, ...]:
    """Returns all facts, numbered `E1, E2, …`: the strongest for a ring first, those against one last.

    Args:
        policy: the link policy under which the snapshot was read; the default one where it is None.
    """
    view = RingView(snapshot, policy)
    drafts = [
        (-draft.weight, rank, kind.identity(draft.fields), kind.name, draft)
        for rank, kind in enumerate(FACT_KINDS.values())
        for draft in kind.derive(view)
    ]
    drafts.sort(key=lambda row: row[:3])
    return tuple(
        Fact(f"E{number}", name, draft.text, MappingProxyType(dict(draft.fields)), draft.weight)
        for number, (_, _, _, name, draft) in enumerate(drafts, 1)
    )


def recompute(snapshot: RingSnapshot, fact: Fact, policy: LinkPolicy | None = None) -> Fact:
    """Returns the fact as the snapshot alone gives it: same id, kind and subject; text, fields and weight anew.

    Raises:
        UsageError: the kind is unknown, or the snapshot does not bear a fact of this kind about this subject.
    """
    kind = FACT_KINDS.get(fact.kind)
    if kind is None:
        raise UsageError(f"fact {fact.id} is of the unknown kind {fact.kind!r}", do=f"Known: {sorted(FACT_KINDS)}.")
    subject = kind.identity(fact.fields)
    for draft in kind.derive(RingView(snapshot, policy)):
        if kind.identity(draft.fields) == subject:
            return Fact(fact.id, kind.name, draft.text, MappingProxyType(dict(draft.fields)), draft.weight)
    raise UsageError(
        f"the snapshot of ring {snapshot.ring_id} does not bear fact {fact.id} ({fact.kind})",
        do="Read the facts of this snapshot instead: it may be a later one.",
    )
