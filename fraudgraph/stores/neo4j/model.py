"""The graph as people see it: labels and types of relationships, and the numbers by which the store finds both.

`(:User)-[:USED_DEVICE|USED_IP|PAID_WITH|USED_EMAIL|USED_PHONE|SHIPS_TO]->(:Device|:Ip|:Card|:Email|:Phone|:Address)`,
`(:User)-[:SENT_TO|REFERRED]->(:User)`, `(:User)-[:PLACED]->(:Order)`, `(:User)-[:MEMBER_OF]->(:Ring)`, and
`(:Alert|:Decision|:Step|:Narrative)-[:ABOUT]->(:Ring)`. What only the store needs stands by itself: `:State`, `:Gate`,
`:Behind`, `:Inbox`, `:Partition`, `:Seen`, `:Scorer`, `:Command`, `:DeadLetter`, `:Label`, `:Constraint`, `:Audit`,
`:Evidence`, `:Fingerprint`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind, EventType

LABELS: Final[dict[EntityKind, LiteralString]] = {
    EntityKind.USER: "User",
    EntityKind.DEVICE: "Device",
    EntityKind.IP: "Ip",
    EntityKind.CARD: "Card",
    EntityKind.EMAIL: "Email",
    EntityKind.PHONE: "Phone",
    EntityKind.ADDRESS: "Address",
}
USES: Final[dict[EntityKind, LiteralString]] = {
    EntityKind.DEVICE: "USED_DEVICE",
    EntityKind.IP: "USED_IP",
    EntityKind.CARD: "PAID_WITH",
    EntityKind.EMAIL: "USED_EMAIL",
    EntityKind.PHONE: "USED_PHONE",
    EntityKind.ADDRESS: "SHIPS_TO",
}
SENDS: Final[dict[EventType, LiteralString]] = {EventType.TRANSFER: "SENT_TO", EventType.REFERRAL: "REFERRED"}

SPACE_BITS: Final = 40
"""Several stores may live in one database, each in its own space: the store's numbers (of users, identifiers, links,
orders, transfers and all that is counted) begin at `space << 40`. In space 0 they are those of the engine."""


def for_identifiers(template: LiteralString) -> dict[EntityKind, LiteralString]:
    """Returns a statement for each kind of identifier: Cypher takes no label or type as a parameter.

    This and its siblings are the only places where text goes into a statement: at import, from the names above.
    """
    return {kind: template.replace("LABEL", LABELS[kind]).replace("USES", USES[kind]) for kind in IDENTIFIER_KINDS}


def for_sends(template: LiteralString) -> dict[EventType, LiteralString]:
    """Returns a statement for each kind of link between users."""
    return {kind: template.replace("SENDS", name) for kind, name in SENDS.items()}


def for_entities(user: LiteralString, identifier: LiteralString) -> dict[EntityKind, LiteralString]:
    """Returns a statement for each kind of entity; users have one of their own, for their key is no pseudonym."""
    return {EntityKind.USER: user, **for_identifiers(identifier)}


def at_once(statements: Mapping[Any, LiteralString]) -> LiteralString:
    """Returns statements of several kinds, each with the same columns, as one."""
    return "\nUNION ALL\n".join(statements.values())


class Space:
    """The range of numbers of one store in a database.

    Args:
        number: 0 for a database with one store.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.first = number << SPACE_BITS
        self.end = (number + 1) << SPACE_BITS

    @property
    def bounds(self) -> dict[str, int]:
        """Parameters of every statement that reads by number: `$first <= number < $end`, or by `$space`."""
        return {"space": self.number, "first": self.first, "end": self.end}
