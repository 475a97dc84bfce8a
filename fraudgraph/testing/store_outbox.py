"""The part of the store suite that is about what follows a commit: deliveries, narratives, the image of it all."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest

from fraudgraph.cases.audit import AuditHead, append
from fraudgraph.errors import ConfigurationError, FencedError, StoreError
from fraudgraph.events.batch import DeadLetter
from fraudgraph.events.kinds import RejectReason
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.port import COMMANDS, AlertRow, CommitDelta, NarrativeRow, Store
from fraudgraph.testing.store_cases import CONSTRAINT, DECISION
from fraudgraph.testing.store_journal import START_MS, plain_image, small_shop

ALERTS = [
    AlertRow("A-2", "R-1", START_MS + 1, 0.9, 10.0, "burst"),
    AlertRow("A-3", "R-1", START_MS + 2, 0.8, 9.0, "burst"),
    AlertRow("A-1", "R-1", START_MS + 2, 0.7, 8.0, "declined payments"),
]
NARRATIVE = NarrativeRow(
    "R-1", "e" * 64, "p" * 64, "template-1", "verifier-1", START_MS, b'{"summary":["\xe2\x82\xac"]}'
)


class StoreOutbox:
    """Tests of deliveries and narratives; `StoreSuite` runs them for each adapter."""

    policy: ClassVar[LinkPolicy]

    def make_store(self) -> Store:
        """Returns a new, empty store that shares nothing with any other."""
        raise NotImplementedError

    def reopen(self, store: Store) -> Store:
        """Returns another store on the same data, as another process would; the first stays usable."""
        raise NotImplementedError

    def _alerted(self) -> Store:
        store = self.make_store()
        store.claim()
        store.commit(replace(small_shop(1), alerts=ALERTS))
        return store

    def test_alerts_wait_for_every_sink_oldest_first(self) -> None:
        store = self._alerted()
        assert [alert.alert_id for alert in store.outbox("kafka")] == ["A-2", "A-1", "A-3"]
        assert [alert.alert_id for alert in store.outbox("kafka", limit=2)] == ["A-2", "A-1"]
        assert store.outbox("file")[0] == ALERTS[0]

    def test_what_was_sent_waits_no_more_for_that_sink(self) -> None:
        store = self._alerted()
        store.mark_sent("kafka", ["A-2", "A-3"])
        store.mark_sent("kafka", ["A-3", "no-such-alert"])
        other = self.reopen(store)
        assert [alert.alert_id for alert in other.outbox("kafka")] == ["A-1"]
        assert len(other.outbox("file")) == 3
        assert len(other.alerts()) == 3

    def test_narrative_is_kept_until_the_next_one(self) -> None:
        store = self._alerted()
        assert store.narrative("R-1") is None
        store.save_narrative(NARRATIVE)
        assert self.reopen(store).narrative("R-1") == NARRATIVE
        later = replace(NARRATIVE, evidence_hash="f" * 64, made_at_ms=START_MS + 1, body=b"{}")
        store.save_narrative(later)
        store.save_narrative(later)
        assert self.reopen(store).narrative("R-1") == later
        assert store.narrative("R-2") is None

    def test_only_the_owner_of_the_epoch_delivers_and_narrates(self) -> None:
        store = self._alerted()
        other = self.reopen(store)
        for refused in (StoreError, FencedError):
            with pytest.raises(refused):
                other.mark_sent("kafka", ["A-1"])
            with pytest.raises(refused):
                other.save_narrative(NARRATIVE)
            other.claim()
            store.claim()
        assert len(store.outbox("kafka")) == 3
        assert store.narrative("R-1") is None

    def test_image_holds_what_people_and_sinks_left(self) -> None:
        store = self._alerted()
        store.bind(key_id="k1", policy_hash=self.policy.hash, policy_version="1")
        store.record_command(b"{1}")
        letters = [DeadLetter(RejectReason.TOO_LATE, "late", "file:a", n, b"sealed") for n in range(2)]
        row = append(AuditHead(), ts_ms=5, author="zoe", what="decide", subject="R-1", before="", after="", content="")
        store.commit(
            CommitDelta(
                commit=2,
                watermark_ms=START_MS,
                positions={COMMANDS: 2},
                decisions=[DECISION],
                constraints=[CONSTRAINT],
                audit=[row],
                frozen={DECISION.decision_id: "R-1"},
                dead_letters=letters,
                recorded_ms=7,
            )
        )
        store.commit(CommitDelta(commit=3, watermark_ms=START_MS, dead_letters_deleted=[2]))
        store.mark_sent("kafka", ["A-1"])
        store.save_narrative(NARRATIVE)
        copy = self.make_store()
        copy.restore(store.image())
        assert copy.commands() == [(1, b"{1}")]
        assert copy.commands_applied() == 1
        assert copy.decisions() == [DECISION]
        assert copy.constraints() == [CONSTRAINT]
        assert copy.audit() == [row]
        assert copy.frozen(DECISION.decision_id) == store.frozen(DECISION.decision_id) is not None
        assert [letter.id for letter in copy.dead_letters()] == [1]
        assert copy.outbox("kafka") == store.outbox("kafka")
        assert copy.narrative("R-1") == NARRATIVE
        assert plain_image(copy.image()) == plain_image(store.image())
        with pytest.raises(ConfigurationError):
            copy.bind(key_id="k2", policy_hash=self.policy.hash, policy_version="1")
        copy.claim()
        copy.commit(CommitDelta(commit=4, watermark_ms=START_MS, dead_letters=letters, dead_letters_before_ms=8))
        assert [letter.id for letter in copy.dead_letters()] == [3, 4]
        assert copy.record_command(b"{2}") == 2

    def test_only_a_new_store_is_restored_into(self) -> None:
        store, used, asked = self._alerted(), self.make_store(), self.make_store()
        used.bind(key_id="k1", policy_hash="p1", policy_version="1")
        asked.record_command(b"{1}")
        for other in (store, used, asked):
            with pytest.raises(StoreError):
                other.restore(store.image())

    def test_neither_moves_the_commit(self) -> None:
        store = self._alerted()
        store.mark_sent("kafka", ["A-1"])
        store.save_narrative(NARRATIVE)
        assert store.meta()["commit"] == "1"
        store.commit(CommitDelta(commit=2, watermark_ms=START_MS))
