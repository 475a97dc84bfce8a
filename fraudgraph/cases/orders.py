"""The commands of cases: what each one may say, read from a command's arguments, and written into them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from fraudgraph.cases.constraints import NEVER_MS
from fraudgraph.cases.reasons import CONSTRAINT_REASONS, FORGET_REASONS, VERDICT_REASONS, ConstraintKind, Verdict
from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind, RejectReason
from fraudgraph.events.rejected import Rejected
from fraudgraph.events.schema import Command

MAX_MEMBERS: Final = 2_000
MAX_NOTE: Final = 2_000
MAX_USER_ID: Final = 256
_RING_ID: Final = re.compile(r"^R\d{6,18}$")
_PSEUDONYM: Final = re.compile(r"^[0-9a-f]{32}$")
FORGET: Final = "forget"
"""The one command whose arguments a store does not keep once it was obeyed."""
MAX_LIST: Final = 1_000_000
_NUMBERS: Final = msgspec.json.Decoder(list[int])
_USERS: Final = msgspec.json.Decoder(list[str])


@dataclass(frozen=True, slots=True)
class Decide:
    """A verdict about a ring; about all of its present members where `members` is empty."""

    ring_id: str
    verdict: Verdict
    reason: str
    note: str = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Undo:
    """Takes a decision back."""

    decision_id: str


@dataclass(frozen=True, slots=True)
class Constrain:
    """Adds a constraint; fields as of `Constraint`."""

    kind: ConstraintKind
    entity: EntityKind
    first: str
    second: str
    reason: str
    note: str = ""
    until_ms: int = NEVER_MS


@dataclass(frozen=True, slots=True)
class Remove:
    """Takes a constraint back."""

    constraint_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Erases an account: all that it did, and its name wherever somebody wrote it down.

    Attributes:
        dead_letters: ids of dead letters that are about it, found by whoever can open them.
    """

    user_id: str
    reason: str
    dead_letters: tuple[int, ...] = ()


Order: TypeAlias = Decide | Undo | Constrain | Remove | Forget


def write_order(order: Order) -> tuple[str, dict[str, str]]:
    """Returns a command's name and arguments, from which `read_order` makes the same order."""
    if isinstance(order, Decide):
        return "decide", {
            "ring_id": order.ring_id,
            "verdict": str(order.verdict),
            "reason": order.reason,
            "note": order.note,
            "members": msgspec.json.encode(order.members).decode(),
        }
    if isinstance(order, Undo):
        return "undo", {"decision_id": order.decision_id}
    if isinstance(order, Constrain):
        return "constrain", {
            "kind": str(order.kind),
            "entity": order.entity.label,
            "first": order.first,
            "second": order.second,
            "reason": order.reason,
            "note": order.note,
            "until_ms": str(order.until_ms),
        }
    if isinstance(order, Forget):
        return FORGET, {
            "user_id": order.user_id,
            "reason": order.reason,
            "dead_letters": msgspec.json.encode(order.dead_letters).decode(),
        }
    return "release", {"constraint_id": order.constraint_id}


def read_order(command: Command) -> Order:
    """Returns what a command asks for.

    Raises:
        Rejected: it asks for nothing that exists, or an argument does not fit; no value is repeated.
    """
    given = _Arguments(command.name, command.arguments)
    if command.name == "decide":
        return _decide(given)
    if command.name == "undo":
        return Undo(given.text("decision_id"))
    if command.name == "constrain":
        return _constrain(given)
    if command.name == "release":
        return Remove(given.text("constraint_id"))
    if command.name == FORGET:
        return _forget(given)
    raise Rejected(RejectReason.UNKNOWN_COMMAND, f"command: {command.name} is not known")


class _Arguments:
    """Arguments of one command, each read once under its own rule."""

    def __init__(self, command: str, given: Mapping[str, str]) -> None:
        self._command = command
        self._given = given

    def refuse(self, name: str, why: str) -> Rejected:
        return Rejected(RejectReason.INVALID_FIELD, f"{self._command}: {name} {why}")

    def text(self, name: str, *, longest: int = 64, default: str | None = None) -> str:
        value = self._given.get(name, default)
        if value is None or (not value and default is None):
            raise self.refuse(name, "is missing")
        if len(value) > longest:
            raise self.refuse(name, f"is longer than {longest} characters")
        return value

    def one_of(self, name: str, words: tuple[str, ...]) -> str:
        value = self.text(name)
        if value not in words:
            raise self.refuse(name, f"is none of {', '.join(words)}")
        return value

    def note(self) -> str:
        return self.text("note", longest=MAX_NOTE, default="")


def _decide(given: _Arguments) -> Decide:
    verdict = Verdict(given.one_of("verdict", tuple(Verdict)))
    ring_id = given.text("ring_id")
    if not _RING_ID.match(ring_id):
        raise given.refuse("ring_id", "is no ring's id")
    return Decide(
        ring_id=ring_id,
        verdict=verdict,
        reason=given.one_of("reason", VERDICT_REASONS[verdict]),
        note=given.note(),
        members=_users(given),
    )


def _users(given: _Arguments) -> tuple[str, ...]:
    try:
        users = _USERS.decode(given.text("members", longest=MAX_MEMBERS * MAX_USER_ID, default="[]"))
    except msgspec.DecodeError:
        raise given.refuse("members", "is no list of user ids") from None
    if len(users) > MAX_MEMBERS or any(not 0 < len(user) <= MAX_USER_ID for user in users):
        raise given.refuse("members", f"are more than {MAX_MEMBERS}, or an id is empty or too long")
    return tuple(users)


def _forget(given: _Arguments) -> Forget:
    try:
        letters = _NUMBERS.decode(given.text("dead_letters", longest=MAX_LIST, default="[]"))
    except msgspec.DecodeError:
        raise given.refuse("dead_letters", "are no list of numbers") from None
    return Forget(
        user_id=given.text("user_id", longest=MAX_USER_ID),
        reason=given.one_of("reason", FORGET_REASONS),
        dead_letters=tuple(letters),
    )


def _constrain(given: _Arguments) -> Constrain:
    kind = ConstraintKind(given.one_of("kind", tuple(ConstraintKind)))
    first = given.text("first", longest=MAX_USER_ID)
    second = given.text("second", longest=MAX_USER_ID, default="")
    entity = EntityKind.USER
    if kind is ConstraintKind.BENIGN_HUB:
        labels = tuple(known.label for known in IDENTIFIER_KINDS)
        entity = EntityKind[given.one_of("entity", labels).upper()]
        if not _PSEUDONYM.match(first) or second:
            raise given.refuse("first", "is no pseudonym")
    elif not second or first == second:
        raise given.refuse("second", "is not another account")
    try:
        until_ms = int(given.text("until_ms", default=str(NEVER_MS)))
    except ValueError:
        raise given.refuse("until_ms", "is no number") from None
    if not 0 <= until_ms <= NEVER_MS:
        raise given.refuse("until_ms", "is before 1970 or after 2200")
    pair = (first, second) if kind is ConstraintKind.BENIGN_HUB else tuple(sorted((first, second)))
    return Constrain(
        kind=kind,
        entity=entity,
        first=pair[0],
        second=pair[1],
        reason=given.one_of("reason", CONSTRAINT_REASONS[kind]),
        note=given.note(),
        until_ms=until_ms,
    )
