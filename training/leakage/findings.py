"""What an audit finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["future", "labels", "components", "time", "base-rate", "target", "coverage"]
"""Features that see later events; labels that had not arrived; components on both sides of the split; a split that does
not follow time; a test set with another share of fraud than there is; a feature that is the target; what could not be
looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        leak: it makes the table's figures better than they are; otherwise it is worth knowing, and no more.
        what: a sentence, with its figures and without names of accounts.
        column: the feature that it is about; rows: how many it is about.
    """

    kind: Kind
    leak: bool
    what: str
    rows: int
    column: str | None = None
