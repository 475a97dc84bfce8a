"""The composition root hands every knob of the engine on, and its defaults are the rooms' own."""

from __future__ import annotations

from fraudgraph.app import make_engine
from fraudgraph.engine import EngineRules
from fraudgraph.events import keys
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.settings import KEY_VARIABLE, load_settings


def test_defaults_of_the_settings_are_those_of_the_rooms() -> None:
    engine = make_engine(load_settings(environment={}).settings)
    assert engine.rules == EngineRules()
    assert engine.policy == LinkPolicy()
    assert KEY_VARIABLE == keys.KEY_VARIABLE  # written twice, since reading settings must not load cryptography


def test_every_knob_reaches_the_engine() -> None:
    flags = {
        "time.allowed_lateness_minutes": "7",
        "time.max_skew_hours": "3",
        "time.max_gap_days": "2",
        "memory.user_days": "500",
        "memory.order_days": "90",
        "memory.transfer_days": "80",
        "priority.half_life_days": "9",
        "alerts.min_probability": "0.8",
        "rings.min_users": "5",
        "rings.max_users": "60",
        "links.theta": "0.6",
    }
    engine = make_engine(load_settings(environment={}, flags=flags).settings)
    rules = engine.rules
    assert rules.clock.allowed_lateness_ms == 7 * 60_000
    assert rules.clock.max_skew_ms == 3 * 3_600_000
    assert rules.clock.max_gap_ms == 2 * 86_400_000
    assert (rules.limits.user_days, rules.limits.order_days, rules.limits.transfer_days) == (500, 90, 80)
    assert rules.priority.half_life_days == 9.0
    assert rules.alerts.min_probability == 0.8
    assert (rules.min_users, rules.max_users) == (5, 60)
    assert engine.policy.theta == 0.6
