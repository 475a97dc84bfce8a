"""The page on evidence names every kind of fact that a report can hold."""

from __future__ import annotations

from pathlib import Path

from fraudgraph.rings.facts import FACT_KINDS


def test_every_kind_of_fact_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("|")]
    missing = [kind for kind in FACT_KINDS if not any(kind in row.split("|")[1] for row in rows)]
    assert len(FACT_KINDS) > 10
    assert not missing
