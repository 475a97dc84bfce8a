"""Identifiers as dense integers while the world is drawn, and as real-looking text when it is written.

The text of an identifier is a seeded bijection of its integer, so that neither order nor nearness shows in it.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.events.kinds import EntityKind

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

NONE = -1

# Mobile ranges in which libphonenumber accepts every following 7-digit number.
_PHONE_PREFIXES = ("+491511", "+43664", "+39347", "+35387", "+3161", "+4670", "+39333", "+43676")
# Issuer prefixes of the payment providers' published test cards.
_CARD_PREFIXES = ("400000", "424242", "555555", "520082")
# Blocks of 2^24 addresses without private, reserved or documentation ranges in them.
_IPV4_BLOCKS = (5, 24, 31, 37, 46, 62, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 93, 94, 95)
_FIRST_NAMES = ("anna", "ben", "clara", "david", "elena", "felix", "greta", "hugo", "ida", "jonas", "mara", "nils")
_LAST_NAMES = ("bauer", "costa", "dupont", "egger", "fischer", "garcia", "hansen", "jansen", "moreau", "novak", "rossi")
_MAIL_DOMAINS = ("kettlepost.com", "brightpigeon.net", "quillmail.de", "postlune.fr", "inkwellmail.it", "parcelfox.nl")
_STREETS = ("Alder", "Birch", "Cedar", "Dune", "Elm", "Ferry", "Garden", "Harbour", "Kiln", "Linden", "Mill", "Tower")
_CITIES = ("Marrowby", "Tinfield", "Oldhaven", "Kestrel", "Brackenau", "Sandmere", "Lindholt", "Vallorne")
_AGENTS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/131.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
)
_COUNTRIES = ("DE", "DE", "DE", "AT", "IT", "IE", "NL", "SE")


class Pools:
    """Hands out fresh identifiers of every kind, and writes them.

    Args:
        seed: of the bijections from integers to text.
    """

    def __init__(self, seed: int) -> None:
        self._next = dict.fromkeys(EntityKind, 0)
        self._salt = np.random.default_rng([seed, 0x7E47]).integers(0, 2**31, size=16)
        self._texts: dict[EntityKind, Callable[[Ints], list[str]]] = {
            EntityKind.USER: self._users,
            EntityKind.DEVICE: self._devices,
            EntityKind.IP: self._ips,
            EntityKind.CARD: self._cards,
            EntityKind.EMAIL: self._emails,
            EntityKind.PHONE: self._phones,
            EntityKind.ADDRESS: self._addresses,
        }

    def take(self, kind: EntityKind, count: int) -> Ints:
        """Returns `[count]` identifiers of `kind` that nobody has yet."""
        first = self._next[kind]
        self._next[kind] = first + count
        return np.arange(first, first + count, dtype=np.int64)

    def text(self, kind: EntityKind, ids: Ints) -> list[str]:
        """Returns the text of each identifier."""
        return self._texts[kind](np.asarray(ids, dtype=np.int64))

    def order_ids(self, ids: Ints) -> list[str]:
        """Returns the shop's numbers of orders."""
        return [f"o-{x:09d}" for x in self._decimal(ids, 9, 7).tolist()]

    def event_ids(self, ids: Ints) -> list[str]:
        """Returns the ids of events."""
        return [f"e{x:08x}" for x in _mixed(ids, int(self._salt[8])).tolist()]

    def user_agents(self, devices: Ints) -> list[str]:
        """Returns the browser of each device."""
        return [_AGENTS[x] for x in (_mixed(devices, int(self._salt[9])) % len(_AGENTS)).tolist()]

    def countries(self, addresses: Ints) -> list[str]:
        """Returns the country of each home address."""
        return [_COUNTRIES[x] for x in (_mixed(addresses, int(self._salt[10])) % len(_COUNTRIES)).tolist()]

    def _decimal(self, ids: Ints, digits: int, salt: int) -> Ints:
        """Returns a bijection of the integers below `10 ** digits` (an affine map with a unit of that ring)."""
        size = 10**digits
        factor = (size // 3 + int(self._salt[salt]) % size) // 10 * 10 + 7  # ends in 7, so it has an inverse
        image: Ints = (ids * factor + int(self._salt[salt])) % size
        return image

    def _users(self, ids: Ints) -> list[str]:
        return [f"u{x:08x}" for x in _mixed(ids, int(self._salt[0])).tolist()]

    def _devices(self, ids: Ints) -> list[str]:
        high = _mixed(ids, int(self._salt[11])).tolist()
        return [f"{h:08x}{x:08x}" for h, x in zip(high, _mixed(ids, int(self._salt[1])).tolist(), strict=True)]

    def _ips(self, ids: Ints) -> list[str]:
        """Returns public addresses, a third of them IPv6 of the networks of homes and carriers."""
        low = self._decimal(ids // 24 % 10**7, 7, 2)
        out = []
        for block, rest in zip((ids % 24).tolist(), low.tolist(), strict=True):
            if rest % 3 == 0:
                out.append(str(ipaddress.IPv6Address((0x2A02_0810 + block << 96) | (rest << 64) | (rest * 2654435761))))
            else:
                out.append(str(ipaddress.IPv4Address((_IPV4_BLOCKS[block] << 24) | rest)))
        return out

    def _cards(self, ids: Ints) -> list[str]:
        """Returns card numbers with a valid check digit (ISO/IEC 7812-1), and for one in four the provider's token."""
        middles = self._decimal(ids, 9, 3).tolist()
        out = []
        for card, middle in zip(ids.tolist(), middles, strict=True):
            number = _with_check_digit(f"{_CARD_PREFIXES[card % 4]}{middle:09d}")
            out.append(f"tok_{number[6:]}" if card % 4 == 0 else number)
        return out

    def _emails(self, ids: Ints) -> list[str]:
        out = []
        for x in self._decimal(ids, 8, 4).tolist():
            rest, domain = divmod(x, len(_MAIL_DOMAINS))
            rest, last = divmod(rest, len(_LAST_NAMES))
            number, first = divmod(rest, len(_FIRST_NAMES))
            out.append(f"{_FIRST_NAMES[first]}.{_LAST_NAMES[last]}{number}@{_MAIL_DOMAINS[domain]}")
        return out

    def _phones(self, ids: Ints) -> list[str]:
        numbers = self._decimal(ids // len(_PHONE_PREFIXES), 7, 5).tolist()
        prefixes = (ids % len(_PHONE_PREFIXES)).tolist()
        return [f"{_PHONE_PREFIXES[p]}{x:07d}" for p, x in zip(prefixes, numbers, strict=True)]

    def _addresses(self, ids: Ints) -> list[str]:
        out = []
        for x in self._decimal(ids, 8, 6).tolist():
            rest, street = divmod(x, len(_STREETS))
            rest, city = divmod(rest, len(_CITIES))
            rest, flat = divmod(rest, 40)
            area, number = divmod(rest, 200)
            code = 10_000 + area * len(_CITIES) + city
            out.append(f"{_STREETS[street]} Street {number + 1}, Apt {flat + 1}, {code} {_CITIES[city]}")
        return out


def _mixed(ids: Ints, salt: int) -> npt.NDArray[np.uint64]:
    """Returns a bijection of the 32-bit integers (xor-shift and odd multiplication, as in MurmurHash3's finaliser)."""
    mask = np.uint64(0xFFFFFFFF)
    x = (np.asarray(ids).astype(np.uint64) ^ np.uint64(salt)) & mask
    for factor, shift in ((0x85EBCA6B, 16), (0xC2B2AE35, 13)):
        x ^= x >> np.uint64(shift)
        x = (x * np.uint64(factor)) & mask
    return x ^ (x >> np.uint64(16))


def _with_check_digit(digits: str) -> str:
    """Returns `digits` with the Luhn check digit behind them."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return f"{digits}{-total % 10}"
