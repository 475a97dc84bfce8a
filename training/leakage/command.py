"""What `fraudgraph audit-leakage` calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.decoder import Decoder
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import simulate
from training.gnn.recipe import Progress, Recipe
from training.leakage.audit import Claims, audit, table_of
from training.leakage.findings import Finding
from training.leakage.gains import Gain, gains
from training.leakage.rebuild import Rebuilt, read_history, rebuild
from training.leakage.table import Table, read_table, write_table
from training.prepared import prepare
from training.replay import Events, passing_decoder
from training.worlds import with_labels

WORLD_SEEDS = (95_000, 95_001, 95_002)
"""Of the worlds on which leaks are shown; they play no part in any training."""
WORLD_USERS, WORLD_DAYS, WORLD_RINGS = 1_500, 240, 0.08
"""Long enough to split by time although a chargeback takes weeks, with enough fraud to see a difference."""


@dataclass(frozen=True, slots=True)
class Report:
    """An audit.

    Attributes:
        rows, positives: of the tables that were audited.
        findings: leaks first.
        gains: what each kind of leak would have gained over the pipeline's own table; none where a table was given.
    """

    rows: int
    positives: int
    findings: Sequence[Finding]
    gains: Sequence[Gain] = ()

    @property
    def leaks(self) -> list[Finding]:
        """The findings that are leaks."""
        return [finding for finding in self.findings if finding.leak]


def audit_events(
    recipe: Recipe,
    data: Events,
    *,
    make_engine: Callable[[], Engine],
    decoder: Decoder,
    progress: Progress,
    say: Callable[[str], None],
    write: Path | None = None,
    measure: bool = True,
) -> Report:
    """Makes the table that a training on these events would learn from, audits it, and shows what leaks would gain.

    Args:
        write: file for that table.
        measure: whether to train on what leaks.

    Raises:
        UsageError: the stream is too short, or holds no label.
    """
    table, rebuilt = _own(recipe, data, make_engine, decoder, progress, say)
    if write is not None:
        write_table(table, write)
    found = audit(table, rebuilt, _claims(recipe))
    return Report(len(table), int(table.label.sum()), found, _measured([(table, rebuilt)], measure, say))


def audit_worlds(
    recipe: Recipe,
    *,
    progress: Progress,
    say: Callable[[str], None],
    seeds: Iterable[int] = WORLD_SEEDS,
    measure: bool = True,
) -> Report:
    """Does what `audit_events` does on simulated worlds with labels, all their rows together."""
    seeds = list(seeds)
    made = list(tables_of_worlds(recipe, seeds, progress=progress, say=say))
    found = [
        replace(each, what=f"world {seed}: {each.what}")
        for seed, (table, rebuilt) in zip(seeds, made, strict=True)
        for each in audit(table, rebuilt, _claims(recipe))
    ]
    rows, positives = sum(len(table) for table, _ in made), sum(int(table.label.sum()) for table, _ in made)
    return Report(rows, positives, sorted(found, key=lambda each: not each.leak), _measured(made, measure, say))


def tables_of_worlds(
    recipe: Recipe, seeds: Iterable[int], *, progress: Progress, say: Callable[[str], None]
) -> Iterator[tuple[Table, Rebuilt]]:
    """Yields the pipeline's own table of each world, with its labels in the stream."""
    for seed in seeds:
        spec = WorldSpec(seed=seed, users=WORLD_USERS, days=WORLD_DAYS, ring_share=WORLD_RINGS)
        say(f"world {seed}")
        yield _own(recipe, list(with_labels(simulate(spec))), _engine, passing_decoder(), progress, say)


def audit_table(
    recipe: Recipe,
    data: Events,
    path: Path,
    *,
    make_engine: Callable[[], Engine],
    decoder: Decoder,
    progress: Progress,
    label_cut_ms: int | None = None,
) -> Report:
    """Audits a table that somebody made from these events.

    Args:
        label_cut_ms: as of `training.leakage.rebuild.rebuild`.

    Raises:
        ConfigurationError, DependencyError: the table cannot be read, or is none.
        UsageError: the events do not fit the table, or hold no label.
    """
    table = read_table(path)
    history = read_history(
        table.cut_ms, data, make_engine(), decoder=decoder, show=progress("replaying the events beside the table")
    )
    found = audit(table, rebuild(table, history, label_cut_ms), _claims(recipe))
    return Report(len(table), int(table.label.sum()), found)


def _own(
    recipe: Recipe,
    data: Events,
    make_engine: Callable[[], Engine],
    decoder: Decoder,
    progress: Progress,
    say: Callable[[str], None],
) -> tuple[Table, Rebuilt]:
    ready = prepare(
        data,
        horizon_ms=recipe.horizon_ms,
        fit_cuts=recipe.labels.fit_cuts,
        keep_known=recipe.labels.keep_known,
        apart=recipe.labels.disjoint,
        make_engine=make_engine,
        decoder=decoder,
        show=progress("replaying the events as a training does"),
        say=say,
    )
    table = table_of(ready)
    show = progress("replaying them once more")
    return table, rebuild(table, read_history(table.cut_ms, data, make_engine(), decoder=decoder, show=show))


def _measured(made: Sequence[tuple[Table, Rebuilt]], measure: bool, say: Callable[[str], None]) -> list[Gain]:
    if not measure:
        return []
    say("training on the honest table and on those that leak")
    return gains(made)


def _claims(recipe: Recipe) -> Claims:
    plan = recipe.labels
    return Claims(recipe.horizon_ms, keep_known=plan.keep_known, disjoint=plan.disjoint)


def _engine() -> Engine:
    return Engine(LinkPolicy(), EngineRules(), StructuralScorer())
