"""The scorer port: what a ring looks like in numbers goes in, a probability with its reasons comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class RingScores:
    """Scores of `r` rings.

    Attributes:
        probability: `[r]` calibrated, in [0, 1].
        contributions: `[r, c]` log-odds added by each reason, positive for riskier.
        reasons: the `c` names of the reasons (`burst`, `declined-payments`, …).
    """

    probability: npt.NDArray[np.float64]
    contributions: npt.NDArray[np.float64]
    reasons: tuple[str, ...]

    def contributions_of(self, ring: int) -> dict[str, float]:
        """Returns a ring's contributions that matter (at least 0.05 in log-odds), largest first."""
        row = self.contributions[ring]
        order = np.argsort(-np.abs(row), kind="stable")
        return {self.reasons[i]: round(float(row[i]), 3) for i in order.tolist() if abs(row[i]) >= 0.05}

    def reason_of(self, ring: int) -> str:
        """Returns the strongest reasons for a ring in words, at most three; `shared identifiers` where none adds."""
        row = self.contributions[ring]
        order = [i for i in np.argsort(-row, kind="stable")[:3].tolist() if row[i] >= 0.05]
        return ", ".join(self.reasons[i].replace("-", " ") for i in order) or "shared identifiers"


class RingScorer(Protocol):
    """Scores rings; called by the engine once per commit for the rings that the commit changed.

    `score` is pure: the same features and state give the same result, whatever was scored before or beside.
    `observe` may refit; the engine calls it between commits with all living candidates in canonical order, so
    its state follows the journal. `state`/`restore` carry what was fitted; nothing is unpickled.
    """

    @property
    def name(self) -> str:
        """Name and version (`structural-1`), stored with every score."""
        ...

    def score(self, features: npt.NDArray[np.float64], network: npt.NDArray[np.float64] | None = None) -> RingScores:
        """Returns scores for `[r, len(RING_FEATURES)]` features (`rings.features`).

        Args:
            network: `[r, len(RING_SUMMARIES)]` what the network says of the rings (`scoring.ring_head`); None where
                no bundle is in force, and not read by a scorer that needs none.
        """
        ...

    def wants(self, candidates: int) -> bool:
        """Returns whether `observe` would refit with so many candidates. Pure."""
        ...

    def observe(self, features: npt.NDArray[np.float64]) -> bool:
        """Refits on all living candidates without labels; returns whether anything changed."""
        ...

    def state(self) -> bytes:
        """Returns what was fitted, for the store."""
        ...

    def restore(self, state: bytes) -> None:
        """Takes up a stored state.

        Raises:
            ConfigurationError: it was written by a scorer of another kind or version.
        """
        ...
