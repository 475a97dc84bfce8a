"""`fraudgraph services`: a real Kafka and a real Neo4j on this machine, to try the daemon; no production service."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.output import note, print_json
from fraudgraph.settings import NEO4J_PASSWORD_VARIABLE

if TYPE_CHECKING:
    from fraudgraph.services.kafka import KafkaServer
    from fraudgraph.services.neo4j import Neo4jServer

PARTITIONS = 4

commands = typer.Typer(
    help="Runs a real Kafka and Neo4j on this machine, to try things.",
    no_args_is_help=True,
)
FolderOption = Annotated[
    Path, typer.Option("--folder", help="Where settings, data, logs and process ids of the services are.")
]
DEFAULT_FOLDER = Path("services")


class Format(StrEnum):
    """How the result is written."""

    TEXT = "text"
    JSON = "json"


class Service(StrEnum):
    """What can be run."""

    KAFKA = "kafka"
    NEO4J = "neo4j"


OnlyOption = Annotated[Service | None, typer.Option("--only", help="One of the services; both if absent.")]


@commands.command(short_help="Starts a Kafka and a Neo4j on 127.0.0.1.", epilog="Example: fraudgraph services up")
def up(
    folder: FolderOption = DEFAULT_FOLDER,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of a new Kafka; 0 takes a free one.")] = 9092,
    topic: Annotated[str, typer.Option(help=f"Topic to make, with {PARTITIONS} partitions.")] = "shop-events",
    neo4j_port: Annotated[int, typer.Option(min=0, max=65535, help="Of a new Neo4j; 0 takes a free one.")] = 7687,
    only: OnlyOption = None,
) -> None:
    """Starts a single-node Kafka and a Neo4j on 127.0.0.1, and makes a topic; their data stay for the next start."""
    if only is not Service.NEO4J:
        kafka = _kafka(folder)
        kafka.start(port=port)
        kafka.make_topic(topic, PARTITIONS)
        note(f"Kafka answers at {kafka.bootstrap}, topic {topic}; its log is {kafka.log_file}")
    if only is not Service.KAFKA:
        neo4j = _neo4j(folder)
        neo4j.start(port=neo4j_port)
        note(f"Neo4j answers at {neo4j.url}; its log is {neo4j.log_file}")
        note(f"its password is in {neo4j.password_file}, for neo4j.password_file or {NEO4J_PASSWORD_VARIABLE}")


@commands.command(
    short_help="Writes a file's events into the topic.", epilog="Example: fraudgraph services fill world/events.jsonl"
)
def fill(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines.")],
    folder: FolderOption = DEFAULT_FOLDER,
    topic: Annotated[str, typer.Option(help="Topic to write to.")] = "shop-events",
) -> None:
    """Writes a file's events into the topic, each user's into one partition."""
    with file.open("rb") as lines:
        count = _kafka(folder).produce(topic, lines)
    note(f"{count:,} records written to {topic}")


@commands.command(epilog="Example: fraudgraph services down")
def down(folder: FolderOption = DEFAULT_FOLDER, only: OnlyOption = None) -> None:
    """Stops what `up` started; the data stay."""
    for service, server in _servers(folder).items():
        if only not in (None, service):
            continue
        if server.pid is None:
            note(f"{server.name} does not run")
        else:
            server.stop()
            note(f"{server.name} stopped")


@commands.command(epilog="Example: fraudgraph services status --format json")
def status(
    folder: FolderOption = DEFAULT_FOLDER,
    format: Annotated[Format, typer.Option("--format", help="Text or JSON on standard output.")] = Format.TEXT,
) -> None:
    """Says what runs, where, and where its log is."""
    kafka, neo4j = _kafka(folder), _neo4j(folder)
    bootstrap = None if kafka.pid is None else kafka.bootstrap
    url = None if neo4j.pid is None else neo4j.url
    if format is Format.JSON:
        print_json(
            {
                "kafka": {"pid": kafka.pid, "bootstrap": bootstrap, "log": str(kafka.log_file)},
                "neo4j": {
                    "pid": neo4j.pid,
                    "url": url,
                    "log": str(neo4j.log_file),
                    "password_file": str(neo4j.password_file),
                },
            }
        )
        return
    for service, address, server in ((Service.KAFKA, bootstrap, kafka), (Service.NEO4J, url, neo4j)):
        if address is None:
            typer.echo(f"{service}  down")
        else:
            typer.echo(f"{service}  up  {address}  process {server.pid}  log {server.log_file}")


def _servers(folder: Path) -> dict[Service, KafkaServer | Neo4jServer]:
    return {Service.KAFKA: _kafka(folder), Service.NEO4J: _neo4j(folder)}


def _kafka(folder: Path) -> KafkaServer:
    from fraudgraph.services.jars import cache_folder
    from fraudgraph.services.kafka import KafkaServer

    return KafkaServer(folder / "kafka", cache_folder())


def _neo4j(folder: Path) -> Neo4jServer:
    from fraudgraph.services.jars import cache_folder
    from fraudgraph.services.neo4j import Neo4jServer

    return Neo4jServer(folder / "neo4j", cache_folder())
