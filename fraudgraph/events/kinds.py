"""The small closed vocabularies that every room shares: kinds of entity, of event, of outcome."""

from __future__ import annotations

from enum import IntEnum


class EntityKind(IntEnum):
    """Kinds of node in the graph; the number is stored, so it never changes."""

    USER = 0
    DEVICE = 1
    IP = 2
    CARD = 3
    EMAIL = 4
    PHONE = 5
    ADDRESS = 6

    @property
    def label(self) -> str:
        """Lower-case name for people and JSON."""
        return self.name.lower()


IDENTIFIER_KINDS: tuple[EntityKind, ...] = tuple(k for k in EntityKind if k is not EntityKind.USER)


class EventType(IntEnum):
    """Types of event; the number is the bit of `sources` on a link and is stored."""

    SIGNUP = 0
    LOGIN = 1
    ORDER = 2
    PAYMENT = 3
    REFUND = 4
    TRANSFER = 5
    REFERRAL = 6
    CHARGEBACK = 7
    LABEL = 8
    COMMAND = 9


class Status(IntEnum):
    """What became of an event, in the four outcomes that the scores distinguish."""

    NONE = 0
    APPROVED = 1
    DECLINED = 2
    PENDING = 3
    CANCELLED = 4


class RejectReason(IntEnum):
    """Why an event is in the dead letters instead of in the graph."""

    MALFORMED_JSON = 1
    UNKNOWN_TYPE = 2
    INVALID_FIELD = 3
    MISSING_FIELD = 4
    TOO_LARGE = 5
    INVALID_TIMESTAMP = 6
    TOO_LATE = 7
    FUTURE_TIMESTAMP = 8
    INVALID_AMOUNT = 9
    INVALID_IDENTIFIER = 10
    UNSAFE_TEXT = 11
    TRUNCATED_INPUT = 12
    UNKNOWN_COMMAND = 13

    @property
    def code(self) -> str:
        """The reason as written in JSON and on the screen: `too-late`, `malformed-json`, …"""
        return self.name.lower().replace("_", "-")
