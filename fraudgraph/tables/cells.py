"""Reads single cells: text, times, amounts, addresses. A cell that cannot be read raises ValueError with the cause.

Causes never quote the cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import time as time_of_day
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from ipaddress import IPv4Address
from zoneinfo import ZoneInfo

from fraudgraph.events.money import currency_of, minor_units
from fraudgraph.events.rejected import Rejected
from fraudgraph.tables.checks import STRFTIME

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
END_MS = (datetime(2201, 1, 1, tzinfo=UTC) - EPOCH) // _MS
"""The decoder's limit: later times are mistakes of unit, or stand for "never"."""

_GROUPED = {
    ".": re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII),
    ",": re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d*)?", re.ASCII),
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_WIDE = Context(prec=400)


def number(value: object) -> Decimal:
    """Returns a number exactly; a double as the shortest decimal that means it."""
    if isinstance(value, Decimal):
        parsed = value
    elif isinstance(value, bool):
        raise ValueError("not a number")
    elif isinstance(value, int):
        parsed = Decimal(value)
    elif isinstance(value, float):
        parsed = Decimal(repr(value))
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        parsed = Decimal(value)
    else:
        raise ValueError("not a number")
    if not parsed.is_finite():
        raise ValueError("not a number")
    return parsed


def written_number(text: str, decimal_sign: str) -> str:
    """Returns a number as computers write it: no thousands signs, and a decimal point.

    `1.5` is no number where the decimal sign is a comma, and neither is `1,50` where it is a point.
    """
    group = "," if decimal_sign == "." else "."
    if _GROUPED[decimal_sign].fullmatch(text):
        text = text.replace(group, "")
    if group in text:
        raise ValueError("not a number")
    return text.replace(decimal_sign, ".")


@lru_cache(maxsize=65_536, typed=True)  # typed: 0.125 is rounded, Decimal("0.125") is not, and they are equal
def money(value: str | int | float | Decimal, code: str, in_minor_units: bool, rounded: bool, absolute: bool) -> str:
    """Returns an amount as a decimal string with the currency's decimals.

    Doubles are rounded half to even; everything else is exact unless `rounded`.
    """
    exact = abs(number(value)) if absolute else number(value)
    try:
        currency = currency_of(code)
        if exact.adjusted() <= 15:  # what is larger is refused below
            unit = Decimal(1).scaleb(-currency.exponent)
            if in_minor_units:
                exact = _WIDE.multiply(exact, unit)
            if rounded or (isinstance(value, float) and not in_minor_units):
                exact = exact.quantize(unit, rounding=ROUND_HALF_EVEN, context=_WIDE)
        minor = minor_units(exact, currency)
    except Rejected as rejected:
        raise ValueError(rejected.refusal.detail.partition(": ")[2]) from None
    return format(Decimal(minor).scaleb(-currency.exponent), "f")


def ipv4_from_number(value: object) -> str:
    """Returns an IPv4 address in dotted form; decimals, a trace of spreadsheets, are cut off."""
    whole = int(number(value))
    if not 0 <= whole < 1 << 32:
        raise ValueError("not an IPv4 address")
    return str(IPv4Address(whole))


def in_range(ms: int) -> int:
    """Returns the time if it lies between 1970 and 2200."""
    if not 0 <= ms < END_MS:
        raise ValueError("outside the years 1970 to 2200")
    return ms


def zone_of(name: str) -> tzinfo:
    """Returns a time zone; UTC also where the system has no table of zones."""
    return UTC if name == "UTC" else ZoneInfo(name)


def time_reader(kind: str, zone: tzinfo, at: time_of_day | None) -> Callable[[str], int]:
    """Returns the function that reads a written time into ms since the epoch; finer digits are cut off."""
    if kind in ("unix_s", "unix_ms"):
        factor = 1000 if kind == "unix_s" else 1

        def from_number(text: str) -> int:
            exact = number(text)
            if exact.adjusted() > 15:
                raise ValueError("outside the years 1970 to 2200")
            return in_range(int((exact * factor).to_integral_value(rounding="ROUND_FLOOR")))

        return from_number
    pattern = kind.removeprefix(STRFTIME) if kind.startswith(STRFTIME) else None
    what = f"not a time as `{kind}` says"

    def from_text(text: str) -> int:
        try:
            moment = datetime.strptime(text, pattern) if pattern else datetime.fromisoformat(text)
            if at is not None:
                moment = datetime.combine(moment.date(), at, moment.tzinfo)
            elif kind == "date" and moment.time() != time_of_day():
                raise ValueError
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=zone)
            ms = (moment - EPOCH) // _MS
        except (ValueError, OverflowError):
            raise ValueError(what) from None
        return in_range(ms)

    return from_text
