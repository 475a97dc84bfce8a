"""Money is exact: what is written is what is counted, or it is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.money import MINOR_UNITS_MAX, currencies, currency_of, minor_units
from fraudgraph.events.rejected import Rejected


@pytest.mark.parametrize(
    ("amount", "code", "minor"),
    [
        ("28.19", "EUR", 2819),
        ("0.1", "EUR", 10),
        ("1.100", "EUR", 110),
        ("1E+2", "EUR", 10000),
        ("500", "JPY", 500),
        ("1.234", "BHD", 1234),
        ("1.2345", "CLF", 12345),
        ("0", "EUR", 0),
        ("-0.00", "EUR", 0),
        ("0e-999999", "EUR", 0),
        ("10000000000", "EUR", MINOR_UNITS_MAX),
        ("28.19", "eur", 2819),
    ],
)
def test_amounts_become_minor_units_by_the_currencys_exponent(amount: str, code: str, minor: int) -> None:
    assert minor_units(Decimal(amount), currency_of(code)) == minor


@pytest.mark.parametrize(
    ("amount", "code", "clause"),
    [
        ("0.001", "EUR", "more decimals than EUR has"),
        ("1.5", "JPY", "more decimals than JPY has"),
        ("1.00000000000000000000000000000000000000000001", "EUR", "more decimals"),
        ("1e-999999999", "EUR", "more decimals"),
        ("-0.01", "EUR", "negative"),
        ("-Infinity", "EUR", "not a finite number"),
        ("NaN", "EUR", "not a finite number"),
        ("sNaN", "EUR", "not a finite number"),
        ("10000000000.01", "EUR", "absurdly large"),
        ("1e999999999", "EUR", "absurdly large"),
    ],
)
def test_what_cannot_be_counted_exactly_is_refused(amount: str, code: str, clause: str) -> None:
    with pytest.raises(Rejected) as caught:
        minor_units(Decimal(amount), currency_of(code))
    assert caught.value.refusal.reason is RejectReason.INVALID_AMOUNT
    assert clause in caught.value.refusal.detail


def test_the_table_is_the_standards() -> None:
    assert currency_of("EUR")[1:] == (978, 2)
    assert currency_of("USD")[1:] == (840, 2)
    assert len(currencies()) > 150
    assert all(0 < c.number < 1000 and 0 <= c.exponent <= 4 for c in currencies().values())


@pytest.mark.parametrize("code", ["XXX", "XAU", "EU1", "ZZZ", "ıNR"])
def test_a_code_without_money_behind_it_is_refused(code: str) -> None:
    with pytest.raises(Rejected, match="ISO 4217"):
        currency_of(code)
