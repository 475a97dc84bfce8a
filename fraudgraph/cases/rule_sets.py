"""A change of the rule set: a command of the journal, checked, audited, and obeyed between two commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from fraudgraph.cases.audit import AuditHead, AuditRow, append
from fraudgraph.cases.book import CaseBook
from fraudgraph.errors import ConfigurationError
from fraudgraph.events.batch import ArrivedCommand, DeadLetter
from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.rejected import Rejected
from fraudgraph.rules.book import RuleBook
from fraudgraph.rules.schema import RuleSet, parse_rules

RULES: Final = "rules"
"""The command's name; also `AuditRow.what`."""
NONE: Final = "none"
"""What stands in the audit for the hash of a rule set without rules."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class RuleChange:
    """What the rule sets among a commit's commands came to.

    Attributes:
        others: the commit's other commands.
        changed: another rule set is in force.
    """

    others: list[ArrivedCommand] = field(default_factory=list)
    changed: bool = False
    audit: list[AuditRow] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    obeyed: int = 0
    duplicates: int = 0


def write_rules(rules: RuleSet) -> tuple[str, dict[str, str]]:
    """Returns the command's name and arguments."""
    return RULES, {"rules": rules.text}


def take_rules(commands: Sequence[ArrivedCommand], book: RuleBook, cases: CaseBook) -> RuleChange:
    """Takes the rule sets out of a commit's commands, puts the last one in force, and writes them into the audit.

    One that cannot be read becomes a dead letter.
    """
    taken = RuleChange()
    for arrived in commands:
        if arrived.command.name != RULES:
            taken.others.append(arrived)
            continue
        key = arrived.key.hex()
        if book.knows(key):
            taken.duplicates += 1
            continue
        try:
            rules = parse_rules(arrived.command.arguments.get("rules", ""))
        except ConfigurationError as error:
            refused = Rejected(RejectReason.INVALID_FIELD, f"{RULES}: {error.what[:200]}")
            taken.dead_letters.append(DeadLetter(*refused.refusal, arrived.partition, arrived.offset, arrived.seal()))
            continue
        row = append(
            cases.head,
            ts_ms=(arrived.command.ts - _EPOCH) // timedelta(milliseconds=1),
            author=arrived.command.author,
            what=RULES,
            subject=rules.version or NONE,
            before=book.rules.hash or NONE,
            after=rules.hash or NONE,
            content="",
        )
        cases.head = AuditHead(row.number, row.hash)
        taken.audit.append(row)
        taken.changed |= rules.hash != book.rules.hash
        book.put_in_force(rules, key)
        taken.obeyed += 1
    return taken
