"""An audit names every leak that is planted, by its kind, and finds none in what the pipeline makes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.structural import StructuralScorer
from tests.support.small_shop import small_shop
from training.leakage.audit import Claims, audit, table_of
from training.leakage.plant import PLANTS
from training.leakage.rebuild import History, read_history, rebuild
from training.leakage.table import TRAIN, Table
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
    lines = small_shop(seed)
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
    return table, read_history(table.cut_ms, lines, make_engine(), decoder=passing_decoder())


def leaks(table: Table, history: History, *, disjoint: bool = False) -> set[str]:
    found = audit(table, rebuild(table, history), Claims(HORIZON_MS, disjoint=disjoint))
    return {finding.kind for finding in found if finding.leak}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("apart", [False, True])
def test_the_pipelines_own_table_is_clean(seed: int, apart: bool) -> None:
    table, history = made(seed, apart=apart)
    assert {*np.unique(table.role(TRAIN))} == {False, True}
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
