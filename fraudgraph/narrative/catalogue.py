"""Closed lists: every pattern, claim, explanation, action and question that a narrative can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

PATTERNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "card-testing": "payment abuse (card testing)",
        "payment-abuse": "payment abuse (disputed payments)",
        "account-takeover": "account takeover",
        "return-scam": "a return scam",
        "money-circulation": "circulation of money",
        "promo-abuse": "promotion abuse",
        "fake-accounts": "fake accounts",
        "shared-devices": "many accounts behind few devices",
        "unclear": "no known pattern",
    }
)
"""What a ring may look like, in words; `narrative.pattern` says what each must rest on."""


@dataclass(frozen=True, slots=True)
class ClaimKind:
    """A kind of claim.

    Attributes:
        says: what it says, for whoever writes plans.
        cites: kinds of facts and rows that it may cite; every one where empty.
        least, most: how many it cites.
        slots: names that its slots may have. A slot left out is taken from the evidence.
    """

    name: str
    says: str
    cites: tuple[str, ...]
    slots: tuple[str, ...] = ()
    least: int = 1
    most: int = 1


_WHO = ("members", "accounts")

_STATEMENTS = (
    ClaimKind(
        "shared-by",
        "so many accounts of the ring use this identifier",
        ("shared-identifier",),
        ("identifier", "count", "first", "last", *_WHO),
    ),
    ClaimKind("shared-only-here", "nobody outside the ring uses this identifier", ("shared-identifier",)),
    ClaimKind(
        "shared-outside",
        "accounts outside the ring use this identifier too",
        ("shared-identifier",),
        ("identifier", "outside", "users_total"),
    ),
    ClaimKind(
        "ties-nobody",
        "this identifier is shared too widely to tie anybody",
        ("shared-identifier",),
        ("identifier", "users_total"),
    ),
    ClaimKind(
        "device-farm",
        "many accounts began to use one device one after the other",
        ("device-farm",),
        ("identifier", "first", "last", "median_gap", *_WHO),
    ),
    ClaimKind(
        "takeover",
        "accounts that had long existed began to use the same new device or network",
        ("takeover",),
        ("identifier", "victims", "first", "last", "youngest_age", "accounts"),
    ),
    ClaimKind(
        "brief-visits",
        "accounts with devices of their own were briefly on a shared one",
        ("brief-visits",),
        ("identifiers", *_WHO),
    ),
    ClaimKind(
        "drop-address",
        "orders of several accounts go to one address",
        ("drop-address",),
        ("identifier", "orders", "cards", *_WHO),
    ),
    ClaimKind(
        "burst", "the accounts were first seen close together", ("burst",), ("window_hours", "first", "last", *_WHO)
    ),
    ClaimKind(
        "velocity",
        "many orders came within a short time",
        ("velocity",),
        ("orders", "orders_total", "members", "declined", "first", "last", "accounts"),
    ),
    ClaimKind(
        "card-testing",
        "many attempts to pay were declined",
        ("card-testing",),
        ("declined", "attempts", "cards", "most_declined", "most_declined_account", *_WHO),
    ),
    ClaimKind("one-order-accounts", "accounts that ordered exactly once", ("one-order-accounts",), _WHO),
    ClaimKind("quick-spending", "accounts spent soon after they came", ("quick-spending",), ("median_wait", *_WHO)),
    ClaimKind("labelled", "accounts that somebody labelled", ("labels",), ("value", *_WHO)),
    ClaimKind(
        "refund-loop", "most of what was ordered went back", ("refund-loop",), ("refunds", "orders", "refunded", *_WHO)
    ),
    ClaimKind(
        "chargeback",
        "what banks took back",
        ("chargeback",),
        ("chargebacks", "charged_back", "long_known", *_WHO),
    ),
    ClaimKind(
        "transfer-cycle",
        "money went in a circle",
        ("transfer-cycle",),
        ("transfers", "amount", "first", "last", *_WHO),
    ),
    ClaimKind(
        "referral-chain",
        "accounts brought in accounts",
        ("referral-chain",),
        ("referred", "referrers", "chain", "accounts"),
    ),
    ClaimKind(
        "transfers-inside", "members sent each other money", ("transfers-inside",), ("transfers", "amount", *_WHO)
    ),
    ClaimKind(
        "bridge",
        "without this account or identifier the ring falls into these parts",
        ("bridge",),
        ("identifier", "account", "constraint", "parts"),
    ),
    ClaimKind(
        "similar-past",
        "a ring with a verdict had this shape and behaviour",
        ("similar-past-ring",),
        ("past", "verdict", "at", "similarity"),
    ),
    ClaimKind("rule", "a rule that the shop wrote holds of the ring", ("rule",)),
    ClaimKind("clean-money", "no payment was declined, refunded or disputed", ("clean-money",), ("orders", "payments")),
    ClaimKind("long-standing", "accounts have been in use for long", ("long-standing",), ("median_span", *_WHO)),
    ClaimKind(
        "slow-growth",
        "the accounts came one by one",
        ("slow-growth",),
        ("most_in_week", "first", "last"),
    ),
    ClaimKind(
        "handed-on",
        "one account after another used this identifier, never two at a time",
        ("handed-on",),
        ("identifier", "first", "last", *_WHO),
    ),
    ClaimKind("ring-size", "how many accounts the ring has", ("ring",), ("members",)),
    ClaimKind("active-between", "when its accounts were first and last seen", ("ring",), ("first", "last")),
    ClaimKind(
        "at-stake",
        "what can still be lost and what banks took back, in one currency",
        ("money",),
        ("orders", "declined", "ordered", "at_risk", "exposed", "charged_back", "refunded"),
    ),
    ClaimKind("sent", "what members sent to anybody, in one currency", ("money",), ("sent",)),
)

_RELATIONS = (
    ClaimKind("before", "one thing began before another", (), ("earlier", "later"), 2, 2),
    ClaimKind("after", "one thing began after another", (), ("later", "earlier"), 2, 2),
    ClaimKind("earliest", "of all facts that have a beginning, this one began first", ()),
    ClaimKind("latest", "of all facts that have a beginning, this one began last", ()),
    ClaimKind("same-accounts", "both facts are about the very same accounts", (), (), 2, 2),
    ClaimKind("among-accounts", "the accounts of the first fact are some of those of the second", (), (), 2, 2),
    ClaimKind("no-common-accounts", "the two facts have no account in common", (), (), 2, 2),
    ClaimKind("membership", "this account is among those of the fact", (), ("account",)),
    ClaimKind(
        "together-cover",
        "so many accounts of the ring use at least one of these identifiers",
        ("shared-identifier",),
        ("identifier",),
        2,
        6,
    ),
    ClaimKind("most-shared", "of its kind, this identifier is used by the most accounts", ("shared-identifier",)),
    ClaimKind("more-than", "one number is larger than another of the same unit", (), ("more", "less"), 1, 2),
    ClaimKind("as-many", "two numbers of the same unit are equal", (), ("more", "less"), 1, 2),
    ClaimKind("rate", "this part of that whole", (), ("part", "whole"), 1, 1),
    ClaimKind("sum", "parts that make up a total", ("shared-identifier", "ring", "money"), ("part", "total"), 1, 1),
    ClaimKind("role", "what an account is in the ring", ("member",), ("account", "role"), 1, 1),
)

CLAIM_KINDS: Final[Mapping[str, ClaimKind]] = MappingProxyType({k.name: k for k in (*_STATEMENTS, *_RELATIONS)})
"""What a summary and the reasons for risk are made of."""

EXPLANATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "household": "one household",
        "family-card": "a family card",
        "second-hand-device": "a second-hand or re-issued identifier",
        "office-network": "one network",
        "shared-building": "a shared building",
        "gift-buyers": "gift buyers",
        "calm-record": "honest customers",
        "acquainted": "people who know each other",
        "insufficient-evidence": "chance",
    }
)
"""Every innocent explanation, in a few words; `narrative.innocent` says when each is allowed."""

ACTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "review-open-orders": "look at what has not been shipped yet",
        "contact-likely-victims": "call those whose account or card was used",
        "step-up-verification": "ask the core for stronger verification",
        "hold-refunds": "pay refunds only after the goods were checked",
        "pause-promotions": "pause benefits for accounts that join through these identifiers",
        "block-identifier-after-confirmation": "block what ties them, once a person has confirmed the ring",
        "request-information": "ask for what would settle it",
        "close-as-innocent": "close it, if the check bears that out",
        "watch": "leave it in the queue",
    }
)
"""Every action that a narrative can propose, in the order of the report; `narrative.actions` says when."""

QUESTIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "whose-device": ("shared-identifier", "device-farm", "takeover", "brief-visits"),
        "who-lives-there": ("shared-identifier", "drop-address"),
        "whose-card": ("shared-identifier", "card-testing"),
        "owners-know-of-orders": ("takeover", "brief-visits"),
        "goods-came-back": ("refund-loop",),
        "know-each-other": ("referral-chain",),
        "what-money-was-for": ("transfer-cycle", "transfers-inside"),
        "who-else-uses-it": ("shared-identifier",),
        "really-one-ring": ("bridge",),
        "same-people-as-before": ("similar-past-ring",),
    }
)
"""Every open question, with the kinds of fact that it may be about: it cites exactly one."""

SLOT_NAMES: Final = frozenset(name for kind in CLAIM_KINDS.values() for name in kind.slots)
"""Every name that a slot may have."""
