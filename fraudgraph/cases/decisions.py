"""A verdict sticks to the accounts that it was spoken about, not to the id that their ring had that day."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fraudgraph.cases.reasons import Verdict

FREEZES = (Verdict.CONFIRMED, Verdict.NEEDS_INFO)
"""Verdicts that open a case: the evidence as it was is kept."""
SECOND_READER = "needs-second-reader"
"""Status of a ring that one analyst confirmed where the configuration wants two."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One analyst's verdict. It is never changed, only undone.

    Attributes:
        decision_id: `D000017`, in the order of the journal.
        ring_id: the ring's id at the time; it may have merged since.
        members: user ids that the verdict is about, in order.
        others: user ids of the ring's other members at the time.
        ts_ms: when the analyst said it; informative.
        at_ms: the watermark of the commit that applied it: when it counts from.
        note: free text; stored, never logged, never in a prompt.
        key: keyed pseudonym of the command's id, in hex.
        source: where the command stood (`commands@17`).
        undone_by: author of the undoing, None while the decision stands.
        undone_key: as `key`, of the undoing.
    """

    decision_id: str
    ring_id: str
    verdict: Verdict
    members: tuple[str, ...]
    others: tuple[str, ...]
    ts_ms: int
    at_ms: int
    author: str
    reason: str
    note: str
    key: str
    source: str
    undone_by: str | None = None
    undone_ts_ms: int | None = None
    undone_at_ms: int | None = None
    undone_key: str | None = None

    @property
    def stands(self) -> bool:
        """Whether nobody undid it."""
        return self.undone_by is None


@dataclass(frozen=True, slots=True)
class RingStatus:
    """What decisions make of a living ring.

    Attributes:
        status: `open`, a verdict, or `needs-second-reader`.
        because: the decision that says so, or None.
        grown: members who joined since that decision, where they are so many that the ring is open again; else 0.
    """

    status: str
    because: str | None = None
    grown: int = 0


OPEN = RingStatus("open")


def label_of(decisions: Sequence[Decision], *, second_reader: bool) -> bool | None:
    """Returns whether a member is fraud (True), legitimate (False) or neither, by all decisions about them, in order.

    The last one that stands counts. Where a second reader is wanted, it takes confirmations by two authors with nothing
    else between them.
    """
    standing = [decision for decision in decisions if decision.stands]
    if not standing or standing[-1].verdict is Verdict.NEEDS_INFO:
        return None
    if standing[-1].verdict is Verdict.FALSE_POSITIVE:
        return False
    return True if not second_reader or len(_authors_in_a_row(standing)) > 1 else None


def status_of(members: Collection[str], decisions: Sequence[Decision], *, second_reader: bool) -> RingStatus:
    """Returns what decisions, in order, say of a ring with these members.

    The latest that stands and covers at least half of them speaks for the ring, whatever its id. A ring that has since
    grown by a third of those who were there is open again.
    """
    here = set(members)
    covering = [d for d in decisions if d.stands and 2 * len(here.intersection(d.members)) >= len(here)]
    if not covering:
        return OPEN
    decision = covering[-1]
    known = here.intersection((*decision.members, *decision.others))
    joined = len(here) - len(known)
    if 3 * joined >= len(known):
        return RingStatus("open", decision.decision_id, joined)
    status = str(decision.verdict)
    if second_reader and decision.verdict is Verdict.CONFIRMED and len(_authors_in_a_row(covering)) < 2:
        status = SECOND_READER
    return RingStatus(status, decision.decision_id)


def label_key(command_key: str, user_id: str) -> bytes:
    """Returns the key of the label that a command (its key in hex) gives a user: 16 bytes (BLAKE2b, RFC 7693)."""
    return hashlib.blake2b(user_id.encode(), digest_size=16, key=bytes.fromhex(command_key)).digest()


def _authors_in_a_row(decisions: Sequence[Decision]) -> set[str]:
    """Returns who confirmed, back to the last decision that was none."""
    authors = set()
    for decision in reversed(decisions):
        if decision.verdict is not Verdict.CONFIRMED:
            break
        authors.add(decision.author)
    return authors
