"""Who is behind an identifier: from what a person typed to accounts and rings, by pseudonym only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fraudgraph.cli.secrets import refused
from fraudgraph.errors import UsageError
from fraudgraph.events import identity
from fraudgraph.events.identity import Normal
from fraudgraph.events.kinds import EntityKind
from fraudgraph.events.pseudonyms import Domain
from fraudgraph.events.rejected import Rejected
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


Pseudonymise = Callable[[Domain, str], bytes]
"""Makes the store's pseudonym of a normalised text; called only where one is needed, since it needs the key."""


def look_up(
    reader: StoreReader, pseudonymise: Pseudonymise, region: str | None, asked: str, value: str, *, typed: bool
) -> Answer:
    """Returns who is behind a value.

    Args:
        region: ISO 3166-1 alpha-2 code that phone numbers in national form are of.
        asked: what it is: `email`, `card`, `phone`, `address`, `ip`, `device`, `order` or `user`.
        typed: whether it stood on the command line, where it must not be an e-mail address or phone number.

    Raises:
        UsageError: the value is none of its kind; the message does not repeat it.
    """
    if asked == "order":
        user_id = reader.find_order(pseudonymise(Domain.ORDER, value))
        return _of_account(reader, asked, value, user_id)
    if asked == "user":
        key = _user_key(pseudonymise, region, value, typed=typed)
        return _of_account(reader, asked, key, key if reader.find(EntityKind.USER, key) else None)
    kind = EntityKind[asked.upper()]
    normal = _normal(kind, value, region)
    key_bytes = pseudonymise(Domain(asked), normal.text)
    shown = normal.mask or f"{asked} {key_bytes[:2].hex()}"
    entity = reader.find(kind, key_bytes)
    if entity is None:
        return Answer(asked, shown, 0, [], [])
    accounts = [
        Account(user_id, (first_ms, last_ms, count), reader.rings_of(user_id))
        for user_id, first_ms, last_ms, count in reader.users_of(entity, MAX_ACCOUNTS)
    ]
    return Answer(asked, shown, entity.users, accounts, [])


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


def _user_key(pseudonymise: Pseudonymise, region: str | None, user_id: str, *, typed: bool) -> str:
    """Returns the id under which the store knows an account."""
    secret = user_secret(user_id, region, typed=typed)
    return user_id if secret is None else f"u_{pseudonymise(Domain.USER, secret).hex()}"


def _of_account(reader: StoreReader, asked: str, shown: str, user_id: str | None) -> Answer:
    if user_id is None:
        return Answer(asked, shown, 0, [], [])
    account = Account(user_id, None, reader.rings_of(user_id))
    return Answer(asked, shown, 1, [account], reader.identifiers_of(user_id))


def _normal(kind: EntityKind, value: str, region: str | None) -> Normal:
    try:
        normal = identity.phone(value, region) if kind is EntityKind.PHONE else _NORMALISERS[kind](value)
    except Rejected as rejected:
        raise _unusable(kind.label, rejected) from None
    if normal is None:
        raise UsageError(
            f"that {kind.label} stands for nobody in particular (a placeholder, a private network, starred digits)",
            do="Give another one: such values make no links.",
        )
    return normal


def _unusable(name: str, rejected: Rejected) -> UsageError:
    return UsageError(
        f"the {name} cannot be used: {rejected.refusal.detail}",
        do="Give it as the shop's events have it; phone numbers with +, or set identity.default_region.",
    )


_NORMALISERS: Final[Mapping[EntityKind, Callable[[str], Normal | None]]] = {
    EntityKind.DEVICE: identity.device,
    EntityKind.IP: identity.ip,
    EntityKind.CARD: identity.card,
    EntityKind.EMAIL: identity.email,
    EntityKind.ADDRESS: identity.address,
}
