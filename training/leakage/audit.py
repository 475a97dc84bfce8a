"""The audit of a training table: everything that is checked, on one table, against its events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.labels import POSITIVE, UNKNOWN
from training.leakage.feature_checks import feature_findings
from training.leakage.findings import Finding
from training.leakage.rebuild import Rebuilt, own_table
from training.leakage.split_checks import base_rate_findings, component_findings, label_findings, time_findings
from training.leakage.table import STOP, TEST, TRAIN, Table
from training.prepared import Prepared, targets_of


@dataclass(frozen=True, slots=True)
class Claims:
    """What is said of a table: how its labels were read, and whether its split keeps components apart."""

    horizon_ms: int
    keep_known: bool = False
    disjoint: bool = False


def audit(table: Table, rebuilt: Rebuilt, claims: Claims) -> list[Finding]:
    """Returns everything that is wrong with a table, leaks first."""
    found = [
        *feature_findings(table, rebuilt),
        *label_findings(table, rebuilt),
        *time_findings(table),
        *component_findings(table, rebuilt, claims_disjoint=claims.disjoint),
        *base_rate_findings(
            table,
            rebuilt,
            horizon_ms=claims.horizon_ms,
            keep_known=claims.keep_known,
            claims_disjoint=claims.disjoint,
        ),
        *_unseen(table, rebuilt),
    ]
    return sorted(found, key=lambda finding: not finding.leak)


def table_of(ready: Prepared) -> Table:
    """Returns the table that a training on a stream learns from, stops and measures on."""
    roles = [*([TRAIN] * len(ready.fit)), STOP, TEST]
    parts = [
        own_table(piece, role, targets_of(piece).target != UNKNOWN, targets_of(piece).target == POSITIVE)
        for piece, role in zip(ready.stream.slices, roles, strict=True)
    ]
    return concatenate(parts)


def concatenate(parts: list[Table]) -> Table:
    """Returns the rows of tables with the same columns."""
    splits = [part.split for part in parts if part.split is not None]
    return Table(
        users=tuple(user for part in parts for user in part.users),
        cut_ms=np.concatenate([part.cut_ms for part in parts]),
        names=parts[0].names,
        x=np.concatenate([part.x for part in parts]),
        label=np.concatenate([part.label for part in parts]),
        split=np.concatenate(splits) if len(splits) == len(parts) else None,
    )


def _unseen(table: Table, rebuilt: Rebuilt) -> list[Finding]:
    out = []
    sampled = np.isin(table.cut_ms, list(rebuilt.history.moments))
    gone = int((sampled & ~rebuilt.rebuilt).sum())
    if gone:
        text = f"{gone:,} rows are of accounts that no event had named by their moment: they are not looked at"
        out.append(Finding("coverage", False, text, gone))
    if not sampled.all():
        text = f"{int((~sampled).sum()):,} rows are of moments that were not rebuilt"
        out.append(Finding("coverage", False, text, int((~sampled).sum())))
    if table.skipped:
        text = f"columns that hold no numbers are not looked at: {', '.join(table.skipped[:8])}"
        out.append(Finding("coverage", False, text, len(table)))
    return out
