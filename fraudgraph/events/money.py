"""Money: exact decimals to integer minor units, by ISO 4217."""

from __future__ import annotations

from decimal import Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation, Overflow
from functools import cache
from typing import Final, NamedTuple

from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.rejected import Rejected

MINOR_UNITS_MAX: Final = 10**12
_MAX: Final = Decimal(MINOR_UNITS_MAX)

# Rounding raises, so that what comes out is what was written.
_EXACT: Final = Context(prec=34, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])


class Currency(NamedTuple):
    """A currency of ISO 4217.

    Attributes:
        code: three letters.
        number: the standard's number (EUR = 978).
        exponent: decimals of the minor unit (EUR 2, JPY 0, BHD 3).
    """

    code: str
    number: int
    exponent: int


@cache
def currencies() -> dict[str, Currency]:
    """Returns the standard's currencies by code; those without a minor unit (gold, test codes) are left out."""
    from iso4217 import Currency as Published  # parses its XML table when imported

    return {c.code: Currency(c.code, int(c.number), int(c.exponent)) for c in Published if c.exponent is not None}


def currency_of(code: str) -> Currency:
    """Returns the currency of a code in any case.

    Raises:
        Rejected: INVALID_FIELD, no such currency has a minor unit.
    """
    found = currencies().get(code.upper()) if code.isascii() else None
    if found is None:
        raise Rejected(RejectReason.INVALID_FIELD, "currency: not a code of ISO 4217 that has a minor unit")
    return found


def minor_units(amount: Decimal, currency: Currency) -> int:
    """Returns an amount in major units as an integer of minor units, never rounded.

    Raises:
        Rejected: INVALID_AMOUNT, not a number, negative, above 10^12 minor units, or finer than the minor unit.
    """
    if not amount.is_finite():
        raise Rejected(RejectReason.INVALID_AMOUNT, "amount: not a finite number")
    if not amount:
        return 0
    if amount.is_signed():
        raise Rejected(RejectReason.INVALID_AMOUNT, "amount: negative")
    # Compared before any digit is written out: 1e999999999 is a short text and a very long integer.
    if amount.adjusted() > 15:
        raise Rejected(RejectReason.INVALID_AMOUNT, "amount: absurdly large")
    try:
        scaled = _EXACT.scaleb(amount, currency.exponent)
        minor = int(_EXACT.to_integral_exact(scaled))
    except DecimalException:
        raise Rejected(RejectReason.INVALID_AMOUNT, f"amount: more decimals than {currency.code} has") from None
    if scaled > _MAX:
        raise Rejected(RejectReason.INVALID_AMOUNT, "amount: absurdly large")
    return minor
