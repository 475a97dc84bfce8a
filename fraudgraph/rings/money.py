"""Money of a ring: what is at stake and what is lost, per currency, each order counted once.

The engine's kernel computes `value_at_risk_minor` of a ring by the same rule, stated in `order_exposure` and
`ring_money`; a test holds the two together.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from fraudgraph.rings.snapshot import RingSnapshot, SnapshotOrder


def order_exposure(amount_minor: int, refunded_minor: int, charged_minor: int, declined: bool) -> int:
    """Returns what can still be lost on one order, in minor units.

    An approved or pending order exposes its amount less what went back by refund or chargeback, not below 0; a
    declined or cancelled one exposes nothing.
    """
    return 0 if declined else max(0, amount_minor - refunded_minor - charged_minor)


@dataclass(frozen=True, slots=True)
class CurrencyMoney:
    """Money of a ring in one currency, in minor units of `currency` (ISO 4217 numeric).

    Attributes:
        orders: number of orders that were neither declined nor cancelled.
        ordered_minor: their amounts.
        exposed_minor: sum of `order_exposure`.
        charged_back_minor: taken back by banks: lost.
        refunded_minor: given back by the shop; a loss where the goods did not come back.
        transferred_minor: sent from members to members.
    """

    currency: int
    orders: int = 0
    ordered_minor: int = 0
    exposed_minor: int = 0
    charged_back_minor: int = 0
    refunded_minor: int = 0
    transferred_minor: int = 0

    @property
    def at_risk_minor(self) -> int:
        """What is at stake on orders: exposed, and what banks took back already."""
        return self.exposed_minor + self.charged_back_minor


@dataclass(frozen=True, slots=True)
class RingMoney:
    """Money of a ring.

    Attributes:
        by_currency: the main currency first, then by code.
        currency: the main currency, ISO 4217 numeric; 0 where the ring has no money.
        value_at_risk_minor: in the main currency.
        from_transfers: orders put nothing at risk, and the value at risk is what members sent.
    """

    by_currency: tuple[CurrencyMoney, ...]
    currency: int
    value_at_risk_minor: int
    from_transfers: bool

    @property
    def main(self) -> CurrencyMoney:
        """Money in the main currency."""
        return self.by_currency[0] if self.by_currency else CurrencyMoney(0)


def ring_money(snapshot: RingSnapshot) -> RingMoney:
    """Returns a ring's money.

    Value at risk is, in the main currency, the sum over orders of exposure + charged back: what banks took back is lost
    whatever else became of the order. The main currency is the one with the largest such sum in minor units; of equals,
    the lower code. Where orders put nothing at risk (payments between persons), it is what members sent, to each other
    and to anybody.
    """
    by_currency = _sums(snapshot)
    from_transfers = not any(m.at_risk_minor for m in by_currency)

    def value(m: CurrencyMoney) -> int:
        return m.transferred_minor if from_transfers else m.at_risk_minor

    ordered = sorted(by_currency, key=lambda m: m.currency)
    if not ordered:
        return RingMoney((), 0, 0, from_transfers)
    main = max(ordered, key=value)  # max keeps the first of equals: the lower code
    rest = tuple(m for m in ordered if m is not main)
    return RingMoney((main, *rest), main.currency, value(main), from_transfers)


def user_money(snapshot: RingSnapshot) -> dict[str, dict[int, int]]:
    """Returns per member and currency what is at risk on their orders, or what they sent where orders risk nothing."""
    found: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for order in snapshot.orders:
        found[order.user_id][order.currency] += _exposure(order) + order.charged_minor
    if not any(minor for amounts in found.values() for minor in amounts.values()):
        for transfer in snapshot.transfers:
            if transfer.kind == "transfer":
                found[transfer.from_user_id][transfer.currency] += transfer.amount_minor
        for sent in snapshot.sent_outside:
            found[sent.user_id][sent.currency] += sent.amount_minor
    return {user_id: dict(amounts) for user_id, amounts in found.items()}


def _exposure(order: SnapshotOrder) -> int:
    return order_exposure(order.amount_minor, order.refunded_minor, order.charged_minor, order.declined)


def _sums(snapshot: RingSnapshot) -> list[CurrencyMoney]:
    sums: dict[int, list[int]] = defaultdict(lambda: [0] * 6)
    for order in snapshot.orders:
        row = sums[order.currency]
        if not order.declined:
            row[0] += 1
            row[1] += order.amount_minor
            row[2] += _exposure(order)
        row[3] += order.charged_minor
        row[4] += order.refunded_minor
    for transfer in snapshot.transfers:
        if transfer.kind == "transfer":
            sums[transfer.currency][5] += transfer.amount_minor
    for sent in snapshot.sent_outside:
        sums[sent.currency][5] += sent.amount_minor
    return [CurrencyMoney(currency, *row) for currency, row in sums.items()]
