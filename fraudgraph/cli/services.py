"""`fraudgraph services`: a real Kafka on this machine, to try the daemon out; no production service."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.output import note, print_json

if TYPE_CHECKING:
    from fraudgraph.services.kafka import KafkaServer

PARTITIONS = 4

commands = typer.Typer(
    help="Runs a real Kafka on this machine, to try the daemon out. Needs Java 17 and Maven.", no_args_is_help=True
)
FolderOption = Annotated[
    Path, typer.Option("--folder", help="Where settings, data, logs and process ids of the services are.")
]
DEFAULT_FOLDER = Path("services")


class Format(StrEnum):
    """How the result is written."""

    TEXT = "text"
    JSON = "json"


@commands.command(epilog="Example: fraudgraph services up")
def up(
    folder: FolderOption = DEFAULT_FOLDER,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of a new Kafka; 0 takes a free one.")] = 9092,
    topic: Annotated[str, typer.Option(help=f"Topic to make, with {PARTITIONS} partitions.")] = "shop-events",
) -> None:
    """Starts a single-node Kafka on 127.0.0.1 and makes a topic; its data stay for the next start."""
    server = _server(folder)
    server.start(port=port)
    server.make_topic(topic, PARTITIONS)
    note(f"Kafka answers at {server.bootstrap}, topic {topic}; its log is {server.log_file}")


@commands.command(epilog="Example: fraudgraph services fill world/events.jsonl")
def fill(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines.")],
    folder: FolderOption = DEFAULT_FOLDER,
    topic: Annotated[str, typer.Option(help="Topic to write to.")] = "shop-events",
) -> None:
    """Writes a file's events into the topic, each user's into one partition."""
    with file.open("rb") as lines:
        count = _server(folder).produce(topic, lines)
    note(f"{count:,} records written to {topic}")


@commands.command(epilog="Example: fraudgraph services down")
def down(folder: FolderOption = DEFAULT_FOLDER) -> None:
    """Stops what `up` started; the data stay."""
    server = _server(folder)
    if server.pid is None:
        note("Kafka does not run")
        return
    server.stop()
    note("Kafka stopped")


@commands.command(epilog="Example: fraudgraph services status --format json")
def status(
    folder: FolderOption = DEFAULT_FOLDER,
    format: Annotated[Format, typer.Option("--format", help="Text or JSON on standard output.")] = Format.TEXT,
) -> None:
    """Says what runs, where, and where its log is."""
    server = _server(folder)
    pid = server.pid
    address = None if pid is None else server.bootstrap
    if format is Format.JSON:
        print_json({"kafka": {"pid": pid, "bootstrap": address, "log": str(server.log_file)}})
    elif pid is None:
        typer.echo("kafka  down")
    else:
        typer.echo(f"kafka  up  {address}  process {pid}  log {server.log_file}")


def _server(folder: Path) -> KafkaServer:
    from fraudgraph.services.jars import cache_folder
    from fraudgraph.services.kafka import KafkaServer

    return KafkaServer(folder / "kafka", cache_folder())
