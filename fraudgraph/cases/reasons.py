"""Why somebody decided: closed lists, so that decisions can be counted and a note is never needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """What an analyst says of a ring."""

    CONFIRMED = "confirmed"
    FALSE_POSITIVE = "false-positive"
    NEEDS_INFO = "needs-info"


class ConstraintKind(StrEnum):
    """What an analyst demands of the graph."""

    BENIGN_HUB = "benign-hub"
    CANNOT_LINK = "cannot-link"
    MUST_LINK = "must-link"


VERDICT_REASONS: Final[Mapping[Verdict, tuple[str, ...]]] = {
    Verdict.CONFIRMED: (
        "account-takeover",
        "card-testing",
        "chargebacks",
        "mule-accounts",
        "promo-abuse",
        "refund-abuse",
        "stolen-cards",
        "synthetic-identities",
        "other",
    ),
    Verdict.FALSE_POSITIVE: (
        "business-account",
        "data-error",
        "household",
        "reseller",
        "shared-network",
        "shop-terminal",
        "test-accounts",
        "other",
    ),
    Verdict.NEEDS_INFO: ("awaiting-bank", "awaiting-customer", "awaiting-shop", "unclear", "other"),
}
"""Reason codes of each verdict."""

CONSTRAINT_REASONS: Final[Mapping[ConstraintKind, tuple[str, ...]]] = {
    ConstraintKind.BENIGN_HUB: (
        "business-account",
        "data-error",
        "household",
        "pick-up-point",
        "shared-network",
        "shop-terminal",
        "test-accounts",
        "other",
    ),
    ConstraintKind.CANNOT_LINK: ("data-error", "different-people", "device-resold", "other"),
    ConstraintKind.MUST_LINK: ("same-person", "confession", "outside-evidence", "other"),
}
"""Reason codes of each constraint."""

FORGET_REASONS: Final = ("asked-for", "retention", "wrong-data", "other")
"""Reason codes of an erasure."""
