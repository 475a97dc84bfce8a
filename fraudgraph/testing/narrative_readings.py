"""False sentences in a model's own words, by what was done to a true one: how many of them a reading would show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.narrative.claims import Claim, Plan, Reading
from fraudgraph.narrative.evidence import Evidence, make_evidence
from fraudgraph.narrative.pack import PackFact
from fraudgraph.narrative.reading import read_aloud
from fraudgraph.narrative.slots import number
from fraudgraph.narrative.verifier import verify
from fraudgraph.testing.narrative_judge import JudgedRing


@dataclass(slots=True)
class ReadingFigures:
    """False sentences made, and those of them that would be shown, below `READING_NOTE`."""

    made: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)


def judge_reading(rings: Iterable[JudgedRing], policy: LinkPolicy | None = None) -> ReadingFigures:
    """Anchors false sentences to true claims about the strongest shared identifier of each ring."""
    figures = ReadingFigures()
    for ring in rings:
        evidence = make_evidence(ring.snapshot, policy)
        facts = evidence.pack.facts
        shared = [f for f in facts if f.kind == "shared-identifier" and f.fields["first"] != f.fields["last"]]
        if not shared:
            continue
        claims = (Claim("shared-by", (shared[0].id,)),)
        for how, text in _false(shared[0], evidence):
            plan = Plan("unclear", claims, (), (), (), (), sufficient=False, reading=(Reading(text, (0,)),))
            figures.made[how] += 1
            figures.shown[how] += bool(read_aloud(plan, verify(plan, evidence), evidence))
    return figures


def _false(fact: PackFact, evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yields what is not so; the last three say it in words alone, around references that are right."""
    e, name = fact.id, str(fact.fields["identifier"])
    more = (number(fact, "members") or 0) + 1
    other = next((i.name for i in evidence.view.identifiers if i.name != name), "D99")
    yield "plus-minus-one", f"Here {more} accounts use {{{name}}}."
    yield "plus-minus-one", f"The number of accounts on {{{name}}} is {('seven', 'nine')[more == 7]}."
    yield "swapped-entity", f"These accounts meet on {{{other}}}."
    yield "date", "It began on the third of may."
    yield "unit", f"The use of {{{name}}} lasted for {{{e}.members}} hours."
    yield "negated", f"These accounts never came near {{{name}}}."
    yield "rearranged", f"The use of {{{name}}} began at {{{e}.last}} and ended at {{{e}.first}}."
    if (number(fact, "count") or 0) >= (number(fact, "members") or 0):
        yield "comparison", f"The {{{e}.members}} accounts are more than the {{{e}.count}} uses."


def reading_table(figures: ReadingFigures) -> list[str]:
    """Returns the figures as Markdown."""
    lines = ["| false sentences of a reading, by | made | shown, marked as not verified |", "|---|---:|---:|"]
    for how, made in sorted(figures.made.items()):
        lines.append(f"| {how} | {made:,} | {100 * figures.shown[how] / made:.1f} % |")
    total = figures.made.total()
    share = f"{100 * figures.shown.total() / total:.1f} %" if total else "-"
    return [*lines, f"| all | {total:,} | {share} |"]
