"""Phrases: how each kind of claim may be said. A clause without a capital and a full stop; `speaker` fills it in.

`{who}` is a group of the ring's accounts and agrees with `{was}`, `{has}`, `{is}` and `{s}`; `{thing}` is an
identifier, named at first mention and referred to afterwards. Nobody is accused: accounts do, appear and share.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PHRASES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "shared-by": (
            "{who} use{s} {thing}, {uses} {between}",
            "{thing} is used by {who}, {uses} {between}",
            "{thing} was in the hands of {who}, {uses} {between}",
        ),
        "shared-only-here": (
            "nobody outside the {ring} uses {thing}",
            "{thing} is seen with nobody else",
            "no account outside the {ring} has touched {thing}",
        ),
        "shared-outside": (
            "{outside} outside the {ring} use{outside_s} {thing} too",
            "{thing} is also used by {outside} outside the {ring}",
        ),
        "ties-nobody": (
            "{thing} has {users_total} in all, too many for it to tie anybody",
            "{users_total} in all use {thing}, so it ties nobody",
        ),
        "device-farm": (
            "{who} began to use {thing} one after the other within {span}, typically {gap} apart",
            "on {thing}, {who} appeared one after the other: within {span}, typically {gap} apart",
            "{thing} saw {who} arrive one by one within {span}, typically {gap} apart",
        ),
        "takeover": (
            "{victims} that had existed for {age} or longer{named} began to use {thing} within {span}, {between}",
            "{thing} suddenly appears with {victims}{named} that had existed for {age} or longer, all within {span},"
            " {between}",
            "within {span}, {between}, {victims} that had existed for {age} or longer{named} turned up on {thing}",
        ),
        "brief-visits": (
            "{who}{named} {has} a device of {their} own, in use for weeks, and {was} on a shared one ({things}) for"
            " a day at most",
            "{who}{named} normally use{s} a device of {their} own, but {was} on a shared one ({things}) for a day at"
            " most",
        ),
        "drop-address": (
            "{members}, with {orders}{cards} between them, use {thing}",
            "{thing} is where {members} come together, with {orders}{cards} between them",
        ),
        "burst": (
            "{who} {was} first seen within {span} of each other, {between}",
            "{who} turned up within {span} of each other, {between}",
            "within {span}, {between}, {who} appeared for the first time",
        ),
        "velocity": (
            "{orders} of the {ring}, by {members}, came within {span} from {at}",
            "within {span} from {at}, {members} placed {orders} of the {ring}",
        ),
        "card-testing": (
            "{declined} of {attempts} orders and payments of {members}{only} were declined{cards}{most_by}",
            "{members}{only} had {declined} of {attempts} orders and payments declined{cards}{alone}",
        ),
        "one-order-accounts": (
            "{who} ordered exactly once",
            "{who} placed a single order",
            "{who} {has} one order and no other",
        ),
        "quick-spending": (
            "{who} spent within 24 hours of being first seen, typically {wait}",
            "{who} went from first sight to spending within 24 hours, typically {wait}",
        ),
        "labelled": (
            "{who} {is} labelled {value}: {names}",
            "somebody labelled {who} {value}: {names}",
        ),
        "refund-loop": (
            "there were {refunds} for {orders}, by {members}{amount}",
            "{members} had {refunds} for the {ring}'s {orders}{amount}",
        ),
        "chargeback": (
            "there {were_n} {chargebacks} on {members}{named}{amount}{known}",
            "banks took money back on {members}{named}, in {chargebacks}{amount}{known}",
        ),
        "transfer-cycle": (
            "money went {round} {members}{named}: {transfers}, {amount}, {between}",
            "{members}{named} sent money {round_they}: {transfers}, {amount}, {between}",
        ),
        "referral-chain": (
            "{referred} of the {ring} {were_n} brought in by {referrers}; the longest chain of referrals has {chain}",
            "{referrers} of the {ring} brought in {referred}, with a longest chain of {chain}",
        ),
        "transfers-inside": (
            "members sent each other {amount} in {transfers}, among {members}",
            "{amount} moved in {transfers} among {members} of the {ring}",
        ),
        "bridge": (
            "without {thing}, the {ring} falls into {parts}",
            "take {thing} away and the {ring} falls into {parts}",
            "{thing} holds the {ring} together: without it, there are {parts}",
        ),
        "similar-past": (
            "it looks like ring {past}, {verdict} on {at}: {similarity} alike in shape and behaviour, with no account"
            " in common",
            "ring {past}, {verdict} on {at}, had much the same shape and behaviour ({similarity} alike) and no account"
            " in common",
        ),
        "rule": (
            "the shop's own rule {rule} holds, which it calls {severity}",
            "it meets the shop's own rule {rule} ({severity})",
        ),
        "clean-money": (
            "none of {moved} was declined, refunded or charged back",
            "of {moved}, none was declined, refunded or charged back",
        ),
        "long-standing": (
            "{who} {has} been in use for more than 90 days, typically {span}",
            "{who} {has} a history of more than 90 days, typically {span}",
        ),
        "slow-growth": (
            "the accounts came one by one over {span}, no more than {n} within any 7 days",
            "the {ring} grew slowly: over {span}, no more than {n} came within any 7 days",
        ),
        "handed-on": (
            "{thing} went from one account to the next ({members}, {between}), never used by two at a time",
            "{members} had {thing} one after the other, {between}, and never two at a time",
        ),
        "ring-size": (
            "the {ring} has {members}",
            "{members} are tied together here",
        ),
        "active-between": (
            "they were active {between}",
            "their activity runs {between}",
        ),
        "at-stake": (
            "{orders} worth {ordered} {are_n} known{apart}: {split}",
            "there {are_n} {orders} worth {ordered}{apart}: {split}",
        ),
        "sent": (
            "in all, members sent {sent}",
            "members sent {sent} in all",
        ),
        "before": (
            "{earlier} began {gap} before {later}",
            "{earlier} came first, {later} {gap} later",
        ),
        "after": (
            "{later} began {gap} after {earlier}",
            "{later} followed {earlier} by {gap}",
        ),
        "earliest": (
            "nothing in the evidence is older than {event}, from {at}",
            "it all begins with {event}, from {at}",
        ),
        "latest": ("the newest thing in the evidence is {event}, from {at}",),
        "same-accounts": ("{first} and {second} are about the very same {n}",),
        "among-accounts": ("the {n} of {first} are all among the {m} of {second}",),
        "no-common-accounts": ("{first} and {second} have no account in common",),
        "membership": ("account {account} is one of the accounts of {first}",),
        "together-cover": (
            "between them, {things} reach {who}",
            "{who} use{s} at least one of {things}",
        ),
        "most-shared": (
            "{thing} is the {noun} that most of them share",
            "no other {noun} is shared as much as {thing}",
        ),
        "more-than": ("{more} {verb} {n} {unit}, {less} {m}", "{more} {verb} more {unit} than {less}: {n} against {m}"),
        "as-many": ("{more} and {less} {verb_both} {n} {unit} each",),
        "rate": ("{part} of {whole}, that is {share}",),
        "sum": ("{parts} make {total}",),
        "role": ("account {account} is {role}: {reason}", "account {account} looks like {role}: {reason}"),
    }
)
"""Kind of claim -> its phrasings; which one is said depends on the pack and on the place alone."""

LIKEWISE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "device-farm": "the same happened on {list}",
        "takeover": "the same happened on {list}",
        "drop-address": "the same goes for {list}",
        "handed-on": "the same goes for {list}",
    }
)
"""How the further ones of several neighbouring claims of a kind are said."""

LISTED: Final = frozenset({"shared-by", "shared-only-here"})
"""Kinds of which neighbours are told in one clause."""

JOINED: Final = frozenset(
    {
        ("shared-by", "shared-only-here"),
        ("shared-by", "shared-outside"),
        ("shared-by", "ties-nobody"),
        ("ring-size", "active-between"),
        ("burst", "quick-spending"),
        ("burst", "one-order-accounts"),
        ("quick-spending", "one-order-accounts"),
        ("one-order-accounts", "quick-spending"),
        ("long-standing", "slow-growth"),
        ("long-standing", "clean-money"),
        ("slow-growth", "clean-money"),
        ("at-stake", "sent"),
    }
)
"""Neighbours that read well in one sentence; about identifiers only where both are about the same ones."""

SHARED: Final = (
    "they share {list}",
    "in common they have {list}",
)
"""How several shared identifiers are said at once, where those are all."""

SHARED_AMONG: Final = (
    "among what they share are {list}",
    "what they share includes {list}",
)
"""How the same is said where there are more."""

CONNECTIVES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "also": ("Also, ", "Besides, "),
        "first": ("First, ",),
        "then": ("Then ", "After that, "),
        "at-the-same-time": ("At the same time, ", "Meanwhile, "),
        "but": ("But ", "On the other hand, "),
    }
)

ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "core": "at the core",
        "bridge": "a bridge",
        "periphery": "at the edge",
        "likely-victim": "a likely victim",
    }
)

VERDICTS: Final[Mapping[str, str]] = MappingProxyType(
    {"confirmed": "confirmed as a fraud ring", "false-positive": "found to be honest"}
)

EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "shared-identifier": "the use of {name}",
        "device-farm": "the run of accounts on {name}",
        "takeover": "the move to {name}",
        "burst": "the arrival of the accounts",
        "velocity": "the rush of orders",
        "transfer-cycle": "the circle of transfers",
        "slow-growth": "the first account",
        "handed-on": "the use of {name}",
        "ring": "the first account",
    }
)
"""What began, for facts that have a beginning."""

QUESTIONS_ASKED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "whose-device": "Whose device is {name}?",
        "who-lives-there": "Who lives, works or collects parcels at address {name}?",
        "whose-card": "Whose card is {name}, and does its owner know of these payments?",
        "owners-know-of-orders": "Do the owners of {names} know of what was ordered?",
        "goods-came-back": "Did the goods of the refunded orders come back?",
        "know-each-other": "Do {names} know each other, or is one person behind them?",
        "what-money-was-for": "What was the money between {names} for?",
        "who-else-uses-it": "Who is behind the {outside} outside that also use{outside_s} {name}?",
        "really-one-ring": "Do the {parts} belong together, or does only {name} join them?",
        "same-people-as-before": "Are the people behind ring {past} back?",
    }
)
"""What remains to be asked; the first answer usually settles a case."""
