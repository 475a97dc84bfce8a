"""The numbers that a rule may compare, by name, each with its unit and its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from fraudgraph.rings.features import RING_FEATURES
from fraudgraph.rings.rule_hits import RuleCondition
from fraudgraph.scoring.evidence import REASONS
from fraudgraph.scoring.network import NETWORK
from fraudgraph.scoring.structural import UNUSUAL


class Unit(Enum):
    """How a number is written."""

    NUMBER = "number"
    PART = "part"
    DAYS = "days"
    HOURS = "hours"
    LOG_ODDS = "log-odds"
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class Feature:
    """A published number.

    Attributes:
        words: what it is, as in `accounts: 7 (at least 4)`.
        logarithm: the engine holds log2(1 + x) of it; a rule compares x.
        window: it is the most within any span of that length, which the rule must give.
    """

    name: str
    words: str
    unit: Unit = Unit.NUMBER
    logarithm: bool = False
    window: bool = False


_N, _P, _D = Unit.NUMBER, Unit.PART, Unit.DAYS
_RING: Final = (
    Feature("users", "accounts"),
    Feature("shared_devices", "devices that members share"),
    Feature("shared_cards", "cards that members share"),
    Feature("shared_emails", "e-mail addresses that members share"),
    Feature("shared_phones", "phone numbers that members share"),
    Feature("shared_addresses", "addresses that members share"),
    Feature("shared_ips", "IP addresses that members share"),
    Feature("max_share", "accounts on the most shared identifier", _P),
    Feature("ties_per_user", "links to shared identifiers per account"),
    Feature("devices_per_user", "devices per account"),
    Feature("cards_per_user", "cards per account"),
    Feature("emails_per_user", "e-mail addresses per account"),
    Feature("burst_day", "new accounts first seen within 24 hours", _P),
    Feature("burst_week", "new accounts first seen within 7 days", _P),
    Feature("successions", "times that a shared identifier went to its next account", _N, True),
    Feature("succession_days", "median days of those successions", _D, True),
    Feature("overlap", "successions in which the times of use overlap", _P),
    Feature("span_days", "days between an account's first and last event, typically", _D, True),
    Feature("quick_spend", "new accounts that spent within 24 hours", _P),
    Feature("late_share", "shared links begun over 30 days after their account", _P),
    Feature("takeover", "long known accounts that began to use a new device or network together", _P),
    Feature("logins_per_user", "logins per account", _N, True),
    Feature("orders_per_user", "orders per account", _N, True),
    Feature("one_order", "accounts with exactly one order", _P),
    Feature("declined_ratio", "declined of all attempts to pay", _P),
    Feature("declined_per_user", "declined attempts per account", _N, True),
    Feature("refund_ratio", "refunds per order"),
    Feature("refunded_money", "refunded of the ordered money", _P),
    Feature("chargebacks_per_user", "chargebacks per account"),
    Feature("chargeback_members", "accounts with a chargeback", _P),
    Feature("fraud_labels", "accounts labelled fraud", _P),
    Feature("legitimate_labels", "accounts labelled legitimate", _P),
    Feature("referrals_inside", "referrals between members, per account"),
    Feature("transfers_inside", "accounts that sent money to a member", _P),
    Feature("transfers_back", "of those pairs, in which money came back", _P),
    Feature("transfers_per_user", "transfers per account", _N, True),
)
assert tuple(feature.name for feature in _RING) == RING_FEATURES

VALUE_AT_RISK: Final = "value_at_risk"
EVIDENCE: Final = "evidence."
ACCOUNTS: Final = "accounts"

_OTHERS: Final = (
    Feature("identifiers", "identifiers that members share"),
    Feature("probability", "the model's probability", _P),
    Feature(VALUE_AT_RISK, "value at risk", Unit.MONEY),
    Feature("new_accounts", "accounts first seen within {window}", window=True),
    Feature("orders", "orders within {window}", window=True),
    *(
        Feature(f"{EVIDENCE}{reason}", f"log-odds of the reason {reason.replace('-', ' ')}", Unit.LOG_ODDS)
        for reason in (*REASONS, UNUSUAL, NETWORK)
    ),
)

FEATURES: Final[Mapping[str, Feature]] = MappingProxyType({f.name: f for f in (*_RING, *_OTHERS)})
"""What a ring may be compared by."""

ACCOUNT_FEATURES: Final[Mapping[str, Feature]] = MappingProxyType(
    {
        feature.name: feature
        for feature in (
            Feature("logins", "logins"),
            Feature("orders", "orders"),
            Feature("payments", "payments"),
            Feature("declined", "declined attempts"),
            Feature("refunds", "refunds"),
            Feature("chargebacks", "chargebacks"),
            Feature("referrals", "referrals"),
            Feature("transfers_out", "transfers sent"),
            Feature("transfers_in", "transfers received"),
            Feature("label", "label (1 fraud, -1 legitimate, 0 none)"),
            Feature("signed_up", "sign-up in the stream (1) or not (0)"),
            Feature("days_in_use", "days between first and last event", _D),
            Feature("hours_to_spend", "hours from the first event to the first spending", Unit.HOURS),
        )
    }
)
"""What an account may be compared by; lifetime counts."""


def feature_of(condition: RuleCondition) -> Feature:
    """Returns the feature of a condition; members that are counted are one too."""
    if condition.feature != ACCOUNTS:
        return FEATURES[condition.feature]
    terms = [f"{ACCOUNT_FEATURES[a.feature].words} {a.op} {a.threshold:g}" for a in condition.accounts]
    return Feature(ACCOUNTS, f"accounts with {' and '.join(terms)}", _P if condition.part else _N)
