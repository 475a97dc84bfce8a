"""A model's own sentences: what may be shown, and the many ways in which they may not."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.attacks import attacks
from support.snapshots import fake_accounts

from fraudgraph.narrative.claims import Reading
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.reading import read_aloud
from fraudgraph.narrative.template import make_plan
from fraudgraph.narrative.verifier import verify

EVIDENCE = make_evidence(fake_accounts())
PLAN = make_plan(EVIDENCE.pack)
ITEM = PLAN.summary[0].evidence[0]


def _read(*sentences: Reading) -> tuple[str, ...]:
    plan = msgspec.structs.replace(PLAN, reading=sentences)
    return read_aloud(plan, verify(plan, EVIDENCE), EVIDENCE)


def test_a_sentence_stands_with_its_references_filled_in() -> None:
    members = EVIDENCE.items[ITEM].fields["members"]
    text = f"The arrival of {{{ITEM}.members}} accounts in such a short span looks planned."
    assert _read(Reading(text, (0,))) == (f"The arrival of {members} accounts in such a short span looks planned.",)
    assert _read(Reading("What they share points in the same direction.", (0, 1)))


@pytest.mark.parametrize(
    "text",
    [
        "They are guilty.",
        "These accounts were opened by a criminal gang.",
        "This is obviously organised.",
        "There are 5 accounts.",
        "There are five accounts.",
        "There are ５ accounts.",
        "Most of them came on a monday.",
        "They share D1.",
        "They share {D1} and {D99}.",
        "They share {E99.members} things.",
        f"They share {{{ITEM}.members=5}} things.",
        f"They share {{{ITEM}.nothing}} things.",
        "The account of Erika looks odd.",
        "You should block them.",
        "Please close the ring.",
        "See https://evil.example for more.",
        "See evil.example for more.",
        "It looks planned. It looks odd.",
        "**It looks planned.**",
        "![it](x) looks planned.",
        "<b>It looks planned.</b>",
        "It looks plаnned.",  # a Cyrillic letter
        "It looks\u200b planned.",
        "It looks \x1b[31mplanned.",
        "It looks planned",
        "",
        "It looks \0 planned.",
        "It " + "really " * 60 + "looks planned.",
    ],
)
def test_a_sentence_that_breaks_a_rule_is_dropped_whole(text: str) -> None:
    assert _read(Reading(text, (0,))) == ()


@pytest.mark.parametrize("claims", [(), (-1,), (99,), (0, 99), (7_777_777_777_777_777,)])
def test_a_sentence_without_a_verified_claim_is_dropped(claims: tuple[int, ...]) -> None:
    assert _read(Reading("It looks planned.", claims)) == ()


def test_a_sentence_on_a_claim_that_fell_is_dropped() -> None:
    broken = msgspec.structs.replace(PLAN.summary[0], evidence=("E99",))
    plan = msgspec.structs.replace(
        PLAN, summary=(broken, *PLAN.summary[1:]), reading=(Reading("It looks planned.", (0,)),)
    )
    assert read_aloud(plan, verify(plan, EVIDENCE), EVIDENCE) == ()


def test_no_injection_is_read_aloud() -> None:
    assert not [name for name, text in attacks() if _read(Reading(text, (0,)), Reading(f"It says {text}.", (0,)))]


WORDS = st.sampled_from(
    [
        "it",
        "looks",
        "planned",
        "guilty",
        "42",
        "{D1}",
        f"{{{ITEM}.members}}",
        "Erika",
        "block",
        "http://x",
        "two",
        "the",
    ]
)


@given(st.lists(WORDS, min_size=1, max_size=8), st.sampled_from([".", "", "!", "?"]))
def test_whatever_is_shown_keeps_the_rules(words: list[str], end: str) -> None:
    text = " ".join(words)
    for shown in _read(Reading(text[:1].upper() + text[1:] + end, (0,))):
        rest = shown.replace(str(EVIDENCE.items[ITEM].fields["members"]), "").replace("D1", "")
        assert not re.search(r"\d|guilty|block|http|two|Erika", rest)
