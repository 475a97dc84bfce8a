"""A world's spec refuses what cannot make a world, and says what would."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from fraudgraph.durations import DAY_MS
from fraudgraph.errors import ConfigurationError
from fraudgraph.simulate.spec import WorldSpec

SPEC = WorldSpec(seed=1, users=500, days=10)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("users", 99),
        ("users", 10**9),
        ("days", 0),
        ("start", date(1970, 1, 1)),
        ("ring_share", 0.21),
        ("ring_share", float("nan")),
        ("label_missing", 1.1),
        ("label_wrong", -0.1),
        ("min_members", 2),
        ("max_members", 2),
        ("typologies", ()),
        ("typologies", ("fake_accounts", "money_printing")),
        ("currency", "JPY"),
    ],
)
def test_what_cannot_make_a_world_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        replace(SPEC, **{field: value})
    assert caught.value.what.startswith(field)
    assert caught.value.do.endswith(".")


def test_time_runs_from_the_first_day_for_so_many_days() -> None:
    assert SPEC.start_ms == 1_767_225_600_000  # 2026-01-01T00:00:00Z
    assert SPEC.end_ms - SPEC.start_ms == 10 * DAY_MS


def test_the_hash_tells_specs_apart() -> None:
    assert SPEC.hash == WorldSpec(seed=1, users=500, days=10).hash
    changed = [replace(SPEC, seed=2), replace(SPEC, label_wrong=0.04), replace(SPEC, typologies=("promo_abuse",))]
    assert len({SPEC.hash, *(spec.hash for spec in changed)}) == 4
