"""The queries that we give investigators run on a real store, and say what is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from support.cli import ROOT
from support.neo4j import Database

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.neo4j.access import connect, parse_url
from fraudgraph.stores.neo4j.store import Neo4jStore
from fraudgraph.stores.port import LINK_COLUMNS, TRANSFER_COLUMNS, AlertRow, CommitDelta, LineageRow
from fraudgraph.testing.store_cases import DECISION
from fraudgraph.testing.store_journal import DEVICE_KEY, IP_KEY, START_MS, as_columns, ring_row, small_shop

FILES = sorted((ROOT / "docs" / "cypher").glob("*.cypher"))
WRITES = re.compile(r"\b(CREATE|MERGE|SET|DELETE|REMOVE|CALL|LOAD)\b")
ZOE = 3
"""Account beside the ring: she uses its device, and Ann sent her money."""

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def ask(neo4j_database: Database) -> Iterator[Ask]:
    """Runs the query of a number, in a database that holds one small shop."""
    neo4j_database.wipe()
    address, options = parse_url(neo4j_database.url), neo4j_database.options
    with closing(Neo4jStore(address, options, LinkPolicy(), PriorityRules())) as store:
        store.claim()
        store.commit(
            replace(
                small_shop(1),
                rings=[ring_row("R-1", rank=4.0), ring_row("R-2", rank=9.0), ring_row("R-3", status="closed")],
                alerts=[AlertRow("A-1", "R-1", START_MS, 0.9, 10.0, "burst")],
                lineage=[LineageRow("R-1", "born", 3, 0, 2), LineageRow("R-3", "merged", 4, 2, 0, "R-1")],
            )
        )
        store.commit(
            CommitDelta(
                commit=2,
                watermark_ms=START_MS,
                entities=[(EntityKind.USER, ZOE, "zoe", "")],
                links=as_columns(
                    LINK_COLUMNS, [(6, ZOE, EntityKind.DEVICE, 0, START_MS - 9, START_MS, 2, 1, -1, -1, 0)]
                ),
                transfers=as_columns(TRANSFER_COLUMNS, [(1, 0, ZOE, 7, 9, 1, 900, 978, EventType.TRANSFER)]),
                decisions=[DECISION],
                lineage=[LineageRow("R-1", "grew", 5, 2, 3)],
            )
        )

    def run(number: str, **parameters: Any) -> list[dict[str, Any]]:
        (file,) = [file for file in FILES if file.name.startswith(number)]
        statement = file.read_text().strip().rstrip(";")
        with connect(address, options) as driver, driver.session() as session:
            return session.execute_read(lambda tx: tx.run(statement, parameters).data())

    yield run
    neo4j_database.wipe()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_says_what_it_answers_and_takes_and_writes_nothing(file: Any) -> None:
    text = file.read_text()
    assert text.startswith("// ")
    code = re.sub(r"(?m)^//.*$", "", text)
    assert not WRITES.search(code)
    said = re.search(r"(?m)^// Parameters?: (.*)$", text)
    named = set(re.findall(r"\b[a-z]+_[a-z_]+\b", re.sub(r"\([^)]*\)", "", said[1]))) if said else set()
    assert named == set(re.findall(r"\$(\w+)", code))


def test_there_are_ten() -> None:
    assert [file.name[:2] for file in FILES] == [f"{number:02}" for number in range(1, 11)]


def test_01_queue(ask: Ask) -> None:
    rows = ask("01")
    assert [(row["ring"], row["status"], row["probability"]) for row in rows] == [
        ("R-2", "open", 0.5),
        ("R-1", "open", 0.5),
    ]


def test_02_ring_as_a_picture(ask: Ask) -> None:
    """Each of three accounts has a way to the device and one to the IP."""
    assert len(ask("02", ring_id="R-1")) == 6


def test_03_what_ties_a_ring(ask: Ask) -> None:
    rows = ask("03", ring_id="R-1")
    found = [(row["kind"], row["pseudonym"], row["members"], row["others"], sorted(row["accounts"])) for row in rows]
    team = ["ann", "bob", "eve"]
    assert found == [("Ip", IP_KEY.hex(), 3, 0, team), ("Device", DEVICE_KEY.hex(), 3, 1, team)]


def test_04_account(ask: Ask) -> None:
    rows = ask("04", user_id="ann")
    assert [(row["kind"], row["mask"], row["uses"], row["accounts"]) for row in rows] == [
        ("Device", "dev 0", 4, 4),
        ("Ip", "ip 0", 4, 3),
    ]
    assert rows[0]["rings"] == [{"ring": "R-1", "status": "open", "probability": 0.9}]


def test_05_who_else(ask: Ask) -> None:
    assert ask("05", ring_id="R-1", hub_users=20) == [{"account": "zoe", "shared": 1, "what": ["Device dev 0"]}]
    assert ask("05", ring_id="R-1", hub_users=3) == []


def test_06_path_between_two_accounts(ask: Ask) -> None:
    (way,) = ask("06", user_id="bob", other_user_id="zoe")
    assert way["steps"] == 2


def test_07_money_between_accounts(ask: Ask) -> None:
    rows = ask("07", ring_id="R-1")
    found = [(row["sender"], row["receiver"], row["inside"], row["amount_minor"]) for row in rows]
    assert found == [("ann", "zoe", False, 900), ("ann", "bob", True, 500)]


def test_08_orders_of_a_ring(ask: Ask) -> None:
    rows = ask("08", ring_id="R-1")
    assert [(row["account"], row["orders"], row["amount_minor"]) for row in rows] == [
        ("ann", 1, 1_999),
        ("bob", 0, 0),
        ("eve", 0, 0),
    ]
    assert (rows[0]["refunded_minor"], rows[0]["charged_back_minor"], rows[0]["currency"]) == (10, 20, 978)


def test_09_life_of_a_ring(ask: Ask) -> None:
    assert [(row["what"], row["accounts_after"]) for row in ask("09", ring_id="R-1")] == [("born", 2), ("grew", 3)]
    assert [(row["what"], row["other_ring"]) for row in ask("09", ring_id="R-3")] == [("merged", "R-1")]


def test_10_alerts_and_verdicts(ask: Ask) -> None:
    (row,) = ask("10")
    assert (row["ring"], row["reason"]) == ("R-1", "burst")
    assert row["verdicts"] == [f"{DECISION.decision_id}: confirmed by zoe"]
