"""User-controlled text made harmless for each place where it is shown. User ids come from the shop's customers."""

from __future__ import annotations

import re
import unicodedata

_FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Cells that start so are read as formulas by spreadsheets (OWASP, CSV injection); full-width forms too."""

_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~&@$]|(?<=www)\.|:(?=//)|^[-+#=]|(?<=^\d)[.)](?=\s|$)|(?<=^\d\d)[.)](?=\s|$)")
"""What CommonMark, GitHub's tables, autolinks, mentions and mathematics read as markup, and what opens a block."""


def plain(text: str) -> str:
    r"""Returns the text with control, bidi, invisible and unassigned characters shown as `\u202e` and the like.

    Unicode categories Cc, Cf, Cs, Co, Cn, Zl, Zp; a terminal, a page or a log line then shows what is there.
    """
    return "".join(c if unicodedata.category(c)[0] != "C" and c not in "\u2028\u2029" else _code(c) for c in text)


def _code(character: str) -> str:
    point = ord(character)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def markdown(text: str) -> str:
    """Returns the text as literal inline Markdown on one line (CommonMark 2.4: a backslash before punctuation)."""
    return _MARKDOWN.sub(lambda found: f"\\{found.group()}", plain(text))


def csv_cell(text: str) -> str:
    """Returns the text as a cell that no spreadsheet runs; quoting is the CSV writer's.

    A leading formula character gets an apostrophe before it (OWASP, CSV injection).
    """
    shown = plain(text)
    return f"'{shown}" if text.lstrip(" ").startswith(_FORMULA_START) or text.startswith(_FORMULA_START) else shown
