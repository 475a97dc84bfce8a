"""What a model's own sentences may get wrong is counted: figures, dates and names never, relations in words may."""

from __future__ import annotations

from support.snapshots import EXAMPLES

from fraudgraph.testing.narrative_judge import JudgedRing
from fraudgraph.testing.narrative_readings import judge_reading, reading_table


def test_no_false_figure_date_or_name_is_shown_and_the_rest_is_reported() -> None:
    figures = judge_reading([JudgedRing(build()) for build in EXAMPLES.values()])
    assert figures.made.total() > 5 * len(EXAMPLES)
    for how in ("plus-minus-one", "swapped-entity", "date"):
        assert figures.made[how]
        assert not figures.shown[how]
    assert figures.shown.total() > 0  # words around right references: this is why it is marked
    said = "\n".join(reading_table(figures))
    assert f"| all | {figures.made.total():,} |" in said
