"""A rule's conditions in words."""

from __future__ import annotations

from fraudgraph.rings.facts_words import duration, money
from fraudgraph.rings.rule_hits import Group, RuleCondition
from fraudgraph.rules.features import Unit, feature_of

OPERATORS = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than", "==": "exactly", "!=": "other than"}


def condition_words(condition: RuleCondition) -> str:
    """Returns `accounts: at least 4`."""
    return f"{_subject(condition)}: {_compared(condition)}"


def term_words(condition: RuleCondition, group: Group, value: int | float | None) -> str:
    """Returns `accounts: 7 (at least 4)`."""
    measured = "unknown" if value is None else _number(condition, value)
    without = "not " if group == "none" else ""
    return f"{_subject(condition)}: {measured} ({without}{_compared(condition)})"


def _subject(condition: RuleCondition) -> str:
    words = feature_of(condition).words
    return words.format(window=duration(condition.window_ms)) if condition.window_ms else words


def _compared(condition: RuleCondition) -> str:
    return f"{OPERATORS[condition.op]} {_number(condition, condition.threshold)}"


def _number(condition: RuleCondition, value: int | float) -> str:
    unit = feature_of(condition).unit
    if unit is Unit.MONEY:
        return money(int(value), condition.currency)
    if unit is Unit.PART:
        return f"{100 * value:.4g} %"
    if unit is Unit.LOG_ODDS:
        return f"{value:+.2f}"
    number = f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"
    return f"{number} {unit.value}" if unit in (Unit.DAYS, Unit.HOURS) else number
