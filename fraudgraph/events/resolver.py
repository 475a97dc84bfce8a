"""From one raw identifier to its pseudonym and mask: what the decoder does in bulk and a search does once.

Nothing is remembered. The cold way of every kind takes 1 to 3 µs, which is about what a lookup among millions of
remembered identifiers takes once they no longer fit a processor's cache; so no raw identifier outlives its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from phonenumbers import SUPPORTED_REGIONS

from fraudgraph.errors import ConfigurationError
from fraudgraph.events import identity
from fraudgraph.events.kinds import EntityKind
from fraudgraph.events.pseudonyms import MASK_BYTES, Domain, Pseudonymiser, mask_prefix
from fraudgraph.events.rejected import Refusal, Rejected

Seen: TypeAlias = tuple[bytes | None, str, Refusal | None]
"""What became of a raw identifier: (pseudonym, mask, refusal); no pseudonym where it was refused or makes no link.
A plain tuple, because the garbage collector stops tracking those."""

NO_LINK: Final[Seen] = (None, "", None)
"""Absent, or no identifier at all. One object, so that columns can be filtered by identity."""


class Resolver:
    """Normalises and pseudonymises identifiers, user ids, order ids and event ids.

    Args:
        pseudonymiser: makes the keys.
        default_region: ISO 3166-1 alpha-2 code for phone numbers in national form, or None.

    Raises:
        ConfigurationError: no phone number is of that region.
    """

    def __init__(self, pseudonymiser: Pseudonymiser, *, default_region: str | None) -> None:
        if default_region is not None and default_region not in SUPPORTED_REGIONS:
            raise ConfigurationError(
                f"the default region {default_region!r} has no phone numbers",
                do="Set it to a two-letter code of ISO 3166-1 in capitals, such as DE, or leave it out.",
            )
        self._region = default_region
        self._user = pseudonymiser.maker(Domain.USER)
        self.event_key = pseudonymiser.maker(Domain.EVENT)
        self.order_key = pseudonymiser.maker(Domain.ORDER)
        ways: Mapping[EntityKind, tuple[Domain, Callable[[Any], identity.Normal | None]]] = {
            EntityKind.DEVICE: (Domain.DEVICE, identity.device),
            EntityKind.IP: (Domain.IP, identity.ip),
            EntityKind.CARD: (Domain.CARD, identity.card),
            EntityKind.EMAIL: (Domain.EMAIL, identity.email),
            EntityKind.PHONE: (Domain.PHONE, _phone),
            EntityKind.ADDRESS: (Domain.ADDRESS, identity.address),
        }
        self._ways = {
            kind: (mask_prefix(kind), normalise, pseudonymiser.maker(domain))
            for kind, (domain, normalise) in ways.items()
        }

    def identifier(self, kind: EntityKind, raw: str, country: str | None = None) -> tuple[bytes, str] | None:
        """Returns (pseudonym, mask) of an identifier, or None where it is none that links (a private IP address).

        Raises:
            Rejected: it is not valid.
        """
        (seen,) = self.phones([raw], [country]) if kind is EntityKind.PHONE else self.column(kind, [raw])
        key, mask, refusal = seen
        if refusal is not None:
            raise Rejected(*refusal)
        return None if key is None else (key, mask)

    def column(self, kind: EntityKind, raws: Sequence[str | None]) -> list[Seen]:
        """Returns what becomes of each identifier, `NO_LINK` for None; `phones` does the same for phone numbers."""
        return self._column(kind, raws)

    def phones(self, raws: Sequence[str | None], countries: Sequence[str | None]) -> list[Seen]:
        """Returns what becomes of each phone number, in national form by its own country or the default region."""
        home = self._region
        return self._column(
            EntityKind.PHONE,
            [
                None if raw is None else (raw, _region_of(country) or home)
                for raw, country in zip(raws, countries, strict=True)
            ],
        )

    def _column(self, kind: EntityKind, raws: Sequence[Any | None]) -> list[Seen]:
        prefix, normalise, pseudonym = self._ways[kind]
        column: list[Seen] = []
        for raw in raws:
            if raw is None:
                column.append(NO_LINK)
                continue
            try:
                normal = normalise(raw)
            except Rejected as rejected:
                column.append((None, "", rejected.refusal))
                continue
            if normal is None:
                column.append(NO_LINK)
            else:
                text, mask = normal
                key = pseudonym(text)
                column.append((key, mask or prefix + key[:MASK_BYTES].hex(), None))
        return column

    def user(self, raw: str) -> str:
        """Returns the business key of a user id: the id, or `u_` and a pseudonym in hex where it is an e-mail or phone.

        Raises:
            Rejected: it has characters that cannot be seen.
        """
        secret = identity.user_secret(raw, self._region)
        return raw if secret is None else account_name(self._user(secret))


def account_name(pseudonym: bytes) -> str:
    """Returns the business key of an account whose id in the shop is an e-mail address or a phone number."""
    return f"u_{pseudonym.hex()}"


def _region_of(country: str | None) -> str | None:
    if country is None or country in SUPPORTED_REGIONS:
        return country
    country = country.upper()
    return country if country in SUPPORTED_REGIONS else None


def _phone(number: tuple[str, str | None]) -> identity.Normal | None:
    return identity.phone(*number)
