"""What a ring looks like in numbers: causal features of its members, without any time of reading in them."""

from __future__ import annotations

RING_FEATURES: tuple[str, ...] = (
    # Structure. Shared: used by at least two members, and not a hub.
    "users",
    "shared_devices",
    "shared_cards",
    "shared_emails",
    "shared_phones",
    "shared_addresses",
    "shared_ips",
    "max_share",  # largest fraction of members on one shared identifier that is not an IP
    "ties_per_user",  # links to shared identifiers that are not IPs, per member
    "devices_per_user",  # all devices, shared or not
    "cards_per_user",
    "emails_per_user",
    # Time.
    # An account is new when it signed up in the stream; where a stream has no sign-ups, when it was first seen after
    # the stream's first days (`warmup_days`), in which everybody is seen for the first time.
    "burst_day",  # largest fraction of members, new accounts, first seen within one 24 h window
    "burst_week",  # the same within 7 d
    "successions",  # log2(1 + how many times a shared identifier went to its next user while the stream was watching)
    "succession_days",  # log2(1 + median days of those successions); 0 where there is none
    "overlap",  # of those successions: fraction in which the times of use overlap or touch (1 d)
    "span_days",  # mean over members of log2(1 + days between first and last seen)
    "quick_spend",  # fraction of members, new accounts, whose first spending came within 24 h of being first seen
    "late_share",  # fraction of shared links that began more than 30 d after their user was first seen
    "takeover",  # fraction of members with a late share on a device or IP that three users began to use within 7 d
    # Activity, counted per member where not said otherwise.
    "logins_per_user",  # log2(1 + x)
    "orders_per_user",  # log2(1 + x)
    "one_order",  # fraction of members with exactly one order
    "declined_ratio",  # declined / (orders + payments)
    "declined_per_user",  # log2(1 + x)
    "refund_ratio",  # refunds / orders
    "refunded_money",  # refunded / ordered money in the ring's main currency
    "chargebacks_per_user",
    "chargeback_members",  # fraction of members with a chargeback
    "fraud_labels",  # fraction of members labelled fraud
    "legitimate_labels",  # fraction of members labelled legitimate
    "referrals_inside",  # referrals between members, per member
    "transfers_inside",  # fraction of members that sent money to a member
    "transfers_back",  # fraction of those pairs in which money also came back
    "transfers_per_user",  # log2(1 + x)
)
"""Columns of the feature matrix, in order; fractions are in [0, 1]."""

FEATURE_INDEX: dict[str, int] = {name: i for i, name in enumerate(RING_FEATURES)}

RING_MONEY: tuple[str, ...] = ("value_at_risk_minor", "currency", "identifiers", "first_ms", "last_ms")
"""Columns of the money matrix: whole numbers that the queue shows."""
