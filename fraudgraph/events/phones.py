"""Phone numbers to E.164, mostly without the library's slow way and always with its result.

The general parser takes 15 µs per number, because it has to expect every way of writing one. Most numbers come in
one of three plain ways, for which the library's own metadata (calling codes, possible lengths, prefixes) show that
it would strip nothing, or nothing but a trunk zero. `fast` handles those and leaves every other one to `slow`; the
test suite compares the two over all countries.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import PhoneMetadata

from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.rejected import Rejected

_PUNCTUATION: Final = str.maketrans("", "", " -.()")
_INTERNATIONAL: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_NATIONAL: Final = re.compile(r"[0-9]{5,15}")
_NOTHING: Final = "(?!)"
_NO_COUNTRY: Final = "001"


class E164(NamedTuple):
    """A phone number in the form of ITU-T E.164 (`+442079460018`), and its calling code (`44`)."""

    text: str
    calling_code: str


class _Plan(NamedTuple):
    """What the library knows of a region.

    Attributes:
        calling_code: of the region.
        lengths: that national numbers can have.
        stripped: what the library may take off the front of a national number.
        abroad: what is dialled before a calling code.
        plain: whether it only takes it off, without putting something else there.
        pattern: of valid national numbers.
    """

    calling_code: str
    lengths: frozenset[int]
    stripped: re.Pattern[str]
    abroad: re.Pattern[str]
    plain: bool
    pattern: re.Pattern[str]


def fast(text: str, region: str | None) -> E164 | None:
    """Returns what `slow` would, or None where only `slow` can tell."""
    compact = text.translate(_PUNCTUATION)
    if _INTERNATIONAL.fullmatch(compact):
        for end in (2, 3, 4):  # no calling code begins another
            plan = _plan_abroad(compact[1:end])
            if plan is not None:
                national = compact[end:]
                if len(national) in plan.lengths and national[0] != "0" and not plan.stripped.match(national):
                    return E164(compact, plan.calling_code)
                return None
        return None
    plan = _plan_at_home(region)
    if plan is None or not _NATIONAL.fullmatch(compact):
        return None
    if plan.abroad.match(compact) or compact.startswith(plan.calling_code):
        return None
    front = plan.stripped.match(compact)
    if front is not None or compact[0] == "0":
        # A trunk zero goes, unless the number is valid with it (Italy) or begins with another one.
        if front is None or front[0] != "0" or not plan.plain or compact[1] == "0" or plan.pattern.fullmatch(compact):
            return None
        compact = compact[1:]
    return E164(f"+{plan.calling_code}{compact}", plan.calling_code) if len(compact) in plan.lengths else None


def slow(text: str, region: str | None) -> E164:
    """Returns the number as the library parses it.

    A number must be possible, which goes by its length: number plans change faster than any table of valid ranges.

    Raises:
        Rejected: INVALID_IDENTIFIER.
    """
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE and region is None:
            detail = "phone: in national form, and neither the event nor the settings name a country"
        else:
            detail = "phone: not a phone number"
        raise Rejected(RejectReason.INVALID_IDENTIFIER, detail) from None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise Rejected(RejectReason.INVALID_IDENTIFIER, "phone: of a length that its country does not have")
    text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return E164(text, str(number.country_code))


_UNMISTAKABLE: Final = re.compile(r"(?!000)[+0(][0-9 ().\-/+]{6,}")
_BARE: Final = re.compile(r"[1-9][0-9]{10,14}")
_MOBILE: Final = phonenumbers.PhoneNumberType.MOBILE


def owned(text: str, region: str | None) -> str | None:
    """Returns the number in E.164 if the text can hardly be anything but a phone number, else None.

    That is a valid number that starts with `+`, `0` or `(`, or 11 to 15 digits that are a mobile number of the region
    after its calling code. Other texts of digits only are taken for something else: most ten-digit numbers would be
    valid somewhere.
    """
    if _UNMISTAKABLE.fullmatch(text):
        return _valid(text, region, mobile=False) if region is not None or text[0] == "+" else None
    plan = _plan_at_home(region)
    if plan is not None and text.startswith(plan.calling_code) and _BARE.fullmatch(text):
        return _valid(f"+{text}", region, mobile=True)
    return None


def _valid(text: str, region: str | None, *, mobile: bool) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    if mobile and not (
        phonenumbers.number_type(number) == _MOBILE and phonenumbers.region_code_for_number(number) == region
    ):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@cache
def _plan_abroad(calling_code: str) -> _Plan | None:
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(calling_code))
    if regions is None:
        return None
    if regions[0] == _NO_COUNTRY:  # satellites and other codes that belong to no country
        return _plan(PhoneMetadata.metadata_for_nongeo_region(int(calling_code)))
    return _plan(PhoneMetadata.metadata_for_region(regions[0]))


@cache
def _plan_at_home(region: str | None) -> _Plan | None:
    if region is None:
        return None
    plan = _plan(PhoneMetadata.metadata_for_region(region))
    # Of regions that share a calling code only the main one's lengths count, as in the library.
    main = None if plan is None else _plan_abroad(plan.calling_code)
    return None if plan is None or main is None else plan._replace(lengths=plan.lengths & main.lengths)


def _plan(metadata: PhoneMetadata | None) -> _Plan | None:
    if metadata is None or metadata.general_desc is None:
        return None
    stripped = re.compile(metadata.national_prefix_for_parsing or _NOTHING)
    return _Plan(
        calling_code=str(metadata.country_code),
        lengths=frozenset(metadata.general_desc.possible_length),
        stripped=stripped,
        abroad=re.compile(metadata.international_prefix or _NOTHING),
        plain=stripped.groups == 0 and not metadata.national_prefix_transform_rule,
        pattern=re.compile(metadata.general_desc.national_number_pattern or _NOTHING),
    )
