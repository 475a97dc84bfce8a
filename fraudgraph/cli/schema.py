"""`fraudgraph schema`: what goes in, as JSON Schema generated from the code that reads it."""

from __future__ import annotations

import typer

from fraudgraph.cli.output import print_json

commands = typer.Typer(no_args_is_help=True, help="Prints the schema of what fraudgraph reads.")


@commands.callback()
def _group() -> None:
    """Prints the schema of what fraudgraph reads."""  # a group of one command would otherwise be that command


@commands.command(epilog="Example: fraudgraph schema events")
def events() -> None:
    """Prints the JSON Schema of an event.

    Generated from the decoder's own types (draft 2020-12).
    """
    from fraudgraph.events.export import event_json_schema

    print_json(event_json_schema())
