"""The fast way of phone numbers agrees with the library wherever it answers, in every country."""

from __future__ import annotations

from random import Random

import phonenumbers
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudgraph.events import phones
from fraudgraph.events.rejected import Rejected

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
FORMATS = (
    phonenumbers.PhoneNumberFormat.E164,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.NATIONAL,
)
NUMBERS = 100


def digits(random: Random) -> str:
    return "".join(random.choices("0123456789", k=random.randint(3, 13)))


def written(random: Random, region: str) -> str:
    """A number that is right, nearly right or made up, in one of the ways that people write one."""
    way = random.randrange(4)
    if way == 0:
        text = f"+{random.choice(CODES)}{digits(random)}"
    elif way == 1:
        text = random.choice(("", "0", "00", "011", "1", "8", "06")) + digits(random)
    else:
        example = phonenumbers.example_number(region)
        text = phonenumbers.format_number(example, random.choice(FORMATS)) if example else digits(random)
        if way == 3:
            at = random.randrange(len(text))
            text = text[:at] + random.choice("0123456789") + text[at + 1 :]
    if random.random() < 0.3:
        at = random.randint(1, len(text))
        text = text[:at] + random.choice(" -.()") + text[at:]
    return text


def by_the_library(text: str, region: str | None) -> phones.E164 | None:
    try:
        return phones.slow(text, region)
    except Rejected:
        return None


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([None, *REGIONS]))
def test_what_the_fast_way_returns_is_what_the_library_returns(random: Random, region: str | None) -> None:
    for _ in range(NUMBERS):
        text = written(random, region or random.choice(REGIONS))
        quick = phones.fast(text, region)
        if quick is not None:
            assert quick == by_the_library(text, region), (text, region)


def test_the_fast_way_serves_the_plain_forms_of_large_countries() -> None:
    for region in ("DE", "FR", "GB", "US", "ES", "PL", "NL", "IN", "SE"):
        example = phonenumbers.example_number(region)
        for form in FORMATS:
            assert phones.fast(phonenumbers.format_number(example, form), region) is not None, (region, form)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=64), st.sampled_from([None, "DE", "US", "IT", "BR"]))
def test_no_text_breaks_either_way(text: str, region: str | None) -> None:
    quick = phones.fast(text, region)
    if quick is not None:
        assert quick == by_the_library(text, region)
    phones.owned(text, region)
