"""The refusal of one value: a reason for machines and a clause for people, without the value."""

from __future__ import annotations

from typing import NamedTuple

from fraudgraph.events.kinds import RejectReason


class Refusal(NamedTuple):
    """Why an event cannot be used.

    Attributes:
        reason: for machines.
        detail: one clause that names the field and never its value (`amount: negative`).
    """

    reason: RejectReason
    detail: str


class Rejected(Exception):  # noqa: N818 - a verdict on one event, caught by the decoder; never shown as an error
    """One field of one event cannot be used.

    Args:
        reason: why.
        detail: one clause that names the field and never its value.
    """

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason.code}: {detail}")
        self.refusal = Refusal(reason, detail)
