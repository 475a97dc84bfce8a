"""What holds for every test: a skip is never silent, and in CI only absent real data may cause one.

Its folder is on the path, so that tests can import `support`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.neo4j import Database

ABSENT_DATA = "../shared/data"
"""Every reason for which a test may be skipped in CI names this folder."""

_skipped: list[tuple[str, str]] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collects every skipped test with its reason."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skipped.append((report.nodeid, reason))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fails a CI run in which a test was skipped for any other reason than absent real data."""
    unexplained = [(test, reason) for test, reason in _skipped if ABSENT_DATA not in reason]
    if os.environ.get("CI") and unexplained and exitstatus == pytest.ExitCode.OK:
        for test, reason in unexplained:
            print(f"\nskipped in CI: {test}: {reason}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def kafka_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Kafka in which tests make topics: the one in the environment, or one that lives for the session."""
    from support.kafka import TEST_VARIABLE, running

    given = os.environ.get(TEST_VARIABLE)
    if given:
        yield given
        return
    with running(tmp_path_factory.mktemp("kafka")) as server:
        yield server.bootstrap


@pytest.fixture(scope="session")
def neo4j_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A Neo4j in which tests make stores: the one in the environment, or one that lives for the session."""
    from support.neo4j import TEST_VARIABLE, Database, running

    from fraudgraph.settings import NEO4J_PASSWORD_VARIABLE
    from fraudgraph.stores.neo4j.access import Neo4jOptions

    given = os.environ.get(TEST_VARIABLE)
    if given:
        yield Database(given, Neo4jOptions(password=os.environ.get(NEO4J_PASSWORD_VARIABLE, "")))
        return
    with running(tmp_path_factory.mktemp("neo4j")) as server:
        yield Database(server.url, Neo4jOptions(password=server.password))
