"""The decoder: good events become columns, every other one a dead letter with its reason, its place and its bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fraudgraph.errors import ConfigurationError
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.kinds import EntityKind, EventType, RejectReason, Status
from fraudgraph.events.pseudonyms import Domain, Pseudonymiser
from fraudgraph.events.rejected import Rejected
from fraudgraph.events.resolver import Resolver
from fraudgraph.events.vault import Vault
from fraudgraph.streams.port import RawBatch

KEY = bytes(range(32))
PSEUDONYMS = Pseudonymiser(KEY)
VAULT = Vault(KEY)
LOGIN = {"type": "login", "event_id": "e1", "ts": "2026-03-01T14:05:00Z", "user_id": "17"}
LABEL = {
    "type": "label",
    "event_id": "l1",
    "ts": "2026-03-09T00:00:00Z",
    "target": "user:17",
    "value": "fraud",
    "about_ts": "2026-03-01T00:00:00Z",
    "arrived_ts": "2026-03-08T00:00:00Z",
    "source": "review",
}
COMMAND = {
    "type": "command",
    "event_id": "c1",
    "ts": "2026-03-09T00:00:00Z",
    "name": "must-link",
    "author": "mona",
    "arguments": {"reason": "same\nhand"},
}


def decode(*events: dict[str, Any] | bytes, **settings: Any) -> DecodedBatch:
    decoder = Decoder(
        PSEUDONYMS, VAULT, **{"default_region": "DE", "default_currency": None, "max_bytes": 65_536, **settings}
    )
    values = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
    n = len(values)
    return decoder.decode(
        RawBatch(values, ["p"], [0] * n, list(range(0, 10 * n, 10)), list(range(10, 10 * n + 10, 10)))
    )


def reject(*events: dict[str, Any] | bytes, **settings: Any) -> tuple[RejectReason, str]:
    batch = decode(*events, **settings)
    assert len(batch) == 0
    (letter,) = batch.dead_letters
    return letter.reason, letter.detail


def test_a_full_order_becomes_a_row_and_six_links() -> None:
    order = LOGIN | {
        "type": "order",
        "device_id": "d1",
        "ip": "203.0.113.7",
        "card": "4242424242424242",
        "email": "mona@example.com",
        "phone": "0151 12345678",
        "address": "12 High Street",
        "amount": "28.19",
        "currency": "EUR",
        "order_id": "o1",
        "status": "Paid",
    }
    batch = decode(LOGIN, order)
    assert batch.type.tolist() == [EventType.LOGIN, EventType.ORDER]
    assert batch.user == ["17", "17"]
    assert batch.ts_ms.tolist() == [1772373900000] * 2
    assert batch.amount_minor.tolist() == [0, 2819]
    assert batch.currency.tolist() == [0, 978]
    assert batch.status.tolist() == [Status.NONE, Status.APPROVED]
    assert batch.event_key == [PSEUDONYMS.of(Domain.EVENT, "e1")] * 2
    assert batch.order_key == [None, PSEUDONYMS.of(Domain.ORDER, "o1")]
    assert batch.link_event.tolist() == [1] * 6
    assert batch.link_kind.tolist() == list(range(1, 7))
    device, ip, card, email, phone, address = batch.link_key
    assert ip == PSEUDONYMS.of(Domain.IP, "203.0.113.7")
    assert card == PSEUDONYMS.of(Domain.CARD, "4242424242424242")
    assert email == PSEUDONYMS.of(Domain.EMAIL, "mona@example.com")
    assert phone == PSEUDONYMS.of(Domain.PHONE, "+4915112345678")
    assert batch.link_mask == [
        f"device {device[:2].hex()}",
        "203.0.113.0/24",
        "•••• 4242",
        "m•••@e•••.com",
        "+49 •••• 78",
        f"address {address[:2].hex()}",
    ]
    assert (batch.offset.tolist(), batch.next_offset.tolist()) == ([0, 10], [10, 20])
    assert (batch.type.dtype, batch.link_event.dtype, batch.currency.dtype) == (np.uint8, np.int32, np.uint16)


def test_an_empty_batch_has_empty_columns() -> None:
    batch = decode()
    assert len(batch) == 0
    assert batch.link_event.shape == batch.status.shape == batch.offset.shape == (0,)


def test_bad_events_leave_no_trace_in_the_columns_of_the_good_ones() -> None:
    good = LOGIN | {"event_id": "good", "device_id": "d", "ip": "8.8.8.8"}
    bad = LOGIN | {"event_id": "bad", "device_id": "d", "ip": "not an address"}
    alone, among = decode(good), decode(bad, good, b"{", good, bad)
    assert among.link_key == alone.link_key * 2
    assert among.link_event.tolist() == [0, 0, 1, 1]
    assert among.offset.tolist() == [10, 30]
    assert [(d.offset, d.reason) for d in among.dead_letters] == [
        (0, RejectReason.INVALID_IDENTIFIER),
        (20, RejectReason.MALFORMED_JSON),
        (40, RejectReason.INVALID_IDENTIFIER),
    ]
    assert among.damaged_through == {"p": 50}
    assert VAULT.open(among.dead_letters[1].ciphertext) == b"{"
    assert VAULT.open(among.seal(1)) == json.dumps(good).encode()


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"type": "burp"}, RejectReason.UNKNOWN_TYPE, "type: not a type of event"),
        ({"type": "Object missing required field `ts`"}, RejectReason.UNKNOWN_TYPE, "type: not a type of event"),
        ({"type": "' - at `$.amount`"}, RejectReason.UNKNOWN_TYPE, "type: not a type of event"),
        ({"type": None}, RejectReason.MISSING_FIELD, "type: missing"),
        ({"event_id": None}, RejectReason.MISSING_FIELD, "event_id: missing"),
        ({"user_id": ""}, RejectReason.MISSING_FIELD, "user_id: missing"),
        ({"user_id": 17}, RejectReason.INVALID_FIELD, "user_id: must be a string"),
        ({"device_id": "x" * 257}, RejectReason.INVALID_FIELD, "device_id: must be a string of length <= 256"),
        ({"ip": ["8.8.8.8"]}, RejectReason.INVALID_FIELD, "ip: must be a string"),
        ({"ts": "2026-03-01T14:05:00"}, RejectReason.INVALID_TIMESTAMP, "ts: not an RFC 3339 time with an offset"),
        ({"ts": 1772373900}, RejectReason.INVALID_TIMESTAMP, "ts: not an RFC 3339 time with an offset"),
        ({"ts": "2026-02-30T00:00:00Z"}, RejectReason.INVALID_TIMESTAMP, "ts: not an RFC 3339 time with an offset"),
        ({"ts": "9999-12-31T23:59:59Z"}, RejectReason.INVALID_TIMESTAMP, "ts: before 1970 or after 2200"),
        ({"ts": "1969-12-31T23:59:59.999Z"}, RejectReason.INVALID_TIMESTAMP, "ts: before 1970 or after 2200"),
        ({"ts": "0001-01-01T00:00:00+23:59"}, RejectReason.INVALID_TIMESTAMP, "ts: before 1970 or after 2200"),
        ({"amount": "1.001", "currency": "EUR"}, RejectReason.INVALID_AMOUNT, "amount: more decimals than EUR has"),
        ({"amount": "NaN", "currency": "EUR"}, RejectReason.INVALID_AMOUNT, "amount: not a finite number"),
        ({"amount": -1, "currency": "EUR"}, RejectReason.INVALID_AMOUNT, "amount: negative"),
        ({"amount": True}, RejectReason.INVALID_AMOUNT, "amount: not a decimal number"),
        ({"amount": "1"}, RejectReason.MISSING_FIELD, "currency: missing, and the settings name no default"),
        ({"currency": "XXX"}, RejectReason.INVALID_FIELD, "currency: not a code of ISO 4217 that has a minor unit"),
        ({"email": "mоna@example.com"}, RejectReason.UNSAFE_TEXT, "email: letters of more than one script"),
        ({"user_id": "1\u202e7"}, RejectReason.UNSAFE_TEXT, "user_id: control, bidi or invisible characters"),
    ],
)
def test_each_failing_field_is_named_with_its_reason(change: dict[str, Any], reason: RejectReason, detail: str) -> None:
    assert reject(LOGIN | change) == (reason, detail)


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"\xff", b'{"type":"login","event_id":"\xff"}', b"NaN", b'{"type":"login"} x', b'{"x":' * 10_000],
)
def test_what_is_no_json_text(value: bytes) -> None:
    assert reject(value)[0] is RejectReason.MALFORMED_JSON


@pytest.mark.parametrize("value", [b"[]", b"3", b"null", b'"x"'])
def test_json_that_is_no_event(value: bytes) -> None:
    assert reject(value) == (RejectReason.INVALID_FIELD, "the event is not a JSON object")


def test_a_record_that_is_too_large_is_not_even_parsed() -> None:
    big = LOGIN | {"user_agent": "x" * 1_000_000}
    assert reject(big)[0] is RejectReason.TOO_LARGE
    assert reject(LOGIN, max_bytes=10)[1] == f"{len(json.dumps(LOGIN))} bytes, more than 10"


def test_null_and_empty_equal_absent_and_unknown_fields_are_ignored() -> None:
    empty = dict.fromkeys(("device_id", "ip", "card", "email", "phone", "address", "amount", "currency", "order_id"))
    plain = decode(LOGIN)
    for value in (None, ""):
        batch = decode(LOGIN | dict.fromkeys(empty, value) | {"loyalty": {"points": [1, None]}})
        assert batch.event_key == plain.event_key
        assert batch.link_key == []
        assert batch.order_key == [None]
        assert batch.dead_letters == []
    assert len(decode(COMMAND | {"arguments": None})) == 1


@pytest.mark.parametrize(
    ("ts", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-03-01T14:05:00.123Z", 1772373900123),
        ("2026-03-01T14:05:00.1239Z", 1772373900123),
        ("2026-03-01T16:05:00+02:00", 1772373900000),
        ("2026-03-01t14:05:00z", 1772373900000),
        ("2200-12-31T23:59:59.999Z", 7289654399999),
    ],
)
def test_times_are_whole_milliseconds_in_utc(ts: str, ms: int) -> None:
    assert decode(LOGIN | {"ts": ts}).ts_ms.tolist() == [ms]


def test_a_default_currency_serves_amounts_without_one() -> None:
    batch = decode(LOGIN | {"amount": 12.5}, default_currency="EUR")
    assert (batch.amount_minor.tolist(), batch.currency.tolist()) == ([1250], [978])


@pytest.mark.parametrize(
    "settings", [{"default_currency": "EURO"}, {"default_currency": "XXX"}, {"default_region": "UK"}]
)
def test_a_default_that_does_not_exist_is_refused_at_the_start(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="the default") as caught:
        decode(**settings)
    assert "such as" in caught.value.do


def test_numbers_in_json_are_read_exactly() -> None:
    value = json.dumps(LOGIN | {"currency": "EUR"}).encode()[:-1] + b', "amount": 9007199254.93}'
    assert decode(value).amount_minor.tolist() == [900719925493]


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("order", None, Status.NONE),
        ("payment", None, Status.APPROVED),
        ("refund", None, Status.NONE),
        ("order", "Declined", Status.DECLINED),
        ("payment", "requires-action", Status.PENDING),
        ("payment", "On Hold", Status.PENDING),
        ("order", "canceled", Status.CANCELLED),
        ("order", "whatever", Status.NONE),
        ("login", "success", Status.APPROVED),
    ],
)
def test_statuses(kind: str, status: str | None, expected: Status) -> None:
    assert decode(LOGIN | {"type": kind, "status": status}).status.tolist() == [expected]


def test_the_events_country_reads_its_national_phone_number() -> None:
    french = decode(LOGIN | {"phone": "06 12 34 56 78", "country": "fr"})
    assert french.link_key == decode(LOGIN | {"phone": "+33612345678"}).link_key
    nowhere = decode(LOGIN | {"phone": "0151 12345678", "country": "ZZ"})
    assert nowhere.link_key == decode(LOGIN | {"phone": "+4915112345678"}).link_key
    assert "neither the event" in reject(LOGIN | {"phone": "0151 12345678"}, default_region=None)[1]


def test_a_user_id_that_is_an_email_address_or_phone_is_one_pseudonym_everywhere() -> None:
    key = f"u_{PSEUDONYMS.of(Domain.USER, 'mona@example.com').hex()}"
    batch = decode(
        LOGIN | {"user_id": "Mona@example.com"},
        LOGIN | {"type": "transfer", "to_user_id": "MONA@Example.com"},
        LOGIN | {"type": "referral", "referred_user_id": "mona@example.com"},
        LABEL | {"target": "user:MONA@example.com"},
        LABEL | {"target": f"user:{key}"},
    )
    assert batch.user == [key, "17", "17", "", ""]
    assert batch.counterparty == [None, key, key, None, None]
    assert [label.about_user for label in batch.labels] == [key, key]
    assert decode(LOGIN | {"user_id": "+49 151 12345678"}).user == decode(LOGIN | {"user_id": "015112345678"}).user


def test_a_label_keeps_no_address_of_who_said_it() -> None:
    by_mail, by_phone, by_name = decode(
        *(LABEL | {"source": source} for source in ("ann@example.com", "+49 151 12345678", "review-2026"))
    ).labels
    assert by_mail.source == f"u_{PSEUDONYMS.of(Domain.USER, 'ann@example.com').hex()}"
    assert by_phone.source.startswith("u_")
    assert by_name.source == "review-2026"


def test_labels_and_commands_come_beside_the_columns() -> None:
    batch = decode(b"{", LOGIN, LABEL, LABEL | {"target": "order:o1", "supersedes": "l0"}, COMMAND)
    assert batch.type.tolist() == [EventType.LOGIN, EventType.LABEL, EventType.LABEL, EventType.COMMAND]
    assert batch.user == ["17", "", "", ""]
    on_user, on_order = batch.labels
    assert (on_user.event, on_user.about_user, on_user.about_order, on_user.fraud) == (1, "17", None, True)
    assert (on_user.about_ms, on_user.arrived_ms) == (1772323200000, 1772928000000)
    assert on_user.key == batch.event_key[1] == PSEUDONYMS.of(Domain.EVENT, "l1")
    assert on_user.supersedes is None
    assert (on_order.event, on_order.about_user) == (2, None)
    assert on_order.about_order == PSEUDONYMS.of(Domain.ORDER, "o1")
    assert on_order.supersedes == PSEUDONYMS.of(Domain.EVENT, "l0")
    ((event, command),) = batch.commands
    assert (event, command.name, command.arguments) == (3, "must-link", {"reason": "same\nhand"})


@pytest.mark.parametrize(
    ("event", "reason", "detail"),
    [
        (LABEL | {"arrived_ts": "2026-03-09T00:00:01Z"}, RejectReason.INVALID_FIELD, "arrived_ts: later than ts"),
        (LABEL | {"about_ts": "2026-03-08T00:00:01Z"}, RejectReason.INVALID_FIELD, "about_ts: later than arrived_ts"),
        (
            LABEL | {"about_ts": "1969-01-01T00:00:00Z"},
            RejectReason.INVALID_TIMESTAMP,
            "about_ts: before 1970 or after 2200",
        ),
        (LABEL | {"about_ts": "soon"}, RejectReason.INVALID_TIMESTAMP, "about_ts: not an RFC 3339 time with an offset"),
        (LABEL | {"value": "maybe"}, RejectReason.INVALID_FIELD, "value: not of the form that the schema gives"),
        (LABEL | {"target": "ring:7"}, RejectReason.INVALID_FIELD, "target: not of the form that the schema gives"),
        (
            LABEL | {"target": "user:1\u202e7"},
            RejectReason.UNSAFE_TEXT,
            "target: control, bidi or invisible characters",
        ),
        (LABEL | {"source": "a\x1b[2J"}, RejectReason.UNSAFE_TEXT, "source: control, bidi or invisible characters"),
        (COMMAND | {"author": "mo\u202ena"}, RejectReason.UNSAFE_TEXT, "author: control, bidi or invisible characters"),
        (COMMAND | {"name": "must-link\n"}, RejectReason.UNSAFE_TEXT, "name: control, bidi or invisible characters"),
        (COMMAND | {"arguments": {"x": "\x1b[2J"}}, RejectReason.UNSAFE_TEXT, "arguments: control or bidi characters"),
        (COMMAND | {"arguments": {"secret": 3}}, RejectReason.INVALID_FIELD, "arguments: must be a string"),
        (
            LOGIN | {"type": "transfer", "to_user_id": "1\u202e7"},
            RejectReason.UNSAFE_TEXT,
            "to_user_id: control, bidi or invisible characters",
        ),
    ],
)
def test_bad_labels_and_commands(event: dict[str, Any], reason: RejectReason, detail: str) -> None:
    assert reject(event) == (reason, detail)


def test_a_private_address_is_no_reason_to_refuse_an_event() -> None:
    batch = decode(LOGIN | {"ip": "10.0.0.1", "device_id": "unknown"})
    assert (len(batch), batch.link_key) == (1, [])


def test_damaged_records_keep_the_streams_reason_and_move_the_position() -> None:
    raw = RawBatch(
        [json.dumps(LOGIN).encode()],
        ["a"],
        [0],
        [0],
        [90],
        broker_ts_ms=[5],
        ended=("b",),
        damaged=[
            ("b", 7, b"{half", "truncated-input: the file ends in the middle"),
            ("b", 3, b"x", "too-large: a line"),
            ("c", 0, b"", "who knows"),
        ],
    )
    batch = Decoder(PSEUDONYMS, VAULT, default_region=None, default_currency=None).decode(raw)
    assert [(d.partition, d.offset, d.reason, d.detail) for d in batch.dead_letters] == [
        ("b", 7, RejectReason.TRUNCATED_INPUT, "the file ends in the middle"),
        ("b", 3, RejectReason.TOO_LARGE, "a line"),
        ("c", 0, RejectReason.TRUNCATED_INPUT, "who knows"),
    ]
    assert batch.damaged_through == {"b": 8, "c": 1}
    assert VAULT.open(batch.dead_letters[0].ciphertext) == b"{half"
    assert batch.ended == ("b",)
    assert batch.broker_ms is not None
    assert batch.broker_ms.tolist() == [5]


def test_a_search_finds_what_the_decoder_made() -> None:
    resolver = Resolver(PSEUDONYMS, default_region="DE")
    batch = decode(LOGIN | {"email": "Mona+1@example.com", "phone": "0151 12345678", "ip": "8.8.8.8"})
    found = [
        resolver.identifier(EntityKind.IP, "::ffff:8.8.8.8"),
        resolver.identifier(EntityKind.EMAIL, "mona@example.com"),
        resolver.identifier(EntityKind.PHONE, "0049 151 12345678", "de"),
    ]
    assert found == list(zip(batch.link_key, batch.link_mask, strict=True))
    assert resolver.identifier(EntityKind.IP, "10.0.0.1") is None
    assert resolver.user("17") == "17"
    with pytest.raises(Rejected, match="ip: not an IP address"):
        resolver.identifier(EntityKind.IP, "nowhere")
