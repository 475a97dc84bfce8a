"""What only a file can do: be missing, foreign, damaged, newer, full, locked, and read while it is written."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.errors import ConfigurationError, DependencyError, FraudgraphError, StoreError
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.port import LINK_COLUMNS, USER_COLUMNS, CommitDelta, LineageRow
from fraudgraph.stores.sqlite import schema
from fraudgraph.stores.sqlite.connect import connect_reader, connect_writer
from fraudgraph.stores.sqlite.reader import SqliteReader
from fraudgraph.stores.sqlite.snapshot import EXACT_USERS
from fraudgraph.stores.sqlite.store import SqliteStore
from fraudgraph.testing.store_journal import START_MS, as_columns, ring_row

RULES = (LinkPolicy(), PriorityRules())
DEVICE = b"device-pseudonym"


def shared_device(commit: int, users: range, *, watermark_ms: int = START_MS) -> CommitDelta:
    """Users who sign up on one device; their numbers all say which commit wrote them."""
    links = [(user, user, EntityKind.DEVICE, 0, START_MS, START_MS, commit, 1, -1, -1, 0) for user in users]
    return CommitDelta(
        commit=commit,
        watermark_ms=watermark_ms,
        positions={"file:a": commit},
        entities=[(EntityKind.DEVICE, 0, DEVICE, ""), *((EntityKind.USER, u, f"user-{u}", "") for u in users)],
        links=as_columns(LINK_COLUMNS, links),
        users=as_columns(USER_COLUMNS, [(user, *(commit for _ in range(14))) for user in users]),
        rings=[ring_row("R-1", probability=1 / commit)],
        members={"R-1": [(user, 1 / commit) for user in users[:5]]},
        lineage=[LineageRow("R-1", "grew", commit, 0, len(users))],
    )


def claimed(path: Path, connect: Callable[[Path], sqlite3.Connection] = connect_writer) -> SqliteStore:
    store = SqliteStore(path, *RULES, connect=connect)
    store.claim()
    return store


def limited(pages: int) -> Callable[[Path], sqlite3.Connection]:
    """A disk that is full when the file has so many pages."""

    def connect(path: Path) -> sqlite3.Connection:
        db = connect_writer(path)
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    return connect


def impatient(path: Path) -> sqlite3.Connection:
    db = connect_writer(path)
    db.execute("PRAGMA busy_timeout = 10")
    return db


@pytest.mark.parametrize("opens", [SqliteReader, SqliteStore])
def test_newer_schema_is_refused(tmp_path: Path, opens: type[SqliteReader]) -> None:
    path = tmp_path / "shop.db"
    SqliteStore(path, *RULES).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match=f"version {schema.SCHEMA_VERSION + 1}.*Upgrade"):
        opens(path, *RULES)


def test_reader_asks_for_the_writer_where_the_schema_is_older(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.touch()
    with pytest.raises(StoreError, match="ingest"):
        SqliteReader(path, *RULES)
    SqliteStore(path, *RULES).close()
    assert SqliteReader(path, *RULES).rings() == []


@pytest.mark.parametrize("opens", [SqliteReader, SqliteStore])
def test_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, opens: type[SqliteReader]) -> None:
    path = tmp_path / "photos.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE photos (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="not a fraudgraph store"):
        opens(path, *RULES)
    assert path.read_bytes() == before


@pytest.mark.parametrize("opens", [SqliteReader, SqliteStore])
def test_garbage_is_refused_and_left_alone(tmp_path: Path, opens: type[SqliteReader]) -> None:
    path = tmp_path / "shop.db"
    path.write_bytes(b"not a database" * 999)
    with pytest.raises(DependencyError, match="not an SQLite file"):
        opens(path, *RULES)
    assert path.read_bytes() == b"not a database" * 999


def test_damaged_page_is_told(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    store = claimed(path)
    store.commit(shared_device(1, range(2_000)))
    store.close()
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.seek(size // 4)
        file.write(b"\xff" * (size // 2))
    with pytest.raises(DependencyError, match="damaged"):
        SqliteStore(path, *RULES).load()


def test_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="no folder"):
        SqliteStore(tmp_path / "none" / "shop.db", *RULES)


def test_missing_store_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="no store"):
        SqliteReader(tmp_path / "shop.db", *RULES)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_the_commit_before_and_a_usable_store(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    store = claimed(path)
    store.commit(shared_device(1, range(3)))
    store.close()
    store = claimed(path, limited(path.stat().st_size // 1024 + 40))
    with pytest.raises(DependencyError, match="disk space"):
        store.commit(shared_device(2, range(9_000)))
    assert store.load().commit == 1
    assert SqliteReader(path, *RULES).meta()["commit"] == "1"
    store.commit(shared_device(2, range(4)))
    assert store.load().links["count"].tolist() == [2, 2, 2, 2]


def test_locked_store_is_told_and_works_again(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    store = claimed(path, impatient)
    other = connect_writer(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DependencyError, match="locked"):
        store.commit(CommitDelta(commit=1, watermark_ms=0))
    other.execute("ROLLBACK")
    store.commit(CommitDelta(commit=1, watermark_ms=0))
    assert store.meta()["commit"] == "1"


def test_readers_see_whole_commits_and_do_not_hold_up_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    store = claimed(path, impatient)
    store.commit(shared_device(1, range(50)))
    reader = SqliteReader(path, *RULES)
    unfinished = store.load()
    for commit in range(2, 30):
        store.commit(shared_device(commit, range(50)))
        ring = reader.snapshot("R-1")
        assert ring is not None
        assert {link.count for link in ring.links} == {commit}
        assert {user.logins for user in ring.users} == {commit}
        assert (ring.probability, ring.positions) == (1 / commit, {"file:a": commit})
    assert unfinished.commit == 1
    assert len(list(unfinished.entities)) == 51


def test_commit_between_two_statements_of_a_reader_is_not_seen(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    store = claimed(path, impatient)
    store.commit(shared_device(1, range(50)))
    meanwhile: list[str] = []

    def interrupted(path: Path) -> sqlite3.Connection:
        db = connect_reader(path)

        def commit_once(statement: str) -> None:
            if "JOIN links" in statement and not meanwhile:
                meanwhile.append(statement)
                store.commit(shared_device(2, range(50)))

        db.set_trace_callback(commit_once)
        return db

    ring = SqliteReader(path, *RULES, connect=interrupted).snapshot("R-1")
    assert meanwhile
    assert ring is not None
    assert {link.count for link in ring.links} == {1}
    assert (ring.probability, ring.positions) == (1.0, {"file:a": 1})


def test_entities_of_a_load_are_of_its_commit(tmp_path: Path) -> None:
    store = claimed(tmp_path / "shop.db")
    store.commit(shared_device(1, range(50)))
    state = store.load()
    store.commit(shared_device(2, range(80)))
    assert sum(kind == EntityKind.USER for kind, *_ in state.entities) == 50


def test_readers_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    claimed(path).commit(shared_device(1, range(3)))
    with pytest.raises(DependencyError, match="cannot be written"):
        SqliteStore(path, *RULES, connect=lambda path: sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)).claim()


def test_write_ahead_log_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"

    def connect(path: Path) -> sqlite3.Connection:
        db = connect_writer(path)
        db.execute("PRAGMA wal_autocheckpoint = 100")
        return db

    store = claimed(path, connect)
    for commit in range(1, 40):
        store.commit(shared_device(commit, range(300)))
        SqliteReader(path, *RULES).close()
    assert path.with_name("shop.db-wal").stat().st_size < 1_000_000


def test_crowd_behind_an_identifier_is_counted_from_the_index(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    store = claimed(path)
    crowd = EXACT_USERS + 1
    store.commit(shared_device(1, range(crowd)))
    reader = SqliteReader(path, *RULES)
    ring = reader.snapshot("R-1")
    assert ring is not None
    assert {(link.users_active, link.hub, link.ties) for link in ring.links} == {(crowd, True, False)}


def test_row_that_the_tables_refuse_is_a_store_error(tmp_path: Path) -> None:
    store = claimed(tmp_path / "shop.db")
    with pytest.raises(StoreError, match="NOT NULL"):
        store.commit(CommitDelta(commit=1, watermark_ms=0, rings=[ring_row("R-1", rank=float("nan"))]))
    assert store.load().commit == 0


def test_keys_are_found_far_from_the_first_block(tmp_path: Path) -> None:
    store = claimed(tmp_path / "shop.db")
    delta = CommitDelta(commit=1, watermark_ms=0)
    delta.entities = [(EntityKind.USER, number, f"user-{number}", "") for number in range(0, 9_000, 3)]
    store.commit(delta)
    for number in (0, 1_023, 1_026, 8_997):
        found = store.find(EntityKind.USER, f"user-{number}")
        assert found is not None
        assert found.id == number


def test_reader_starts_without_numpy() -> None:
    program = "import fraudgraph.stores.url, fraudgraph.stores.sqlite.reader, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_errors_hold_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(FraudgraphError) as refusal:
        SqliteReader(tmp_path / "shop.db", *RULES)
    assert refusal.value.do
    assert refusal.value.exit_code == 5
