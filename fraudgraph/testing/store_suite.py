"""What every store must do, as a class of tests: subclass it, say how a store is made, run it with pytest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.durations import DAY_MS
from fraudgraph.errors import ConfigurationError, FencedError, StoreError
from fraudgraph.events.batch import DeadLetter, LabelRow
from fraudgraph.events.kinds import EntityKind, EventType, RejectReason, Status
from fraudgraph.graph.policy import KindPolicy, LinkPolicy
from fraudgraph.rings.snapshot import SnapshotLink, SnapshotOrder, SnapshotStep, SnapshotTransfer, SnapshotUser
from fraudgraph.stores.port import (
    CLOSED_STATUSES,
    LINK_COLUMNS,
    ORDER_COLUMNS,
    TRANSFER_COLUMNS,
    AlertRow,
    CommitDelta,
    Entity,
    LineageRow,
)
from fraudgraph.testing.memory_store import MemoryStore
from fraudgraph.testing.store_cases import StoreCases
from fraudgraph.testing.store_journal import (
    DEVICE_KEY,
    IP_KEY,
    ORDER_KEY,
    START_MS,
    all_columns,
    as_columns,
    expected,
    journals,
    plain,
    plain_image,
    play,
    questions,
    ring_row,
    small_shop,
)
from fraudgraph.testing.store_outbox import StoreOutbox
from fraudgraph.testing.store_rotation import StoreRotation


def _any_journal(test: Callable[[Any, Any], None]) -> Callable[[Any], None]:
    """Runs a test over random journals, as many as its class says."""

    def run(suite: StoreSuite) -> None:
        @settings(max_examples=suite.examples, deadline=None)
        @given(journals)
        def over_all(commits: Any) -> None:
            test(suite, commits)

        over_all()

    run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
    return run


class StoreSuite(StoreCases, StoreOutbox, StoreRotation):
    """Tests of the store port; `make_store` and `reopen` are the adapter's."""

    policy: ClassVar[LinkPolicy] = LinkPolicy(kinds=LinkPolicy().kinds | {"ip": KindPolicy(0.30, 2, 30)})
    """The policy of the stores that `make_store` makes: an IP of three users is a hub."""
    priority: ClassVar[PriorityRules] = PriorityRules()
    examples: ClassVar[int] = 60
    """How many random journals each of the tests over journals takes; fewer for a slow store."""

    # What was committed comes back.

    def test_new_store_is_empty(self) -> None:
        state = self.make_store().load()
        assert (state.commit, state.watermark_ms, state.positions, state.scorer_state) == (0, 0, {}, None)
        assert list(state.entities) == []
        for columns, names in all_columns(state):
            assert list(columns) == list(names)
            assert all(column.dtype == "int64" and len(column) == 0 for column in columns.values())

    @_any_journal
    def test_loaded_state_is_the_model_after_any_journal(self, commits: Any) -> None:
        model, deltas = play(commits)
        store = self.claimed()
        for delta in deltas:
            store.commit(delta)
        assert plain(self.reopen(store).load()) == expected(model, deltas)
        assert plain(store.load()) == expected(model, deltas)
        store.close()

    @_any_journal
    def test_readers_agree_with_the_store_in_memory_after_any_journal(self, commits: Any) -> None:
        model, deltas = play(commits)
        store, memory = self.claimed(), MemoryStore(self.policy, self.priority)
        memory.claim()
        for delta in deltas:
            store.commit(delta)
            memory.commit(delta)
        for ask in questions(model):
            assert ask(store) == ask(memory)
        store.close()

    @_any_journal
    def test_image_of_one_store_is_another(self, commits: Any) -> None:
        model, deltas = play(commits)
        store, memory, copy = self.claimed(), MemoryStore(self.policy, self.priority), self.make_store()
        for delta in deltas:
            store.commit(delta)
        memory.restore(store.image())
        copy.restore(memory.image())
        for moved in (memory, copy):
            assert plain(moved.load()) == expected(model, deltas)
            for ask in questions(model):
                assert ask(moved) == ask(store)
        assert plain_image(copy.image()) == plain_image(store.image())
        copy.claim()
        copy.commit(CommitDelta(commit=len(deltas) + 1, watermark_ms=model.watermark_ms))
        store.close()
        copy.close()

    def test_columns_without_rows_change_nothing(self) -> None:
        store = self.claimed()
        store.commit(small_shop(1))
        before = plain(store.load())
        delta = CommitDelta(commit=2, watermark_ms=START_MS)
        for table in ("links", "users", "orders", "transfers"):
            setattr(delta, table, {name: column[:0] for name, column in getattr(small_shop(2), table).items()})
        store.commit(delta)
        assert plain(store.load()) == before | {"commit": 2}

    def test_delete_comes_before_upsert_of_the_same_id(self) -> None:
        store = self.claimed()
        store.commit(small_shop(1))
        store.commit(
            CommitDelta(
                commit=2,
                watermark_ms=START_MS,
                entities=[(EntityKind.USER, 2, "zoe", ""), (EntityKind.DEVICE, 0, b"another-device..", "d")],
                entities_deleted=[(EntityKind.USER, 2), (EntityKind.DEVICE, 0)],
                links=as_columns(LINK_COLUMNS, [(0, 2, EntityKind.DEVICE, 0, 5, 6, 7, 1, -1, -1, 0)]),
                links_deleted=[0, 1, 2],
            )
        )
        state = store.load()
        assert (EntityKind.USER, 2, "zoe") in list(state.entities)
        assert state.links["user"].tolist()[0] == 2
        assert state.links["slot"].tolist() == [0, 3, 4, 5]

    def test_deleting_a_user_takes_its_activity_and_memberships(self) -> None:
        store = self.claimed()
        store.commit(small_shop(1))
        store.commit(CommitDelta(commit=2, watermark_ms=START_MS, entities_deleted=[(EntityKind.USER, 1)]))
        state = store.load()
        assert state.users["user"].tolist() == [0, 2]
        assert state.members == {"R-1": [(0, 0.9), (2, 0.7)]}

    @pytest.mark.parametrize(
        "change",
        [
            {"entities": [(EntityKind.USER, 0, "mallory", "")]},
            {"links": as_columns(LINK_COLUMNS, [(0, 1, EntityKind.DEVICE, 0, 1, 2, 1, 1, -1, -1, 0)])},
            {"links": as_columns(LINK_COLUMNS, [(0, 0, EntityKind.IP, 0, 1, 2, 1, 1, -1, -1, 0)])},
            {"orders": as_columns(ORDER_COLUMNS, [(0, 0, 1, 1, 0, 0, 978, 2)]), "order_keys": [b"another-order..."]},
            {"transfers": as_columns(TRANSFER_COLUMNS, [(0, 1, 0, 1, 1, 1, 1, 978, EventType.TRANSFER)])},
        ],
        ids=["entity", "link-user", "link-kind", "order", "transfer"],
    )
    def test_new_identity_without_a_delete_is_refused_and_nothing_is_written(self, change: dict[str, Any]) -> None:
        store = self.claimed()
        store.commit(small_shop(1))
        before = plain(store.load())
        with pytest.raises(StoreError):
            store.commit(CommitDelta(commit=2, watermark_ms=START_MS + 1, positions={"file:a": 99}, **change))
        assert plain(store.load()) == before
        store.commit(CommitDelta(commit=2, watermark_ms=START_MS))

    def test_members_are_replaced_as_a_whole(self) -> None:
        store = self.claimed()
        store.commit(small_shop(1))
        store.commit(CommitDelta(commit=2, watermark_ms=START_MS, members={"R-1": [(2, 0.25), (0, 0.9)]}))
        assert store.load().members == {"R-1": [(0, 0.9), (2, 0.25)]}
        assert store.rings_of("bob") == []

    def test_label_and_alert_are_stored_once(self) -> None:
        store = self.claimed()
        label = LabelRow(4, b"label-pseudonym.", "ann", None, True, START_MS, START_MS, "review", None)
        later = LabelRow(7, b"label-pseudonym.", "bob", None, False, START_MS, START_MS, "chargeback", None)
        alert = AlertRow("A-1", "R-1", START_MS, 0.9, 10.0, "first")
        store.commit(CommitDelta(commit=1, watermark_ms=0, labels=[label], alerts=[alert]))
        again = AlertRow("A-1", "R-1", START_MS + 1, 0.1, 1.0, "second")
        store.commit(CommitDelta(commit=2, watermark_ms=0, labels=[later], alerts=[again]))
        (stored,) = store.load().labels
        assert (stored.event, stored.about_user, stored.fraud) == (-1, "ann", True)
        assert store.alerts() == [alert]

    def test_event_ids_below_the_watermark_are_forgotten(self) -> None:
        store = self.claimed()
        keys = [b"event-pseudonym" + bytes([i]) for i in range(3)]
        store.commit(CommitDelta(commit=1, watermark_ms=0, seen_keys=keys, seen_ts_ms=[10, 20, 30]))
        store.commit(CommitDelta(commit=2, watermark_ms=20))
        state = store.load()
        assert (state.seen_keys, state.seen_ts_ms) == (keys[1:], [20, 30])

    def test_scorer_state_and_serial_stay_where_a_commit_has_none(self) -> None:
        store = self.claimed()
        store.commit(CommitDelta(commit=1, watermark_ms=0, scorer_state=b"fitted", ring_serial=7))
        store.commit(CommitDelta(commit=2, watermark_ms=0))
        assert (store.load().scorer_state, store.load().ring_serial) == (b"fitted", 7)

    # One writer, each commit once.

    def test_commit_needs_an_epoch(self) -> None:
        with pytest.raises(StoreError):
            self.make_store().commit(CommitDelta(commit=1, watermark_ms=0))

    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_only_the_next_commit_number_is_taken(self, number: int) -> None:
        store = self.claimed()
        store.commit(CommitDelta(commit=1, watermark_ms=5))
        with pytest.raises(StoreError):
            store.commit(CommitDelta(commit=number, watermark_ms=9))
        assert (store.load().commit, store.load().watermark_ms) == (1, 5)

    def test_second_claim_fences_the_first_writer(self) -> None:
        first = self.claimed()
        second = self.reopen(first)
        assert second.claim() > int(first.meta()["epoch"]) - 1
        with pytest.raises(FencedError):
            first.commit(CommitDelta(commit=1, watermark_ms=0))
        second.commit(CommitDelta(commit=1, watermark_ms=0))
        assert first.meta()["commit"] == "1"

    def test_epochs_grow(self) -> None:
        store = self.make_store()
        assert [store.claim(), self.reopen(store).claim(), store.claim()] == [1, 2, 3]

    def test_other_key_or_policy_is_refused(self) -> None:
        store = self.make_store()
        store.bind(key_id="k1", policy_hash="p1", policy_version="1")
        other = self.reopen(store)
        other.bind(key_id="k1", policy_hash="p1", policy_version="1")
        with pytest.raises(ConfigurationError, match="k1"):
            other.bind(key_id="k2", policy_hash="p1", policy_version="1")
        with pytest.raises(ConfigurationError, match="p1"):
            other.bind(key_id="k1", policy_hash="p2", policy_version="2")

    def test_meta_says_what_the_store_is(self) -> None:
        store = self.claimed()
        store.bind(key_id="k1", policy_hash="p1", policy_version="1")
        store.commit(CommitDelta(commit=1, watermark_ms=START_MS))
        meta = store.meta()
        assert meta["store_id"]
        assert meta["schema_version"]
        said = {"key_id": "k1", "policy_hash": "p1", "policy_version": "1", "epoch": "1", "commit": "1"}
        assert said | {"watermark_ms": str(START_MS)} == {name: meta[name] for name in [*said, "watermark_ms"]}

    # The queue.

    def test_rings_come_best_first_and_filtered(self) -> None:
        store = self.claimed()
        late = START_MS + 100 * DAY_MS
        rings = [
            ring_row("R-4", rank=1.0, last_seen_ms=late),
            ring_row("R-1", rank=2.0, last_seen_ms=late - 30 * DAY_MS, probability=0.25),
            ring_row("R-3", rank=2.0, last_seen_ms=late),
            ring_row("R-2", rank=3.0, last_seen_ms=late - 30 * DAY_MS - 1),
            ring_row("R-5", rank=9.0, last_seen_ms=late, status="closed"),
            ring_row("R-6", rank=8.0, last_seen_ms=late, status="merged"),
        ]
        store.commit(CommitDelta(commit=1, watermark_ms=late, rings=rings))

        def ids(**filters: Any) -> list[str]:
            return [ring.ring_id for ring in store.rings(**filters)]

        assert ids() == ["R-2", "R-1", "R-3", "R-4"]
        assert [ring.status for ring in store.rings()] == ["dormant", "open", "open", "open"]
        assert ids(limit=2) == ["R-2", "R-1"]
        assert ids(limit=0) == []
        assert ids(statuses=("dormant",)) == ["R-2"]
        assert ids(statuses=("open",)) == ["R-1", "R-3", "R-4"]
        assert ids(statuses=("open",), limit=1) == ["R-1"]
        assert ids(statuses=CLOSED_STATUSES) == ["R-5", "R-6"]
        assert ids(statuses=("merged", "dormant")) == ["R-6", "R-2"]
        assert ids(statuses=()) == []
        assert ids(since_ms=late) == ["R-3", "R-4"]
        assert ids(min_probability=0.5) == ["R-2", "R-3", "R-4"]
        assert ids(min_probability=0.25) == ["R-2", "R-1", "R-3", "R-4"]
        assert store.rings(limit=1)[0].contributions == {"burst": 0.1, "rotation": -1.25}

    def test_only_living_rings_are_loaded(self) -> None:
        store = self.claimed()
        rings = [ring_row("R-1"), ring_row("R-2", status="closed"), ring_row("R-3", status="merged")]
        members = {"R-1": [(0, 0.5)], "R-2": [(0, 0.5)], "R-3": [(0, 0.5)]}
        store.commit(CommitDelta(commit=1, watermark_ms=START_MS + 90 * DAY_MS, rings=rings, members=members))
        state = store.load()
        assert state.rings == rings[:1]
        assert state.members == {"R-1": [(0, 0.5)]}

    def test_old_ids_resolve_through_mergers(self) -> None:
        store = self.claimed()
        status = {"R-1": "merged", "R-2": "merged", "R-3": "open", "R-4": "closed", "R-5": "merged"}
        store.commit(
            CommitDelta(
                commit=1,
                watermark_ms=START_MS,
                rings=[ring_row(ring_id, status=what) for ring_id, what in status.items()],
                lineage=[
                    LineageRow("R-1", "merged", 1, 3, 0, "R-4"),
                    LineageRow("R-1", "revived", 2, 0, 3),
                    LineageRow("R-1", "merged", 3, 3, 0, "R-2"),
                    LineageRow("R-2", "merged", 4, 6, 0, "R-3"),
                    LineageRow("R-3", "merged", 5, 6, 0, "R-4"),
                    LineageRow("R-5", "merged", 6, 6, 0, "R-4"),
                ],
            )
        )
        went = {ring_id: store.resolve_ring(ring_id) for ring_id in [*status, "R-9"]}
        assert went == {"R-1": "R-3", "R-2": "R-3", "R-3": "R-3", "R-4": "R-4", "R-5": "R-4", "R-9": None}

    # One ring, and what ties it.

    def test_snapshot_holds_all_the_evidence(self) -> None:
        store = self.claimed()
        store.commit(small_shop(1))
        ring = store.snapshot("R-1")
        assert ring is not None
        assert (ring.ring_id, ring.status, ring.probability, ring.recency) == ("R-1", "open", 0.5, 1.0)
        assert ring.priority == pytest.approx(self.priority.priority(4.0, START_MS))
        assert (ring.value_at_risk_minor, ring.currency, ring.as_of_ms) == (123_456, 978, START_MS)
        assert ring.users[0] == SnapshotUser("ann", 0.9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 1)
        assert [user.user_id for user in ring.users] == ["ann", "bob", "eve"]
        strength = self.policy.strength("device", 3, 0)
        assert ring.links == (
            _link("ann", EntityKind.DEVICE, DEVICE_KEY, 3, strength, ties=True),
            _link("ann", EntityKind.IP, IP_KEY, 3, 0.0, hub=True),
            _link("bob", EntityKind.DEVICE, DEVICE_KEY, 3, strength, ties=True),
            _link("bob", EntityKind.IP, IP_KEY, 3, 0.0, hub=True),
            _link("eve", EntityKind.DEVICE, DEVICE_KEY, 3, strength, ties=True),
            _link("eve", EntityKind.IP, IP_KEY, 3, 0.0, hub=True),
        )
        assert ring.orders == (SnapshotOrder(ORDER_KEY.hex(), "ann", 5, 1_999, 10, 20, 978, True),)
        assert ring.transfers == (SnapshotTransfer("ann", "bob", "transfer", 7, 8, 2, 500, 978),)
        assert ring.lineage == (SnapshotStep("born", 3, 0, 3, None),)
        assert ring.positions == {"file:a": 17}
        assert ring.versions["policy_hash"] == self.policy.hash
        assert set(ring.versions) == {"policy_version", "policy_hash", "scorer", "schema", "code", "rules"}
        assert ring.versions["rules"] == ring.rules.rules
        assert [hit.rule for hit in ring.rules.hits] == ["crowd"]
        assert store.snapshot("R-9") is None

    def test_order_that_was_approved_in_the_end_is_not_declined(self) -> None:
        store = self.claimed()
        delta = small_shop(1)
        delta.orders["status"][:] = 1 << Status.DECLINED | 1 << Status.APPROVED
        store.commit(delta)
        ring = store.snapshot("R-1")
        assert ring is not None
        assert not ring.orders[0].declined

    def test_expired_links_are_no_evidence(self) -> None:
        store = self.claimed()
        store.commit(small_shop(1))
        store.commit(CommitDelta(commit=2, watermark_ms=START_MS + 30 * DAY_MS))
        assert [entity.users for entity, *_ in store.identifiers_of("ann")] == [3, 3]
        store.commit(CommitDelta(commit=3, watermark_ms=START_MS + 30 * DAY_MS + 1))
        ring = store.snapshot("R-1")
        assert ring is not None
        assert {link.kind for link in ring.links} == {EntityKind.DEVICE}
        assert [entity.kind for entity, *_ in store.identifiers_of("ann")] == [EntityKind.DEVICE]
        address = store.find(EntityKind.IP, IP_KEY)
        assert address is not None
        assert address.users == 0
        assert store.users_of(address, 10) == []

    def test_snapshot_under_another_policy_is_refused(self) -> None:
        store = self.claimed()
        store.bind(key_id="k1", policy_hash="another", policy_version="9")
        store.commit(small_shop(1))
        with pytest.raises(ConfigurationError, match="policy"):
            store.snapshot("R-1")

    def test_entities_are_found_by_key_and_lead_to_each_other(self) -> None:
        store = self.claimed()
        store.commit(small_shop(1))
        device = Entity(EntityKind.DEVICE, 0, DEVICE_KEY.hex(), "dev 0", 3)
        assert store.find(EntityKind.DEVICE, DEVICE_KEY) == device
        assert store.find(EntityKind.DEVICE, device.key) == device
        assert store.find(EntityKind.CARD, DEVICE_KEY) is None
        assert store.find(EntityKind.DEVICE, "no hex") is None
        assert store.find(EntityKind.USER, "bob") == Entity(EntityKind.USER, 1, "bob", "", 1)
        assert store.find(EntityKind.USER, "nobody") is None
        linked = (START_MS - 1, START_MS, 4)
        assert store.users_of(device, 2) == [("ann", *linked), ("bob", *linked)]
        assert store.identifiers_of("eve") == [
            (device, *linked),
            (Entity(EntityKind.IP, 0, IP_KEY.hex(), "ip 0", 3), *linked),
        ]
        assert store.identifiers_of("nobody") == []
        assert [ring.ring_id for ring in store.rings_of("bob")] == ["R-1"]
        assert store.rings_of("nobody") == []
        assert store.find_order(ORDER_KEY) == "ann"
        assert store.find_order(DEVICE_KEY) is None

    # What failed, and what was said.

    def test_dead_letters_are_forgotten_by_when_they_were_recorded(self) -> None:
        store = self.claimed()
        late = DeadLetter(RejectReason.TOO_LATE, "ts: older than the watermark", "p", 1, b"sealed")
        store.commit(CommitDelta(commit=1, watermark_ms=0, recorded_ms=100, dead_letters=[late]))
        store.commit(CommitDelta(commit=2, watermark_ms=0, recorded_ms=200, dead_letters=[late]))
        store.commit(
            CommitDelta(commit=3, watermark_ms=0, recorded_ms=300, dead_letters=[late], dead_letters_before_ms=200)
        )
        assert [letter.commit for letter in store.dead_letters()] == [2, 3]

    def test_dead_letters_keep_their_ids_and_are_never_numbered_twice(self) -> None:
        store = self.claimed()
        late = DeadLetter(RejectReason.TOO_LATE, "3 h late", "file:a", 40, b"sealed")
        store.commit(CommitDelta(commit=1, watermark_ms=0, dead_letters=[late, late]))
        store.commit(CommitDelta(commit=2, watermark_ms=0, dead_letters_deleted=[2, 77]))
        store.commit(CommitDelta(commit=3, watermark_ms=0, dead_letters=[late]))
        letters = store.dead_letters()
        assert [(letter.id, letter.commit) for letter in letters] == [(1, 1), (3, 3)]
        assert letters[0].reason == "too-late"
        assert (letters[0].detail, letters[0].partition, letters[0].offset) == ("3 h late", "file:a", 40)
        assert letters[0].ciphertext == b"sealed"
        assert store.dead_letters(limit=1) == letters[:1]

    def test_alerts_come_newest_first(self) -> None:
        store = self.claimed()
        alerts = [AlertRow(name, "R-1", at_ms, 0.5, 1.0, "new") for name, at_ms in (("b", 5), ("c", 9), ("a", 5))]
        store.commit(CommitDelta(commit=1, watermark_ms=0, alerts=alerts))
        assert [alert.alert_id for alert in store.alerts()] == ["c", "a", "b"]
        assert [alert.alert_id for alert in store.alerts(limit=1)] == ["c"]

    def test_close_may_be_called_twice(self) -> None:
        store = self.claimed()
        store.close()
        store.close()


def _link(
    user_id: str,
    kind: EntityKind,
    key: bytes,
    users: int,
    strength: float,
    *,
    ties: bool = False,
    hub: bool = False,
) -> SnapshotLink:
    mask = "dev 0" if kind is EntityKind.DEVICE else "ip 0"
    return SnapshotLink(user_id, kind, key.hex(), mask, START_MS - 1, START_MS, 4, users, strength, ties, hub)
