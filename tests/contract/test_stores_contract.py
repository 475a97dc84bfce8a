"""Each store that we ship keeps the promises of the port."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from fraudgraph.stores.port import Store
from fraudgraph.stores.sqlite.store import SqliteStore
from fraudgraph.testing.memory_store import MemoryStore
from fraudgraph.testing.store_suite import StoreSuite


class TestSqliteStore(StoreSuite):
    def setup_method(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.names = itertools.count()
        self.paths: dict[int, Path] = {}

    def teardown_method(self) -> None:
        self.folder.cleanup()

    def make_store(self) -> Store:
        return self._open(Path(self.folder.name) / f"{next(self.names)}.db")

    def reopen(self, store: Store) -> Store:
        return self._open(self.paths[id(store)])

    def _open(self, path: Path) -> Store:
        store = SqliteStore(path, self.policy, self.priority)
        self.paths[id(store)] = path
        return store


class TestMemoryStore(StoreSuite):
    def make_store(self) -> Store:
        return MemoryStore(self.policy, self.priority)

    def reopen(self, store: Store) -> Store:
        assert isinstance(store, MemoryStore)
        return MemoryStore(self.policy, self.priority, store.file)
