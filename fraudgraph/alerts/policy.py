"""When a ring becomes an alert: once, when its probability crosses the line upwards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """The minimal policy.

    Attributes:
        min_probability: a ring that reaches it from below is alerted.
    """

    min_probability: float = 0.5

    def crosses(self, before: float | None, after: float) -> bool:
        """Returns whether a ring with these probabilities before (None: it was none) and after is alerted."""
        return after >= self.min_probability and (before is None or before < self.min_probability)


def alert_id(ring_id: str, commit: int) -> str:
    """Returns the id of the alert of a ring in a commit: the same whenever the same journal is replayed."""
    return hashlib.blake2b(f"{ring_id}@{commit}".encode(), digest_size=8).hexdigest()
