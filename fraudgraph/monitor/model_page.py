"""What `/model` says: what is in force, how its shadow differs, what has drifted, what the rules hold of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fraudgraph.daemon import Totals

NOT_YET: Final = "nothing was looked at yet\n"


def model_text(totals: Totals) -> str:
    """Returns the page, a line for each thing, without personal data."""
    return "".join(f"{line}\n" for line in _lines(totals))


def _lines(totals: Totals) -> Iterator[str]:
    model = totals.model
    if model is None:
        yield NOT_YET.rstrip()
        return
    yield f"in force: {model.bundle}"
    if model.links:
        yield f"network: {model.links:,} links, {model.bytes:,} bytes, largest error {model.drift:.1e}"
    if model.shadow.rings:
        shadow = model.shadow
        yield (
            f"shadow: {shadow.rings:,} rings, difference {shadow.sum_difference / shadow.rings:.4f} in the mean and"
            f" {shadow.max_difference:.4f} at most, {shadow.crossed:,} on the other side of the line"
        )
    for (rule, mode), rings in totals.rules.items():
        yield f"rule {rule} ({mode}): {rings:,} rings"
    drift = totals.drift
    if drift is None:
        return
    if drift.why_not:
        yield f"drift: {drift.why_not}"
    else:
        over = [f"{each.name} ({each.psi:.2f})" for each in drift.series if each.over and each.psi is not None]
        yield f"drift: {', '.join(over) or 'none'} of {len(drift.series)} numbers, against {drift.source}"
    for month in drift.months:
        yield (
            f"calibration {month.month}: said {month.predicted:.2f}, was {month.observed:.2f} of {month.verdicts:,}"
            f"{' - drifted' if month.over else ''}"
        )
