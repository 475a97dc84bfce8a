"""Each kind of identifier by its standard's own examples: equal things equal, unsafe things refused, nothing shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fraudgraph.events import identity
from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.rejected import Rejected

Normalise = Callable[[str], identity.Normal | None]


def refusal(normalise: Callable[..., object], *raw: str | None) -> tuple[RejectReason, str]:
    with pytest.raises(Rejected) as caught:
        normalise(*raw)
    return caught.value.refusal


@pytest.mark.parametrize(
    ("raw", "text", "mask"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.0/24"),
        (" 8.8.8.8 ", "8.8.8.8", "8.8.8.0/24"),
        ("::ffff:8.8.8.8", "8.8.8.8", "8.8.8.0/24"),  # RFC 4291, 2.5.5.2
        ("::FFFF:0808:0808", "8.8.8.8", "8.8.8.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:DB8:0:0:8:800:200C:417A", "2001:db8:0:0::/64", "2001:db8::/48"),  # RFC 4291, 2.2
        ("2001:db8::1", "2001:db8:0:0::/64", "2001:db8::/48"),
        ("2001:0:1::9", "2001:0:1:0::/64", "2001:0:1::/48"),
        ("2a00:1450:4001:81b::200e%eth0", "2a00:1450:4001:81b::/64", "2a00:1450:4001::/48"),
    ],
)
def test_ip_addresses(raw: str, text: str, mask: str) -> None:
    assert identity.ip(raw) == (text, mask)


@pytest.mark.parametrize(
    "raw",
    [
        *("10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "169.254.3.4", "100.64.0.1"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0"),
        *("fd12:3456::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "", "unknown", " - "),
    ],
)
def test_addresses_behind_which_stands_anybody_make_no_link(raw: str) -> None:
    assert identity.ip(raw) is None


@pytest.mark.parametrize("raw", ["172.32.0.1", "172.15.255.255", "100.128.0.1", "11.0.0.0", "fe00::1"])
def test_their_neighbours_do(raw: str) -> None:
    assert identity.ip(raw) is not None


@pytest.mark.parametrize(
    "raw", ["256.1.1.1", "1.2.3", "1", "01.2.3.4", "1.2.3.4:80", "8.8.8.8, 9.9.9.9", "g::1", "١.2.3.4"]
)
def test_what_is_no_ip_address(raw: str) -> None:
    assert refusal(identity.ip, raw) == (RejectReason.INVALID_IDENTIFIER, "ip: not an IP address")


@pytest.mark.parametrize(
    ("raw", "text", "mask"),
    [
        ("Mona@Example.com", "mona@example.com", "m•••@e•••.com"),
        ("mona+promo@example.com", "mona@example.com", "m•••@e•••.com"),  # RFC 5233
        ("m.o.n.a+1@googlemail.com", "mona@gmail.com", "m•••@g•••.com"),
        ("m.o.n.a@example.com", "m.o.n.a@example.com", "m•••@e•••.com"),
        ("+tag@example.com", "+tag@example.com", "+•••@e•••.com"),
        ("a@b.co", "a@b.co", "•••@•••.co"),
        ("user@Bücher.example", "user@xn--bcher-kva.example", "u•••@x•••.example"),  # IDNA 2008
        ("user@xn--bcher-kva.example", "user@xn--bcher-kva.example", "u•••@x•••.example"),
        ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v", "用•••@x•••.xn--4rr70v"),  # RFC 6531
        ("ÜSER@example.com", "üser@example.com", "ü•••@e•••.com"),
        ("u\u0308ser@example.com", "üser@example.com", "ü•••@e•••.com"),  # NFC
    ],
)
def test_email_addresses(raw: str, text: str, mask: str) -> None:
    assert identity.email(raw) == (text, mask)


@pytest.mark.parametrize(
    "raw",
    [
        "mona",
        "mona@",
        "@example.com",
        "mo na@example.com",
        "mona@localhost",
        "mona@-x.com",
        "a..b@example.com",
        "a@b@c.de",
        f"{'x' * 65}@{'y' * 190}.com",
        f"{'x' * 60}@{'.'.join(['y' * 60] * 4)}.com",
    ],
)
def test_what_is_no_email_address(raw: str) -> None:
    assert refusal(identity.email, raw) == (RejectReason.INVALID_IDENTIFIER, "email: not an e-mail address")


@pytest.mark.parametrize(
    "raw",
    [
        "mоna@example.com",  # Cyrillic о
        "mona@exаmple.com",  # Cyrillic а
        "gοοgle@gmail.com",  # Greek ο
        "mona\u202e@example.com",
        "mona\u200b@example.com",
        "mo\x00na@example.com",
        "mona@exam\u00adple.com",
    ],
)
def test_homoglyphs_and_invisible_characters_in_email_addresses_are_unsafe(raw: str) -> None:
    assert refusal(identity.email, raw)[0] is RejectReason.UNSAFE_TEXT


def test_languages_that_mix_scripts_are_not_homoglyphs() -> None:
    assert identity.email("さくら花abc@example.jp") is not None
    assert identity.email("почта@пример.рф") is not None


@pytest.mark.parametrize(
    ("raw", "region", "text", "mask"),
    [
        ("+442079460018", None, "+442079460018", "+44 •••• 18"),
        ("+44 (0)20 7946 0018", None, "+442079460018", "+44 •••• 18"),
        ("020 7946 0018", "GB", "+442079460018", "+44 •••• 18"),
        ("0044 20 7946 0018", "DE", "+442079460018", "+44 •••• 18"),
        ("(212) 555-0100", "US", "+12125550100", "+1 •••• 00"),
        ("+1 212-555-0100 ext. 5", None, "+12125550100", "+1 •••• 00"),
        ("06 12 34 56 78", "FR", "+33612345678", "+33 •••• 78"),
        ("02 1234 5678", "IT", "+390212345678", "+39 •••• 78"),  # the zero belongs to the number
        ("+41 44 668 18 00", "DE", "+41446681800", "+41 •••• 00"),
    ],
)
def test_phone_numbers(raw: str, region: str | None, text: str, mask: str) -> None:
    assert identity.phone(raw, region) == (text, mask)


def test_what_is_no_phone_number() -> None:
    assert refusal(identity.phone, "call me", "DE")[1] == "phone: not a phone number"
    assert "neither the event nor the settings" in refusal(identity.phone, "020 7946 0018", None)[1]
    assert "of a length" in refusal(identity.phone, "+4420", None)[1]
    assert refusal(identity.phone, "+44\u202e2079460018", None)[0] is RejectReason.UNSAFE_TEXT
    assert identity.phone("unknown", "DE") is None
    assert identity.phone("", None) is None


@pytest.mark.parametrize(
    "raw", ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "４２４２424242424242"]
)
def test_card_numbers_are_their_digits_and_show_four(raw: str) -> None:
    assert identity.card(raw) == ("4242424242424242", "•••• 4242")


@pytest.mark.parametrize("raw", ["378282246310005", "6011111111111117", "5555555555554444", "30569309025904"])
def test_the_networks_own_test_numbers_have_right_check_digits(raw: str) -> None:
    assert identity.card(raw) == (raw, f"•••• {raw[-4:]}")


@pytest.mark.parametrize("raw", ["4242424242424243", "tok_1Abc", "pm-xyz 1", "12345"])
def test_everything_else_is_a_providers_token_of_which_nothing_is_shown(raw: str) -> None:
    assert identity.card(raw) == (raw, None)


@pytest.mark.parametrize("raw", ["************4242", "424242******4242", "XXXX-XXXX-XXXX-4242", "•••• 4242", "null"])
def test_starred_numbers_tie_strangers_so_they_make_no_link(raw: str) -> None:
    assert identity.card(raw) is None


def test_devices_stay_as_they_are() -> None:
    assert identity.device("AbC-1 ") == ("AbC-1", None)
    assert identity.device("e\u0301") == ("é", None)
    assert identity.device("Unknown") is None
    assert identity.device("00000000-0000-0000-0000-000000000000") is None
    for raw in ("a\x00", "a\u202eb", "a\u200bb", "a\nb"):
        assert refusal(identity.device, raw)[0] is RejectReason.UNSAFE_TEXT


@pytest.mark.parametrize(
    "raw",
    [
        "12 High Street, London",
        "12  HIGH STREET;London.",
        "12 High Street\nLondon\r\n",
        "１２ High Street - London",
        "12 High Str\u00adeet, Lon\u200bdon",
        "\u200f12 High Street, London\u200e",
    ],
)
def test_case_space_and_punctuation_of_an_address_do_not_count(raw: str) -> None:
    assert identity.address(raw) == ("12 high street london", None)


def test_addresses() -> None:
    assert identity.address("Hauptstraße 5") == identity.address("HAUPTSTRASSE 5") == ("hauptstrasse 5", None)
    assert identity.address("n/a") is None
    assert identity.address(" ,-. ") is None
    assert refusal(identity.address, "12 High\u202e Street")[0] is RejectReason.UNSAFE_TEXT
    assert refusal(identity.address, "12 High\x1b[31m Street")[0] is RejectReason.UNSAFE_TEXT


@pytest.mark.parametrize(
    "raw",
    [
        *(
            "12345",
            "1234567890",
            "4915112345678901234",
            "user-17",
            "0000012345",
            "a@b",
            "+abc",
            "2024-000123",
            "2015550123",
        ),
        *("+99999999999", "(000) 000-0000", "+441111111111", "441234567890", "447911123456789"),
        *("u_00112233445566778899aabbccddeeff", "123e4567-e89b-12d3-a456-426614174000", "1709251200000", "000123-45"),
    ],
)
def test_ids_of_users_stay(raw: str) -> None:
    expected = raw if raw == "a@b" else None  # near enough to an e-mail address to be hidden
    assert identity.user_secret(raw, "GB") == expected


@pytest.mark.parametrize(
    ("raw", "region", "secret"),
    [
        ("Mona+1@Example.com", None, "mona+1@example.com"),  # another account than mona@example.com
        ("Mo.Na@Gmail.com", None, "mo.na@gmail.com"),
        ("user@Bücher.example", None, "user@xn--bcher-kva.example"),
        ("mona@localhost", None, "mona@localhost"),
        ("Mоna@example.com", None, "mоna@example.com"),  # a Cyrillic о
        ("+44 20 7946 0018", None, "+442079460018"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("02079460018", "GB", "+442079460018"),
        ("919876543210", "IN", "+919876543210"),
        ("(020) 7946 0018", "GB", "+442079460018"),
    ],
)
def test_email_addresses_and_phone_numbers_as_user_ids_do_not(raw: str, region: str | None, secret: str) -> None:
    assert identity.user_secret(raw, region) == secret


def test_user_ids_that_cannot_be_seen_are_unsafe() -> None:
    for raw in ("17\u202e", "17\n", "1\u200b7"):
        assert refusal(identity.user_secret, raw, None)[0] is RejectReason.UNSAFE_TEXT
