"""Identifiers as people give them: secrets only by standard input, and never said again."""

from __future__ import annotations

import sys

import typer

from fraudgraph.errors import UsageError

STDIN = "-"


def read_value(name: str, given: str, *, secret: bool) -> str:
    """Returns the value of an option, read from standard input where `-` is given.

    Args:
        name: the option without dashes.
        given: what stands on the command line.
        secret: whether it must not stand there.

    Raises:
        UsageError: a secret stands on the command line, or nothing comes in.
    """
    if given != STDIN:
        if secret:
            raise refused(f"--{name}")
        return given
    value = str(typer.prompt(name, hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not value:
        raise UsageError(
            f"--{name} - reads standard input, and nothing came", do=f"Pipe it in, or type it: --{name} -."
        )
    return value


def refused(what: str) -> UsageError:
    """Returns the refusal of personal data on the command line; it does not repeat the value."""
    return UsageError(
        f"{what} gives personal data as an argument, which the shell's history and the process list keep",
        do="Type or pipe it into `fraudgraph find --email -` (or --card, --phone, --address, --user).",
    )
