"""The mix of events that every benchmark reads: 40 % logins, 40 % full orders, 20 % others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

START: Final = np.datetime64("2026-03-01T00:00:00.000", "ms")
STEP_MEAN_MS: Final = 200
CHUNK: Final = 8_192
FRESH: Final = 0.12
SKEW: Final = 4.0

_FIRST = ("ada", "ben", "chloe", "dmitri", "elena", "farid", "grace", "hugo", "ines", "jonas", "karin", "liam", "mona")
_LAST = ("fischer", "moreau", "smith", "novak", "garcia", "rossi", "kowalski", "jansen", "berg", "silva", "okafor")
_DOMAINS = ("gmail.com",) * 8 + ("outlook.com", "yahoo.com", "gmx.de", "web.de", "icloud.com", "orange.fr", "proton.me")
_STREETS = ("High Street", "Station Road", "Hauptstraße", "Rue de la Paix", "Mill Lane", "Via Roma", "Church Road")
_NETS = (2, 5, 31, 46, 62, 77, 78, 81, 84, 86, 87, 88, 90, 91, 92, 93)
_AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/123.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/123.0.0.0 Mobile Safari/537.36",
)
_MASK64 = (1 << 64) - 1


def mix_lines(
    events: int, users: int = 1_000_000, seed: int = 7, *, fresh: float = FRESH, skew: float = SKEW
) -> Iterator[bytes]:
    """Yields `events` JSON events without a line end, in ascending time; the same for the same arguments.

    A user is drawn as `users · u^skew` with `u` uniform in [0, 1): at the default, the busiest fifth of the users
    makes two thirds of the events; `skew=1` draws evenly. Each identifier is a brand-new one with probability
    `fresh`, else the user's own; every 50th user shares a device and every second one an IP with a neighbour.

    Args:
        events: how many.
        users: size of the population.
        seed: of the generator.
        fresh: share of identifiers that were never seen before.
        skew: exponent of the users' activity.
    """
    rng = np.random.default_rng(seed)
    clock = START
    new = users
    placed: list[tuple[int, int, float]] = []
    for first in range(0, events, CHUNK):
        n = min(CHUNK, events - first)
        who = (users * rng.random(n) ** skew).astype(np.int64).tolist()
        other = rng.integers(0, users, n).tolist()
        kind = rng.random(n).tolist()
        is_new = (rng.random((n, 6)) < fresh).tolist()
        amount = np.maximum(1.0, np.exp(rng.normal(3.6, 0.9, n))).tolist()
        times = clock + np.cumsum(rng.integers(1, 2 * STEP_MEAN_MS, n)).astype("timedelta64[ms]")
        clock = times[-1]
        stamps = np.datetime_as_string(times, unit="ms").tolist()
        for i in range(n):
            owners = [new + j if flag else who[i] for j, flag in enumerate(is_new[i])]
            new += 6
            order = (first + i, who[i], amount[i])
            if 0.40 <= kind[i] < 0.80 or not placed:
                placed.append(order)
            elif 0.91 <= kind[i] < 0.94 or 0.98 <= kind[i] < 0.99:  # a refund or chargeback is for an earlier order
                order = placed[other[i] % len(placed)]
            yield _event(first + i, kind[i], f"{stamps[i]}Z", order, other[i], owners, seed).encode()
        del placed[:-CHUNK]


def population_lines(users: int = 1_000_000) -> Iterator[bytes]:
    """Yields one signup per user (device, IP, e-mail: three links each), all earlier than any event of the mix."""
    first = START - np.timedelta64(users, "ms") * 10
    for start in range(0, users, CHUNK):
        rows = np.arange(start, min(users, start + CHUNK))
        stamps = np.datetime_as_string(first + (rows * 10).astype("timedelta64[ms]"), unit="ms").tolist()
        for user, stamp in zip(rows.tolist(), stamps, strict=True):
            yield (
                f'{{"type":"signup","event_id":"join-{user}","ts":"{stamp}Z","user_id":"{user}",'
                f'"device_id":"{device(user)}","ip":"{ip(user)}","email":"{email(user)}"}}'
            ).encode()


def _event(
    number: int, kind: float, ts: str, order: tuple[int, int, float], other: int, owners: list[int], seed: int
) -> str:
    order_number, user, amount = order
    head = f'"event_id":"evt-{seed}-{number:010d}","ts":"{ts}"'
    who = f'{head},"user_id":"{user}"'
    dev, net, pan, mail, tel, home = owners
    if kind < 0.40:
        agent = _AGENTS[user % 3]
        return f'{{"type":"login",{who},"device_id":"{device(dev)}","ip":"{ip(net)}","user_agent":"{agent}"}}'
    money = f'"amount":"{amount:.2f}","currency":"EUR","order_id":"ord-{seed}-{order_number}"'
    if kind < 0.80:
        return (
            f'{{"type":"order",{who},"device_id":"{device(dev)}","ip":"{ip(net)}","card":"{card(pan)}",'
            f'"email":"{email(mail)}","phone":"{phone(tel)}","address":"{address(home)}",{money},'
            f'"status":"approved","country":"DE"}}'
        )
    if kind < 0.84:
        return (
            f'{{"type":"signup",{who},"device_id":"{device(dev)}","ip":"{ip(net)}",'
            f'"email":"{email(mail)}","phone":"{phone(tel)}","country":"DE"}}'
        )
    if kind < 0.91:
        status = "declined" if number % 9 == 0 else "approved"
        return (
            f'{{"type":"payment",{who},"device_id":"{device(dev)}","ip":"{ip(net)}","card":"{card(pan)}",'
            f'{money},"status":"{status}"}}'
        )
    if kind < 0.94:
        return f'{{"type":"refund",{who},{money},"reason":"does not fit"}}'
    if kind < 0.97:
        return f'{{"type":"transfer",{who},"to_user_id":"{other}","amount":"{amount:.2f}","currency":"EUR"}}'
    if kind < 0.98:
        return f'{{"type":"referral",{who},"referred_user_id":"{other}"}}'
    if kind < 0.99:
        return f'{{"type":"chargeback",{who},{money}}}'
    verdict = "fraud" if number % 3 == 0 else "legitimate"
    return (
        f'{{"type":"label",{head},"target":"user:{user}","value":"{verdict}",'
        f'"about_ts":"{ts}","arrived_ts":"{ts}","source":"review"}}'
    )


def _hash(number: int, salt: int) -> int:
    """Scatters `number` over 64 bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    x = (number * 0x9E3779B97F4A7C15 + salt) & _MASK64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK64
    return x ^ (x >> 31)


def device(owner: int) -> str:
    """The device id of `owner`; every 50th owner uses the neighbour's."""
    return f"{_hash(owner - (owner % 50 == 1), 1):016x}"


def ip(owner: int) -> str:
    """The IP address of the household of `owner`: four in five are IPv4."""
    h = _hash(owner // 2, 2)
    if h % 5 == 0:
        return f"2a02:{h >> 48:x}:{h >> 32 & 0xFFFF:x}:{h >> 16 & 0xFFFF:x}::{owner % 200 + 1:x}"
    return f"{_NETS[h % 16]}.{h >> 24 & 255}.{h >> 32 & 255}.{(h >> 40) % 254 + 1}"


def card(owner: int) -> str:
    """The card of `owner`: one in five as a number (with its check digit), else as the provider's fingerprint."""
    h = _hash(owner, 3)
    if h % 5:
        return f"card_{h:016x}"
    body = f"4{h % 10**14:014d}"
    odd = sum(int(d) * 2 - 9 * (d > "4") for d in body[::2])
    return body + str(-(odd + sum(map(int, body[1::2]))) % 10)


def email(owner: int) -> str:
    """The e-mail address of `owner`; one in twenty lies at a small company's domain."""
    h = _hash(owner, 4)
    domain = f"company{h >> 40 & 0x3FFF}.de" if h % 20 == 0 else _DOMAINS[h % 15]
    return f"{_FIRST[h % 13]}.{_LAST[h // 13 % 11]}{owner}@{domain}"


def phone(owner: int) -> str:
    """The mobile number of `owner`: German, half in the national form that needs the event's country, or French."""
    h = _hash(owner, 5)
    if h % 4 == 0:
        return f"+33 6 1{h % 10**7:07d}"
    if h % 4 == 1:
        return f"0151 {h % 10**8:08d}"
    return f"+49151{h % 10**8:08d}"


def address(owner: int) -> str:
    """The delivery address of `owner`."""
    h = _hash(owner, 6)
    return f"{h % 180 + 1} {_STREETS[h % 7]}, {h >> 20 & 0xFFFF:05d} City {h >> 40 & 0xFFF}"
