"""When a ring becomes an alert: once, when its probability crosses the line upwards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

HELD_BACK = "rests on one weak tie"
"""Reason of a ring that would be alerted, were it not for a weak bridge that alone makes it one."""


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """The minimal policy.

    A ring that reaches the line is not alerted while it rests on a weak bridge: while, without such ties, no part of it
    reaches the line by itself. It waits in the queue, says so, and is alerted once that has changed.

    Attributes:
        min_probability: a ring that reaches it from below is alerted.
        weak_tie_strength: a tie below it is a weak bridge where it alone joins two groups of accounts.
    """

    min_probability: float = 0.5
    weak_tie_strength: float = 0.6

    def crosses(self, before: float | None, after: float) -> bool:
        """Returns whether a ring with these probabilities before (None: it was none) and after is alerted."""
        return after >= self.min_probability and (before is None or before < self.min_probability)


def alert_id(ring_id: str, commit: int) -> str:
    """Returns the id of the alert of a ring in a commit: the same whenever the same journal is replayed."""
    return hashlib.blake2b(f"{ring_id}@{commit}".encode(), digest_size=8).hexdigest()
