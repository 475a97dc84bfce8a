"""What a rule is worth on past events: what it held of, who of them is known, and what the model said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

OVERLAP = 0.5
"""A decision is about a ring where at least this part of the accounts that it named are in it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A ring as it was when a rule first held of it."""

    rule: str
    mode: str
    ring_id: str
    at_ms: int
    users: frozenset[str]


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """Figures of one rule.

    Attributes:
        rings, users: that it held of, at any time.
        fraud, legitimate: accounts of these by what is known of them; the others are not known, and not honest.
        rings_known, rings_fraud: rings with a known account, and those of which most known accounts are fraud.
        confirmed, refuted: rings that a standing decision confirmed or called honest.
        with_model: rings that the model alerted too, at any time; `lead_ms` how much earlier the rule was, median,
            below 0 where it was later.
    """

    rule: str
    mode: str
    rings: int
    users: int
    fraud: int
    legitimate: int
    rings_known: int
    rings_fraud: int
    confirmed: int
    refuted: int
    with_model: int
    lead_ms: int | None

    @property
    def precision(self) -> float | None:
        """Fraud among the accounts that are known; None where none is."""
        known = self.fraud + self.legitimate
        return self.fraud / known if known else None


def figures(
    rules: Sequence[tuple[str, str]],
    seen: Iterable[Seen],
    *,
    verdicts: Mapping[str, int],
    decided: Sequence[tuple[Collection[str], bool]] = (),
    model_ms: Mapping[str, int],
) -> list[RuleFigures]:
    """Returns the figures of each rule.

    Args:
        rules: (name, mode), in the order of the result.
        verdicts: account -> 1 fraud, -1 legitimate, else 0.
        decided: accounts that a standing decision named, and whether it confirmed them.
        model_ms: ring -> when its probability first reached the alert line.
    """
    by_rule: dict[str, list[Seen]] = defaultdict(list)
    for each in seen:
        by_rule[each.rule].append(each)
    return [_of_rule(name, mode, by_rule[name], verdicts, decided, model_ms) for name, mode in rules]


def is_about(decided: Collection[str], users: Collection[str]) -> bool:
    """Returns whether a decision that named these accounts is about a ring of those."""
    return bool(decided) and len(set(decided) & set(users)) >= OVERLAP * len(decided)


def _of_rule(
    name: str,
    mode: str,
    seen: Sequence[Seen],
    verdicts: Mapping[str, int],
    decided: Sequence[tuple[Collection[str], bool]],
    model_ms: Mapping[str, int],
) -> RuleFigures:
    users = frozenset().union(*(each.users for each in seen))
    known = [[verdicts.get(user, 0) for user in each.users] for each in seen]
    words = [{holds for members, holds in decided if is_about(members, each.users)} for each in seen]
    leads = [model_ms[each.ring_id] - each.at_ms for each in seen if each.ring_id in model_ms]
    return RuleFigures(
        rule=name,
        mode=mode,
        rings=len(seen),
        users=len(users),
        fraud=sum(verdicts.get(user, 0) > 0 for user in users),
        legitimate=sum(verdicts.get(user, 0) < 0 for user in users),
        rings_known=sum(any(row) for row in known),
        rings_fraud=sum(sum(row) > 0 for row in known),
        confirmed=sum(True in said for said in words),
        refuted=sum(False in said for said in words),
        with_model=len(leads),
        lead_ms=round(median(leads)) if leads else None,
    )
