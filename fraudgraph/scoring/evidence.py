"""Structural evidence: what each readable reason adds to a ring's log-odds, from its features alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from fraudgraph.rings.features import FEATURE_INDEX

F64 = npt.NDArray[np.float64]
Ramp = tuple[float, float]
"""Two values of a feature: at and before the first nothing is added, at and after the second all; may descend."""

_MONTH_DAYS = 30.0

REASONS: tuple[str, ...] = (
    "burst",
    "succession",
    "quick-spend",
    "one-order-accounts",
    "short-lived",
    "large-group",
    "device-sharing",
    "card-rotation",
    "declined-payments",
    "refunds",
    "chargebacks",
    "known-fraud",
    "takeover",
    "referral-chain",
    "money-circulation",
    "known-legitimate",
    "long-lived",
    "slow-succession",
    "handed-on",
    "household-like",
    "clean-record",
    "sprawl",
    "crowd",
)


@dataclass(frozen=True, slots=True)
class EvidenceRules:
    """Every constant of the evidence. Weights are log-odds; ramps are in the feature's own unit (`rings.features`).

    Where they come from: judgement, no fit. A weight of 0.7 doubles the odds, 1.4 makes four times of them, 2.5 twelve
    times. A reason that honest groups show often weighs at most 1; one that they show by accident now and then up to
    2; one that says nearly by itself what happened 2.2 to 3. Some were corrected after reading what simulated worlds
    (the seeds that the calibration is fitted on) and real candidates look like. `training.calibrate` then measures,
    on rings whose truth is known, how much the sum may be trusted, and the ring's probability is made of that.

    Attributes:
        members: number of members that a reason about members holds for: two of a family do anything together,
            four are no coincidence.
        named, named_alone: the same for what a bank or an analyst says of members: one alone earns this part of the
            weight, three all of it.
        burst_week, burst_week_part: most accounts opened within 7 d.
        burst_day, burst_day_part: most accounts opened within 24 h. A household signs up over years.
        succession, succession_log_days, succession_log_count: an identifier goes to the next account within a day
            (log2(1 + d) = 1; a week, 3, says nothing), three times (log2(1 + n) = 2) or more: a household does not
            take turns like that.
        quick_spend, quick_spend_part: new accounts that spend within 24 h. Half of the honest ones do: they came to
            buy something.
        one_order, one_order_part: accounts with exactly one order. Common among honest newcomers.
        short_lived, short_lived_log_days: accounts that spent at once and were gone within a day; a week (3) says
            nothing.
        large_group, large_group_users: more than two families' worth of accounts. Real groups of 80 and of 160 accounts
            without any fraud are known, so size alone weighs little, and nothing in a sprawl (below).
        device_sharing, device_users: accounts on the most shared identifier, by the part of the shared identifiers
            that are devices: four fit one tablet, a dozen are a farm or a kiosk.
        card_rotation, cards_per_month: cards per member and month of life (plus one): one or two are a wallet.
        declined_payments, declined_part, declined_log: declined part of all attempts, and log2(1 + declined attempts
            per member): one card payment in seven or eight is declined anyhow; card testing fails far more often,
            and more than once per account.
        refunds, refund_part, refund_orders: refunded part of orders and of money (the smaller counts), where there are
            so many orders. Few shops get a third of their goods back, fashion up to half, which earns half.
        chargebacks, chargeback_part: members whose bank took money back. One in fifty is ordinary.
        known_fraud, fraud_part: members called fraud by somebody who looked.
        takeover, takeover_members, takeover_part, takeover_log_days, acquainted: long known members, by number and
            part, that began to use one new device or network within a week of each other, in a ring whose identifiers
            go from account to account within days (log2(1 + d)). Three are a family with a new router, and so is
            whatever looks like a household; six are not, unless members pay members (from this part of them on): those
            robbed by the same hand are strangers.
        referral_chain, referrals_part: referrals among the members, per member; friends refer one another once.
        money_circulation, inside_part, back_part, circle_users: members who pay members, and are paid back, in a group
            larger than a household. Families and flat-mates do it all the time.
        known_legitimate, legitimate_part: members called legitimate by somebody who looked.
        long_lived, long_lived_log_days: accounts in use for a month (5) to half a year (7.5): fake ones are used up.
        slow_succession, slow_log_days: an identifier goes to the next account after three weeks (4.5) to three months
            (6.5).
        handed_on, overlap_part: its users follow one another and never overlap, as when a phone is sold on.
        household_like, household_users, household_share, home_part: few enough for a household, and one identifier
            holds them; this part of the weight only with a shared address, and as much only with a shared network.
        clean_record, spending_log: log2(1 + orders, or transfers, per member) without declines, refunds, chargebacks,
            labels: an account that keeps paying for its goods is a customer.
        sprawl, sprawl_users, sprawl_share: many accounts, and no identifier holds more than a small part of them: a
            chain of chance meetings rather than a plan.
        crowd, crowd_users: accounts on the most shared identifier: beyond what anybody runs from one device, it is a
            library's computer, or a device id that many browsers report alike.
    """

    members: Ramp = (1.0, 4.0)
    named: Ramp = (1.0, 3.0)
    named_alone: float = 0.5
    burst_week: float = 0.4
    burst_week_part: Ramp = (0.6, 1.0)
    burst_day: float = 0.9
    burst_day_part: Ramp = (0.5, 1.0)
    succession: float = 1.5
    succession_log_days: Ramp = (3.0, 1.0)
    succession_log_count: Ramp = (0.0, 2.0)
    quick_spend: float = 0.8
    quick_spend_part: Ramp = (0.5, 1.0)
    one_order: float = 0.8
    one_order_part: Ramp = (0.4, 0.9)
    short_lived: float = 1.2
    short_lived_log_days: Ramp = (3.0, 0.5)
    large_group: float = 0.4
    large_group_users: Ramp = (5.0, 12.0)
    device_sharing: float = 1.0
    device_users: Ramp = (3.0, 10.0)
    card_rotation: float = 0.8
    cards_per_month: Ramp = (1.7, 4.0)
    declined_payments: float = 2.0
    declined_part: Ramp = (0.15, 0.4)
    declined_log: Ramp = (1.0, 2.0)
    refunds: float = 1.8
    refund_part: Ramp = (0.3, 0.7)
    refund_orders: Ramp = (3.0, 8.0)
    chargebacks: float = 2.2
    chargeback_part: Ramp = (0.02, 0.25)
    known_fraud: float = 3.0
    fraud_part: Ramp = (0.02, 0.3)
    takeover: float = 2.5
    takeover_members: Ramp = (3.0, 6.0)
    takeover_part: Ramp = (0.05, 0.3)
    takeover_log_days: Ramp = (3.5, 2.0)
    acquainted: Ramp = (0.1, 0.5)
    referral_chain: float = 1.2
    referrals_part: Ramp = (0.1, 0.5)
    money_circulation: float = 0.8
    inside_part: Ramp = (0.5, 1.0)
    back_part: Ramp = (0.3, 1.0)
    circle_users: Ramp = (5.0, 12.0)
    known_legitimate: float = 2.5
    legitimate_part: Ramp = (0.0, 0.5)
    long_lived: float = 1.2
    long_lived_log_days: Ramp = (5.0, 7.5)
    slow_succession: float = 1.0
    slow_log_days: Ramp = (4.5, 6.5)
    handed_on: float = 0.6
    overlap_part: Ramp = (0.3, 0.0)
    household_like: float = 1.4
    household_users: Ramp = (7.0, 4.0)
    household_share: Ramp = (0.5, 0.8)
    home_part: float = 0.25
    clean_record: float = 0.6
    spending_log: Ramp = (1.6, 3.0)
    sprawl: float = 2.0
    sprawl_users: Ramp = (20.0, 60.0)
    sprawl_share: Ramp = (0.4, 0.15)
    crowd: float = 2.0
    crowd_users: Ramp = (25.0, 60.0)

    @property
    def hash(self) -> str:
        """Returns 16 hex digits that change with every constant: a calibration holds for one set of them."""
        return hashlib.blake2b(msgspec.json.encode(self, order="sorted"), digest_size=8).hexdigest()


def contributions(features: F64, rules: EvidenceRules) -> F64:
    """Returns `[r, len(REASONS)]` log-odds for `[r, len(RING_FEATURES)]` features; row by row, positive for riskier.

    A feature that the stream cannot know (no orders, no transfers, no devices) is 0 and adds nothing.
    """

    def x(name: str) -> F64:
        column: F64 = features[:, FEATURE_INDEX[name]]
        return column

    def part(name: str, ramp: Ramp) -> F64:
        """The part of the weight that a fraction of members earns, by the fraction and by their number."""
        return _ramp(x(name), ramp) * _ramp(x(name) * users, rules.members)

    def named(name: str, ramp: Ramp) -> F64:
        """The same for what somebody says of members, which one alone is worth something for."""
        alone = rules.named_alone
        return _ramp(x(name), ramp) * (alone + (1.0 - alone) * _ramp(x(name) * users, rules.named))

    r = rules
    users = x("users")
    many = _ramp(users, r.members)
    burst_day = part("burst_day", r.burst_day_part)
    quick = part("quick_spend", r.quick_spend_part)
    months = np.expm1(x("span_days") * np.log(2.0)) / _MONTH_DAYS
    orders = np.expm1(x("orders_per_user") * np.log(2.0)) * users
    declined = _ramp(x("declined_ratio"), r.declined_part) * _ramp(x("declined_per_user"), r.declined_log)
    refunded = _ramp(np.minimum(x("refund_ratio"), x("refunded_money")), r.refund_part) * _ramp(orders, r.refund_orders)
    charged = named("chargeback_members", r.chargeback_part)
    fraud = named("fraud_labels", r.fraud_part)
    circle = _ramp(x("transfers_inside"), r.inside_part) * _ramp(x("transfers_back"), r.back_part)
    ties = x("shared_devices") + x("shared_cards") + x("shared_emails") + x("shared_phones") + x("shared_addresses")
    devices = x("shared_devices") / np.maximum(ties, 1.0)
    swift = _ramp(x("succession_days"), r.takeover_log_days) * (x("successions") > 0.0)
    taken = _ramp(x("takeover") * users, r.takeover_members) * _ramp(x("takeover"), r.takeover_part) * swift
    sprawl = _ramp(users, r.sprawl_users) * _ramp(x("max_share"), r.sprawl_share)
    turns = _ramp(x("successions"), r.succession_log_count)
    slow = _ramp(x("succession_days"), r.slow_log_days)
    household = _ramp(users, r.household_users) * _ramp(x("max_share"), r.household_share)
    lacking = 1.0 * (x("shared_addresses") == 0.0) + (x("shared_ips") == 0.0)
    home = 1.0 - r.home_part * lacking
    spending = np.maximum(_ramp(x("orders_per_user"), r.spending_log), _ramp(x("transfers_per_user"), r.spending_log))
    trouble = np.maximum.reduce([declined, refunded, charged, fraud])
    columns = (
        r.burst_week * part("burst_week", r.burst_week_part) + r.burst_day * burst_day,
        r.succession * _ramp(x("succession_days"), r.succession_log_days) * turns,
        r.quick_spend * quick,
        r.one_order * part("one_order", r.one_order_part),
        r.short_lived * _ramp(x("span_days"), r.short_lived_log_days) * quick,
        r.large_group * _ramp(users, r.large_group_users) * (1.0 - sprawl),
        r.device_sharing * _ramp(x("max_share") * users, r.device_users) * devices,
        r.card_rotation * _ramp(x("cards_per_user") / (1.0 + months), r.cards_per_month) * many,
        r.declined_payments * declined,
        r.refunds * refunded,
        r.chargebacks * charged,
        r.known_fraud * fraud,
        r.takeover * taken * (1.0 - household) * (1.0 - _ramp(x("transfers_inside"), r.acquainted)),
        r.referral_chain * _ramp(x("referrals_inside"), r.referrals_part) * many,
        r.money_circulation * circle * _ramp(users, r.circle_users),
        -r.known_legitimate * _ramp(x("legitimate_labels"), r.legitimate_part),
        -r.long_lived * _ramp(x("span_days"), r.long_lived_log_days),
        -r.slow_succession * slow,
        -r.handed_on * slow * _ramp(x("overlap"), r.overlap_part),
        -r.household_like * household * home * (1.0 - burst_day),
        -r.clean_record * spending * (1.0 - trouble),
        -r.sprawl * sprawl,
        -r.crowd * _ramp(x("max_share") * users, r.crowd_users),
    )
    return np.stack(columns, axis=1) + 0.0  # no negative zeros


def _ramp(values: F64, ramp: Ramp) -> F64:
    low, high = ramp
    return np.clip((values - low) / (high - low), 0.0, 1.0)
