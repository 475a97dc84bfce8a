"""What makes a text unsafe to compare or to show: invisible characters, and look-alikes from another script."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.rejected import Rejected

_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ue000-\uf8ff]")
"""C0 and C1 controls, line and paragraph separators, the explicit bidi controls of UAX #9, private use."""

# Unicode Technical Standard 39, section 5.2, "Highly Restrictive": the scripts that real languages mix.
_MIXABLE: Final = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
)


def check_visible(field: str, text: str) -> None:
    """Refuses characters that cannot be seen: with them, two values look equal and are not.

    Raises:
        Rejected: UNSAFE_TEXT, naming the field.
    """
    if text.isascii():
        if text.isprintable():
            return
    elif not any(unicodedata.category(char) in _UNSAFE_CATEGORIES for char in text):
        return
    raise Rejected(RejectReason.UNSAFE_TEXT, f"{field}: control, bidi or invisible characters")


def check_prose(field: str, text: str) -> None:
    """Refuses control and bidi characters, but not the joiners, marks and line ends that prose and addresses need.

    Raises:
        Rejected: UNSAFE_TEXT, naming the field.
    """
    if text.isascii() and text.isprintable():
        return
    if _CONTROL.search(text.replace("\n", " ").replace("\r", " ").replace("\t", " ")):
        raise Rejected(RejectReason.UNSAFE_TEXT, f"{field}: control or bidi characters")


def check_one_script(field: str, text: str) -> None:
    """Refuses a word that mixes scripts which no language mixes, as homoglyphs do (a Cyrillic `а` among Latin).

    Raises:
        Rejected: UNSAFE_TEXT, naming the field.
    """
    if text.isascii():
        return
    # The first word of a letter's Unicode name is its script; the standard library has no other table of scripts.
    scripts = {
        unicodedata.name(char, "?").partition(" ")[0] for char in text if unicodedata.category(char).startswith("L")
    }
    if len(scripts) > 1 and not any(scripts <= allowed for allowed in _MIXABLE):
        raise Rejected(RejectReason.UNSAFE_TEXT, f"{field}: letters of more than one script")
