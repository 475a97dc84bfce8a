"""Identifiers by their standards: equal things get equal texts, and what cannot be an identifier is refused.

Each function returns the normalised text with its display mask, or None where the value is no identifier at all
(a private IP address, a card number with its digits starred out, `unknown`): it then makes no link.
A mask of None stands for one made of the pseudonym (`device 9c1e`), because no part of the value may be shown.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.rejected import Rejected
from fraudgraph.events.text import check_one_script, check_prose, check_visible


class Normal(NamedTuple):
    """A normalised identifier and how it is shown; None means by its pseudonym."""

    text: str
    mask: str | None


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
    return None if text.lower() in _PLACEHOLDERS else Normal(text, None)


# RFC 6890 and the registries it set up: behind each of these stands anybody. The documentation networks
# (RFC 5737, RFC 3849) are not among them: no real traffic has them, and examples and simulated shops do.
_NOBODY_V4: Final = tuple(
    ip_network(n)
    for n in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_NOBODY_V6: Final = tuple(ip_network(n) for n in ("::/127", "100::/64", "fc00::/7", "fe80::/10", "ff00::/8"))


def ip(raw: str) -> Normal | None:
    """Normalises an IP address: IPv4 (also mapped into IPv6) to the address, IPv6 to its /64, one subscriber's share.

    Raises:
        Rejected: INVALID_IDENTIFIER, not an address.
    """
    text = raw.strip()
    if text.lower() in _PLACEHOLDERS:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        raise Rejected(RejectReason.INVALID_IDENTIFIER, "ip: not an IP address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv4Address):
        if any(address in network for network in _NOBODY_V4):
            return None
        text = str(address)
        return Normal(text, f"{text.rpartition('.')[0]}.0/24")
    number = int(address)  # without the scope id
    if any(IPv6Address(number) in network for network in _NOBODY_V6):
        return None
    # A subscriber's network is a /64 or larger (RFC 6177), and the host half changes every day (RFC 8981).
    return Normal(f"{IPv6Address(number >> 64 << 64)}/64", f"{IPv6Address(number >> 80 << 80)}/48")


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
        return Normal(digits, f"{DOTS} {digits[-4:]}")
    if text.lower() in _PLACEHOLDERS or _STARRED.fullmatch(digits):
        return None  # four digits are shared by one card in ten thousand: a link would tie strangers
    return Normal(text, None)


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
    address = raw.strip()
    if address.lower() in _PLACEHOLDERS:
        return None
    check_visible("email", address)
    plain = _PLAIN_EMAIL.fullmatch(address)
    if plain is not None and len(plain[1]) <= _LOCAL_MAX and len(address) <= _EMAIL_MAX:
        # RFC 5321's Dot-string within its lengths is valid as it stands, so the costly validation of the
        # domain is made once per domain.
        local, domain = plain[1].lower(), _ascii_domain(plain[2].lower())
    else:
        local, domain = _international_email(address)
    return _mailbox(local, domain)


@lru_cache(maxsize=4096)
def _ascii_domain(domain: str) -> str | None:
    try:
        return validate_email(f"a@{domain}", check_deliverability=False).ascii_domain
    except (EmailNotValidError, UnicodeError):
        return None


def _international_email(address: str) -> tuple[str, str | None]:
    try:
        valid = validate_email(address, check_deliverability=False)
    except (EmailNotValidError, UnicodeError):
        return "", None
    for word in (valid.local_part, *valid.domain.split(".")):
        check_one_script("email", word)
    # Compatibility forms (full-width letters) look the same to people; RFC 5321 forbids only relays to fold them.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", valid.local_part).casefold()), valid.ascii_domain


def _mailbox(local: str, domain: str | None) -> Normal:
    if domain is None:
        raise Rejected(RejectReason.INVALID_IDENTIFIER, "email: not an e-mail address")
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
    return Normal(f"{local}@{domain}", f"{first}•••@{host}•••.{top}")


def phone(raw: str, region: str | None) -> Normal | None:
    """Normalises a phone number to E.164 (ITU-T), without its extension.

    A number must be possible, which goes by its length: number plans change faster than any table of valid ranges.

    Args:
        raw: in international form, or in national form if there is a region.
        region: ISO 3166-1 alpha-2 code that a national form is of.

    Raises:
        Rejected: INVALID_IDENTIFIER or UNSAFE_TEXT.
    """
    text = raw.strip()
    if text.lower() in _PLACEHOLDERS:
        return None
    check_visible("phone", text)
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE and region is None:
            detail = "phone: in national form, and neither the event nor the settings name a country"
        else:
            detail = "phone: not a phone number"
        raise Rejected(RejectReason.INVALID_IDENTIFIER, detail) from None
    if not phonenumbers.is_possible_number(number):
        raise Rejected(RejectReason.INVALID_IDENTIFIER, "phone: of a length that its country does not have")
    return _e164(number)


def _e164(number: phonenumbers.PhoneNumber) -> Normal:
    text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Normal(text, f"+{number.country_code} {DOTS} {text[-2:]}")


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
    return Normal(text, None) if text else None


_USER_AS_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_USER_AS_PHONE: Final = re.compile(r"[+0(][0-9 ().\-/+]{6,}|[1-9][0-9]{10,14}")
_MOBILE: Final = phonenumbers.PhoneNumberType.MOBILE


def user_secret(raw: str, region: str | None) -> str | None:
    """Returns the e-mail address or phone number (normalised) that a user id really is, None for any other id.

    An id is a phone number if it starts with `+`, `0` or `(` and is valid, in international form or in that of the
    region, or if its 11 to 15 digits are a mobile number of the region after its calling code. Other ids of digits
    only are ids: most ten-digit numbers would be valid somewhere.

    Args:
        raw: the user id.
        region: the settings' default region; never the event's, so that an id means the same in every event.

    Raises:
        Rejected: UNSAFE_TEXT.
    """
    check_visible("user_id", raw)
    text = raw.strip()
    if "@" in text and _USER_AS_EMAIL.fullmatch(text):
        try:
            found = email(text)
        except Rejected:
            found = None
        # Not a valid address, but near enough to one that it may be somebody's with a typing error.
        return found.text if found else text.casefold()
    if _USER_AS_PHONE.fullmatch(text):
        return _phone_of_user(text, region)
    return None


def _phone_of_user(text: str, region: str | None) -> str | None:
    bare = text[0] in "123456789"
    try:
        number = phonenumbers.parse(f"+{text}" if bare else text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    if bare and (phonenumbers.region_code_for_number(number) != region or phonenumbers.number_type(number) != _MOBILE):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
