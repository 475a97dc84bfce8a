"""Promotion of a model: a command of the journal, checked, audited, and obeyed between two commits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from fraudgraph.cases.audit import AuditHead, AuditRow, append
from fraudgraph.cases.book import CaseBook
from fraudgraph.events.batch import ArrivedCommand, DeadLetter
from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.rejected import Rejected

PROMOTION: Final = "promotion"
"""The command's name; also `AuditRow.what`."""
_BUNDLE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Models(Protocol):
    """The models that can be put in force (`scoring.serving`)."""

    @property
    def name(self) -> str:
        """Name of the one in force."""
        ...

    def knows(self, key: str) -> bool:
        """Returns whether a promotion with this key was obeyed before."""
        ...

    def check(self, bundle: str) -> None:
        """Refuses one that cannot be put in force.

        Raises:
            Rejected: why.
        """
        ...


@dataclass(slots=True)
class Promotions:
    """What the promotions of a commit came to.

    Attributes:
        others: the commit's other commands.
        bundle: to be put in force, None for none; the last one counts. key: of its command, in hex.
    """

    others: list[ArrivedCommand] = field(default_factory=list)
    bundle: str | None = None
    key: str = ""
    audit: list[AuditRow] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    obeyed: int = 0
    duplicates: int = 0


def write_promotion(bundle: str) -> tuple[str, dict[str, str]]:
    """Returns the command's name and arguments."""
    return PROMOTION, {"bundle": bundle}


def take_promotions(commands: Sequence[ArrivedCommand], models: Models, book: CaseBook) -> Promotions:
    """Takes the promotions out of a commit's commands, and writes them into the book's audit.

    One that cannot be obeyed becomes a dead letter.
    """
    taken = Promotions()
    seen: set[str] = set()
    in_force = models.name
    for arrived in commands:
        if arrived.command.name != PROMOTION:
            taken.others.append(arrived)
            continue
        key = arrived.key.hex()
        if models.knows(key) or key in seen:
            taken.duplicates += 1
            continue
        bundle = arrived.command.arguments.get("bundle", "")
        try:
            if not _BUNDLE.fullmatch(bundle):
                raise Rejected(RejectReason.INVALID_FIELD, f"{PROMOTION}: bundle is no name of a bundle")
            models.check(bundle)
        except Rejected as rejected:
            taken.dead_letters.append(DeadLetter(*rejected.refusal, arrived.partition, arrived.offset, arrived.seal()))
            continue
        seen.add(key)
        row = append(
            book.head,
            ts_ms=(arrived.command.ts - _EPOCH) // timedelta(milliseconds=1),
            author=arrived.command.author,
            what=PROMOTION,
            subject=bundle,
            before=in_force,
            after=bundle,
            content="",
        )
        book.head = AuditHead(row.number, row.hash)
        taken.audit.append(row)
        taken.bundle, taken.key, in_force = bundle, key, bundle
        taken.obeyed += 1
    return taken
