"""The audit: who decided what, when, and what it changed; each row carries the hash of the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

GENESIS = "0" * 64
"""What stands in place of the hash before the first row."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row. It names accounts by number and digest only, and holds no note.

    Attributes:
        number: 1, 2, 3, …
        ts_ms: when the analyst said it.
        author: who.
        what: the command's name.
        subject: the decision or constraint.
        before, after: what it was and what it is now, in a few words.
        content: digest of the decision or constraint as stored (`digest`); "" where there is none.
        previous: `hash` of the row before.
        hash: BLAKE2b-256 (RFC 7693) over all of the above as canonical JSON.
    """

    number: int
    ts_ms: int
    author: str
    what: str
    subject: str
    before: str
    after: str
    content: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The last row's number and hash."""

    number: int = 0
    hash: str = GENESIS


def append(
    head: AuditHead, *, ts_ms: int, author: str, what: str, subject: str, before: str, after: str, content: str
) -> AuditRow:
    """Returns the next row."""
    row = AuditRow(head.number + 1, ts_ms, author, what, subject, before, after, content, head.hash, "")
    return replace(row, hash=digest(row))


def digest(record: object) -> str:
    """Returns BLAKE2b-256 in hex over a record as canonical JSON."""
    return hashlib.blake2b(msgspec.json.encode(record, order="deterministic"), digest_size=32).hexdigest()


def verify(rows: Iterable[AuditRow], contents: Mapping[str, str]) -> list[str]:
    """Returns what does not hold, one sentence each; nothing where the chain is whole.

    Rows that were cut off at the end show only by their decisions and constraints, or by a hash kept elsewhere.

    Args:
        rows: in the order of their numbers.
        contents: decision or constraint -> `digest` of it as it is stored now.
    """
    wrong = []
    head = AuditHead()
    last: dict[str, AuditRow] = {}
    for row in rows:
        if row.number != head.number + 1:
            wrong.append(f"row {head.number + 1} is missing: row {row.number} follows on row {head.number}")
        elif row.previous != head.hash:
            wrong.append(f"row {row.number} does not follow on row {head.number}")
        if digest(replace(row, hash="")) != row.hash:
            wrong.append(f"row {row.number} was changed after it was written")
        head = AuditHead(row.number, row.hash)
        last[row.subject] = row
    for subject in sorted(contents.keys() | last.keys()):
        if subject not in last:
            wrong.append(f"{subject} has no row")
        elif subject not in contents and last[subject].what == "forget":
            continue  # an account that was erased has no record but this row
        elif subject not in contents and not last[subject].content:
            continue  # recorded nowhere else, as a promotion
        elif subject not in contents:
            wrong.append(f"{subject} of row {last[subject].number} is gone")
        elif contents[subject] != last[subject].content:
            wrong.append(f"{subject} is not what row {last[subject].number} recorded")
    return wrong
