"""A store's URL names a file, or says what is wrong without repeating it."""

from __future__ import annotations

import socket
from dataclasses import astuple
from pathlib import Path

import pytest

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.neo4j.access import Neo4jOptions, parse_url
from fraudgraph.stores.url import is_neo4j, local_file, open_reader, open_store, sqlite_path

RULES = (LinkPolicy(), PriorityRules())


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///shop.db", Path("shop.db")),
        ("sqlite:///data/shop.db", Path("data/shop.db")),
        ("sqlite:////var/lib/shop.db", Path("/var/lib/shop.db")),
        ("sqlite:///a shop?#%20.db", Path("a shop?#%20.db")),
    ],
)
def test_url_names_a_file(url: str, path: Path) -> None:
    assert sqlite_path(url) == path


@pytest.mark.parametrize("url", ["shop.db", "", "sqlite://", "sqlite:///", "sqlite:////", "sqlite://host/shop.db"])
def test_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///"):
        sqlite_path(url)


@pytest.mark.parametrize("opens", [open_reader, open_store])
def test_unknown_scheme_is_refused_without_the_password(opens: object) -> None:
    assert callable(opens)
    with pytest.raises(ConfigurationError, match="'mysql'") as refusal:
        opens("mysql://root:secret@db/shop", *RULES)
    assert "secret" not in str(refusal.value)


def test_store_is_made_and_then_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/odd name?#%20.db"
    with pytest.raises(DependencyError, match="no store"):
        open_reader(url, *RULES)
    store = open_store(url, *RULES)
    assert store.claim() == 1
    assert open_reader(url, *RULES).meta()["epoch"] == "1"
    assert (tmp_path / "odd name?#%20.db").is_file()


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("neo4j://db", ("neo4j", "db", 7687, "neo4j", "neo4j", 0)),
        ("neo4j+s://fraud@db.example:7777/shop", ("neo4j+s", "db.example", 7777, "fraud", "shop", 0)),
        ("bolt://a%40b@[::1]/shop?space=3", ("bolt", "::1", 7687, "a@b", "shop", 3)),
    ],
)
def test_neo4j_url_is_taken_apart(url: str, parts: tuple[object, ...]) -> None:
    assert is_neo4j(url)
    assert astuple(parse_url(url)) == parts


@pytest.mark.parametrize(
    "url",
    [
        "neo4j://",
        "neo4j://fraud:secret@db",
        "neo4j://fraud:@db",
        "neo4j://db:port",
        "neo4j://db/shop/secret",
        "neo4j://db?password=secret",
        "neo4j://db?space=-1",
        "neo4j://db?space=4194304",
        "neo4j://db?space=1&space=2",
        "neo4j://db#secret",
        "neo4j://[db",
    ],
)
def test_neo4j_url_that_says_too_much_or_too_little_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        parse_url(url)
    assert "secret" not in str(refusal.value)


def test_what_belongs_to_a_store_is_beside_it() -> None:
    folder = Path("/var/lib/fraudgraph")
    assert local_file("sqlite:////srv/shop.db", folder) == Path("/srv/shop.db")
    assert local_file("neo4j://fraud@db:7777/shop", folder) == folder / "neo4j-db-7777-shop"
    assert local_file("neo4j://[::1]?space=2", folder) == folder / "neo4j-__1-7687-neo4j-2"


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for scheme in ("neo4j", "bolt", "neo4j+s"):
        with pytest.raises(DependencyError, match="does not answer") as refusal:
            open_store(f"{scheme}://127.0.0.1:{port}", *RULES, Neo4jOptions(password="secret-word", retry_max_ms=100))
        assert "secret-word" not in str(refusal.value)
    assert "secret-word" not in repr(Neo4jOptions(password="secret-word"))


def test_certificates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    options = Neo4jOptions(password="secret-word", ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(DependencyError):
        open_store("neo4j+s://127.0.0.1:1", *RULES, options)
