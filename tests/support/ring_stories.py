"""Small shops told event by event: textbook rings, and honest groups that look like them from afar."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

START = datetime(2025, 1, 6, 9, 0, tzinfo=UTC)


class Story:
    """Events in any order; `lines` puts them in order of time."""

    def __init__(self) -> None:
        self._events: list[tuple[datetime, dict[str, Any]]] = []
        self._count = 0

    def add(self, kind: str, user: str, day: float, **fields: str) -> str:
        """Adds an event `day` days after the start; returns its order number."""
        self._count += 1
        at = START + timedelta(days=day)
        event = {"type": kind, "event_id": f"e{self._count}", "ts": at.isoformat(), "user_id": user, **fields}
        if kind == "order":
            event["order_id"] = f"o{self._count}"
        self._events.append((at, event))
        return f"o{self._count}"

    def buy(self, user: str, day: float, *, amount: str = "49.90", status: str = "approved", **fields: str) -> str:
        return self.add("order", user, day, amount=amount, currency="EUR", status=status, **fields)

    def refund(self, user: str, day: float, order: str, amount: str = "49.90") -> None:
        self.add("refund", user, day, order_id=order, amount=amount, currency="EUR", status="approved")

    def charge_back(self, user: str, day: float, order: str, amount: str = "49.90") -> None:
        self.add("chargeback", user, day, order_id=order, amount=amount, currency="EUR")

    def lines(self) -> list[bytes]:
        return [msgspec.json.encode(event) for _, event in sorted(self._events, key=lambda item: item[0])]


def people(*names: str) -> Callable[[str], dict[str, str]]:
    """Returns what each of the named people owns: a device, a card, an e-mail address, a phone number."""

    def own(name: str) -> dict[str, str]:
        number = names.index(name)
        return {
            "device_id": f"device of {name}",
            "card": f"token-{name}",
            "email": f"{name}@example.com",
            "phone": f"+49301234{number:04d}",
        }

    return own


def household() -> Story:
    """Four of a family, over two years: one address, one network, a tablet, and a card that two of them use."""
    story, names = Story(), ("ada", "ben", "cleo", "dan")
    own = people(*names)
    home = {"address": "Lindenweg 4, Bonn", "ip": "203.0.113.7"}
    for place, name in enumerate(names):
        opened = 60.0 * place
        story.add("signup", name, opened, ip=home["ip"], email=own(name)["email"], device_id=own(name)["device_id"])
        for visit in range(22 - 2 * place):
            day = opened + 3.0 + 30.0 * visit
            tools = own(name) | home
            if visit % 3 == 0:
                tools["device_id"] = "family tablet"
            if name in ("ada", "ben"):
                tools["card"] = "token-family"
            order = story.buy(name, day, **tools)
            if visit % 9 == 4:
                story.refund(name, day + 8.0, order)
    return story


def dorm() -> Story:
    """Twelve students: one address, one network, a tablet in the kitchen, everything else their own."""
    story, names = Story(), tuple(f"student{k}" for k in range(12))
    own = people(*names)
    home = {"address": "Campusallee 1, Aachen", "ip": "198.51.100.9"}
    for place, name in enumerate(names):
        story.add("signup", name, 5.0 * place, ip=home["ip"], **{k: own(name)[k] for k in ("device_id", "email")})
        for visit in range(6):
            day = 5.0 * place + 9.0 + 17.0 * visit
            story.add("login", name, day - 2.0, device_id=own(name)["device_id"], ip=home["ip"])
            tools = own(name) | home
            if visit % 3 == 1:
                tools["device_id"] = "kitchen tablet"
            story.buy(name, day, **tools)
    return story


def refurbished_phone() -> Story:
    """A phone that three people had, one after the other."""
    story, names = Story(), ("eve", "fay", "gus")
    own = people(*names)
    for place, name in enumerate(names):
        for visit in range(10):
            before = -60.0 + 6.0 * visit
            story.add("login", name, 90.0 + before, device_id=own(name)["device_id"])
        for visit in range(5):
            day = 100.0 + 50.0 * place + 9.0 * visit
            story.add("login", name, day, device_id="the phone")
            story.buy(name, day + 0.1, **(own(name) | {"device_id": "the phone", "address": f"Hafen {place}, Kiel"}))
    return story


def office() -> Story:
    """Six colleagues who have their parcels sent to the office, through its network, each on their own device."""
    story, names = Story(), tuple(f"colleague{k}" for k in range(6))
    own = people(*names)
    for place, name in enumerate(names):
        story.add("signup", name, 11.0 * place, ip="192.0.2.5", device_id=own(name)["device_id"])
        for visit in range(8):
            day = 11.0 * place + 4.0 + 14.0 * visit
            story.buy(name, day, **(own(name) | {"ip": "192.0.2.5", "address": "Gewerbepark 9, Ulm"}))
    return story


def fake_accounts() -> Story:
    """Eight accounts opened on one device in an evening, each of which buys once with its own stolen card."""
    story = Story()
    for k in range(8):
        tools = {"device_id": "farm", "ip": "203.0.113.80"}
        story.add("signup", f"fake{k}", 0.02 * k, email=f"fake{k}@example.net", **tools)
        story.buy(f"fake{k}", 0.02 * k + 0.01, card=f"token-stolen{k}", address=f"Ring {k}, Halle", **tools)
    return story


def card_testing() -> Story:
    """Six accounts of one week, two devices: stolen cards are tried in turn, most are declined, the live ones spent."""
    story = Story()
    for k in range(6):
        user, device = f"tester{k}", f"bench{k % 2}"
        story.add("signup", user, 0.9 * k, device_id=device, email=f"tester{k}@example.net")
        for card in range(6):
            status = "approved" if card == 5 else "declined"
            fields = {"card": f"token-{(k + card) % 9}", "device_id": device, "amount": "1.00", "currency": "EUR"}
            story.add("payment", user, 0.9 * k + 0.01 * card + 0.01, status=status, **fields)
        story.buy(user, 0.9 * k + 0.2, card=f"token-{(k + 5) % 9}", device_id=device, address="Depot 3, Celle")
    return story


def takeover() -> Story:
    """Eight customers of long standing; within three days one device enters all, and orders to one address."""
    story, names = Story(), tuple(f"customer{k}" for k in range(8))
    own = people(*names)
    for place, name in enumerate(names):
        for visit in range(6):
            story.buy(name, 2.0 * place + 11.0 * visit, **(own(name) | {"address": f"Markt {place}, Jena"}))
        story.add("login", name, 90.0 + 0.3 * place, device_id="intruder", ip="203.0.113.99")
        raid = own(name) | {"device_id": "intruder", "address": "Speicher 8, Emden"}
        order = story.buy(name, 90.1 + 0.3 * place, amount="399.00", **raid)
        if place < 3:
            story.charge_back(name, 110.0 + place, order, "399.00")
    return story


def return_scam() -> Story:
    """Seven accounts opened in two weeks, two addresses and two cards: most of what they order is claimed back."""
    story = Story()
    for k in range(7):
        user = f"returner{k}"
        tools = {"device_id": f"handset{k // 2}", "card": f"token-r{k % 2}", "address": f"Lager {k % 2}, Hof"}
        story.add("signup", user, 2.0 * k, device_id=tools["device_id"], email=f"returner{k}@example.net")
        for visit in range(3):
            order = story.buy(user, 2.0 * k + 0.1 + 6.0 * visit, amount="180.00", **tools)
            if visit != 1 or k % 2:
                story.refund(user, 2.0 * k + 3.0 + 6.0 * visit, order, "180.00")
    return story


def promo_abuse() -> Story:
    """Nine accounts that refer one another within a week, each with one discounted order to the same address."""
    story = Story()
    for k in range(9):
        user = f"promo{k}"
        tools = {"device_id": f"pad{k // 4}", "ip": "203.0.113.55"}
        story.add("signup", user, 0.7 * k, email=f"promo{k}@example.net", **tools)
        if k:
            story.add("referral", f"promo{k - 1}", 0.7 * k + 0.01, referred_user_id=user)
        story.buy(user, 0.7 * k + 0.05, card=f"token-p{k}", address="Turm 2, Suhl", **tools)
    return story


HONEST = {f.__name__: f for f in (household, dorm, refurbished_phone, office)}
RINGS = {f.__name__: f for f in (fake_accounts, card_testing, takeover, return_scam, promo_abuse)}
