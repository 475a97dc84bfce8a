"""Identifiers by their standards: equal things get equal texts, and what cannot be an identifier is refused.

Each function returns the normalised text with its display mask, or None where the value is no identifier at all
(a private IP address, a card number with its digits starred out, `unknown`): it then makes no link.
A mask of None stands for one made of the pseudonym (`device 9c1e`), because no part of the value may be shown.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from socket import AF_INET6, inet_aton, inet_ntoa, inet_pton
from typing import Final, TypeAlias

from email_validator import EmailNotValidError, validate_email

from fraudgraph.events import phones
from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.rejected import Rejected
from fraudgraph.events.text import check_one_script, check_prose, check_visible

Normal: TypeAlias = tuple[str, str | None]
"""A normalised identifier and its mask."""

DOTS: Final = "••••"

_PLACEHOLDERS: Final = frozenset(
    {"", "-", "--", "?", "n/a", "na", "nan", "none", "null", "nil", "undefined", "unknown", "not set", "(not set)"}
    # what iOS and Android return for the advertising id when the user turned tracking off
    | {"00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000"}
)


def device(raw: str) -> Normal | None:
    """Normalises a device id: as it is, in Unicode's form NFC.

    Raises:
        Rejected: UNSAFE_TEXT.
    """
    check_visible("device_id", raw)
    text = unicodedata.normalize("NFC", raw.strip())
    return None if text.lower() in _PLACEHOLDERS else (text, None)


class _Ranges:
    """Whether a number lies in one of a few disjoint networks, by bisection."""

    def __init__(self, *networks: str) -> None:
        parsed = sorted((ip_network(network) for network in networks), key=lambda n: int(n.network_address))
        self._first = [int(network.network_address) for network in parsed]
        self._last = [int(network.broadcast_address) for network in parsed]

    def __contains__(self, number: int) -> bool:
        i = bisect_right(self._first, number) - 1
        return i >= 0 and number <= self._last[i]


# RFC 6890 and the registries it set up: behind each of these stands anybody. The documentation networks
# (RFC 5737, RFC 3849) are not among them: no real traffic has them, and examples and simulated shops do.
_ANYBODY_V4: Final = _Ranges(
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
)
_ANYBODY_V6: Final = _Ranges("::/127", "100::/64", "fc00::/7", "fe80::/10", "ff00::/8")
_MAPPED: Final = 0xFFFF


def ip(raw: str) -> Normal | None:
    """Normalises an IP address: IPv4 (also mapped into IPv6) to the address, IPv6 to its /64, one subscriber's share.

    Raises:
        Rejected: INVALID_IDENTIFIER, not an address.
    """
    text = raw.strip()
    try:
        if ":" not in text:
            v4, number = text, _v4_number(text)
        else:
            number = _v6_number(text)
            if number >> 32 != _MAPPED:
                return _subscriber(number)
            v4, number = str(IPv4Address(number & 0xFFFFFFFF)), number & 0xFFFFFFFF
    except ValueError:
        if text.lower() in _PLACEHOLDERS:
            return None
        raise Rejected(RejectReason.INVALID_IDENTIFIER, "ip: not an IP address") from None
    return None if number in _ANYBODY_V4 else (v4, f"{v4.rpartition('.')[0]}.0/24")


def _v4_number(text: str) -> int:
    try:
        packed = inet_aton(text)  # in C, and lenient; a text that comes back unchanged is in the one standard form
        if inet_ntoa(packed) == text:
            return int.from_bytes(packed)
    except OSError:
        pass
    return int(IPv4Address(text))


def _v6_number(text: str) -> int:
    try:
        return int.from_bytes(inet_pton(AF_INET6, text))
    except OSError:
        return int(IPv6Address(text))  # without the scope id, which inet_pton does not read


def _subscriber(number: int) -> Normal | None:
    if number in _ANYBODY_V6:
        return None
    # A subscriber's network is a /64 or larger (RFC 6177), and the host half changes every day (RFC 8981).
    groups = [f"{number >> shift & 0xFFFF:x}" for shift in (112, 96, 80, 64)]
    return f"{':'.join(groups)}::/64", f"{_shortened(groups[:3])}::/48"


def _shortened(groups: list[str]) -> str:
    """Leaves the zeros before the `::` to it (RFC 5952, section 4.2.1)."""
    while groups and groups[-1] == "0":
        groups.pop()
    return ":".join(groups)


_CARD_NUMBER: Final = re.compile(r"[0-9]{12,19}")  # ISO/IEC 7812
_STARRED: Final = re.compile(r"[0-9]{0,8}[*•xX#]{2,}[0-9]{0,4}")
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def card(raw: str) -> Normal | None:
    """Normalises a card: a number with a right check digit (Luhn, ISO/IEC 7812) to its digits, a token as it is.

    Raises:
        Rejected: UNSAFE_TEXT.
    """
    check_visible("card", raw)
    text = unicodedata.normalize("NFC", raw.strip())
    digits = unicodedata.normalize("NFKC", text).replace(" ", "").replace("-", "")
    if _CARD_NUMBER.fullmatch(digits) and _luhn(digits):
        return digits, f"{DOTS} {digits[-4:]}"
    if text.lower() in _PLACEHOLDERS or _STARRED.fullmatch(digits):
        return None  # four digits are shared by one card in ten thousand: a link would tie strangers
    return text, None


def _luhn(digits: str) -> bool:
    odd = sum(int(digit) for digit in digits[::-2])
    even = sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])
    return (odd + even) % 10 == 0


_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_EMAIL: Final = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@([A-Za-z0-9.-]+)")
_LOCAL_MAX: Final = 64
_EMAIL_MAX: Final = 254
_GMAIL: Final = frozenset({"gmail.com", "googlemail.com"})


def email(raw: str) -> Normal | None:
    """Normalises an e-mail address (RFC 5321, 6531, IDNA 2008) to the mailbox behind it.

    Raises:
        Rejected: INVALID_IDENTIFIER, or UNSAFE_TEXT for invisible characters and mixed scripts.
    """
    text = raw.strip()
    check_visible("email", text)
    parts = _email_parts(text)
    if parts is None:
        if text.lower() in _PLACEHOLDERS:
            return None
        raise Rejected(RejectReason.INVALID_IDENTIFIER, "email: not an e-mail address")
    return _mailbox(*parts)


def _email_parts(text: str) -> tuple[str, str] | None:
    """Returns the local part and the domain of a valid address, in lower case and the domain in ASCII, else None."""
    plain = _PLAIN_EMAIL.fullmatch(text)
    if plain is None or len(plain[1]) > _LOCAL_MAX or len(text) > _EMAIL_MAX:
        return _international_email(text)
    # RFC 5321's Dot-string within its lengths is valid as it stands, so the costly validation of the
    # domain is made once per domain.
    domain = _ascii_domain(plain[2].lower())
    return None if domain is None else (plain[1].lower(), domain)


@lru_cache(maxsize=4096)
def _ascii_domain(domain: str) -> str | None:
    try:
        return validate_email(f"a@{domain}", check_deliverability=False).ascii_domain
    except (EmailNotValidError, UnicodeError):
        return None


def _international_email(text: str) -> tuple[str, str] | None:
    try:
        valid = validate_email(text, check_deliverability=False)
    except (EmailNotValidError, UnicodeError):
        return None
    for word in (valid.local_part, *valid.domain.split(".")):
        check_one_script("email", word)
    # Compatibility forms (full-width letters) look the same to people, so they must not make two identities.
    local = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", valid.local_part).casefold())
    return (local, valid.ascii_domain) if valid.ascii_domain else None


def _mailbox(local: str, domain: str) -> Normal:
    # One mailbox opens any number of accounts as name+1@, name+2@ (RFC 5233) and, at Gmail, as n.ame@, na.me@; that
    # is how promotions are abused. Upper case in the local part means nothing to any large provider.
    base = local.partition("+")[0]
    local = base or local
    if domain in _GMAIL:
        domain = "gmail.com"
        local = local.replace(".", "") or local
    first = local[0] if len(local) > 1 else ""
    name, _, top = domain.rpartition(".")
    host = name[0] if len(name) > 1 else ""
    return f"{local}@{domain}", f"{first}•••@{host}•••.{top}"


def phone(raw: str, region: str | None) -> Normal | None:
    """Normalises a phone number to E.164 (ITU-T), without its extension.

    Args:
        raw: in international form, or in national form if there is a region.
        region: ISO 3166-1 alpha-2 code that a national form is of.

    Raises:
        Rejected: INVALID_IDENTIFIER or UNSAFE_TEXT.
    """
    text = raw.strip()
    number = phones.fast(text, region)
    if number is None:
        if text.lower() in _PLACEHOLDERS:
            return None
        check_visible("phone", text)
        number = phones.slow(text, region)
    return number.text, f"+{number.calling_code} {DOTS} {number.text[-2:]}"


_FOLDED: Final = re.compile(r"[\W_]+")


def address(raw: str) -> Normal | None:
    """Normalises a postal address: compatibility forms, case, space and punctuation do not count.

    Raises:
        Rejected: UNSAFE_TEXT.
    """
    check_prose("address", raw)
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", raw).casefold())
    if text.strip() in _PLACEHOLDERS:
        return None
    # Joiners and soft hyphens fall to the same rule as punctuation inside a word: out, without a gap.
    text = "".join(char for char in text if unicodedata.category(char) != "Cf") if not text.isascii() else text
    text = _FOLDED.sub(" ", text).strip()
    return (text, None) if text else None


_NEARLY_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")


def user_secret(raw: str, region: str | None) -> str | None:
    """Returns the e-mail address or phone number (normalised) that a user id really is, None for any other id.

    Args:
        raw: the user id.
        region: the settings' default region; never the event's, so that an id means the same in every event.

    Raises:
        Rejected: UNSAFE_TEXT.
    """
    check_visible("user_id", raw)
    text = raw.strip()
    if "@" in text and _NEARLY_EMAIL.fullmatch(text):
        # Not folded to the mailbox: name+1@ and name+2@ are two accounts. An address that is not valid is near enough
        # to one to be somebody's with a typing error.
        try:
            parts = _email_parts(text)
        except Rejected:
            parts = None
        return text.casefold() if parts is None else "@".join(parts)
    return phones.owned(text, region)
