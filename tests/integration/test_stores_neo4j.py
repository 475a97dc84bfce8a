"""An engine on a real Neo4j: the same end as on SQLite, whoever is killed; one writer; one commit for each read."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import command, environment, fraudgraph
from support.neo4j import Database, running

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.app import make_engine
from fraudgraph.errors import DependencyError, FencedError, StoreError
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.services.neo4j import Neo4jServer
from fraudgraph.settings import NEO4J_PASSWORD_VARIABLE, load_settings
from fraudgraph.stores.neo4j.access import Neo4jAddress, Neo4jOptions, parse_url
from fraudgraph.stores.neo4j.behind import Limits
from fraudgraph.stores.neo4j.reader import Neo4jReader
from fraudgraph.stores.neo4j.store import Neo4jStore
from fraudgraph.stores.port import LINK_COLUMNS, USER_COLUMNS, CommitDelta, LineageRow, Store
from fraudgraph.stores.sqlite.store import SqliteStore
from fraudgraph.testing.canonical import GraphView, graph_view, rings_view
from fraudgraph.testing.store_journal import START_MS, as_columns, plain_image, ring_row

RULES = (LinkPolicy(), PriorityRules())
KEY = {"FRAUDGRAPH_KEY": "5e" * 32}
WRITER_KILLS = int(os.environ.get("FRAUDGRAPH_TEST_WRITER_KILLS", "3"))
SERVER_KILLS = int(os.environ.get("FRAUDGRAPH_TEST_SERVER_KILLS", "1"))
"""CI kills a few times; a long run says how often by these variables."""
BATCH = 50
LIMIT_S = 240.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events of a small shop with rings in it."""
    folder = tmp_path_factory.mktemp("world")
    said = fraudgraph("simulate", "--users", 300, "--days", 8, "--seed", 5, "--out", folder)
    assert said.code == 0, said.err
    return folder / "events.jsonl"


@pytest.fixture(scope="module")
def clean(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded store of a run in which nothing happened."""
    file = tmp_path_factory.mktemp("clean") / "shop.db"
    said = fraudgraph("ingest", world, "--store", f"sqlite:///{file}", *_small_batches(), env=KEY)
    assert said.code == 0, said.err
    return file


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Neo4jServer]:
    """A server that may be killed."""
    with running(tmp_path / "neo4j") as server:
        yield server


def _small_batches() -> list[str]:
    return ["--set", f"ingest.batch_events={BATCH}"]


def _variables(options: Neo4jOptions) -> dict[str, str]:
    return KEY | {NEO4J_PASSWORD_VARIABLE: options.password}


def _commit(address: Neo4jAddress, options: Neo4jOptions) -> int:
    """Returns the last commit, 0 where there is no store yet."""
    try:
        with closing(Neo4jReader(address, options, *RULES)) as reader:
            return int(reader.meta()["commit"])
    except DependencyError:
        return 0


def _end_state(store: Store) -> tuple[GraphView, dict[int, frozenset[str]], dict[str, int]]:
    """Returns what must be the same whatever happened: graph and components, rings by serial, positions."""
    state = store.load()
    engine = make_engine(load_settings(environment={}).settings)
    engine.restore(state)
    return graph_view(engine), rings_view(engine), state.positions


def _same_as_clean(address: Neo4jAddress, options: Neo4jOptions, clean: Path) -> None:
    with closing(Neo4jStore(address, options, *RULES)) as ours, closing(SqliteStore(clean, *RULES)) as theirs:
        assert _end_state(ours) == _end_state(theirs)
        assert [alert.alert_id for alert in ours.alerts()] == [alert.alert_id for alert in theirs.alerts()]


def test_ingest_queue_report_and_decision_on_neo4j(
    neo4j_database: Database, world: Path, clean: Path, tmp_path: Path
) -> None:
    url, env = neo4j_database.fresh_url(), _variables(neo4j_database.options)
    where = ["--store", url, "--set", f"neo4j.local_folder={tmp_path}"]
    said = fraudgraph("ingest", world, *where, *_small_batches(), env=env)
    assert said.code == 0, said.err
    address = parse_url(url)
    with (
        closing(Neo4jReader(address, neo4j_database.options, *RULES)) as ours,
        closing(SqliteStore(clean, *RULES)) as theirs,
    ):
        assert plain_image(ours.image()) == plain_image(theirs.image()), "every row is the same, by the same number"
        rings = ours.rings()
        assert rings == theirs.rings()
        assert not ours.is_at_work()
    listed = fraudgraph("rings", "list", *where, "--format", "json", env=env)
    assert listed.code == 0, listed.err
    ring_id = rings[0].ring_id
    shown = fraudgraph("rings", "show", ring_id, *where, "--format", "json", env=env)
    assert shown.code == 0, shown.err
    decided = fraudgraph(
        "rings", "decide", ring_id, "confirmed", "--reason", "chargebacks", "--author", "zoe", *where, env=env
    )
    assert decided.code == 0, decided.err
    with closing(Neo4jReader(address, neo4j_database.options, *RULES)) as reader:
        assert [each.ring_id for each in reader.decisions()] == [ring_id]
    snapshots = list(tmp_path.glob("neo4j-*.snapshot"))
    assert len(snapshots) == 1
    again = fraudgraph("ingest", world, *where, "--format", "json", env=env)
    assert again.json["events"] == 0
    assert fraudgraph("doctor", *where, env=env).code == 0


def test_a_writer_killed_at_any_instant_leaves_the_store_of_a_clean_run(
    neo4j_database: Database, world: Path, clean: Path, tmp_path: Path
) -> None:
    url, options = neo4j_database.fresh_url(), neo4j_database.options
    address, chance, kills = parse_url(url), random.Random(20260301), 0
    words = ["ingest", world, "--store", url, "--set", f"neo4j.local_folder={tmp_path}", *_small_batches()]
    deadline = time.monotonic() + LIMIT_S * (1 + WRITER_KILLS)
    while kills < WRITER_KILLS:
        before = _commit(address, options)
        with (tmp_path / "log").open("ab") as log:
            writer = subprocess.Popen(command(words), stderr=log, env=environment(_variables(options)), cwd=tmp_path)
        while writer.poll() is None and _commit(address, options) <= before and time.monotonic() < deadline:
            time.sleep(chance.uniform(0.0, 0.05))
        if writer.poll() is not None:
            break  # it was faster than we
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        kills += 1
    assert kills, (tmp_path / "log").read_text()
    print(f"{kills} kills of the writer in {_commit(address, options)} commits")
    said = fraudgraph(*words, env=_variables(options))
    assert said.code == 0, said.err
    _same_as_clean(address, options, clean)


def test_a_server_killed_at_any_instant_leaves_the_store_of_a_clean_run(
    own_server: Neo4jServer, world: Path, clean: Path, tmp_path: Path
) -> None:
    options = Neo4jOptions(password=own_server.password, retry_max_ms=1_000)
    address, chance, kills = parse_url(own_server.url), random.Random(20260302), 0
    words = [
        *("ingest", world, "--store", own_server.url, "--set", f"neo4j.local_folder={tmp_path}"),
        *("--set", "neo4j.retry_max_seconds=1", *_small_batches()),
    ]
    while kills < SERVER_KILLS:
        before = _commit(address, options)
        with (tmp_path / "log").open("ab") as log:
            writer = subprocess.Popen(command(words), stderr=log, env=environment(_variables(options)), cwd=tmp_path)
        deadline = time.monotonic() + LIMIT_S
        while writer.poll() is None and _commit(address, options) <= before and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(chance.uniform(0.0, 0.1))
        own_server.kill()
        code = writer.wait(timeout=LIMIT_S)
        own_server.start()
        if code == 0:
            break  # it was faster than we
        assert code == DependencyError.exit_code, (tmp_path / "log").read_text()
        kills += 1
    assert kills
    print(f"{kills} kills of the server")
    said = fraudgraph(*words, env=_variables(options))
    assert said.code == 0, said.err
    _same_as_clean(address, options, clean)


def _stamped(commit: int, *, rows: int = 200, members: int = 20) -> CommitDelta:
    """A commit that writes its own number into everything that a ring's evidence is read from."""
    slots = range(rows)
    entities = [(EntityKind.USER, slot, f"user-{slot}", "") for slot in slots]
    return CommitDelta(
        commit=commit,
        watermark_ms=START_MS + commit,
        positions={"file:a": commit},
        entities=[*entities, (EntityKind.DEVICE, 0, b"device-pseudonym", "")] if commit == 1 else [],
        links=as_columns(
            LINK_COLUMNS,
            [(slot, slot, EntityKind.DEVICE, 0, START_MS, START_MS, commit, 1, -1, -1, 0) for slot in slots],
        ),
        users=as_columns(USER_COLUMNS, [(slot, *(commit for _ in range(14))) for slot in slots]),
        rings=[ring_row("R-1", probability=1 / commit)],
        members={"R-1": [(user, 1 / commit) for user in range(members)]},
        lineage=[LineageRow("R-1", "grew", commit, 0, 1)],
    )


def test_a_reader_beside_a_writer_sees_one_commit(neo4j_database: Database) -> None:
    address, options = neo4j_database.fresh(), neo4j_database.options
    ended = threading.Event()
    with (
        closing(Neo4jStore(address, options, *RULES)) as store,
        closing(Neo4jReader(address, options, *RULES)) as reader,
    ):
        store.claim()
        store.commit(_stamped(1))

        def write() -> None:
            commit = 1
            while not ended.is_set():
                commit += 1
                store.commit(_stamped(commit))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(40):
                ring = reader.snapshot("R-1")
                assert ring is not None
                seen = {round(1 / ring.probability), ring.lineage[-1].at_ms, ring.positions["file:a"]}
                seen |= {user.logins for user in ring.users} | {link.count for link in ring.links}
                seen |= {round(1 / user.probability) for user in ring.users} | {len(ring.lineage)}
                assert seen == {ring.as_of_ms - START_MS}
        finally:
            ended.set()
            writer.join()


def test_two_writers_never_write_one_commit_twice(neo4j_database: Database) -> None:
    address, options = neo4j_database.fresh(), neo4j_database.options
    done: list[int] = []
    fenced: list[int] = []

    def write(number: int) -> None:
        chance = random.Random(number)
        with closing(Neo4jStore(address, options, *RULES)) as store:
            for _ in range(6):
                store.claim()
                commit = store.load().commit
                try:
                    for step in range(1, 1 + chance.randrange(1, 4)):
                        store.commit(_stamped(commit + step, rows=5, members=2))
                        done.append(commit + step)
                except (FencedError, StoreError):
                    fenced.append(number)

    Neo4jStore(address, options, *RULES).close()
    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(done) == list(range(1, len(done) + 1))
    assert fenced
    with closing(Neo4jReader(address, options, *RULES)) as reader:
        assert reader.meta()["commit"] == str(len(done))
        assert [step.at_ms for step in reader.lineage("R-1")] == sorted(done)


def test_a_commit_whose_answer_was_lost_is_written_once(neo4j_database: Database) -> None:
    address, options = neo4j_database.fresh(), neo4j_database.options
    with closing(ForgetfulStore(address, options, *RULES)) as store:
        store.claim()
        store.commit(_stamped(1, rows=5, members=2))
        delta = _stamped(2, rows=5, members=2)
        store.forget_next = True
        with pytest.raises(DependencyError):
            store.commit(delta)
        store.commit(delta)
        store.commit(_stamped(3, rows=5, members=2))
        assert [step.at_ms for step in store.lineage("R-1")] == [1, 2, 3]
        with pytest.raises(StoreError, match="not the next"):
            store.commit(replace(delta))


def test_a_commit_behind_one_whose_answer_was_lost_knows_what_that_left_waiting(neo4j_database: Database) -> None:
    address, options = neo4j_database.fresh(), neo4j_database.options
    with closing(ForgetfulStore(address, options, *RULES, limits=Limits(straight_rows=3))) as store:
        store.claim()
        for commit in (1, 2):
            store.commit(_stamped(commit, rows=5, members=2))
        store.forget_next = True
        with pytest.raises(DependencyError):
            store.commit(_stamped(3, rows=5, members=2))
        one = {name: column[-1:] for name, column in _stamped(4, rows=5).links.items()}
        store.commit(CommitDelta(commit=4, watermark_ms=START_MS + 4, links=one))
        assert store.load().links["count"].tolist() == [3, 3, 3, 3, 4]
    with closing(Neo4jReader(address, options, *RULES)) as reader:
        assert reader.image().delta.links["count"].tolist() == [3, 3, 3, 3, 4]


class ForgetfulStore(Neo4jStore):
    """Loses the server's answer to a commit that went through."""

    forget_next = False

    def _write(self, work):  # type: ignore[no-untyped-def]  # as of the store
        found = super()._write(work)
        if self.forget_next:
            self.forget_next = False
            raise DependencyError("the answer was lost", do="Try again.")
        return found


def test_whether_a_writer_is_at_work_is_seen_from_elsewhere(neo4j_database: Database) -> None:
    address, options = neo4j_database.fresh(), neo4j_database.options
    with (
        closing(Neo4jStore(address, options, *RULES)) as store,
        closing(Neo4jReader(address, options, *RULES)) as reader,
    ):
        assert not reader.is_at_work()
        with store.at_work():
            store.claim()
            assert reader.is_at_work()
        store.close()
        assert not reader.is_at_work()


def test_a_restore_that_did_not_end_is_refused_and_one_that_did_goes_on(neo4j_database: Database) -> None:
    source, half, whole = (neo4j_database.fresh() for _ in range(3))
    options = neo4j_database.options
    with closing(Neo4jStore(source, options, *RULES)) as store:
        store.claim()
        store.commit(_stamped(1, rows=5, members=2))
        image, torn = store.image(), store.image()
        torn.delta.entities = []  # its links speak of nobody
        with closing(Neo4jStore(half, options, *RULES)) as target, pytest.raises(StoreError, match="not there"):
            target.restore(torn)
        with closing(Neo4jStore(whole, options, *RULES)) as target:
            target.restore(image)
            target.claim()
            target.commit(_stamped(2, rows=5, members=2))
            assert [step.at_ms for step in target.lineage("R-1")] == [1, 2]
    for opens in (Neo4jReader, Neo4jStore):
        with pytest.raises(StoreError, match="did not end"):
            opens(half, options, *RULES)


def test_a_load_tells_how_far_it_is(neo4j_database: Database) -> None:
    told: list[tuple[int, int]] = []
    address, options = neo4j_database.fresh(), neo4j_database.options
    with closing(Neo4jStore(address, options, *RULES, on_load=lambda *rows: told.append(rows))) as store:
        store.claim()
        store.commit(_stamped(1))
        store.load()
    read = [rows for rows, _ in told]
    assert read == sorted(read)
    assert read[-1] >= 400, "200 links and 200 accounts"
    assert all(rows <= rows_all for rows, rows_all in told)
