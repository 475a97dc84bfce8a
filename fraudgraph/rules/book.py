"""Which rule set is in force, as the journal says; it is kept beside the scorer's state."""

from __future__ import annotations

from typing import Final

import msgspec

from fraudgraph.errors import ConfigurationError
from fraudgraph.rings.rule_hits import NO_RULES, RingRules
from fraudgraph.rules.judge import hits
from fraudgraph.rules.schema import NO_RULE_SET, RuleSet, parse_rules
from fraudgraph.rules.table import RingTable

_MAGIC: Final = b"rules-1\n"
_REMEMBERED: Final = 256
"""Commands whose second delivery is known as one."""


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    rules: str
    keys: tuple[str, ...]
    scorer: bytes


class RuleBook:
    """The rule set in force; called by the engine only.

    Args:
        rules: in force until a command of the journal puts another in force.
    """

    def __init__(self, rules: RuleSet | None = None) -> None:
        self.rules = rules or NO_RULE_SET
        self._keys: tuple[str, ...] = ()

    def knows(self, key: str) -> bool:
        """Returns whether a command with this key was obeyed before."""
        return key in self._keys

    def put_in_force(self, rules: RuleSet, key: str) -> None:
        """Puts a rule set in force; to be called between two commits."""
        self.rules = rules
        self._keys = (*self._keys, key)[-_REMEMBERED:]

    def judge(self, table: RingTable) -> list[RingRules]:
        """Returns what the rules say of each of `r` rings."""
        if not self.rules.rules:
            return [NO_RULES] * len(table)
        return [RingRules(self.rules.hash, found) for found in hits(self.rules, table)]

    def wrap(self, scorer: bytes) -> bytes:
        """Returns what the store keeps: the scorer's state, and the rule set beside it where a command put one in."""
        if not self._keys:
            return scorer
        return _MAGIC + msgspec.msgpack.encode(_Stored(self.rules.text, self._keys, scorer))

    def unwrap(self, state: bytes | None) -> bytes | None:
        """Takes up a stored rule set, and returns the scorer's state.

        Raises:
            ConfigurationError: this version cannot read the rules.
        """
        if state is None or not state.startswith(_MAGIC):
            return state
        stored = msgspec.msgpack.decode(state[len(_MAGIC) :], type=_Stored)
        try:
            self.rules, self._keys = parse_rules(stored.rules), stored.keys
        except ConfigurationError as error:
            raise ConfigurationError(
                f"this version cannot use the rules that are in force ({error.what})",
                do="With the version that wrote them put others in force (fraudgraph rules apply), then upgrade.",
            ) from error
        return stored.scorer
