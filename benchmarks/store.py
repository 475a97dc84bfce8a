"""The SQLite store at 1M users and 3M links: commits beside bare upserts of the same rows, load, readers, size.

`python -m benchmarks.store [--users 1000000] [--batches 100]`
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.port import LINK_COLUMNS, ORDER_COLUMNS, USER_COLUMNS, CommitDelta, LineageRow, RingRow
from fraudgraph.stores.sqlite.connect import connect_writer
from fraudgraph.stores.sqlite.reader import SqliteReader
from fraudgraph.stores.sqlite.store import SqliteStore
from fraudgraph.stores.sqlite.write import write_delta

START_MS: Final = 1_770_000_000_000
STEP_MS: Final = 200_000
LINKS_PER_USER: Final = 3
EVENTS: Final = 1_000
LINKS_TOUCHED: Final = 3_600
FRESH: Final = 0.12
SKEW: Final = 4.0
ORDERS: Final = 400
TRANSFERS: Final = 40
RINGS_TOUCHED: Final = 60
RING_USERS: Final = 6
BULK: Final = 50_000
POLICY: Final = LinkPolicy()
PRIORITY: Final = PriorityRules()
KINDS: Final = (EntityKind.DEVICE, EntityKind.IP, EntityKind.EMAIL)

_START_READER: Final = """
import sys
from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.url import open_reader
reader = open_reader("sqlite:///" + sys.argv[1], LinkPolicy(), PriorityRules())
rings = reader.rings(limit=50)
assert reader.snapshot(rings[0].ring_id).users
"""

# The rival: what anybody would write who only wants these rows in these tables.
_BARE: Final = {
    "entities": "INSERT INTO entities VALUES (?, ?, ?) ON CONFLICT (ref) DO UPDATE SET mask = excluded.mask",
    "links": """INSERT INTO links VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (slot) DO UPDATE SET first_ms = excluded.first_ms, last_ms = excluded.last_ms,
        count = excluded.count, sources = excluded.sources, prev_first_ms = excluded.prev_first_ms,
        prev_last_ms = excluded.prev_last_ms, prev_count = excluded.prev_count""",
    "users": "INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "orders": """INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (slot) DO UPDATE SET refunded_minor = excluded.refunded_minor, status = excluded.status""",
    "transfers": """INSERT INTO transfers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (slot) DO UPDATE SET count = excluded.count, amount_minor = excluded.amount_minor""",
    "rings": """INSERT INTO rings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (ring_id) DO UPDATE SET probability = excluded.probability, rank = excluded.rank,
        value_at_risk_minor = excluded.value_at_risk_minor, last_seen_ms = excluded.last_seen_ms""",
    "members": """INSERT INTO members VALUES (?, ?, ?)
        ON CONFLICT (ring_id, user) DO UPDATE SET probability = excluded.probability""",
    "lineage": """INSERT INTO lineage (ring_id, what, at_ms, users_before, users_after, other_ring_id, cause)
        VALUES (?, ?, ?, ?, ?, ?, ?)""",
    "seen": "INSERT INTO seen VALUES (?, ?, ?, ?)",
}


@dataclass(slots=True)
class Recorder:
    """Stands in for a connection and keeps the rows that a commit would write, for the rival."""

    batches: list[tuple[str, list[Any]]] = field(default_factory=list)
    rowcount: int = 0

    def executemany(self, statement: str, rows: Any) -> Recorder:
        """Keeps the rows under their table's bare statement."""
        kept = list(rows)
        self.rowcount = len(kept)
        if kept:
            table = statement.split("INTO ")[1].split()[0] if "INTO " in statement else ""
            self.batches.append((_BARE.get(table, statement), kept))
        return self

    def execute(self, statement: str, row: tuple[Any, ...] = ()) -> Recorder:
        """Keeps one row."""
        return self.executemany(statement, [row])


@dataclass(slots=True)
class World:
    """Makes deltas of the benchmark's mix: most of a batch refreshes links, 12 % of its identifiers are new."""

    users: int
    rng: np.random.Generator
    commit: int = 0
    links: int = 0
    idents: int = 0
    orders: int = 0
    transfers: int = 0

    @property
    def rings(self) -> int:
        """How many rings the world has: one for every 20 users."""
        return self.users // 20

    def fill(self, bulk: int = BULK) -> Iterator[CommitDelta]:
        """Yields the population by so many users: three links, one order and one entity row per user and identifier."""
        for first in range(0, self.users, bulk):
            user = np.arange(first, min(self.users, first + bulk))
            delta = self._delta()
            delta.entities = [(0, number, f"user-{number}", "") for number in user.tolist()]
            self._add_links(delta, np.repeat(user, LINKS_PER_USER), np.tile(KINDS, len(user)))
            delta.users = self._activity(user)
            self._add_orders(delta, user)
            rings = np.unique(user // 20)
            self._add_rings(delta, rings[rings < self.rings])
            yield delta

    def batch(self) -> CommitDelta:
        """Returns the delta of 1,000 events."""
        delta = self._delta()
        user = np.unique((self.users * self.rng.random(EVENTS) ** SKEW).astype(np.int64))
        slot = np.unique(
            (self.users * self.rng.random(LINKS_TOUCHED) ** SKEW).astype(np.int64) * LINKS_PER_USER
            + self.rng.integers(0, LINKS_PER_USER, LINKS_TOUCHED)
        )
        new = int(len(slot) * FRESH)
        slot = slot[self.rng.permutation(len(slot))[new:]]
        slot.sort()
        delta.links = self._links(slot, slot // LINKS_PER_USER, np.array(KINDS)[slot % LINKS_PER_USER], slot)
        self._add_links(delta, self.rng.choice(user, new), self.rng.choice(KINDS, new))
        delta.users = self._activity(user)
        self._add_orders(delta, self.rng.choice(user, ORDERS))
        self._add_transfers(delta, self.rng.choice(user, TRANSFERS))
        self._add_rings(delta, np.unique(self.rng.integers(0, self.rings, RINGS_TOUCHED)))
        delta.seen_keys = [self.rng.bytes(16) for _ in range(EVENTS)]
        delta.seen_ts_ms = [delta.watermark_ms] * EVENTS
        delta.positions = {"file:events.jsonl": delta.commit * EVENTS}
        delta.clocks_ms = {"file:events.jsonl": delta.watermark_ms}
        return delta

    def _delta(self) -> CommitDelta:
        self.commit += 1
        return CommitDelta(commit=self.commit, watermark_ms=START_MS + self.commit * STEP_MS)

    def _times(self, n: int) -> npt.NDArray[np.int64]:
        return START_MS + self.commit * STEP_MS - self.rng.integers(0, STEP_MS, n)

    def _links(
        self,
        slot: npt.NDArray[np.int64],
        user: npt.NDArray[np.int64],
        kind: npt.NDArray[np.int64],
        ident: npt.NDArray[np.int64],
    ) -> dict[str, npt.NDArray[np.generic]]:
        n = len(slot)
        first, last = self._times(n) - 30 * STEP_MS, self._times(n)
        count, sources = self.rng.integers(1, 50, n), self.rng.integers(1, 255, n)
        never = np.full(n, -1)
        columns = (slot, user, kind, ident, first, last, count, sources, never, never, np.zeros(n, np.int64))
        return dict(zip(LINK_COLUMNS, columns, strict=True))

    def _add_links(self, delta: CommitDelta, user: npt.NDArray[np.int64], kind: npt.NDArray[np.int64]) -> None:
        slot = np.arange(self.links, self.links + len(user))
        self.links += len(user)
        added = self._links(slot, user, kind, slot)
        delta.links = (
            {name: np.concatenate([delta.links[name], added[name]]) for name in added} if delta.links else added
        )
        delta.entities += [
            (k, i, self.rng.bytes(16), "masked") for k, i in zip(kind.tolist(), slot.tolist(), strict=True)
        ]

    def _activity(self, user: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.generic]]:
        n = len(user)
        times = {name: self._times(n) for name in USER_COLUMNS if name.endswith("_ms")}
        counts = {name: self.rng.integers(0, 9, n) for name in USER_COLUMNS if not name.endswith("_ms")}
        return times | counts | {"user": user}

    def _add_orders(self, delta: CommitDelta, user: npt.NDArray[np.int64]) -> None:
        n = len(user)
        slot = np.arange(self.orders, self.orders + n)
        self.orders += n
        zero = np.zeros(n, np.int64)
        columns = (slot, user, self._times(n), self.rng.integers(500, 90_000, n), zero, zero, zero + 978, zero + 2)
        delta.orders = dict(zip(ORDER_COLUMNS, columns, strict=True))
        delta.order_keys = [self.rng.bytes(16) for _ in range(n)]

    def _add_transfers(self, delta: CommitDelta, sender: npt.NDArray[np.int64]) -> None:
        n = len(sender)
        slot = np.arange(self.transfers, self.transfers + n)
        self.transfers += n
        times = self._times(n)
        delta.transfers = {
            "slot": slot,
            "from_user": sender,
            "to_user": sender + 1,
            "first_ms": times,
            "last_ms": times,
            "count": np.ones(n, np.int64),
            "amount_minor": self.rng.integers(500, 90_000, n),
            "currency": np.full(n, 978),
            "kind": np.full(n, EventType.TRANSFER),
        }

    def _add_rings(self, delta: CommitDelta, rings: npt.NDArray[np.int64]) -> None:
        chances = self.rng.random(len(rings)).tolist()
        for number, chance in zip(rings.tolist(), chances, strict=True):
            ring_id = f"R-{number:08d}"
            value, last_ms = int(chance * 500_000), delta.watermark_ms
            row = RingRow(
                ring_id=ring_id,
                status="open",
                probability=chance,
                rank=PRIORITY.rank(value, RING_USERS, chance, last_ms),
                value_at_risk_minor=value,
                currency=978,
                users=RING_USERS,
                identifiers=RING_USERS,
                first_seen_ms=START_MS,
                last_seen_ms=last_ms,
                reason="6 users share a device; 4 of them within an hour",
                scorer="structural-1",
                contributions={"burst": chance, "rotation": 0.4, "declined-payments": -0.25, "labels-nearby": 0.125},
            )
            delta.rings.append(row)
            delta.members[ring_id] = [(20 * number + i, chance) for i in range(RING_USERS)]
            delta.lineage.append(LineageRow(ring_id, "grew", last_ms, RING_USERS - 1, RING_USERS))


@dataclass(slots=True)
class Clock:
    """Adds up wall and CPU seconds, and keeps the longest call."""

    wall: float = 0.0
    cpu: float = 0.0
    longest: float = 0.0

    def time(self, call: Callable[[], Any]) -> Any:
        """Calls, counts, and returns what came back."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = call()
        self.cpu += time.process_time() - cpu
        spent = time.perf_counter() - wall
        self.wall += spent
        self.longest = max(self.longest, spent)
        return result


def bare_commit(db: sqlite3.Connection, batches: list[tuple[str, list[Any]]]) -> None:
    """Writes a batch's rows and nothing else."""
    db.execute("BEGIN IMMEDIATE")
    for statement, rows in batches:
        db.executemany(statement, rows)
    db.execute("COMMIT")


def recorded(delta: CommitDelta) -> list[tuple[str, list[Any]]]:
    """Returns the statements and rows of a commit, ready to run."""
    recorder = Recorder()
    write_delta(recorder, delta)  # type: ignore[arg-type]  # stands in for the connection
    return recorder.batches


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), arguments.users, arguments.batches)


def run(folder: Path, users: int, batches: int) -> None:
    """Fills a store, copies it for the rival, commits to both in turns, then reads."""
    table = Table("what", "measured", "bar", title=f"SQLite store, {users:,} users, {users * LINKS_PER_USER:,} links")
    world, path, rival_path = World(users, np.random.default_rng(7)), folder / "store.db", folder / "bare.db"
    store = SqliteStore(path, POLICY, PRIORITY)
    store.claim()
    store.bind(key_id="benchmark", policy_hash=POLICY.hash, policy_version=POLICY.version)
    filling = Clock()
    for delta in world.fill():
        filling.time(lambda delta=delta: store.commit(delta))
    store.close()
    table.add_row("fill, links/s", f"{world.links / filling.wall:,.0f}", "")
    table.add_row("file, MB", f"{path.stat().st_size / 1e6:,.0f}", "")
    shutil.copy(path, rival_path)
    store, rival = SqliteStore(path, POLICY, PRIORITY), connect_writer(rival_path)
    store.claim()
    ours, bare, rows = Clock(), Clock(), 0
    for _ in range(batches):
        delta = world.batch()
        work = recorded(delta)
        rows += sum(len(batch) for _, batch in work)
        ours.time(lambda delta=delta: store.commit(delta))
        bare.time(lambda work=work: bare_commit(rival, work))
    rival.close()
    per_event = rows / batches / EVENTS
    wal = path.with_name(path.name + "-wal").stat().st_size
    table.add_row("changed rows per event", f"{per_event:.2f}", "")
    for name, mine, theirs in (("CPU", ours.cpu, bare.cpu), ("wall", ours.wall, bare.wall)):
        share = theirs / mine
        table.add_row(f"commit, rows/s ({name})", f"{rows / mine:,.0f}", "")
        table.add_row(f"bare upserts, rows/s ({name})", f"{rows / theirs:,.0f}", "")
        table.add_row(f"share of the bare rate ({name})", f"{share:.0%}", "≥ 80 %")
        table.add_row(
            f"events/s of the store alone ({name})", f"{batches * EVENTS / mine:,.0f}", "≥ 15,000 with engine"
        )
    table.add_row("longest commit, ms: ours, bare", f"{ours.longest * 1e3:.0f}, {bare.longest * 1e3:.0f}", "")
    table.add_row("WAL, MB", f"{wal / 1e6:.0f}", "")
    measure_reads(table, store, path, world)
    store.close()
    Console().print(table)


def measure_reads(table: Table, store: SqliteStore, path: Path, world: World) -> None:
    """Times a start, and the reader's calls."""
    loading, naming = Clock(), Clock()
    state = loading.time(store.load)
    names = naming.time(lambda: sum(1 for _ in state.entities))
    table.add_row("load, s: wall, CPU", f"{loading.wall:.1f}, {loading.cpu:.1f}", "")
    table.add_row(f"its {names:,} entities, s: wall, CPU", f"{naming.wall:.1f}, {naming.cpu:.1f}", "in all < 20")
    starting = Clock()
    starting.time(lambda: subprocess.run([sys.executable, "-c", _START_READER, str(path)], check=True))
    table.add_row("Python start + 50 rings + one snapshot, ms", f"{starting.wall * 1e3:.0f}", "≤ 500")
    reader = SqliteReader(path, POLICY, PRIORITY)
    some = reader.rings(limit=50)
    calls: dict[str, Callable[[], object]] = {
        f"rings(limit=50) of {world.rings:,}": lambda: reader.rings(limit=50),
        "rings()": lambda: reader.rings(),
        "rings(statuses=('dormant',))": lambda: reader.rings(statuses=("dormant",)),
        "snapshot": lambda: reader.snapshot(some[0].ring_id),
        "identifiers_of": lambda: reader.identifiers_of("user-17"),
        "rings_of": lambda: reader.rings_of("user-17"),
    }
    for name, call in calls.items():
        clock = Clock()
        clock.time(call)
        table.add_row(f"{name}, ms", f"{clock.wall * 1e3:.1f}", "")
    reader.close()


if __name__ == "__main__":
    main()
