"""`fraudgraph schema`: what goes in and out, as JSON Schema generated from the code that reads and writes it."""

from __future__ import annotations

import typer

from fraudgraph.cli.output import print_json

commands = typer.Typer(no_args_is_help=True, help="Prints the schema of what fraudgraph reads and sends.")


@commands.command(epilog="Example: fraudgraph schema events")
def events() -> None:
    """Prints the JSON Schema of an event.

    Generated from the decoder's own types (draft 2020-12).
    """
    from fraudgraph.events.export import event_json_schema

    print_json(event_json_schema())


@commands.command(epilog="Example: fraudgraph schema alerts")
def alerts() -> None:
    """Prints the JSON Schema of an alert.

    As the daemon sends it to a topic or a file (draft 2020-12).
    """
    from fraudgraph.alerts.message import alert_json_schema

    print_json(alert_json_schema())
