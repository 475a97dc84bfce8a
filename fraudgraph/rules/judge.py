"""Judges rings by rules: which hold, and with what numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fraudgraph.graph.types import Bool
from fraudgraph.rings.rule_hits import Group, RuleCondition, RuleHit, RuleTerm
from fraudgraph.rules.schema import Rule, RuleSet
from fraudgraph.rules.table import RingTable, compared
from fraudgraph.rules.words import term_words


def hits(rules: RuleSet, table: RingTable) -> list[tuple[RuleHit, ...]]:
    """Returns the rules that hold of each of `r` rings, in the order of the file. Pure."""
    found: list[list[RuleHit]] = [[] for _ in range(len(table))]
    for rule in rules.rules:
        for ring in np.flatnonzero(holds(rule, table)).tolist():
            found[ring].append(hit_of(rule, table, ring))
    return [tuple(row) for row in found]


def holds(rule: Rule, table: RingTable) -> Bool:
    """Returns `[r]` where a rule holds."""
    held = np.ones(len(table), np.bool_)
    for condition in rule.when["all"]:
        held &= _meets(condition, table)
    if rule.when["any"]:
        held &= np.logical_or.reduce([_meets(condition, table) for condition in rule.when["any"]])
    for condition in rule.when["none"]:
        held &= ~_meets(condition, table)
    return held


def hit_of(rule: Rule, table: RingTable, ring: int) -> RuleHit:
    """Returns a rule that holds of a ring, with its numbers."""
    return RuleHit(
        rule=rule.name,
        version=rule.version,
        severity=rule.severity,
        mode=rule.mode,
        description=rule.description,
        terms=tuple(_terms(rule, table, ring)),
    )


def measured(condition: RuleCondition, group: Group, table: RingTable, ring: int) -> RuleTerm:
    """Returns a condition with the number that a ring has."""
    value = float(table.values(condition)[ring])
    number: int | float | None = value
    if np.isnan(value):
        number = None
    elif value.is_integer():
        number = int(value)
    return RuleTerm(condition, group, number, term_words(condition, group, number))


def term_holds(term: RuleTerm, table: RingTable, ring: int) -> bool:
    """Returns whether a term of a hit is true of a ring; one of the group `none` is true where it is not met."""
    return bool(_meets(term.condition, table)[ring]) is (term.group != "none")


def _meets(condition: RuleCondition, table: RingTable) -> Bool:
    return compared(table.values(condition), condition.op, condition.threshold)


def _terms(rule: Rule, table: RingTable, ring: int) -> Iterator[RuleTerm]:
    for group, conditions in rule.when.items():
        for condition in conditions:
            if group != "any" or _meets(condition, table)[ring]:
                yield measured(condition, group, table, ring)
