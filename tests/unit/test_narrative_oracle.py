"""The oracle is as exact about explanations, steps and questions as about claims: a word changed there is a fault."""

from __future__ import annotations

import re

import msgspec
import pytest
from support.snapshots import EXAMPLES

from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.narrate import narrate
from fraudgraph.testing.narrative_checker import Checker

SECTIONS = ("summary", "risk_reasons", "innocent_explanations", "next_actions", "open_questions")


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "big"])
def test_every_published_sentence_is_read_back_word_for_word(name: str) -> None:
    snapshot = EXAMPLES[name]()
    checker, told = Checker(snapshot), narrate(make_evidence(snapshot))
    assert checker.faults(told) == []
    changed = 0
    for section in SECTIONS:
        sentences = getattr(told, section)
        for place, said in enumerate(sentences):
            for other in _wrong(said.text):
                wrong = msgspec.structs.replace(said, text=other)
                row = (*sentences[:place], wrong, *sentences[place + 1 :])
                assert checker.faults(msgspec.structs.replace(told, **{section: row})), other
                changed += 1
    assert changed > len(SECTIONS)


def _wrong(text: str) -> list[str]:
    """Returns the text with a number one higher, another identifier, a word more, and without its last word."""
    found = [text.replace(" ", " not ", 1), text[:-1].rpartition(" ")[0] + text[-1]]
    if number := re.search(r"(?<![\w.-])\d+(?![\w.:-])", text):
        found.append(f"{text[: number.start()]}{int(number[0]) + 1}{text[number.end() :]}")
    if name := re.search(r"\b(IP|[DCMPA])([1-9][0-9]*)\b", text):
        found.append(f"{text[: name.start()]}{name[1]}{int(name[2]) + 1}{text[name.end() :]}")
    return found


def test_an_explanation_without_grounds_is_a_fault() -> None:
    home, fakes = (EXAMPLES[name]() for name in ("household", "fake-accounts"))
    borrowed = narrate(make_evidence(home)).innocent_explanations
    told = msgspec.structs.replace(narrate(make_evidence(fakes)), innocent_explanations=borrowed)
    assert {fault.claims for fault in Checker(fakes).faults(told)} >= {("household",), ("calm-record",)}
