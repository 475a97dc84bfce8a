"""What a shop's own rules say of a ring: conditions with the values that met them, as the snapshot carries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Operator = Literal[">=", ">", "<=", "<", "==", "!="]
Severity = Literal["low", "medium", "high", "critical"]
Mode = Literal["alert", "evidence", "shadow"]
Group = Literal["all", "any", "none"]


@dataclass(frozen=True, slots=True)
class AccountCondition:
    """What one account must be like (`rules.features`)."""

    feature: str
    op: Operator
    threshold: int | float


@dataclass(frozen=True, slots=True)
class RuleCondition:
    """A comparison of one published number of a ring; `rules.features` says which there are.

    Attributes:
        feature: name; `accounts` where members are counted that meet all of `accounts`.
        threshold: in the feature's unit; money in minor units of `currency` (ISO 4217 numeric).
        part: members are counted as a fraction of all.
        window_ms: span of time of a feature that has one; 0 for the others.
    """

    feature: str
    op: Operator
    threshold: int | float
    accounts: tuple[AccountCondition, ...] = ()
    part: bool = False
    window_ms: int = 0
    currency: int = 0


@dataclass(frozen=True, slots=True)
class RuleTerm:
    """A condition and what was measured.

    Attributes:
        value: rounded to 6 decimals before it is compared; None where the ring has no such number.
        said: both in words, `accounts: 7 (at least 4)`.
    """

    condition: RuleCondition
    group: Group
    value: int | float | None
    said: str


@dataclass(frozen=True, slots=True)
class RuleHit:
    """A rule that holds of a ring.

    Attributes:
        rule: name; `version` 16 hex digits that change with every part of the rule.
        description: what the shop wrote.
        terms: all conditions of the groups `all` and `none`, and those of `any` that hold.
    """

    rule: str
    version: str
    severity: Severity
    mode: Mode
    description: str
    terms: tuple[RuleTerm, ...]


@dataclass(frozen=True, slots=True)
class RingRules:
    """What the rules said when the ring was judged last.

    Attributes:
        rules: hash of the rule set; "" where there was none.
        hits: in the order of the rule file, those of the mode `shadow` included.
    """

    rules: str = ""
    hits: tuple[RuleHit, ...] = ()

    def names(self, mode: Mode) -> frozenset[str]:
        """Returns the names of the rules of a mode that hold."""
        return frozenset(hit.rule for hit in self.hits if hit.mode == mode)


NO_RULES = RingRules()
