"""What may ship: a network only where it beats trees on its own columns, outside the interval, on all data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from training.evaluation.compare import AVERAGE_PRECISION, Comparison, at_budget
from training.evaluation.figures import ACCOUNTS, RINGS, Figure
from training.evaluation.learn import NETWORK, SHIPPED, TREES_A, TREES_C, TREES_C_RINGS

TREES: Final = (TREES_C_RINGS, TREES_C)
"""What the network has to beat: the first of them that was measured."""
GOAL: Final = 0.25
"""By what part the shipped scorer should stop more money than trees without a graph, at the same budget."""
GOAL_BUDGET: Final = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an evaluation says should ship.

    Attributes:
        rival: the trees that the network has to beat; empty where either was not measured.
        gains: by title of the data, how much more the network's average precision is.
        missing: titles of data that the verdict needs and that was not measured.
        ships: the model. shipped: the one that ships at present.
    """

    rival: str
    gains: Mapping[str, Figure]
    missing: tuple[str, ...]
    ships: str
    shipped: str = SHIPPED

    @property
    def passed(self) -> bool:
        """Whether the network beats the trees outside the interval, wherever it must."""
        return bool(self.gains) and not self.missing and all(gain.low > 0 for gain in self.gains.values())

    @property
    def words(self) -> str:
        """The verdict in a sentence or two."""
        if not self.rival:
            return "The gate was not asked: it needs the network and the trees (c)."
        if self.passed:
            return f"The gate is passed: the network beats {self.rival} outside the interval on all data. It may ship."
        lost = [title for title, gain in self.gains.items() if not gain.low > 0]
        why = "; ".join(
            [f"on {title.lower()} it does not beat {self.rival} outside the interval" for title in lost]
            + [f"{title.lower()} was not measured" for title in self.missing]
        )
        return f"The gate is not passed: {why}. The network does not ship; by these figures {self.ships} should."


def verdict(parts: Mapping[str, Comparison], needed: Iterable[str]) -> Verdict:
    """Returns the verdict of an evaluation.

    Args:
        parts: by title of the data.
        needed: titles that must be among them.
    """
    missing = tuple(title for title in needed if title not in parts)
    rival = next((name for name in TREES if all(name in part.models for part in parts.values())), "")
    if not parts or not rival or any(NETWORK not in part.models for part in parts.values()):
        return Verdict("", {}, missing, SHIPPED)
    found = Verdict(rival, {title: gain(part, NETWORK, rival) for title, part in parts.items()}, missing, NETWORK)
    if found.passed:
        return found
    better = all(SHIPPED in part.models and gain(part, rival, SHIPPED).low > 0 for part in parts.values())
    return Verdict(rival, found.gains, missing, rival if better else SHIPPED)


def gain(part: Comparison, model: str, rival: str) -> Figure:
    """Returns how much more a model's average precision is: of rings where they are known, else of accounts."""
    level = RINGS if AVERAGE_PRECISION in part.names(RINGS) else ACCOUNTS
    return part.difference(AVERAGE_PRECISION, model, rival, level=level)


def goal(
    part: Comparison, model: str = SHIPPED, a_day: int = GOAL_BUDGET, what: str = "money stopped"
) -> Figure | None:
    """Returns by what part a model stops more money than trees (a) do at the same budget; None where not measured."""
    name = at_budget(what, a_day)
    if name not in part.names(ACCOUNTS) or not {model, TREES_A} <= set(part.models):
        return None
    return part.of(name, model).relative_to(part.of(name, TREES_A))
