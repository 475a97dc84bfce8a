"""A ring that only a weak bridge makes one does not alarm: it waits, says so, and is alerted once it holds."""

from __future__ import annotations

import pytest
from support.journal import START_MS, Happening, decoded

from fraudgraph.alerts.policy import HELD_BACK, AlertPolicy
from fraudgraph.durations import HOUR_MS
from fraudgraph.engine import Engine, EngineRules, Outcome
from fraudgraph.events.clock import ClockRules
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.testing.fakes import FakeScorer

Link = tuple[EntityKind, str]
HOME, NETWORK = (EntityKind.ADDRESS, "home"), (EntityKind.IP, "network")
TABLET = (EntityKind.DEVICE, "tablet")
RULES = EngineRules(
    clock=ClockRules(allowed_lateness_ms=0, confirmations=1), alerts=AlertPolicy(min_probability=0.65), warmup_days=0
)
"""Three accounts that came on one day are below the line for the fake scorer (0.56), and six are above (0.67)."""


class Shop:
    """An engine that is told who uses what, one commit a call."""

    def __init__(self, rules: EngineRules = RULES) -> None:
        self.rules = rules
        self.engine = Engine(LinkPolicy(), rules, FakeScorer())
        self.told = 0
        for team in ("abc", "xyz"):
            self.tell(*((user, (EntityKind.DEVICE, f"device of {team}")) for user in team), kind=EventType.SIGNUP)

    def tell(self, *uses: tuple[str, Link], kind: EventType = EventType.LOGIN) -> Outcome:
        rows = []
        for user, link in uses:
            self.told += 1
            event = Happening(f"e{self.told}", START_MS + self.told * HOUR_MS // 4, user, kind, (link,))
            rows.append(("p", event, self.told))
        return self.engine.apply(decoded(rows, names=["p"]))

    def restart(self) -> None:
        state = self.engine.export()
        self.engine = Engine(LinkPolicy(), self.rules, FakeScorer())
        self.engine.restore(state)

    def weakly(self) -> Outcome:
        """One of each three now shares an address and a network with the other: two weak identifiers, one tie."""
        return self.tell(("c", HOME), ("c", NETWORK), ("x", HOME), ("x", NETWORK))


@pytest.mark.parametrize("restarts", [False, True])
def test_two_harmless_groups_on_one_weak_tie_are_no_alert_until_they_share_more(restarts: bool) -> None:
    shop = Shop()
    outcome = shop.weakly()
    (ring,) = shop.engine.rows.values()
    assert (ring.users, ring.probability > 0.65) == (6, True)
    assert ring.reason.endswith(HELD_BACK)
    assert outcome.delta.alerts == []
    if restarts:
        shop.restart()
    assert shop.tell(("b", HOME)).delta.alerts == []
    outcome = shop.tell(("c", TABLET), ("x", TABLET))
    (ring,) = shop.engine.rows.values()
    assert [alert.ring_id for alert in outcome.delta.alerts] == [ring.ring_id]
    assert HELD_BACK not in ring.reason
    assert shop.tell(("a", TABLET)).delta.alerts == []


def test_two_groups_on_one_strong_tie_are_alerted() -> None:
    shop = Shop()
    assert len(shop.tell(("c", TABLET), ("x", TABLET)).delta.alerts) == 1


def test_a_part_that_reaches_the_line_by_itself_is_alerted_with_what_hangs_on_it() -> None:
    shop = Shop()
    device = (EntityKind.DEVICE, "device of abc")
    assert shop.tell(("d", device), ("e", device), kind=EventType.SIGNUP).delta.alerts != []
    shop = Shop(EngineRules(clock=RULES.clock, alerts=AlertPolicy(min_probability=0.55), warmup_days=0))
    outcome = shop.weakly()
    (ring,) = shop.engine.rows.values()
    assert (ring.users, HELD_BACK in ring.reason) == (6, False)
    assert outcome.delta.alerts == []  # it kept the id of a part that was alerted


def test_a_weak_tie_to_one_account_holds_nothing_together() -> None:
    alerts = AlertPolicy(min_probability=0.6, weak_tie_strength=0.7)
    shop = Shop(EngineRules(clock=RULES.clock, alerts=alerts, warmup_days=0))
    shop.tell(("w", (EntityKind.DEVICE, "own")), kind=EventType.SIGNUP)
    depot = (EntityKind.ADDRESS, "depot")
    outcome = shop.tell(("a", HOME), ("a", depot), ("w", HOME), ("w", depot))
    assert sorted(ring.users for ring in shop.engine.rows.values()) == [3, 4]
    assert len(outcome.delta.alerts) == 1
