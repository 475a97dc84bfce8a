"""No statement of a store is put together from values: its text is a constant, and values are parameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import fraudgraph.stores

FOLDER = Path(fraudgraph.stores.__file__).parent
FILES = sorted([*FOLDER.glob("sqlite/*.py"), *FOLDER.glob("neo4j/*.py")])
WORDS = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|MATCH|MERGE|CREATE|UNWIND|RETURN|WHERE|CALL \{|FROM|SET)\b")
MAKERS = ("format", "format_map", "join", "replace")
TEMPLATES = ("model.py",)
"""Where labels and types, all of them constants, are put into statements at import."""


def offences(code: str) -> Iterator[int]:
    """Yields the lines where an f-string, `+`, `%` or one of `MAKERS` makes a statement."""
    for node in ast.walk(ast.parse(code)):
        parts: list[ast.AST] = []
        if isinstance(node, ast.JoinedStr) and any(isinstance(part, ast.FormattedValue) for part in node.values):
            parts = list(node.values)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
            parts = [node.left, node.right]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MAKERS:
            parts = [node.func.value, *node.args]
        for part in parts:
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and WORDS.search(part.value):
                yield part.lineno


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_statements_are_constants(file: Path) -> None:
    assert list(offences(file.read_text())) == []


@pytest.mark.parametrize(
    "code",
    [
        'run(f"MATCH (n:{label}) RETURN n")',
        'run("SELECT * FROM t WHERE id = " + value)',
        'run("SELECT * FROM t WHERE id = %s" % value)',
        'run("MATCH (n:{}) RETURN n".format(label))',
        'run("MATCH (n:LABEL) RETURN n".replace("LABEL", label))',
        'run(" WHERE ".join(parts))',
    ],
)
def test_a_statement_made_of_values_is_found(code: str) -> None:
    assert set(offences(code)) == {1}


def test_text_goes_into_statements_in_one_place() -> None:
    """`for_identifiers` and its siblings take templates; nobody else replaces text in one."""
    replacing = [
        file.name
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("replace", "format") and file.parent.name == "neo4j"
    ]
    assert set(replacing) == set(TEMPLATES)
