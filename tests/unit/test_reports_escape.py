"""Nobody's user id reaches a terminal, a page, a document or a spreadsheet as anything but text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.snapshots import NASTY_IDS

from fraudgraph.reports.escape import csv_cell, markdown, plain


@given(st.text())
def test_plain_text_controls_nothing_and_keeps_what_people_read(text: str) -> None:
    shown = plain(text)
    assert not [c for c in shown if unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp")]
    assert plain(shown) == shown


def test_plain_keeps_scripts_of_the_world() -> None:
    for text in ("Müller", "李雷", "العربية", "user-1_2.3", "👍"):
        assert plain(text) == text


def test_plain_shows_what_was_hidden() -> None:
    assert plain("a\u202eb") == "a\\u202eb"
    assert plain("\x1b[31m") == "\\x1b[31m"
    assert plain("\U000e0041") == "\\U000e0041"
    assert plain("x\ud800y") == "x\\ud800y"


@pytest.mark.parametrize("text", [*NASTY_IDS, "a*b_c`d", "# h", "- item", "1. one", "www.evil.example", "a@b.example"])
def test_markdown_keeps_text_on_one_line_without_live_markup(text: str) -> None:
    shown = markdown(text)
    assert "\n" not in shown
    unescaped = []
    escaped = False
    for character in shown:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            unescaped.append(character)
    live = "".join(unescaped)
    assert not set(live) & set("*_`[]<>|~&@$")
    assert "://" not in live
    assert "www." not in live
    assert not live.startswith(("# ", "- ", "+ "))


def test_markdown_leaves_ordinary_sentences_readable() -> None:
    text = "8 orders worth 483.17 EUR (93 %); first seen 2026-03-01 14:05, e-mail!"
    assert markdown(text) == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r", " =", "＝"])
def test_no_cell_starts_a_formula(start: str) -> None:
    cell = csv_cell(f"{start}1+1")
    assert cell.startswith("'")


def test_ordinary_cells_stay() -> None:
    assert csv_cell("user-1") == "user-1"
