"""An audit names every leak that is planted, by its kind, and finds none in what the pipeline makes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from support.gangs import shop_with_gangs

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.errors import ConfigurationError, UsageError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.structural import StructuralScorer
from training.leakage.audit import Claims, audit, table_of
from training.leakage.evaluate import document
from training.leakage.gains import gains
from training.leakage.plant import PLANTS
from training.leakage.rebuild import History, read_history, rebuild
from training.leakage.table import STOP, TEST, TRAIN, Table, read_table, write_table
from training.prepared import prepare
from training.replay import passing_decoder

HORIZON_MS = 3 * DAY_MS
SEEDS = (1, 2, 3)
ALSO = {"components": {"time"}, "time": {"components", "labels"}}
"""A split that ignores time ignores components, and the other way round."""


def make_engine() -> Engine:
    return Engine(LinkPolicy(), EngineRules(), StructuralScorer())


@cache
def made(seed: int, *, apart: bool = False) -> tuple[Table, History]:
    """Returns the pipeline's own table of a shop, and the shop's history."""
    lines = shop_with_gangs(seed)
    ready = prepare(
        lines,
        horizon_ms=HORIZON_MS,
        fit_cuts=3,
        keep_known=False,
        apart=apart,
        make_engine=make_engine,
        decoder=passing_decoder(),
        show=lambda *step: None,
        say=lambda text: None,
    )
    table = table_of(ready)
    if apart:  # the same events at the same moments
        return table, made(seed)[1]
    return table, read_history(table.cut_ms, lines, make_engine(), decoder=passing_decoder())


def leaks(table: Table, history: History, *, disjoint: bool = False) -> set[str]:
    found = audit(table, rebuild(table, history), Claims(HORIZON_MS, disjoint=disjoint))
    return {finding.kind for finding in found if finding.leak}


@pytest.mark.parametrize(("seed", "apart"), [*((seed, False) for seed in SEEDS), (1, True)])
def test_the_pipelines_own_table_is_clean(seed: int, apart: bool) -> None:
    table, history = made(seed, apart=apart)
    assert all(table.role(role).any() for role in (TRAIN, STOP, TEST))
    assert table.label.sum() >= 10
    assert leaks(table, history, disjoint=apart) == set()


@pytest.mark.parametrize("name", PLANTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_planted_leak_is_named(seed: int, name: str) -> None:
    table, history = made(seed)
    kind, plant = PLANTS[name]
    bent = plant(table, rebuild(table, history), np.random.default_rng(seed))
    found = leaks(bent, history)
    assert kind in found
    assert found - {kind} <= ALSO.get(kind, set()), "nothing else is called a leak"


def test_what_leaks_is_measured_on_the_same_rows() -> None:
    table, history = made(1)
    found = {gain.kind: gain for gain in gains([(table, rebuild(table, history))])}
    assert set(found) == {"future", "labels", "components", "time", "base-rate"}
    for gain in found.values():
        assert gain.gain.value == pytest.approx(gain.leaking.value - gain.honest.value)
        assert gain.honest.low <= gain.honest.value <= gain.honest.high
    assert found["base-rate"].gain.low > 0, "thinned negatives always flatter"
    assert found["future"].honest == found["labels"].honest, "one honest model"


def test_the_note_counts_what_was_named() -> None:
    table, history = made(2)
    text = document([(table, rebuild(table, history))], (2,), Claims(HORIZON_MS))
    assert "| nothing | | 0 of 1 |" in text
    assert text.count("| 1 of 1 |") == len(PLANTS)


def test_a_table_without_a_split_or_with_strangers_says_what_was_not_looked_at() -> None:
    table, history = made(1)
    bare = replace(table, split=None, users=("nobody", *table.users[1:]))
    found = audit(bare, rebuild(bare, history), Claims(HORIZON_MS))
    assert not [finding for finding in found if finding.leak]
    assert [finding.rows for finding in found if "no event had named" in finding.what] == [1]
    assert any("no split" in finding.what for finding in found)


def test_the_other_half_of_a_component_is_a_leak_only_where_it_is_said_to_be_apart() -> None:
    table, history = made(1)
    rebuilt = rebuild(table, history)
    (told,) = (found for found in audit(table, rebuilt, Claims(HORIZON_MS)) if found.kind == "components")
    assert not told.leak
    assert "components" in leaks(table, history, disjoint=True)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    table, _ = made(1)
    few = table.take(np.arange(len(table)) < 5)
    path = tmp_path / "few.csv"
    write_table(few, path)
    again = read_table(path)
    assert again.users == few.users
    assert again.cut_ms.tolist() == few.cut_ms.tolist()
    assert np.allclose(again.x, few.x, equal_nan=True)
    path.write_text(path.read_text().replace("label", "labels", 1))
    with pytest.raises(ConfigurationError, match="no column 'label'"):
        read_table(path)
    path.write_text("user,cut_ts,label,split\nu1,2026-01-01T00:00:00Z,1,later\n")
    with pytest.raises(ConfigurationError, match="split holds 'later'"):
        read_table(path)
    path.write_text("user,cut_ts,label,word\nu1,2026-01-01T00:00:00Z,fraud,x\n")
    assert read_table(path).skipped == ("word",)
    late = replace(few, cut_ms=few.cut_ms + 900 * DAY_MS)
    with pytest.raises(UsageError, match="after the last event"):
        read_history(late.cut_ms, shop_with_gangs(1), make_engine(), decoder=passing_decoder())
