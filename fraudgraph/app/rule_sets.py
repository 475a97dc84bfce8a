"""The shop's rule file, and the rule set that a store's journal has in force."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from fraudgraph.errors import ConfigurationError
from fraudgraph.settings import Settings

if TYPE_CHECKING:
    from fraudgraph.rules.schema import RuleSet
    from fraudgraph.stores.port import Store, StoreReader

AUTHOR: Final = "settings"
"""Who says so where a changed `rules.file` does."""


def configured_rules(settings: Settings) -> RuleSet | None:
    """Returns the rules of `rules.file`; None where none is named.

    Raises:
        ConfigurationError: it cannot be read or used.
    """
    from fraudgraph.rules.schema import read_rules

    return read_rules(Path(settings.rules.file)) if settings.rules.file else None


def journal_rules(reader: StoreReader) -> RuleSet:
    """Returns the rule set that is in force once every recorded command is obeyed."""
    from fraudgraph.cases.rule_sets import NONE, RULES
    from fraudgraph.events.schema import Command
    from fraudgraph.rules.schema import NO_RULE_SET, parse_rules

    applied = reader.commands_applied()
    in_force = next((row.after for row in reversed(reader.audit()) if row.what == RULES), NONE)
    found = NO_RULE_SET
    for number, body in reader.commands():
        command = msgspec.json.decode(body)
        if command.get("name") != RULES:
            continue
        try:
            rules = parse_rules(msgspec.convert(command, Command).arguments.get("rules", ""))
        except ConfigurationError:
            continue  # it was refused, or an older version could read it
        if number > applied or (rules.hash or NONE) == in_force:
            found = rules
    return found


def announce_rules(settings: Settings, reader: StoreReader, store: Store) -> int | None:
    """Records a command that puts the rules of `rules.file` in force, where the journal has others.

    So a changed file takes effect at one place of the journal, and a replay does the same. Returns the command's
    number; None where nothing is to be said.

    Raises:
        ConfigurationError: the file cannot be read or used.
    """
    from fraudgraph.cases.rule_sets import write_rules
    from fraudgraph.events.schema import Command

    rules = configured_rules(settings)
    if rules is None or rules.hash == journal_rules(reader).hash:
        return None
    name, arguments = write_rules(rules)
    command = Command(event_id=uuid.uuid4().hex, ts=datetime.now(UTC), name=name, author=AUTHOR, arguments=arguments)
    return store.record_command(msgspec.json.encode(command))
