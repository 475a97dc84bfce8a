"""Whatever comes in, the decoder answers with a row or a dead letter, loses nothing, and shows nothing.

Each example packs a batch of records: 1,000 examples of 110 records are 110,000 inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain, pairwise
from random import Random
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.kinds import EventType
from fraudgraph.events.money import MINOR_UNITS_MAX
from fraudgraph.events.pseudonyms import Pseudonymiser
from fraudgraph.events.vault import Vault
from fraudgraph.streams.port import RawBatch

EXAMPLES: Final = 1_000
RECORDS: Final = 110
KEY: Final = bytes(range(32))
CANARY: Final = "kanari77"
YEAR_2201_MS: Final = 7_289_654_400_000

FIELDS: Final[dict[str, Any]] = {
    "user_id": "17",
    "device_id": f"device-{CANARY}",
    "ip": "2a02:7777:7777:7777:7777:7777:7777:7777",
    "card": "4242424242424242",
    "email": f"a.{CANARY}@gmail.com",
    "phone": "+4915177777777",
    "address": f"77 {CANARY} street",
    "amount": "28.19",
    "currency": "EUR",
    "order_id": f"order-{CANARY}",
    "status": "paid",
    "reason": CANARY,
    "country": "DE",
    "user_agent": CANARY,
    "to_user_id": "18",
    "referred_user_id": "19",
    "target": "user:17",
    "value": "fraud",
    "about_ts": "2026-02-01T00:00:00Z",
    "arrived_ts": "2026-02-28T00:00:00Z",
    "source": "review",
    "supersedes": CANARY,
    "name": "must-link",
    "author": "someone",
    "arguments": {"reason": "because"},
}
SECRETS: Final = (CANARY, "4242424242424242", "15177777777", "7777:7777:7777:7777", "77 kanari")
NASTY: Final[tuple[Any, ...]] = (
    *(None, "", " ", True, 0, -1, 3.5, 10**400, [], {}, [[]], {"a": {"b": 1}}),
    *("NaN", "Infinity", "-1", "1e999999999", "1e-999999999", "0.001", "9" * 60, "sNaN", "1_000"),
    *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z", "2026-03-01T00:00:00"),
    *("2026-03-01T00:00:00+99:99", "2026-03-01", "2026-13-01T00:00:00Z", "2026-03-01T24:00:00Z"),
    *("\x00", "\u202e", "\u200b", "\ufeff", "\x1b[2J", "\ud800", "a\u0301" * 50, "\U000e0041", "\ue000"),
    *(f"{CANARY}@gm\u0430il.com", f"{CANARY}@localhost", "@", "a@", f"{CANARY}\u043e@gmail.com", "a@xn--a.com"),
    *("::ffff:1.2.3.4", "1.2.3.4%eth0", "fe80::1%", "10.0.0.1", "0x7f.1", "1.2.3.4\n"),
    *(
        "+",
        "+0",
        "+999999999999999",
        "0",
        "00",
        "+39 0" * 8,
        "(" * 30,
        "+1" + "2" * 40,
        ";ext=7",
        "tel:+1;phone-context=x",
    ),
    *("XXX", "xau", "ßa", "user:", "order:", "user:\n", "x" * 257, "x" * 600),
)


def event(random: Random) -> dict[str, Any]:
    kind = random.choice(tuple(EventType)).name.lower()
    fields = {"type": kind, "event_id": f"{CANARY}-{random.randrange(10**6)}", "ts": "2026-03-01T14:05:00.123+01:00"}
    return fields | {name: value for name, value in FIELDS.items() if random.random() < 0.8}


def dumped(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", errors="surrogatepass")


def with_nasty_value(random: Random, fodder: str, noise: bytes) -> bytes:
    fields = event(random)
    fields[random.choice(tuple(fields))] = random.choice((*NASTY, fodder))
    return dumped(fields) if random.random() < 0.5 else json.dumps(fields).encode()


def with_changed_bytes(random: Random, fodder: str, noise: bytes) -> bytes:
    value = bytearray(dumped(event(random)))
    for _ in range(random.randint(1, 4)):
        value[random.randrange(len(value))] = random.randrange(256)
    return bytes(value)


def cut_short(random: Random, fodder: str, noise: bytes) -> bytes:
    value = dumped(event(random))
    return value[: random.randrange(len(value))] + noise


def with_a_field_twice(random: Random, fodder: str, noise: bytes) -> bytes:
    name = random.choice(tuple(FIELDS))
    return dumped(event(random))[:-1] + f", {json.dumps(name)}: {json.dumps(random.choice(NASTY))}}}".encode()


def with_raw_json(random: Random, fodder: str, noise: bytes) -> bytes:
    depth = random.choice((3, 300, 5_000))
    raw = random.choice(
        (
            *("NaN", "-Infinity", "1e400", "1" * 5_000, "0." + "1" * 5_000, "[" * depth, "[" * depth + "]" * depth),
            *('{"a":' * depth + "1" + "}" * depth, '"\\ud800"', '"\\u0000"', "nul", "01", "'x'", "-"),
        )
    )
    name = random.choice((*FIELDS, "ts", "type", "event_id", "unknown"))
    return dumped(event(random))[:-1] + f", {json.dumps(name)}: {raw}}}".encode()


def very_long(random: Random, fodder: str, noise: bytes) -> bytes:
    return dumped(event(random) | {random.choice(tuple(FIELDS)): "x" * random.choice((60_000, 1_000_000))})


def unchanged(random: Random, fodder: str, noise: bytes) -> bytes:
    return dumped(event(random))


def without_a_field(random: Random, fodder: str, noise: bytes) -> bytes:
    fields = event(random)
    del fields[random.choice(tuple(fields))]
    return dumped(fields)


def only_noise(random: Random, fodder: str, noise: bytes) -> bytes:
    return random.choice((noise, fodder.encode("utf-8", errors="replace"), random.randbytes(random.randrange(80))))


WAYS: Final[tuple[Callable[[Random, str, bytes], bytes], ...]] = (
    *(with_nasty_value,) * 5,
    *(with_changed_bytes, cut_short, with_a_field_twice, with_raw_json, without_a_field, only_noise),
    *(unchanged,) * 3,
)


class Records(list[bytes]):
    """A batch of records that shows as what it was made of: whole, it would fill screens."""

    def __init__(self, seed: int, fodder: str, noise: bytes) -> None:
        random = Random(seed)
        super().__init__(random.choice(WAYS)(random, fodder, noise) for _ in range(RECORDS - 1))
        self.append(very_long(random, fodder, noise))
        self.made_of = seed, fodder, noise

    def __repr__(self) -> str:
        return f"Records{self.made_of}"


# Hypothesis draws the seed and the texts; a plain generator does the packing, a hundred times as fast.
records = st.builds(Records, st.integers(0, 2**64), st.text(max_size=40), st.binary(max_size=40))


def decoder() -> Decoder:
    return Decoder(Pseudonymiser(KEY), Vault(KEY), default_region="DE", default_currency="EUR")


def raw(values: list[bytes], first: int = 0) -> RawBatch:
    offsets = list(range(first, first + len(values)))
    return RawBatch(values, ["p"], [0] * len(values), offsets, [offset + 1 for offset in offsets])


def columns(batch: DecodedBatch) -> list[list[Any]]:
    """Everything that the batch says per event, per link and per dead letter, without the ciphertext's random part."""
    offsets = batch.offset.tolist()
    return [
        list(zip(offsets, batch.event_key, batch.type.tolist(), batch.ts_ms.tolist(), batch.user, strict=True)),
        list(zip(batch.counterparty, batch.amount_minor.tolist(), batch.currency.tolist(), strict=True)),
        list(zip(batch.order_key, batch.status.tolist(), strict=True)),
        [
            (offsets[row], kind, key, mask)
            for row, kind, key, mask in zip(
                batch.link_event.tolist(), batch.link_kind.tolist(), batch.link_key, batch.link_mask, strict=True
            )
        ],
        [(offsets[label.event], label.key, label.about_user, label.about_order) for label in batch.labels],
        [(offsets[row], command.name) for row, command in batch.commands],
        [(letter.offset, letter.reason, letter.detail) for letter in batch.dead_letters],
    ]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(records)
def test_any_bytes_become_rows_or_dead_letters_and_nothing_shows(values: Records) -> None:
    batch = decoder().decode(raw(values))

    good, dead = batch.offset.tolist(), [letter.offset for letter in batch.dead_letters]
    assert sorted(good + dead) == list(range(len(values)))
    assert good == sorted(good)
    assert dead == sorted(dead)
    assert batch.next_offset.tolist() == [offset + 1 for offset in good]
    assert batch.damaged_through == ({"p": dead[-1] + 1} if dead else {})
    for column in (batch.type, batch.ts_ms, batch.user, batch.counterparty, batch.amount_minor, batch.order_key):
        assert len(column) == len(good)

    assert all(0 <= ts < YEAR_2201_MS for ts in batch.ts_ms.tolist())
    assert all(0 <= amount <= MINOR_UNITS_MAX for amount in batch.amount_minor.tolist())
    rows = batch.link_event.tolist()
    assert rows == sorted(rows)
    assert all(0 <= row < len(good) for row in rows)
    assert all(len(key) == 16 for key in batch.link_key + batch.event_key)
    assert {row for row, kind in enumerate(batch.type.tolist()) if kind >= EventType.LABEL} == (
        {label.event for label in batch.labels} | {row for row, _ in batch.commands}
    )

    details = [letter.detail for letter in batch.dead_letters]
    about = [label.about_user for label in batch.labels]
    shown = repr((batch.link_mask, details, batch.link_key, batch.order_key, batch.user, batch.counterparty, about))
    assert not any(secret in shown for secret in SECRETS)
    assert all(detail.isprintable() and len(detail) < 100 for detail in details)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(records, st.lists(st.integers(0, RECORDS), max_size=5))
def test_the_cut_into_batches_and_what_was_decoded_before_change_nothing(values: Records, cuts: list[int]) -> None:
    whole = columns(decoder().decode(raw(values)))
    one = decoder()
    bounds = [0, *sorted(cuts), len(values)]
    parts = [columns(one.decode(raw(values[start:end], start))) for start, end in pairwise(bounds)]
    assert [list(chain.from_iterable(column)) for column in zip(*parts, strict=True)] == whole


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(records)
def test_every_dead_letter_opens_to_the_original_bytes(values: Records) -> None:
    batch = decoder().decode(raw(values))
    vault = Vault(KEY)
    assert all(vault.open(letter.ciphertext) == values[letter.offset] for letter in batch.dead_letters)
    assert all(vault.open(batch.seal(i)) == values[offset] for i, offset in enumerate(batch.offset.tolist()))
