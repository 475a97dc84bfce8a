"""The command line as its users run it: in this process for speed, in another one where that is the point."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from fraudgraph.cli import app

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


def fraudgraph(*arguments: object, stdin: str | None = None, env: dict[str, str] | None = None) -> Said:
    """Runs a command in this process; an exception that is no exit code fails the test."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], input=stdin, env=_clean() | (env or {}))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


def command(arguments: Sequence[object]) -> list[str]:
    """Returns the words of a command for another process."""
    return [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]


def process(*arguments: object, stdin: str = "", env: dict[str, str] | None = None, cwd: Path | None = None) -> Said:
    """Runs a command in another process, with pipes for its streams."""
    done = subprocess.run(
        command(arguments), input=stdin, capture_output=True, text=True, env=environment(env), cwd=cwd, timeout=300
    )
    return Said(done.returncode, done.stdout, done.stderr)


def terminal(*arguments: object, columns: int) -> str:
    """Runs a command on a terminal of that width; returns what the screen shows, without styles."""
    ours, theirs = os.openpty()
    env = environment({"COLUMNS": str(columns), "TERM": "xterm"})
    running = subprocess.Popen(command(arguments), stdout=theirs, stderr=theirs, stdin=theirs, env=env)
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    running.wait(timeout=60)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode()).replace("\r\n", "\n")


def store_contents(file: Path, without: Collection[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Returns every row of an embedded store, by table."""
    with sqlite3.connect(file) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: sorted(db.execute(f"SELECT * FROM {name}"), key=repr)  # noqa: S608 - names come from the schema itself
            for name in tables
            if name not in without
        }


def environment(env: dict[str, str] | None = None) -> dict[str, str]:
    """Returns this process's environment without settings of fraudgraph."""
    return {k: v for k, v in os.environ.items() if not k.startswith("FRAUDGRAPH_")} | (env or {})


def _clean() -> dict[str, Any]:
    return {name: None for name in os.environ if name.startswith("FRAUDGRAPH_")}
