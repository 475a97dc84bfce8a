"""Every command says what it does, what each option means, and shows an example that its own parser accepts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from fraudgraph import __version__
from fraudgraph.cli import app

ROOT: Any = typer.main.get_command(app)


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from _walk(child, (*path, name))
    else:
        yield path, command


COMMANDS = dict(_walk(ROOT, ()))
GROUPS = [(name,) for name, command in ROOT.commands.items() if hasattr(command, "commands")]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_a_sentence_per_option_and_an_example_that_parses(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help.strip()[0].isupper()
    for parameter in command.params:
        if parameter.name != "help" and not parameter.hidden:
            assert parameter.help, f"{parameter.name} has no help"
            assert parameter.help.endswith("."), f"help of {parameter.name} is no sentence"
            assert len(parameter.help) <= 110, f"help of {parameter.name} is too long to read in a terminal"
    start = f"Example: fraudgraph {' '.join(path)}"
    assert command.epilog and command.epilog.startswith(start), f"no epilog that starts with {start!r}"
    example = command.epilog.removeprefix(start).partition("  (")[0].partition(" < ")[0]
    command.make_context(path[-1], shlex.split(example))


@pytest.mark.parametrize("path", [(), *GROUPS, *COMMANDS], ids=lambda path: " ".join(path) or "root")
def test_help_fits_80_columns(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert (
        "... " not in result.stdout.partition("Commands:")[2] and "...\n" not in result.stdout.partition("Commands:")[2]
    ), "a command's line is cut off"
    assert "Usage:" in result.stdout


def test_groups_have_help() -> None:
    for name, command in ROOT.commands.items():
        assert command.help, name


def test_version_goes_to_stdout() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"fraudgraph {__version__}\n")


@pytest.mark.parametrize("arguments", [["rings", "lst"], ["rings", "list", "--limt", "3"], ["nothing"]])
def test_a_slip_of_the_finger_is_a_usage_error_that_names_the_nearest(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error" in result.stderr or "Usage" in result.stderr


def test_completion_is_offered() -> None:
    result = CliRunner().invoke(app, ["--show-completion", "bash"])
    assert result.exit_code == 0
    assert "fraudgraph" in result.stdout or "complete" in result.stdout
