"""What to do next: a closed catalogue of actions with reasons; nothing here is executed, and nobody accused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.narrative.catalogue import ACTIONS
from fraudgraph.narrative.innocent import GENERAL, Explanation
from fraudgraph.rings.facts_kinds import Fact
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.facts_words import count, listed, money_list, of
from fraudgraph.rings.money import order_exposure
from fraudgraph.rings.roles import Role, RoleName
from fraudgraph.rings.snapshot import RingSnapshot

POSSIBLE = 0.2
"""From this probability a ring is possible: likely victims are worth a call."""

PROBABLE = 0.5
"""From this probability steps against accounts are proposed."""

_ORDER = tuple(ACTIONS)

UNSHIPPED_MS = 7 * DAY_MS
"""Orders younger than this may not have left the house; the snapshot does not say."""


@dataclass(frozen=True, slots=True)
class Action:
    """A proposed next step; `name` is one of `ACTIONS`, `evidence` the facts behind it."""

    name: str
    text: str
    reason: str
    evidence: tuple[str, ...]


def actions(
    view: RingView,
    facts: Sequence[Fact],
    roles: Mapping[str, Role],
    innocent: Sequence[Explanation],
) -> tuple[Action, ...]:
    """Returns the next steps that the facts call for at the ring's probability; at least one."""
    return _at(view.snapshot.probability, view, facts, roles, innocent)


def allowed(
    view: RingView,
    facts: Sequence[Fact],
    roles: Mapping[str, Role],
    innocent: Sequence[Explanation],
) -> frozenset[str]:
    """Returns the names of the steps that the facts allow, whatever the probability: a narrator does not know it."""
    found = [a for p in (0.0, 1.0) for a in _at(p, view, facts, roles, innocent)]
    return frozenset(a.name for a in found) | {"watch"}


def _at(
    probability: float,
    view: RingView,
    facts: Sequence[Fact],
    roles: Mapping[str, Role],
    innocent: Sequence[Explanation],
) -> tuple[Action, ...]:
    probable = probability >= PROBABLE
    found: list[Action] = []
    if probability >= POSSIBLE:
        found += [*_orders(view.snapshot), *_victims(facts, roles)]
    if probable:
        found += [*_step_up(roles), *_refunds(facts), *_promotions(facts), *_block(view, facts)]
    strong = [e for e in innocent if e.strong and e.name not in GENERAL]
    if strong and not probable:
        found.append(_close(strong[0]))
    elif strong:
        found.append(
            Action(
                "request-information",
                "Ask for what would settle the innocent explanation before anything is blocked.",
                f"it may be {strong[0].words}",
                strong[0].evidence,
            )
        )
    if not found:
        found.append(Action("watch", "Leave it in the queue and look again when it grows.", "no step is urgent", ()))
    return tuple(sorted(found, key=lambda a: _ORDER.index(a.name)))


def open_orders(snapshot: RingSnapshot) -> dict[int, tuple[int, int]]:
    """Returns, per currency, number and exposure in minor units of the orders that may not have left the house."""
    found: dict[int, tuple[int, int]] = {}
    for o in snapshot.orders:
        exposure = order_exposure(o.amount_minor, o.refunded_minor, o.charged_minor, o.declined)
        if snapshot.as_of_ms - o.ts_ms <= UNSHIPPED_MS and exposure > 0:
            orders, minor = found.get(o.currency, (0, 0))
            found[o.currency] = orders + 1, minor + exposure
    return found


def _orders(snapshot: RingSnapshot) -> list[Action]:
    pending = open_orders(snapshot)
    if not pending:
        return []
    number = sum(orders for orders, _ in pending.values())
    which = f"{number:,} orders" if number > 1 else "order"
    return [
        Action(
            "review-open-orders",
            f"Review the {which} of the last 7 days, and ship what is still here only afterwards.",
            f"{money_list({currency: minor for currency, (_, minor) in pending.items()})} can still be saved",
            (),
        )
    ]


def _victims(facts: Sequence[Fact], roles: Mapping[str, Role]) -> list[Action]:
    victims = [r.user_id for r in roles.values() if r.name is RoleName.LIKELY_VICTIM]
    if not victims:
        return []
    return [
        Action(
            "contact-likely-victims",
            f"Contact {listed(victims)} over an address known from before, and help them secure the account.",
            f"{count(len(victims), 'account')} may have been taken over, or had a card stolen",
            tuple(f.id for f in facts if f.kind == "takeover"),
        )
    ]


def _step_up(roles: Mapping[str, Role]) -> list[Action]:
    core = [r.user_id for r in roles.values() if r.name in (RoleName.CORE, RoleName.BRIDGE)]
    if not core:
        return []
    return [
        Action(
            "step-up-verification",
            f"Ask for stronger verification at the next login or order of {listed(core)}.",
            "at the core of what is shared; whoever is honest will pass",
            (),
        )
    ]


def _refunds(facts: Sequence[Fact]) -> list[Action]:
    loops = tuple(f.id for f in facts if f.kind == "refund-loop")
    text = "Pay further refunds only after the goods were received and checked."
    return [Action("hold-refunds", text, "refunds are unusually many", loops)] if loops else []


def _promotions(facts: Sequence[Fact]) -> list[Action]:
    """Single orders call for it only where nothing worse explains them."""
    brought = tuple(f.id for f in facts if f.kind == "referral-chain")
    once = tuple(f.id for f in facts if f.kind == "one-order-accounts")
    worse = any(f.kind in ("card-testing", "chargeback", "refund-loop") for f in facts)
    text = "Pause new-customer and referral benefits for accounts that join through these identifiers."
    if brought:
        return [Action("pause-promotions", text, "members bring each other in", brought + once)]
    return [Action("pause-promotions", text, "most accounts order once", once)] if once and not worse else []


def _block(view: RingView, facts: Sequence[Fact]) -> list[Action]:
    tying = [i for i in view.shared if i.ties and i.kind in (EntityKind.DEVICE, EntityKind.CARD)]
    outside = max((i.users_total - len(i.links) for i in tying), default=0)
    if not tying:
        return []
    names = [i.name for i in sorted(tying, key=lambda i: -len(i.links))]
    warning = f"; {count(outside, 'account')} outside the ring would be hit too" if outside else ""
    return [
        Action(
            "block-identifier-after-confirmation",
            f"Once a person has confirmed the ring, block {listed(names)} for new accounts{warning}.",
            f"shared by up to {of(max(len(i.links) for i in tying), view.size, 'account')}",
            tuple(f.id for f in facts if f.kind == "shared-identifier" and f.fields["identifier"] in names),
        )
    ]


def _close(explanation: Explanation) -> Action:
    if explanation.name == "insufficient-evidence":
        return Action(
            "request-information",
            "Ask for more before deciding; close it if nothing else appears.",
            "the evidence does not suffice",
            explanation.evidence,
        )
    return Action(
        "close-as-innocent",
        f"Close it as {explanation.words} if the check above bears that out.",
        "an innocent explanation fits, and nothing contradicts it",
        explanation.evidence,
    )
