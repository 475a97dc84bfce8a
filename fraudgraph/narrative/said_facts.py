"""What statements say: the values of their phrases, from the one fact or row that each cites."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from fraudgraph.durations import HOUR_MS
from fraudgraph.narrative.pack import PackFact
from fraudgraph.narrative.phrases import VERDICTS
from fraudgraph.narrative.said_words import Values, between_of, cash_of, is_n, number_of, span_of, was_n
from fraudgraph.narrative.verifier import Held
from fraudgraph.rings.facts_words import count, date, duration, listed, minute, of, parts

if TYPE_CHECKING:
    from fraudgraph.narrative.speaker import Speaker

Say = Callable[["Speaker", Held], Values]


def _shared(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    outside = number_of(item, "outside")
    return {
        "uses": count(number_of(item, "count"), "time"),
        "between": between_of(item),
        "outside": count(outside, "account"),
        "outside_s": "s" if outside == 1 else "",
        "users_total": count(number_of(item, "users_total"), "user"),
    }


def _spread(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"span": span_of(item), "between": between_of(item), "gap": duration(number_of(item, "median_gap"))}


def _takeover(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {
        "victims": count(number_of(item, "victims"), "account"),
        "age": duration(number_of(item, "youngest_age")),
        "span": span_of(item),
        "between": between_of(item),
    }


def _visits(speaker: Speaker, held: Held) -> Values:
    fact = next(f for f in speaker.evidence.facts if f.id == held.items[0].id)
    names = fact.fields["identifiers"]
    return {"things": listed([str(x) for x in names] if isinstance(names, tuple) else [])}


def _drop(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    cards = number_of(item, "cards")
    return {
        "members": count(number_of(item, "members"), "account"),
        "orders": count(number_of(item, "orders"), "order"),
        "cards": f" and {count(cards, 'card')}" if cards else "",
    }


def _velocity(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {
        "orders": of(number_of(item, "orders"), number_of(item, "orders_total"), "order"),
        "members": count(number_of(item, "members"), "account"),
        "span": span_of(item),
        "at": minute(number_of(item, "first")),
    }


def _testing(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    cards = number_of(item, "cards")
    worst = f"account {speaker.account(str(item.fields['most_declined_account']))}"
    most = f"{number_of(item, 'most_declined'):,}"
    single = number_of(item, "members") == 1
    return {
        "members": count(number_of(item, "members"), "account"),
        "only": f" ({worst.removeprefix('account ')})" if single else "",
        "declined": f"{number_of(item, 'declined'):,}",
        "attempts": f"{number_of(item, 'attempts'):,}",
        "cards": f", over {count(cards, 'card')}" if cards else "",
        "most_by": "" if single else f"; most by {worst}, with {most}",
        "alone": "" if single else f", {worst} alone {most} of them",
    }


def _waits(speaker: Speaker, held: Held) -> Values:
    typical = number_of(held.items[0], "median_wait")
    return {"wait": f"after {duration(typical)}" if typical >= HOUR_MS else "within the hour"}


def _labelled(speaker: Speaker, held: Held) -> Values:
    return {"value": str(held.items[0].fields["value"])}


def _refunds(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    amount = f", {cash_of(item, 'refunded')} in all" if number_of(item, "refunded") else ""
    return {
        "refunds": count(number_of(item, "refunds"), "refund"),
        "orders": count(number_of(item, "orders"), "order"),
        "members": count(number_of(item, "members"), "account"),
        "amount": amount,
    }


def _chargebacks(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    n = number_of(item, "chargebacks")
    return {
        "chargebacks": count(n, "chargeback"),
        "were_n": was_n(n),
        "members": count(number_of(item, "members"), "account"),
        "amount": f": {cash_of(item, 'charged_back')} lost" if number_of(item, "charged_back") else "",
        "known": _known(number_of(item, "long_known"), number_of(item, "members")),
    }


def _known(known: int, members: int) -> str:
    """Returns how many of those accounts the shop had long known when they ordered."""
    if not known:
        return ""
    who = "the account was" if members == 1 else f"{of(known, members, 'account')} {was_n(known)}"
    return f"; {who} long known to the shop"


def _transfers(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    pair = number_of(item, "members") == 2
    return {
        "members": count(number_of(item, "members"), "account"),
        "transfers": count(number_of(item, "transfers"), "transfer"),
        "amount": cash_of(item, "amount"),
        "round": "back and forth between" if pair else "in a circle among",
        "round_they": "back and forth" if pair else "round in a circle",
        **({"between": between_of(item)} if "first" in item.fields else {}),
    }


def _referrals(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    chain = item.fields["chain"]
    length = (len(chain) if isinstance(chain, tuple) else 0) + number_of(item, "chain_more")
    return {
        "referred": count(number_of(item, "referred"), "account"),
        "were_n": was_n(number_of(item, "referred")),
        "referrers": count(number_of(item, "referrers"), "member"),
        "chain": count(length, "account"),
    }


def _bridge(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"parts": _parts(speaker, item), "thing": speaker.joint(item)}


def _parts(speaker: Speaker, item: PackFact) -> str:
    fact = next(f for f in speaker.evidence.facts if f.id == item.id)
    sizes = fact.fields["parts"]
    return parts([int(n) for n in sizes]) if isinstance(sizes, tuple) else ""


def _past(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {
        "past": speaker.evidence.names[str(item.fields["past"])],
        "verdict": VERDICTS[str(item.fields["verdict"])],
        "at": date(number_of(item, "at")),
        "similarity": f"{float(str(item.fields['similarity'])):.0%}".replace("%", " %"),
    }


def _rule(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"rule": speaker.evidence.names[str(item.fields["rule"])], "severity": str(item.fields["severity"])}


def _clean(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    moved = [count(number_of(item, f"{noun}s"), noun) for noun in ("order", "payment") if number_of(item, f"{noun}s")]
    return {"moved": listed(moved)}


def _standing(speaker: Speaker, held: Held) -> Values:
    return {"span": duration(number_of(held.items[0], "median_span"))}


def _slow(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"span": span_of(item), "n": f"{number_of(item, 'most_in_week'):,}"}


def _handed(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"members": count(number_of(item, "members"), "account"), "between": between_of(item)}


def _ring(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"members": count(number_of(item, "members"), "account"), "between": between_of(item)}


def _stake(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    orders = number_of(item, "orders")
    split = [
        f"{cash_of(item, field)} {words}"
        for field, words in (
            ("exposed", "can still be lost"),
            ("charged_back", "was charged back"),
            ("refunded", "was refunded"),
        )
        if number_of(item, field)
    ]
    if len(split) == 1 and number_of(item, "exposed") == number_of(item, "ordered"):
        split = ["all of it can still be lost" if speaker.ring == "ring" else "none of it was refunded or charged back"]
    declined = number_of(item, "declined")
    return {
        "orders": count(orders, "order"),
        "apart": f", besides {declined:,} declined or cancelled" if declined else "",
        "are_n": is_n(orders),
        "ordered": cash_of(item, "ordered"),
        "split": listed(split),
    }


def _sent(speaker: Speaker, held: Held) -> Values:
    return {"sent": cash_of(held.items[0], "sent")}


STATED: Final[Mapping[str, Say]] = MappingProxyType(
    {
        **dict.fromkeys(("shared-by", "shared-only-here", "shared-outside", "ties-nobody"), _shared),
        **dict.fromkeys(("device-farm", "burst"), _spread),
        "takeover": _takeover,
        "brief-visits": _visits,
        "drop-address": _drop,
        "velocity": _velocity,
        "card-testing": _testing,
        "one-order-accounts": lambda speaker, held: {},
        "quick-spending": _waits,
        "labelled": _labelled,
        "refund-loop": _refunds,
        "chargeback": _chargebacks,
        **dict.fromkeys(("transfer-cycle", "transfers-inside"), _transfers),
        "referral-chain": _referrals,
        "bridge": _bridge,
        "similar-past": _past,
        "rule": _rule,
        "clean-money": _clean,
        "long-standing": _standing,
        "slow-growth": _slow,
        "handed-on": _handed,
        **dict.fromkeys(("ring-size", "active-between"), _ring),
        "at-stake": _stake,
        "sent": _sent,
    }
)
"""Kind of claim -> values of its phrases' places."""
