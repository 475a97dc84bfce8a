"""What a model is used to see: where its reference is, how one is made, and what watches for drift."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.app.engines import restored_engine
from fraudgraph.app.stores import open_reader
from fraudgraph.errors import DependencyError, StoreError, UsageError
from fraudgraph.settings import Settings

if TYPE_CHECKING:
    from fraudgraph.drift_watch import DriftWatch
    from fraudgraph.engine import Engine
    from fraudgraph.scoring.drift import DriftReport, Reference
    from fraudgraph.stores.port import AlertRow, StoreReader

ALERTS = 10_000
"""The latest ones, whose verdicts are looked at."""


def watch_drift(settings: Settings, engine: Engine, reader: StoreReader) -> DriftWatch:
    """Returns what holds an engine against the reference of the model that is in force then."""
    from fraudgraph.drift_watch import DriftWatch
    from fraudgraph.scoring.drift import DriftRules, read_reference
    from fraudgraph.scoring.library import SHIPPED

    folder = Path(settings.model.folder)

    def references(name: str) -> Reference | None:
        return read_reference([folder / name, SHIPPED / name])

    knobs = settings.drift
    rules = DriftRules(knobs.psi, knobs.min_sample, knobs.calibration, knobs.min_verdicts)

    def alerts() -> list[AlertRow]:
        try:
            return reader.alerts(limit=ALERTS)
        except (DependencyError, StoreError):
            return []  # the store is away: no look at drift may stop a daemon that waits for it

    return DriftWatch(engine, references, rules, alerts)


def drift_of(settings: Settings, environment: Mapping[str, str] = os.environ) -> DriftReport:
    """Returns a store's last commit against the reference of the model in force.

    Raises:
        ConfigurationError, DependencyError, StoreError: as `restored_engine`, or the reference is damaged.
    """
    engine, _ = restored_engine(settings, environment)
    with closing(open_reader(settings)) as reader:
        return watch_drift(settings, engine, reader)()


def take_reference(settings: Settings, environment: Mapping[str, str] = os.environ) -> tuple[Path, Reference]:
    """Writes what a store's last commit looks like as the reference of the model in force.

    It stands in the models' folder under the model's name, and goes before one that ships with the model.

    Raises:
        UsageError: the store has no rings yet.
        ConfigurationError, DependencyError, StoreError: as `restored_engine`.
    """
    from fraudgraph.drift_watch import reference_of
    from fraudgraph.scoring.drift import write_reference

    engine, _ = restored_engine(settings, environment)
    if not engine.rows:
        raise UsageError("the store has no rings, which a reference is made of", do="Ingest events first.")
    reference = reference_of(engine, f"this shop, {len(engine.rows):,} rings")
    return write_reference(reference, Path(settings.model.folder) / reference.model), reference
