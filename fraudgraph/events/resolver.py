"""From one raw identifier to its pseudonym and mask: what the decoder does in bulk and a search does once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from phonenumbers import SUPPORTED_REGIONS

from fraudgraph.events import identity
from fraudgraph.events.cache import NO_LINK, Seen
from fraudgraph.events.kinds import EntityKind
from fraudgraph.events.pseudonyms import Domain, Pseudonymiser
from fraudgraph.events.rejected import Refusal, Rejected

_REGION_END: Final = "\0"


class Resolver:
    """Normalises and pseudonymises identifiers, user ids, order ids and event ids, without remembering any.

    Args:
        pseudonymiser: makes the keys.
        default_region: ISO 3166-1 alpha-2 code for phone numbers in national form, or None.
    """

    def __init__(self, pseudonymiser: Pseudonymiser, *, default_region: str | None) -> None:
        self._region = default_region
        self._user = pseudonymiser.maker(Domain.USER)
        self.event_key = pseudonymiser.maker(Domain.EVENT)
        self.order_key = pseudonymiser.maker(Domain.ORDER)
        ways: Mapping[EntityKind, tuple[Domain, Callable[[str], identity.Normal | None]]] = {
            EntityKind.DEVICE: (Domain.DEVICE, identity.device),
            EntityKind.IP: (Domain.IP, identity.ip),
            EntityKind.CARD: (Domain.CARD, identity.card),
            EntityKind.EMAIL: (Domain.EMAIL, identity.email),
            EntityKind.PHONE: (Domain.PHONE, _regional_phone),
            EntityKind.ADDRESS: (Domain.ADDRESS, identity.address),
        }
        self.makers: Mapping[EntityKind, Callable[[str], Seen[bytes]]] = {
            kind: _maker(kind.label, pseudonymiser.maker(domain), normalise)
            for kind, (domain, normalise) in ways.items()
        }

    def identifier(self, kind: EntityKind, raw: str, country: str | None = None) -> tuple[bytes, str] | None:
        """Returns (pseudonym, mask) of an identifier, or None where it is none that links (a private IP address).

        Raises:
            Rejected: it is not valid.
        """
        key, mask, refusal = self.makers[kind](self.with_region(raw, country) if kind is EntityKind.PHONE else raw)
        if refusal is not None:
            raise Rejected(*refusal)
        return None if key is None else (key, mask)

    def user(self, raw: str) -> str:
        """Returns the business key of a user id: the id, or `u_` and a pseudonym in hex where it is an e-mail or phone.

        Raises:
            Rejected: it has characters that cannot be seen.
        """
        secret = identity.user_secret(raw, self._region)
        return raw if secret is None else f"u_{self._user(secret).hex()}"

    def seen_user(self, raw: str) -> Seen[str]:
        """Returns `user`, or its refusal with a clause that leaves the field's name to the caller."""
        try:
            return self.user(raw), "", None
        except Rejected as rejected:
            reason, detail = rejected.refusal
            return None, "", Refusal(reason, detail.partition(": ")[2])

    def with_region(self, number: str, country: str | None) -> str:
        """Puts the region before a phone number in national form, so that one text means one number."""
        if number.startswith("+"):
            return number
        region = country.upper() if country else None
        return f"{(region if region in SUPPORTED_REGIONS else self._region) or ''}{_REGION_END}{number}"


def _regional_phone(text: str) -> identity.Normal | None:
    if text.startswith("+"):
        return identity.phone(text, None)
    region, _, number = text.partition(_REGION_END)
    return identity.phone(number, region or None)


def _maker(
    label: str, pseudonym: Callable[[str], bytes], normalise: Callable[[str], identity.Normal | None]
) -> Callable[[str], Seen[bytes]]:
    def make(raw: str) -> Seen[bytes]:
        try:
            normal = normalise(raw)
        except Rejected as rejected:
            return None, "", rejected.refusal
        if normal is None:
            return NO_LINK
        text, mask = normal
        key = pseudonym(text)
        return key, mask or f"{label} {key[:2].hex()}", None

    return make
