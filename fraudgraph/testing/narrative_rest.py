"""What explanations, steps and questions must say, word for word, derived anew from the snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fraudgraph.narrative.catalogue import EXPLANATIONS
from fraudgraph.narrative.innocent import GENERAL, HARSH
from fraudgraph.narrative.phrases import QUESTIONS_ASKED
from fraudgraph.narrative.port import Sentence
from fraudgraph.rings.facts_words import count, duration, listed, money_list, of, parts, sentence
from fraudgraph.rings.roles import RoleName, roles
from fraudgraph.testing.narrative_said import Item, Ring, noun

WEEK_MS: Final = 7 * 86_400_000
SMALL: Final = 6
"""Users of an address that may be one home."""


class Rest:
    """The parts of a narrative whose words are the house's; each method returns the right text, None where none is."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._truth = ring.truth
        self._size = ring.truth.whole
        self._kinds = {kind for kind, _ in ring.subjects.values()}

    def holds(self, section: str, said: Sentence, item: Item | None, names: str) -> bool:
        """Returns whether a sentence is word for word what it should be.

        Args:
            item, names: what a question is about, and how its accounts are listed.
        """
        name = said.claims[0]
        if section == "open_questions":
            return item is not None and self._question(name, item, names) == said.text
        if section == "next_actions":
            return said.text in self._actions(name)
        text = self._explanation(name)
        return text is not None and text + self._against(name) == said.text

    # Innocent explanations

    def _against(self, name: str) -> str:
        if name == "insufficient-evidence":
            return ""
        fraud = {i for i, (kind, value) in self._ring.subjects.items() if kind == "labels" and value == "fraud"}
        against = [i for i, (kind, _) in self._ring.subjects.items() if kind in HARSH or i in fraud]
        if not against:
            return ""
        return f" Against this {'stands' if len(against) == 1 else 'stand'} {listed(against, 4)}."

    def _explanation(self, name: str) -> str | None:
        return _EXPLAINED[name](self) if name in _EXPLAINED else None

    def _shared(self, *letters: str) -> list[str]:
        return [
            name
            for name, links in self._truth.identifiers.items()
            if len(links) >= 2 and name.rstrip("0123456789") in letters
        ]

    def _users(self, name: str) -> set[str]:
        return {link.user_id for link in self._truth.identifiers[name]}

    def _called(self, name: str) -> str:
        return f"{noun(name)} {name}"

    def household(self) -> str | None:
        homes = [
            a for a in self._shared("A") if self._truth.total(a) <= SMALL and 2 * len(self._users(a)) >= self._size
        ]
        if not homes or self._size > SMALL or "burst" in self._kinds:
            return None
        here = self._users(homes[0])
        also = [
            (x, n) for x in self._shared("D", "IP") if len(self._users(x)) <= SMALL and (n := self._both(x, here)) > 1
        ]
        more = ""
        if also:
            n = also[0][1]
            some = f"{n:,}" if n < len(here) else "both" if n == 2 else "all"
            more = f", and {some} of them use {self._called(also[0][0])}"
        return (
            f"One household: {of(len(here), self._size, 'account')} share {self._called(homes[0])}{more}. Names on the"
            " accounts and on the deliveries would settle it."
        )

    def _both(self, name: str, here: set[str]) -> int:
        return len(self._users(name) & here)

    def _cover(self, names: Sequence[str]) -> bool:
        return 2 * len({u for name in names for u in self._users(name)}) >= self._size

    def building(self) -> str | None:
        homes = [a for a in self._shared("A") if self._truth.total(a) > SMALL]
        if not homes or not self._cover(homes):
            return None
        own = "" if self._shared("D", "C") else ", and no device or card is shared"
        return (
            f"A dorm, an office or a parcel shop: address {homes[0]} is used by {self._truth.total(homes[0]):,}"
            f" accounts{own}. What stands at that address would settle it."
        )

    def network(self) -> str | None:
        wide = [x for x in self._shared("IP") if self._truth.hub(x) or 2 * len(self._users(x)) >= self._size]
        if not wide or self._shared("D", "C", "M", "P"):
            return None
        who = {u for x in wide for u in self._users(x)}
        what = f"{of(len(who), self._size, 'account')} come from {listed([self._called(x) for x in wide], 3)}"
        return (
            f"One network: {what}, and no device, card, e-mail address or phone is shared, as in an office, on a"
            " campus or behind a carrier's address translation."
        )

    def handed_on(self) -> str | None:
        names = [subject for kind, subject in self._ring.subjects.values() if kind == "handed-on"]
        for name in names:
            self._truth.of("handed-on", name)  # fails where two had it at a time
        if not names:
            return None
        return (
            f"Second-hand or re-issued: {listed(names)} went from one account to the next and was never used by two at"
            " a time, as when a phone is sold or a number is given out again."
        )

    def gifts(self) -> str | None:
        homes = [a for a in self._shared("A") if not self._truth.hub(a)]
        if not homes or not self._cover(homes) or self._shared("D", "C", "M", "P"):
            return None
        who = of(len(self._users(homes[0])), self._size, "account")
        return (
            f"Gifts: {who} deliver to address {homes[0]}, and no device, card, e-mail address or phone is shared."
            " Whether the buyers' own addresses differ would settle it."
        )

    def family_card(self) -> str | None:
        cards = [c for c in self._shared("C") if self._truth.total(c) <= 4]
        if not cards or not self._cover(cards) or any(u.chargebacks for u in self._truth.users.values()):
            return None
        total = count(self._truth.total(cards[0]), "account")
        return f"A family card: {cards[0]} is used by {total}, and no payment with it is known to be disputed."

    def record(self) -> str | None:
        calm = [self._calm(kind, subject) for kind, subject in self._ring.subjects.values()]
        said = [text for text in calm if text]
        return f"The record: {' '.join(said)}" if said else None

    def _calm(self, kind: str, subject: str) -> str:
        n = self._truth.of(kind, subject) if kind in ("clean-money", "long-standing", "slow-growth", "labels") else {}
        if kind == "clean-money":
            moved = " and ".join(count(n[f"{word}s"], word) for word in ("order", "payment") if n[f"{word}s"])
            return f"None of {moved} was declined, refunded or charged back, and no account is labelled fraud."
        if kind == "long-standing":
            who = of(n["members"], self._size, "account")
            has = "has" if n["members"] == 1 else "have"
            typical = duration(n["median_span"])
            return sentence(f"{who} of the ring {has} been in use for more than 90 days, typically {typical}.")
        if kind == "slow-growth":
            over = duration(n["last"] - n["first"])
            most = f"{n['most_in_week']:,} of {self._size:,}"
            return f"The accounts came one by one over {over}: no more than {most} within any 7 days."
        if kind == "labels" and subject == "legitimate":
            who = of(n["members"], self._size, "account")
            names = listed([u for u, x in self._truth.users.items() if x.label < 0])
            return sentence(f"{who} of the ring {'is' if n['members'] == 1 else 'are'} labelled legitimate: {names}.")
        return ""

    def chance(self) -> str | None:
        return (
            "Insufficient evidence: the accounts share identifiers, and nothing in what they did is unusual. Most"
            " people who share an identifier are honest."
        )

    def acquainted(self) -> str | None:
        shared = [x for x in self._shared("D", "IP", "C", "M", "P", "A") if not self._truth.hub(x)][:3]
        what = listed([self._called(x) for x in shared]) if shared else "what ties them"
        if self._size <= 8:
            text = f"People who know each other: friends, relatives or colleagues may share {what}."
        else:
            text = f"Something that many people use: a shop's counter, an agency or a club may be behind {what}."
        return f"{text} Asking two of them, each apart, would settle it."

    # Steps

    def _actions(self, name: str) -> set[str]:
        if name in ("close-as-innocent", "request-information"):
            found = self._closing(name)
        else:
            made = _STEPS.get(name)
            step = made(self) if made is not None else None
            found = [step] if step is not None else []
        return {f"{text} Why: {why}." for text, why in found}

    def _closing(self, name: str) -> list[tuple[str, str]]:
        """Returns what may be said where an innocent explanation stands uncontradicted: any one that holds."""
        if self._against("household"):
            fitting = ["insufficient-evidence"]
        else:
            fitting = [x for x, holds in _EXPLAINED.items() if x not in GENERAL and holds(self) is not None]
        sure = self._truth.snapshot.probability >= 0.5
        if name == "close-as-innocent":
            why = "an innocent explanation fits, and nothing contradicts it"
            return [
                (f"Close it as {EXPLANATIONS[x]} if the check above bears that out.", why) for x in fitting if not sure
            ]
        if sure:
            text = "Ask for what would settle the innocent explanation before anything is blocked."
            return [(text, f"it may be {EXPLANATIONS[x]}") for x in fitting]
        return [("Ask for more before deciding; close it if nothing else appears.", "the evidence does not suffice")]

    def open_orders(self) -> tuple[str, str] | None:
        left: dict[int, int] = {}
        number = 0
        for o in self._truth.snapshot.orders:
            exposed = 0 if o.declined else max(0, o.amount_minor - o.refunded_minor - o.charged_minor)
            if self._truth.snapshot.as_of_ms - o.ts_ms <= WEEK_MS and exposed:
                number += 1
                left[o.currency] = left.get(o.currency, 0) + exposed
        which = f"{number:,} orders" if number > 1 else "order"
        text = f"Review the {which} of the last 7 days, and ship what is still here only afterwards."
        return (text, f"{money_list(left)} can still be saved") if number else None

    def _with_role(self, *names: RoleName) -> list[str]:
        return [role.user_id for role in roles(self._ring.view).values() if role.name in names]

    def victims(self) -> tuple[str, str] | None:
        who = self._with_role(RoleName.LIKELY_VICTIM)
        text = f"Contact {listed(who)} over an address known from before, and help them secure the account."
        why = f"{count(len(who), 'account')} may have been taken over, or had a card stolen"
        return (text, why) if who else None

    def step_up(self) -> tuple[str, str] | None:
        who = self._with_role(RoleName.CORE, RoleName.BRIDGE)
        text = f"Ask for stronger verification at the next login or order of {listed(who)}."
        return (text, "at the core of what is shared; whoever is honest will pass") if who else None

    def refunds(self) -> tuple[str, str] | None:
        text = "Pay further refunds only after the goods were received and checked."
        return (text, "refunds are unusually many") if "refund-loop" in self._kinds else None

    def promotions(self) -> tuple[str, str] | None:
        text = "Pause new-customer and referral benefits for accounts that join through these identifiers."
        if "referral-chain" in self._kinds:
            return text, "members bring each other in"
        once = sum(u.orders == 1 for u in self._truth.users.values())
        return (text, "most accounts order once") if 2 * once >= self._size else None

    def block(self) -> tuple[str, str] | None:
        tying = [x for x in self._shared("D", "C") if sum(link.ties for link in self._truth.identifiers[x]) >= 2]
        if not tying:
            return None
        most = max(len(self._users(x)) for x in tying)
        outside = max(self._truth.total(x) - len(self._users(x)) for x in tying)
        warning = f"; {count(outside, 'account')} outside the ring would be hit too" if outside else ""
        names = listed(sorted(tying, key=lambda x: -len(self._users(x))))
        text = f"Once a person has confirmed the ring, block {names} for new accounts{warning}."
        return text, f"shared by up to {of(most, self._size, 'account')}"

    # Questions

    def _question(self, name: str, item: Item, names: str) -> str | None:
        identifier = item.subject if item.subject in self._truth.identifiers else ""
        outside = item.numbers.get("outside", 0)
        values = {
            "name": identifier,
            "names": names,
            "outside": count(outside, "account"),
            "outside_s": "s" if outside == 1 else "",
            "past": str(item.numbers.get("past", "")),
        }
        if name == "who-else-uses-it" and not outside:
            return None
        if name == "really-one-ring":
            sizes = item.numbers["parts"]
            values["parts"] = parts(sizes) if max(sizes, default=0) > 1 else "accounts"
            tied = {constraint for _, _, constraint in self._truth.snapshot.together}
            values["name"] = identifier or (
                f"the analyst's tie {item.subject}" if item.subject in tied else f"account {item.subject}"
            )
        return QUESTIONS_ASKED[name].format_map(values)


_EXPLAINED: Final[Mapping[str, Callable[[Rest], str | None]]] = {
    "household": Rest.household,
    "shared-building": Rest.building,
    "office-network": Rest.network,
    "second-hand-device": Rest.handed_on,
    "gift-buyers": Rest.gifts,
    "family-card": Rest.family_card,
    "calm-record": Rest.record,
    "insufficient-evidence": Rest.chance,
    "acquainted": Rest.acquainted,
}
_STEPS: Final[Mapping[str, Callable[[Rest], tuple[str, str] | None]]] = {
    "review-open-orders": Rest.open_orders,
    "contact-likely-victims": Rest.victims,
    "step-up-verification": Rest.step_up,
    "hold-refunds": Rest.refunds,
    "pause-promotions": Rest.promotions,
    "block-identifier-after-confirmation": Rest.block,
    "watch": lambda rest: ("Leave it in the queue and look again when it grows.", "no step is urgent"),
}
