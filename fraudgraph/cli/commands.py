"""What people ask of the engine: recorded with author and time, and obeyed, at once or by the daemon at work."""

from __future__ import annotations

import getpass
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.output import note, print_json
from fraudgraph.cli.secrets import read_value
from fraudgraph.errors import UsageError
from fraudgraph.settings import AUTHOR_VARIABLE

if TYPE_CHECKING:
    from fraudgraph.cases.orders import Order
    from fraudgraph.settings import Settings

WAIT_S = 0.2
MAX_AUTHOR = 128


class Format(StrEnum):
    """How the result is written: text to standard error, or JSON to standard output."""

    TEXT = "text"
    JSON = "json"


AuthorOption = Annotated[
    str | None,
    typer.Option("--author", metavar="NAME", envvar=AUTHOR_VARIABLE, help="Who says so; your login if absent."),
]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Waits until it is applied, where a daemon is at work on the store.")
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="Result as text on standard error, or JSON on standard output.")
]
NoteOption = Annotated[
    str, typer.Option("--note", metavar="TEXT", help="Free text for colleagues, kept in the store; - reads it.")
]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A command that was recorded.

    Attributes:
        applied: whether the engine has taken it; else a daemon is about to.
        refused: why it was not obeyed, None where it was.
    """

    number: int
    applied: bool
    refused: str | None = None

    @property
    def source(self) -> str:
        """Where it stands in the journal; decisions and constraints name it."""
        return f"commands@{self.number}"


def give(settings: Settings, order: Order, *, author: str | None, wait: bool) -> Recorded:
    """Records an order and has it obeyed, by us or by the daemon that is at work.

    Raises:
        UsageError: it was refused, or there is no author.
    """
    from fraudgraph.cases.orders import write_order

    return give_command(settings, *write_order(order), author=author, wait=wait)


def give_command(
    settings: Settings, name: str, arguments: dict[str, str], *, author: str | None, wait: bool
) -> Recorded:
    """Does what `give` does with a command that is no order about cases."""
    from fraudgraph.app import obey_commands, record_command
    from fraudgraph.events.schema import Command

    command = Command(
        event_id=uuid.uuid4().hex, ts=datetime.now(UTC), name=name, author=_author(author), arguments=arguments
    )
    number = record_command(settings, command)
    obey_commands(settings)
    while not (recorded := _state(settings, number)).applied and wait:
        time.sleep(WAIT_S)
        obey_commands(settings)  # the daemon may have ended meanwhile
    if recorded.refused is not None:
        raise UsageError(
            f"command #{number} was refused: {recorded.refused}",
            do="Look at things as they are now, and say it again; the command is in `fraudgraph dead-letters list`.",
        )
    return recorded


def say(recorded: Recorded, document: dict[str, object], text: str, format: Format) -> None:
    """Says what came of a command: `text` where it was applied, that it is pending where not."""
    if format is Format.JSON:
        print_json({"command": recorded.number, "state": "applied" if recorded.applied else "pending", **document})
    elif recorded.applied:
        note(text)
    else:
        note(f"recorded #{recorded.number}, pending: the daemon at work on the store takes it with its next batch")


def read_note(text: str) -> str:
    """Returns a note; `-` reads it from standard input.

    Raises:
        UsageError: it is too long.
    """
    from fraudgraph.cases.orders import MAX_NOTE

    written = read_value("note", text, secret=False) if text else ""
    if len(written) > MAX_NOTE:
        raise UsageError(
            f"the note has {len(written):,} characters", do=f"Keep it to {MAX_NOTE:,}, and link to what is longer."
        )
    return written


def _author(given: str | None) -> str:
    try:
        author = given or getpass.getuser()
    except (OSError, KeyError):
        author = ""
    if not author or len(author) > MAX_AUTHOR:
        raise UsageError("nobody says who decides", do=f"Give --author NAME, of at most {MAX_AUTHOR} characters.")
    return author


def _state(settings: Settings, number: int) -> Recorded:
    from fraudgraph.app import open_reader
    from fraudgraph.stores.port import COMMANDS

    with closing(open_reader(settings)) as reader:
        if reader.commands_applied() < number:
            return Recorded(number, applied=False)
        letters = reader.dead_letters(partition=COMMANDS)
    refused = next((letter.detail for letter in letters if letter.offset == number), None)
    return Recorded(number, applied=True, refused=refused)
