"""Who is behind an identifier: from what a person typed to accounts and rings, by pseudonym only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fraudgraph.cli.secrets import refused
from fraudgraph.errors import UsageError
from fraudgraph.events import identity
from fraudgraph.events.kinds import EntityKind
from fraudgraph.events.rejected import Rejected
from fraudgraph.events.resolver import Resolver
from fraudgraph.stores.port import Entity, RingRow, StoreReader

MAX_ACCOUNTS: Final = 100
"""Accounts of one identifier that are looked up; the count says how many there are."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account and its rings; `use` is (first_ms, last_ms, count) of the identifier asked for, if one was."""

    user_id: str
    use: tuple[int, int, int] | None
    rings: list[RingRow]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known about what was asked for.

    Attributes:
        asked: `email`, …, `order`, `user`.
        shown: its mask, or the id itself where that is the shop's own.
        total: accounts behind it; more than `accounts` holds where there are very many.
        identifiers: of the account, where one account was asked for: (entity, first_ms, last_ms, count).
    """

    asked: str
    shown: str
    total: int
    accounts: list[Account]
    identifiers: list[tuple[Entity, int, int, int]]

    @property
    def title(self) -> str:
        """What was asked for, in words."""
        return named(self.asked, self.shown)


@dataclass(frozen=True, slots=True)
class Question:
    """What a person asks for.

    Attributes:
        asked: `email`, `card`, `phone`, `address`, `ip`, `device`, `order` or `user`.
        value: the identifier.
        typed: whether it stood on the command line, where it must not be an e-mail address or phone number.
        region: the settings' ISO 3166-1 alpha-2 code of user ids that are phone numbers in national form.
        country: the same for the phone number asked for.
    """

    asked: str
    value: str
    typed: bool
    region: str | None = None
    country: str | None = None

    def __repr__(self) -> str:
        return f"Question({self.asked})"


def look_up(reader: StoreReader, resolvers: Callable[[], Sequence[Resolver]], question: Question) -> Answer:
    """Returns who is behind an identifier; calls for the resolvers only where they are needed, since they need the key.

    Raises:
        UsageError: the value is none of its kind; the message does not repeat it.
    """
    asked, value = question.asked, question.value
    if asked == "order":
        owners = (reader.find_order(each.order_key(value)) for each in resolvers())
        return _of_account(reader, asked, value, next((owner for owner in owners if owner is not None), None))
    if asked == "user":
        secret = user_secret(value, question.region, typed=question.typed)
        key = value if secret is None else known_account(reader, resolvers(), value)
        return _of_account(reader, asked, key, key if reader.find(EntityKind.USER, key) else None)
    kind = EntityKind[asked.upper()]
    key_bytes, shown = known_identifier(reader, resolvers(), kind, question)
    entity = reader.find(kind, key_bytes)
    if entity is None:
        return Answer(asked, shown, 0, [], [])
    accounts = [
        Account(user_id, (first_ms, last_ms, count), reader.rings_of(user_id))
        for user_id, first_ms, last_ms, count in reader.users_of(entity, MAX_ACCOUNTS)
    ]
    return Answer(asked, shown, entity.users, accounts, [])


def known_account(reader: StoreReader, resolvers: Sequence[Resolver], user_id: str) -> str:
    """Returns what the store calls an account whose id is an e-mail address or a phone number."""
    names = [each.user(user_id) for each in resolvers]
    return next((name for name in names if reader.find(EntityKind.USER, name) is not None), names[0])


def known_identifier(
    reader: StoreReader, resolvers: Sequence[Resolver], kind: EntityKind, question: Question
) -> tuple[bytes, str]:
    """Returns pseudonym and mask by which the store knows an identifier, or would.

    Raises:
        UsageError: as `resolve`.
    """
    keys = [resolve(each, kind, question) for each in resolvers]
    for key, mask in keys:
        if (entity := reader.find(kind, key)) is not None:
            return key, entity.mask or mask
    return keys[0]


def named(kind: str, shown: str) -> str:
    """Returns `card •••• 4242`; a mask that is made of the pseudonym names its kind already (`card 94fe`)."""
    return shown if shown.startswith(kind) else f"{kind} {shown}"


def user_secret(user_id: str, region: str | None, *, typed: bool) -> str | None:
    """Returns the e-mail address or phone number that a user id really is, None for any other id.

    Raises:
        UsageError: it is one, and stood on the command line; or it holds invisible characters.
    """
    try:
        secret = identity.user_secret(user_id, region)
    except Rejected as rejected:
        raise _unusable("user", rejected) from None
    if secret is not None and typed:
        raise refused("a user id that is an e-mail address or a phone number")
    return secret


def _of_account(reader: StoreReader, asked: str, shown: str, user_id: str | None) -> Answer:
    if user_id is None:
        return Answer(asked, shown, 0, [], [])
    account = Account(user_id, None, reader.rings_of(user_id))
    return Answer(asked, shown, 1, [account], reader.identifiers_of(user_id))


def resolve(resolver: Resolver, kind: EntityKind, question: Question) -> tuple[bytes, str]:
    """Returns pseudonym and mask of an identifier.

    Raises:
        UsageError: the value is none of its kind, or stands for nobody; the message does not repeat it.
    """
    try:
        resolved = resolver.identifier(kind, question.value, question.country)
    except Rejected as rejected:
        raise _unusable(kind.label, rejected) from None
    if resolved is None:
        raise UsageError(
            f"that {kind.label} stands for nobody in particular (a placeholder, a private network, starred digits)",
            do="Give another one: such values make no links.",
        )
    return resolved


def _unusable(name: str, rejected: Rejected) -> UsageError:
    why = rejected.refusal.detail.removeprefix(f"{name}: ")
    return UsageError(
        f"the {name} cannot be used: {why}",
        do="Give it as the shop's events have it; phone numbers with +, or with --country.",
    )
