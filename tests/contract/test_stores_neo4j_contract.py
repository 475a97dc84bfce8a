"""The store port's conformance suite over a real Neo4j."""

from __future__ import annotations

import os

import pytest
from support.neo4j import Database

from fraudgraph.stores.neo4j.access import Neo4jAddress
from fraudgraph.stores.neo4j.store import Neo4jStore
from fraudgraph.stores.port import Store
from fraudgraph.testing.store_suite import StoreSuite


class TestNeo4jStore(StoreSuite):
    examples = int(os.environ.get("FRAUDGRAPH_TEST_JOURNALS", "8"))  # each takes a second or more

    @pytest.fixture(autouse=True)
    def _database(self, neo4j_database: Database) -> None:
        self.database = neo4j_database
        self.addresses: dict[int, Neo4jAddress] = {}
        self.opened: list[Store] = []

    def teardown_method(self) -> None:
        for store in self.opened:
            store.close()

    def make_store(self) -> Store:
        return self._open(self.database.fresh())

    def reopen(self, store: Store) -> Store:
        return self._open(self.addresses[id(store)])

    def _open(self, address: Neo4jAddress) -> Store:
        store = Neo4jStore(address, self.database.options, self.policy, self.priority)
        self.addresses[id(store)] = address
        self.opened.append(store)
        return store
