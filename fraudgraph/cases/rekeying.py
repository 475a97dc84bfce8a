"""A period of two keys: what a batch names goes by its pseudonym under the new key from then on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fraudgraph.cases.book import CaseBook, CaseChange
from fraudgraph.events.batch import ArrivedCommand, FormerNames
from fraudgraph.events.clock import EventClock
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.hot import HotGraph


def rekey(former: FormerNames, graph: HotGraph, clock: EventClock, book: CaseBook) -> CaseChange:
    """Gives whatever a batch names its present name, before the batch is applied; returns what that renamed.

    Ids, links, rings and scores stay as they are: nothing but names changes. Accounts whose ids are the shop's own have
    no other name. Decisions and constraints are written down anew.
    """
    change = CaseChange()
    clock.rekey(former.keys)
    labels = book.rekey(former.keys, former.users, clock.watermark_ms, change)
    rekeyed = graph.rekey(former.keys | labels, former.users)
    renamed = {name for kind, _, name, *_ in rekeyed.entities if kind == EntityKind.USER}
    renamed |= {name for decision in change.decisions.values() for name in (*decision.members, *decision.others)}
    renamed |= {name for constraint in change.constraints.values() for name in (constraint.first, constraint.second)}
    rekeyed.users = {before: name for before, name in former.users.items() if name in renamed}
    change.rekeyed = rekeyed
    return change


def as_known(
    commands: Sequence[ArrivedCommand], former: FormerNames, knows: Sequence[Callable[[str], bool]]
) -> list[ArrivedCommand]:
    """Returns commands under the key by which they were obeyed, where they come once more: records of that stay.

    Args:
        knows: each says whether a command with a key (in hex) was obeyed.
    """
    before = {key: each for each, key in former.keys.items()}

    def known(command: ArrivedCommand) -> ArrivedCommand:
        key = before.get(command.key)
        if key is not None and any(obeyed(key.hex()) for obeyed in knows):
            return replace(command, key=key)
        return command

    return [known(command) for command in commands]
