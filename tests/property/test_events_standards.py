"""The quick ways of e-mail and IP addresses and of money agree with the libraries that define them."""

from __future__ import annotations

import ipaddress
from decimal import Decimal

from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fraudgraph.events import identity
from fraudgraph.events.money import MINOR_UNITS_MAX, currency_of, minor_units
from fraudgraph.events.rejected import Rejected

DOMAINS = st.sampled_from(
    [
        "gmail.com",
        "Example.COM",
        "a.b.co",
        "x",
        "-a.com",
        "a-.com",
        "a..com",
        "1.2.3.4",
        "xn--bcher-kva.example",
        "xn--a.de",
    ]
)
LOCALS = st.text("aB1.+-_!%'@\" ", max_size=70)


@settings(max_examples=500, deadline=None)
@given(LOCALS, DOMAINS | st.text("aB1.-", max_size=12))
@example("a" * 64, "b" * 63 + ".com")
@example("a" * 65, "example.com")
@example("a" * 60, ".".join(["b" * 62] * 3) + ".com")
def test_an_email_address_is_taken_exactly_if_the_validator_takes_it(local: str, domain: str) -> None:
    raw = f"{local}@{domain}".strip()
    try:
        validated = validate_email(raw, check_deliverability=False)
    except EmailNotValidError:
        validated = None
    try:
        ours = identity.email(raw)
    except Rejected:
        ours = None
    assert (ours is None) == (validated is None)
    if ours is not None and validated is not None:
        assert ours[0].partition("@")[2].replace("googlemail", "gmail") == validated.ascii_domain


def expected_ip(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The identifier behind an address, by the standard library alone."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address, 64), strict=False))
        address = address.ipv4_mapped
    return str(address)


@settings(max_examples=500)
@given(st.ip_addresses() | st.integers(0, 2**32 - 1).map(lambda n: ipaddress.IPv6Address(0xFFFF << 32 | n)))
def test_every_way_of_writing_an_ip_address_is_the_same_identifier(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    found = identity.ip(str(address))
    assert {identity.ip(address.exploded), identity.ip(str(address).upper()), identity.ip(f" {address} ")} == {found}
    if found is not None:
        text, mask = found
        assert ipaddress.ip_network(text) == ipaddress.ip_network(expected_ip(address))
        assert mask is not None
        shown = ipaddress.ip_network(mask)
        assert str(shown) == mask
        assert ipaddress.ip_network(text).subnet_of(shown)  # type: ignore[arg-type]  # both are of one version


@settings(max_examples=500)
@given(st.text("0123456789abcfx.:%/ ", max_size=40))
def test_a_text_is_an_ip_address_exactly_if_the_standard_library_says_so(raw: str) -> None:
    try:
        ipaddress.ip_address(raw.strip())
        valid = True
    except ValueError:
        valid = False
    try:
        found = identity.ip(raw)
    except Rejected:
        assert not valid
    else:
        assert valid or (found is None and not raw.strip())


@given(st.integers(0, MINOR_UNITS_MAX), st.sampled_from(["JPY", "EUR", "BHD", "CLF"]))
def test_minor_units_are_the_decimal_shifted_by_the_exponent(minor: int, code: str) -> None:
    currency = currency_of(code)
    assert minor_units(Decimal(minor).scaleb(-currency.exponent), currency) == minor


@given(st.decimals(), st.sampled_from(["JPY", "EUR", "BHD"]))
def test_an_amount_is_counted_exactly_or_refused(amount: Decimal, code: str) -> None:
    currency = currency_of(code)
    try:
        minor = minor_units(amount, currency)
    except Rejected:
        return
    assert 0 <= minor <= MINOR_UNITS_MAX
    assert Decimal(minor) == amount * 10**currency.exponent
