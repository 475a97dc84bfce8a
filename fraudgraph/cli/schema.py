"""`fraudgraph schema`: what goes in, as JSON Schema generated from the code that reads it."""

from __future__ import annotations

import msgspec
import typer

from fraudgraph.cli.output import print_json
from fraudgraph.events.schema import Event

commands = typer.Typer(no_args_is_help=True, help="Prints the schema of what fraudgraph reads.")


@commands.command(epilog="Example: fraudgraph schema events")
def events() -> None:
    """Prints the JSON Schema (2020-12) of an event, generated from the decoder's own types."""
    schema = msgspec.json.schema(Event)
    print_json(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "fraudgraph event",
            "description": "One event a line (JSON Lines); `type` says which.",
            **schema,
        }
    )


@commands.callback()
def _group() -> None:
    """Prints the schema of what fraudgraph reads."""
