"""The snapshot: everything that is known about one ring at one commit, from which facts are recomputed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fraudgraph.events.kinds import EntityKind
from fraudgraph.rings.rule_hits import NO_RULES, RingRules

UNKNOWN_MS: Final = -1
NEVER_MS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SnapshotUser:
    """A member with their own activity. Times in ms since the epoch; -1 where it never happened.

    `first_spend_ms` is the first order, payment or transfer; `label` is 1 fraud, -1 legitimate, 0 unknown.
    """

    user_id: str
    probability: float
    first_ms: int
    last_ms: int
    signup_ms: int = -1
    first_spend_ms: int = -1
    logins: int = 0
    orders: int = 0
    payments: int = 0
    declined: int = 0
    refunds: int = 0
    chargebacks: int = 0
    referrals: int = 0
    transfers_out: int = 0
    transfers_in: int = 0
    label: int = 0


@dataclass(frozen=True, slots=True)
class SnapshotLink:
    """A member's use of an identifier.

    `users_active` counts all users of the identifier, in and outside the ring; `hub` says that it is shared
    too widely to tie anybody, or `benign`: harmless by that constraint of an analyst; `strength` is in [0, 1]; `ties`
    says whether it is a hard tie.
    """

    user_id: str
    kind: EntityKind
    key: str
    mask: str
    first_ms: int
    last_ms: int
    count: int
    users_active: int
    strength: float
    ties: bool
    hub: bool
    benign: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotOrder:
    """An order of a member, money in minor units of `currency` (ISO 4217 numeric)."""

    order_ref: str
    user_id: str
    ts_ms: int
    amount_minor: int
    refunded_minor: int
    charged_minor: int
    currency: int
    declined: bool


@dataclass(frozen=True, slots=True)
class SnapshotTransfer:
    """Transfers or referrals between two members; `kind` is `transfer` or `referral`."""

    from_user_id: str
    to_user_id: str
    kind: str
    first_ms: int
    last_ms: int
    count: int
    amount_minor: int
    currency: int


@dataclass(frozen=True, slots=True)
class SnapshotSent:
    """Money that a member sent to accounts outside the ring, in minor units of `currency`."""

    user_id: str
    currency: int
    amount_minor: int
    receivers: int


@dataclass(frozen=True, slots=True)
class SnapshotStep:
    """A step of the ring's life, as in the lineage log."""

    what: str
    at_ms: int
    users_before: int
    users_after: int
    other_ring_id: str | None


@dataclass(frozen=True, slots=True)
class PastRing:
    """A ring with a verdict that this one looks like: `fingerprint` (`rings.fingerprint`) is what is compared.

    `verdict` is `confirmed` or `false-positive`; `at_ms` is when the decision counts from.
    """

    decision_id: str
    ring_id: str
    verdict: str
    at_ms: int
    fingerprint: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RingSnapshot:
    """One ring at one commit; identical snapshots give identical facts, roles and reports.

    Attributes:
        identifiers: those that members share, as the queue shows them: as of the ring's last change.
        transfers: between members; `sent_outside`: what members sent to anybody else.
        together: pairs of members, in the order of their ids, whom an analyst tied, with the constraint that says so.
        past: rings with a verdict that this one looks like, the most alike first.
        births_ms: who was first seen at or after it is a new account, whether or not they signed up; `NEVER_MS` where
            accounts sign up in the stream, and `UNKNOWN_MS` in a snapshot of before this was noted.
        links_ms: a use of an identifier that began at or after it began then, rather than being there before the
            stream; `UNKNOWN_MS` as above.
        contributions: what the scorer saw, in log-odds per reason (`burst`, `declined-payments`, …).
        rules: what the shop's rules said, as of the ring's last change.
        versions: policy version and hash, scorer, store schema, code version.
        positions: partition -> offset of the commit.
    """

    ring_id: str
    status: str
    probability: float
    priority: float
    value_at_risk_minor: int
    currency: int
    recency: float
    reason: str
    as_of_ms: int
    users: tuple[SnapshotUser, ...]
    links: tuple[SnapshotLink, ...]
    orders: tuple[SnapshotOrder, ...]
    transfers: tuple[SnapshotTransfer, ...]
    lineage: tuple[SnapshotStep, ...]
    identifiers: int = 0
    sent_outside: tuple[SnapshotSent, ...] = ()
    together: tuple[tuple[str, str, str], ...] = ()
    past: tuple[PastRing, ...] = ()
    births_ms: int = UNKNOWN_MS
    links_ms: int = UNKNOWN_MS
    contributions: Mapping[str, float] = field(default_factory=dict)
    rules: RingRules = NO_RULES
    versions: Mapping[str, str] = field(default_factory=dict)
    positions: Mapping[str, int] = field(default_factory=dict)
