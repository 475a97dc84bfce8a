"""Priority = value at risk x calibrated probability x recency: three factors that an analyst sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from fraudgraph.durations import DAY_MS


@dataclass(frozen=True, slots=True)
class PriorityRules:
    """How the queue is ordered.

    Attributes:
        half_life_days: a ring that was quiet for so long counts half.
        account_value_minor: what one fake account costs a shop where no order shows it yet, in minor units.
        dormant_days: a ring that was quiet for so long is shown as dormant.
    """

    half_life_days: Annotated[float, Meta(gt=0.0)] = 7.0
    account_value_minor: Annotated[int, Meta(ge=0)] = 500
    dormant_days: Annotated[int, Meta(ge=1)] = 30

    def rank(self, value_at_risk_minor: int, users: int, probability: float, last_seen_ms: int) -> float:
        """Returns log2 of the priority as seen at the epoch; its order is that of the priority at any time.

        Recency decays by half per `half_life_days`, so the time of reading is a common factor (forward decay,
        Cormode et al., ICDE 2009) and no stored row needs an update as time passes.
        """
        value = value_at_risk_minor + self.account_value_minor * users
        return math.log2(max(value, 1)) + math.log2(max(probability, 1e-9)) + self._halvings(last_seen_ms)

    def recency(self, last_seen_ms: int, as_of_ms: int) -> float:
        """Returns the factor in (0, 1] for a ring last seen then; 1 for one seen at or after `as_of_ms`."""
        return float(2.0 ** -max(0.0, self._halvings(as_of_ms) - self._halvings(last_seen_ms)))

    def priority(self, rank: float, as_of_ms: int) -> float:
        """Returns the priority as of then, in minor units of money."""
        return float(2.0 ** min(rank - self._halvings(as_of_ms), 1000.0))

    def is_dormant(self, last_seen_ms: int, as_of_ms: int) -> bool:
        """Returns whether a ring last seen then has gone quiet."""
        return as_of_ms - last_seen_ms > self.dormant_days * DAY_MS

    def _halvings(self, ms: int) -> float:
        return ms / (self.half_life_days * DAY_MS)
