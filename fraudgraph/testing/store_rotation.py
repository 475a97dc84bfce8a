"""The part of the store suite that is about a period of two keys."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar

import pytest

from fraudgraph.durations import DAY_MS
from fraudgraph.errors import ConfigurationError, FencedError, StoreError
from fraudgraph.events.batch import DeadLetter, LabelRow, Rekeyed
from fraudgraph.events.kinds import EntityKind, RejectReason, Status
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.port import LINK_COLUMNS, ORDER_COLUMNS, USER_COLUMNS, CommitDelta, Store
from fraudgraph.testing.store_cases import CONSTRAINT, DECISION
from fraudgraph.testing.store_journal import (
    DEVICE_KEY,
    ORDER_KEY,
    START_MS,
    as_columns,
    plain,
    plain_image,
    small_shop,
)

ANN, NEW_ANN = "u_" + "a" * 32, "u_" + "b" * 32
NEW_DEVICE, NEW_IP, NEW_ORDER = b"device-otherwise", b"ip-otherwise....", b"order--otherwise"
LABEL = LabelRow(-1, b"label-of-before.", ANN, None, True, 1, 2, "review", b"label-it-takes..")


class StoreRotation:
    """Tests of what a store does while it has two keys; `StoreSuite` runs them for each adapter."""

    policy: ClassVar[LinkPolicy]

    def make_store(self) -> Store:
        """Returns a new, empty store that shares nothing with any other."""
        raise NotImplementedError

    def reopen(self, store: Store) -> Store:
        """Returns another store on the same data, as another process would; the first stays usable."""
        raise NotImplementedError

    def _bound(self) -> Store:
        """Returns a store under key `k-1` with the small shop, whose Ann is named by a pseudonym."""
        store = self.make_store()
        store.bind(key_id="k-1", policy_hash=self.policy.hash, policy_version="1")
        store.claim()
        shop = small_shop(1)
        shop.entities[0] = (EntityKind.USER, 0, ANN, "")
        shop.users = as_columns(USER_COLUMNS, [(user, START_MS - 9, START_MS, *range(12, 23), 1) for user in range(3)])
        store.commit(
            replace(
                shop,
                clocks_ms={"file:a": START_MS},
                labels=[LABEL],
                constraints=[replace(CONSTRAINT, first=DEVICE_KEY.hex())],
                seen_keys=[b"event-of-before."],
                seen_ts_ms=[START_MS],
                dead_letters=[DeadLetter(RejectReason.INVALID_FIELD, "x", "file:a", i, b"sealed") for i in range(3)],
            )
        )
        return store

    def _rekeyed(self, commit: int) -> CommitDelta:
        return CommitDelta(
            commit=commit,
            watermark_ms=START_MS,
            rekeyed=Rekeyed(
                entities=[
                    (EntityKind.DEVICE, 0, NEW_DEVICE, "dev 0", "dev 1"),
                    (EntityKind.IP, 0, NEW_IP, "ip 9", "ip 8"),
                    (EntityKind.USER, 0, NEW_ANN, "", ""),
                ],
                orders=[(0, NEW_ORDER)],
                labels=[(LABEL.key, replace(LABEL, key=b"label-now.......", about_user=NEW_ANN))],
                users={ANN: NEW_ANN},
            ),
        )

    def test_period_of_two_keys_begins_and_ends(self) -> None:
        store = self._bound()
        other = self.reopen(store)
        assert (store.meta()["previous_key_id"], dict(store.under_previous_key())) == ("", {})
        store.begin_rotation("k-2")
        for view in (store, other):
            meta = view.meta()
            assert (meta["key_id"], meta["previous_key_id"], meta["rotated_ms"]) == ("k-2", "k-1", str(START_MS))
            assert meta["commit"] == "1"
        with pytest.raises(ConfigurationError):
            other.bind(key_id="k-1", policy_hash=self.policy.hash, policy_version="1")
        other.bind(key_id="k-2", policy_hash=self.policy.hash, policy_version="1")
        with pytest.raises(StoreError, match="already"):
            store.begin_rotation("k-3")
        store.end_rotation()
        store.end_rotation()
        meta = other.meta()
        assert (meta["key_id"], meta["previous_key_id"], meta["rotated_ms"]) == ("k-2", "", "0")

    def test_period_needs_the_epoch_and_a_key(self) -> None:
        store = self.make_store()
        with pytest.raises(StoreError, match="no epoch"):
            store.begin_rotation("k-2")
        store.claim()
        with pytest.raises(StoreError, match="no key"):
            store.begin_rotation("k-2")
        self.reopen(store).claim()
        with pytest.raises(FencedError):
            store.begin_rotation("k-2")
        with pytest.raises(FencedError):
            store.end_rotation()
        with pytest.raises(FencedError):
            store.reseal({1: b"x"})

    def test_what_is_named_anew_keeps_its_place(self) -> None:
        store = self._bound()
        store.begin_rotation("k-2")
        before, links = plain(store.load()), store.identifiers_of(ANN)
        store.commit(self._rekeyed(2))
        after = plain(self.reopen(store).load())
        assert {name for name in before if before[name] != after[name]} == {
            "commit",
            "entities",
            "order_keys",
            "labels",
        }
        assert after["order_keys"] == [NEW_ORDER]
        assert after["labels"] == [replace(LABEL, key=b"label-now.......", about_user=NEW_ANN)]
        names = {(0, 0): NEW_ANN, (EntityKind.DEVICE, 0): NEW_DEVICE, (EntityKind.IP, 0): NEW_IP}
        assert after["entities"] == [(kind, n, names.get((kind, n), key)) for kind, n, key in before["entities"]]
        device = store.find(EntityKind.DEVICE, NEW_DEVICE)
        assert device is not None
        assert (device.id, device.mask, device.key, device.users) == (0, "dev 1", NEW_DEVICE.hex(), 3)
        ip = store.find(EntityKind.IP, NEW_IP)
        assert ip is not None
        assert ip.mask == "ip 0"  # not made of the pseudonym
        assert [user for user, *_ in store.users_of(device, 9)].count(NEW_ANN) == 1
        assert len(store.identifiers_of(NEW_ANN)) == len(links)
        assert store.find_order(NEW_ORDER) == NEW_ANN
        assert store.find(EntityKind.DEVICE, DEVICE_KEY) is store.find(EntityKind.USER, ANN) is None
        assert store.find_order(ORDER_KEY) is None
        ring = store.snapshot("R-1")
        assert ring is not None
        assert {user.user_id for user in ring.users} == {"bob", "eve", NEW_ANN}

    def test_names_come_before_what_the_commit_deletes_and_writes(self) -> None:
        store = self._bound()
        store.begin_rotation("k-2")
        delta = self._rekeyed(2)
        delta.entities_deleted = [(EntityKind.DEVICE, 0)]
        delta.links_deleted = [0, 1, 2]
        delta.orders = as_columns(ORDER_COLUMNS, [(0, 0, 5, 2_999, 10, 20, 978, 1 << Status.APPROVED)])
        delta.order_keys = [NEW_ORDER]
        store.commit(delta)
        assert store.find(EntityKind.DEVICE, NEW_DEVICE) is None
        assert store.load().orders["amount_minor"].tolist() == [2_999]
        assert store.find_order(NEW_ORDER) == NEW_ANN

    def test_evidence_and_commands_of_before_name_accounts_anew(self) -> None:
        store = self._bound()
        kept = replace(DECISION, members=(ANN, "bob"), others=("eve",))
        store.commit(CommitDelta(commit=2, watermark_ms=START_MS, decisions=[kept], frozen={kept.decision_id: "R-1"}))
        said = {"members": json.dumps([ANN, "bob"]), "ring_id": "R-1"}
        body = {"type": "command", "event_id": "c", "ts": "2026-11-24T00:00:00Z", "author": "zoe", "arguments": said}
        store.record_command(json.dumps(body | {"name": "decide"}).encode())
        store.begin_rotation("k-2")
        evidence = store.frozen(kept.decision_id)
        assert evidence is not None
        renamed = replace(kept, members=("bob", NEW_ANN))
        store.commit(replace(self._rekeyed(3), decisions=[renamed]))
        after = self.reopen(store).frozen(kept.decision_id)
        assert after is not None
        assert ANN.encode() not in repr(after).encode() + store.commands()[0][1]
        assert NEW_ANN.encode() in store.commands()[0][1]
        assert [user.user_id for user in after.users if user.user_id != NEW_ANN] == ["bob", "eve"]
        assert len(after.links) == len(evidence.links)
        assert len(after.orders) == len(evidence.orders)
        store.commit(CommitDelta(commit=4, watermark_ms=START_MS, forgotten={NEW_ANN: "forgotten-9"}))
        redacted = store.frozen(kept.decision_id)
        assert redacted is not None
        assert NEW_ANN not in repr(redacted)
        assert NEW_ANN.encode() not in store.commands()[0][1]

    def test_evidence_kept_by_the_commit_that_names_anew_has_the_new_name(self) -> None:
        store = self._bound()
        store.begin_rotation("k-2")
        kept = replace(DECISION, members=("bob", NEW_ANN), others=("eve",))
        store.commit(replace(self._rekeyed(2), decisions=[kept], frozen={kept.decision_id: "R-1"}))
        evidence = store.frozen(kept.decision_id)
        assert evidence is not None
        assert {user.user_id for user in evidence.users} == {NEW_ANN, "bob", "eve"}

    def test_ciphertexts_are_replaced_by_id(self) -> None:
        store = self._bound()
        store.reseal({1: b"anew", 3: b"anew too", 99: b"nobody's"})
        letters = self.reopen(store).dead_letters()
        assert [(letter.id, letter.ciphertext) for letter in letters] == [
            (1, b"anew"),
            (2, b"sealed"),
            (3, b"anew too"),
        ]

    def test_what_was_not_seen_since_is_counted(self) -> None:
        store = self._bound()
        store.begin_rotation("k-2")
        assert dict(store.under_previous_key()) == {
            "identifiers": 2,
            "accounts": 1,
            "orders": 1,
            "constraints": 1,
            "event_ids": 1,
        }
        later = START_MS + DAY_MS
        delta = self._rekeyed(2)
        delta.links = as_columns(LINK_COLUMNS, [(0, 0, EntityKind.DEVICE, 0, START_MS - 1, later, 5, 1, -1, -1, 0)])
        delta.users = as_columns(USER_COLUMNS, [(0, START_MS - 9, later, *range(12, 23), 1)])
        delta.constraints = [replace(CONSTRAINT, first=NEW_DEVICE.hex())]
        store.commit(replace(delta, watermark_ms=later))
        assert dict(self.reopen(store).under_previous_key()) == {
            "identifiers": 1,
            "accounts": 0,
            "orders": 1,
            "constraints": 0,
            "event_ids": 0,
        }

    def test_copy_of_a_store_is_as_far_on_its_way(self) -> None:
        store, copy = self._bound(), self.make_store()
        store.begin_rotation("k-2")
        store.commit(self._rekeyed(2))
        copy.restore(store.image())
        assert plain_image(copy.image()) == plain_image(store.image())
        names = ("key_id", "previous_key_id", "rotated_ms")
        assert [copy.meta()[name] for name in names] == [store.meta()[name] for name in names]
        assert dict(copy.under_previous_key()) == dict(store.under_previous_key())
