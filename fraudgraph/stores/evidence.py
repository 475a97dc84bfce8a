"""What an adapter derives from stored rows and the policy, the same in all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fraudgraph import __version__
from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.cases.reasons import ConstraintKind, Verdict
from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind, EventType, Status
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.linking import linking
from fraudgraph.rings.snapshot import (
    NEVER_MS,
    UNKNOWN_MS,
    PastRing,
    RingSnapshot,
    SnapshotLink,
    SnapshotOrder,
    SnapshotSent,
    SnapshotStep,
    SnapshotTransfer,
    SnapshotUser,
)
from fraudgraph.stores.port import RingRow

EXACT_USERS: Final = 4096
"""An identifier with more stored links than this is counted from the index alone, without asking each link whether it
has expired since the last commit: it is a hub many times over, and must not make a report wait."""


@dataclass(frozen=True, slots=True)
class Lens:
    """The policies and the time under which stored rows are read.

    Attributes:
        policy: gives links their strength and their time to live.
        priority: gives rings their recency, their priority and their dormancy.
        as_of_ms: the watermark of the commit that is read.
        benign: pseudonyms of identifiers that tie nobody by an analyst's word -> the constraint that says so.
        together: pairs of user ids that an analyst tied, with the constraint that says so.
        births_ms, links_ms: since when the stream shows beginnings, as of a `RingSnapshot`.
    """

    policy: LinkPolicy
    priority: PriorityRules
    as_of_ms: int
    benign: Mapping[bytes, str] = field(default_factory=dict)
    together: tuple[tuple[str, str, str], ...] = ()
    births_ms: int = UNKNOWN_MS
    links_ms: int = UNKNOWN_MS

    def watching(self, started_ms: int | None, warmup_days: int, *, signups: bool) -> Lens:
        """Returns the lens of a stream that began then, as the engine sees it.

        Args:
            started_ms: None before its first event.
            warmup_days: so long after it a stream without sign-ups shows everybody for the first time.
            signups: whether a living account signed up in the stream.
        """
        settled_ms = (started_ms or 0) + warmup_days * DAY_MS
        return replace(self, births_ms=NEVER_MS if signups else settled_ms, links_ms=settled_ms)

    def constrained(self, constraints: Iterable[Constraint]) -> Lens:
        """Returns the lens under the constraints that are in force."""
        holding = [each for each in constraints if each.holds_at(self.as_of_ms)]
        return replace(
            self,
            benign={
                bytes.fromhex(each.first): each.constraint_id
                for each in holding
                if each.kind is ConstraintKind.BENIGN_HUB
            },
            together=tuple(
                (each.first, each.second, each.constraint_id)
                for each in sorted(holding, key=lambda each: (each.first, each.second, each.constraint_id))
                if each.kind is ConstraintKind.MUST_LINK
            ),
        )

    def live_since_ms(self, kind: EntityKind) -> int:
        """Returns the earliest `last_ms` of a link of this kind that has not expired."""
        return self.as_of_ms - self.policy.kinds[kind.label].ttl_days * DAY_MS

    def ring(self, row: RingRow) -> RingRow:
        """Returns the row with the status that people see: an open ring that went quiet is `dormant`."""
        if row.status == "open" and self.priority.is_dormant(row.last_seen_ms, self.as_of_ms):
            return replace(row, status="dormant")
        return row

    def link(
        self,
        user_id: str,
        kind: EntityKind,
        key: bytes,
        mask: str,
        *,
        first_ms: int,
        last_ms: int,
        count: int,
        users_active: int,
    ) -> SnapshotLink:
        """Returns a live link with its strength as of the watermark."""
        benign = self.benign.get(key, "")
        made = linking(self.policy, kind, users_active=users_active, idle_ms=self.as_of_ms - last_ms, benign=benign)
        return SnapshotLink(
            user_id=user_id,
            kind=kind,
            key=key.hex(),
            mask=mask,
            first_ms=first_ms,
            last_ms=last_ms,
            count=count,
            users_active=users_active,
            strength=made.strength,
            ties=made.ties,
            hub=made.hub,
            benign=benign,
        )

    def snapshot(
        self,
        row: RingRow,
        *,
        users: Iterable[SnapshotUser],
        links: Iterable[SnapshotLink],
        orders: Iterable[SnapshotOrder],
        transfers: Iterable[SnapshotTransfer],
        sent_outside: Iterable[SnapshotSent],
        lineage: Iterable[SnapshotStep],
        positions: Mapping[str, int],
        schema_version: str,
    ) -> RingSnapshot:
        """Returns the snapshot in canonical order, so that the same evidence is equal from every adapter."""
        ring = self.ring(row)
        members = sorted(users, key=lambda user: user.user_id)
        here = {user.user_id for user in members}
        return RingSnapshot(
            ring_id=ring.ring_id,
            status=ring.status,
            probability=ring.probability,
            priority=self.priority.priority(ring.rank, self.as_of_ms),
            value_at_risk_minor=ring.value_at_risk_minor,
            currency=ring.currency,
            recency=self.priority.recency(ring.last_seen_ms, self.as_of_ms),
            reason=ring.reason,
            as_of_ms=self.as_of_ms,
            users=tuple(members),
            together=tuple(pair for pair in self.together if here.issuperset(pair[:2])),
            links=tuple(sorted(links, key=lambda link: (link.user_id, link.kind, link.key))),
            orders=tuple(sorted(orders, key=lambda order: (order.ts_ms, order.order_ref))),
            transfers=tuple(
                sorted(transfers, key=lambda t: (t.first_ms, t.from_user_id, t.to_user_id, t.kind, t.currency))
            ),
            sent_outside=tuple(sorted(sent_outside, key=lambda sent: (sent.user_id, sent.currency))),
            lineage=tuple(lineage),
            births_ms=self.births_ms,
            links_ms=self.links_ms,
            identifiers=ring.identifiers,
            contributions=dict(ring.contributions),
            rules=ring.rules,
            versions={
                "policy_version": self.policy.version,
                "policy_hash": self.policy.hash,
                "scorer": ring.scorer,
                "schema": schema_version,
                "code": __version__,
                **({"rules": ring.rules.rules} if ring.rules.rules else {}),
            },
            positions=dict(sorted(positions.items())),
        )


def has_verdict(decision: Decision) -> bool:
    """Returns whether a decision says what a ring is, so that its shape is kept."""
    return decision.stands and decision.verdict is not Verdict.NEEDS_INFO


def past_rings(
    decisions: Sequence[Decision], fingerprints: Mapping[str, tuple[str, ...]], members: Collection[str]
) -> list[PastRing]:
    """Returns the rings with a verdict that later rings may look like.

    Args:
        decisions: all, in order; of those about the same accounts the latest that stands counts.
        fingerprints: decision -> the ring's, when it was decided.
        members: accounts that no past ring may have: a ring does not look like itself.
    """
    said = set(members)
    found = []
    for decision in reversed(decisions):
        if not decision.stands or not said.isdisjoint(decision.members):
            continue
        said.update(decision.members)
        if has_verdict(decision) and decision.decision_id in fingerprints:
            found.append(
                PastRing(
                    decision_id=decision.decision_id,
                    ring_id=decision.ring_id,
                    verdict=str(decision.verdict),
                    at_ms=decision.at_ms,
                    fingerprint=fingerprints[decision.decision_id],
                )
            )
    return found


def declined(status_bits: int) -> bool:
    """Returns whether an order came to nothing, from the bits of the statuses seen: cancelled, or never approved."""
    refused = status_bits & 1 << Status.DECLINED and not status_bits & 1 << Status.APPROVED
    return bool(status_bits & 1 << Status.CANCELLED or refused)


def transfer_kind(number: int) -> str:
    """Returns `transfer` or `referral`."""
    return EventType(number).name.lower()


def follow_mergers(ring_id: str, look_up: Callable[[str], tuple[str, str | None] | None]) -> str | None:
    """Returns the ring at the end of the chain of mergers that starts here, None where there is no such ring.

    Args:
        ring_id: the first ring of the chain.
        look_up: gives a ring's status and the ring that it last merged into, or None for an unknown ring.
    """
    here = look_up(ring_id)
    if here is None:
        return None
    passed = {ring_id}
    while here is not None and here[0] == "merged" and here[1] is not None and here[1] not in passed:
        after = look_up(here[1])
        if after is None:
            break
        ring_id, here = here[1], after
        passed.add(ring_id)
    return ring_id
