"""The part of the store suite that is about people: commands, decisions, constraints, audit, kept evidence."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from fraudgraph.cases.audit import AuditHead, AuditRow, append, digest
from fraudgraph.cases.constraints import NEVER_MS, Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.cases.reasons import ConstraintKind, Verdict
from fraudgraph.durations import DAY_MS
from fraudgraph.events.batch import DeadLetter, LabelRow
from fraudgraph.events.kinds import EntityKind, RejectReason
from fraudgraph.events.schema import Command
from fraudgraph.stores.command_stream import CommandStream
from fraudgraph.stores.port import COMMANDS, QUEUE_STATUSES, CommitDelta, LineageRow, Store
from fraudgraph.testing.store_journal import START_MS, ring_row, small_shop

DECISION = Decision(
    decision_id="D000001",
    ring_id="R-1",
    verdict=Verdict.CONFIRMED,
    members=("ann", "bob"),
    others=("eve",),
    ts_ms=START_MS,
    at_ms=START_MS,
    author="zoe",
    reason="chargebacks",
    note="a 'quoted' note; €",
    key="ab" * 16,
    source="commands@1",
)
CONSTRAINT = Constraint(
    constraint_id="C000001",
    kind=ConstraintKind.BENIGN_HUB,
    entity=EntityKind.DEVICE,
    first=b"device-pseudonym".hex(),
    second="",
    until_ms=NEVER_MS,
    ts_ms=START_MS,
    at_ms=START_MS,
    author="zoe",
    reason="shop-terminal",
    note="",
    key="cd" * 16,
    source="commands@2",
)


class StoreCases:
    """Tests of what a store keeps of people's decisions; `StoreSuite` runs them for each adapter."""

    def make_store(self) -> Store:
        """Returns a new, empty store that shares nothing with any other."""
        raise NotImplementedError

    def reopen(self, store: Store) -> Store:
        """Returns another store on the same data, as another process would; the first stays usable."""
        raise NotImplementedError

    def claimed(self) -> Store:
        """Returns a new store that may be written to."""
        store = self.make_store()
        store.claim()
        return store

    def test_commands_are_numbered_and_need_no_epoch(self) -> None:
        store = self.claimed()
        other = self.reopen(store)
        assert [store.record_command(b"{1}"), other.record_command(b"{2}"), store.record_command(b"{3}")] == [1, 2, 3]
        assert store.commands() == other.commands() == [(1, b"{1}"), (2, b"{2}"), (3, b"{3}")]
        assert store.commands(after=1, limit=1) == [(2, b"{2}")]
        assert store.commands_applied() == 0
        store.commit(CommitDelta(commit=1, watermark_ms=0, positions={COMMANDS: 3}))
        assert (store.commands_applied(), other.commands_applied()) == (2, 2)

    def test_dead_letters_of_one_partition(self) -> None:
        store = self.claimed()
        letters = [
            DeadLetter(RejectReason.INVALID_FIELD, "undo: …", partition, offset, b"sealed")
            for offset, partition in enumerate((COMMANDS, "file:a", COMMANDS))
        ]
        store.commit(CommitDelta(commit=1, watermark_ms=0, dead_letters=letters))
        assert [letter.offset for letter in store.dead_letters(partition=COMMANDS)] == [0, 2]
        assert [letter.offset for letter in store.dead_letters(partition=COMMANDS, limit=1)] == [0]
        assert len(store.dead_letters()) == 3

    def test_commands_are_a_stream(self) -> None:
        store = self.claimed()
        for body in (b"{1}", b"{2}", b"{3}"):
            store.record_command(body)
        stream = CommandStream(store)
        stream.seek({COMMANDS: 2, "file:a": 9})
        raw = stream.poll(1)
        assert raw is not None
        assert (raw.values, raw.partitions, raw.offsets, raw.next_offsets) == ([b"{2}"], [COMMANDS], [2], [3])
        again = CommandStream(store, ends=True)
        again.seek({})
        assert [len(batch) for batch in iter(lambda: again.poll(2), None) if batch is not None] == [2, 1]
        rest = stream.poll(9)
        assert rest is not None
        assert rest.values == [b"{3}"]
        empty = stream.poll(9)
        assert empty is not None
        assert len(empty) == 0
        store.record_command(b"{4}")
        late = stream.poll(9)
        assert late is not None
        assert late.offsets == [4]

    def test_decisions_and_constraints_come_back_as_last_written(self) -> None:
        store = self.claimed()
        audit = [
            append(
                AuditHead(),
                ts_ms=START_MS,
                author="zoe",
                what="decide",
                subject="D000001",
                before="open",
                after="confirmed",
                content=digest(DECISION),
            )
        ]
        store.commit(CommitDelta(commit=1, watermark_ms=0, decisions=[DECISION], constraints=[CONSTRAINT], audit=audit))
        undone = replace(DECISION, undone_by="bob", undone_ts_ms=5, undone_at_ms=6, undone_key="ef" * 16)
        removed = replace(CONSTRAINT, removed_by="bob", removed_ts_ms=5, removed_at_ms=6, removed_key="01" * 16)
        audit.append(_undo(audit[0]))
        store.commit(CommitDelta(commit=2, watermark_ms=0, decisions=[undone], constraints=[removed], audit=audit[1:]))
        for view in (store, self.reopen(store)):
            assert (view.decisions(), view.constraints(), view.audit()) == ([undone], [removed], audit)
        state = store.load()
        assert (state.decisions, state.constraints) == ([undone], [removed])
        assert state.audit_head == AuditHead(2, audit[1].hash)

    def test_evidence_is_kept_as_of_the_commit_before(self) -> None:
        store = self.claimed()
        store.commit(small_shop(1))
        before = store.snapshot("R-1")
        store.commit(
            CommitDelta(
                commit=2,
                watermark_ms=START_MS + DAY_MS,
                rings=[ring_row("R-1", status="confirmed", probability=0.75)],
                members={"R-1": [(0, 0.9)]},
                decisions=[DECISION],
                frozen={"D000001": "R-1"},
            )
        )
        store.commit(CommitDelta(commit=3, watermark_ms=START_MS + 400 * DAY_MS))
        assert store.frozen("D000001") == before
        assert self.reopen(store).frozen("D000001") == before
        assert store.frozen("D000002") is None

    def test_a_forgotten_account_is_in_nothing_that_is_kept_whole(self) -> None:
        store = self.claimed()
        for members in (["ann", "bob"], ["eve"]):
            arguments = {"ring_id": "R-1", "members": json.dumps(members), "note": "about them"}
            command = Command(
                event_id="c", ts=datetime(2026, 1, 2, tzinfo=UTC), name="decide", author="zoe", arguments=arguments
            )
            store.record_command(msgspec.json.encode(command))
        store.record_command(b"{no command")
        labels = [
            LabelRow(0, name.encode().ljust(16), name, None, True, 1, 2, "review", None) for name in ("ann", "bob")
        ]
        store.commit(replace(small_shop(1), labels=labels))
        store.commit(CommitDelta(commit=2, watermark_ms=0, decisions=[DECISION], frozen={DECISION.decision_id: "R-1"}))
        gone = CommitDelta(
            commit=3, watermark_ms=0, entities_deleted=[(EntityKind.USER, 0)], forgotten={"ann": "forgotten-4"}
        )
        store.commit(replace(gone, links_deleted=[0, 3], orders_deleted=[0], transfers_deleted=[0]))
        for view in (store, self.reopen(store)):
            assert [label.about_user for label in view.load().labels] == ["bob"]
            kept = view.frozen(DECISION.decision_id)
            assert kept is not None
            assert sorted(user.user_id for user in kept.users) == ["bob", "eve", "forgotten-4"]
            assert {link.user_id for link in kept.links} == {"bob", "eve"}
            assert (kept.orders, kept.transfers) == ((), ())
            first, second, third = (body for _, body in view.commands())
            assert msgspec.json.decode(first)["arguments"]["members"] == '["forgotten-4","bob"]'
            assert msgspec.json.decode(first)["arguments"]["note"] == ""
            assert msgspec.json.decode(second)["arguments"]["note"] == "about them"
            assert third == b"{no command"
            assert view.find(EntityKind.USER, "ann") is None

    def test_a_ring_looks_like_an_earlier_one_with_a_verdict_that_stands(self) -> None:
        store = self.claimed()
        twins = small_shop(1)
        twins.rings = [*twins.rings, ring_row("R-9")]
        twins.members = {"R-1": twins.members["R-1"], "R-9": []}
        store.commit(twins)
        elsewhere = replace(DECISION, verdict=Verdict.FALSE_POSITIVE, members=("kim", "lee"), others=())
        asked = replace(elsewhere, decision_id="D000002", verdict=Verdict.NEEDS_INFO, members=("mia",))
        unlike = replace(elsewhere, decision_id="D000003", ring_id="R-9", members=("noa",))
        itself = replace(elsewhere, decision_id="D000004", members=("ann",))
        store.commit(CommitDelta(commit=2, watermark_ms=0, decisions=[elsewhere, asked, unlike, itself]))
        for view in (store, self.reopen(store)):
            ring = view.snapshot("R-1")
            assert ring is not None
            assert [(past.decision_id, past.verdict) for past in ring.past] == [("D000001", "false-positive")]
        undone = replace(elsewhere, undone_by="bob", undone_ts_ms=5, undone_at_ms=6, undone_key="ef" * 16)
        store.commit(CommitDelta(commit=3, watermark_ms=0, decisions=[undone]))
        ring = store.snapshot("R-1")
        assert ring is not None
        assert ring.past == ()

    def test_settled_rings_live_and_leave_the_queue(self) -> None:
        store = self.claimed()
        statuses = ("open", "confirmed", "false-positive", "needs-info", "needs-second-reader", "closed", "merged")
        rings = [ring_row(f"R-{i}", status=status) for i, status in enumerate(statuses)]
        members = {ring.ring_id: [(0, 0.5)] for ring in rings}
        store.commit(replace(small_shop(1), rings=rings, members=members))
        assert {ring.status for ring in store.rings()} == {"open", "needs-info", "needs-second-reader"}
        assert {ring.status for ring in store.rings()} < set(QUEUE_STATUSES)
        assert [ring.status for ring in store.rings(statuses=("confirmed", "false-positive"))] == list(statuses[1:3])
        assert {ring.status for ring in store.rings_of("ann")} == set(statuses[:5])
        assert [ring.status for ring in store.load().rings] == list(statuses[:5])
        assert set(store.load().members) == {f"R-{i}" for i in range(5)}

    @pytest.mark.parametrize(("until_ms", "benign"), [(NEVER_MS, "C000001"), (START_MS + 1, "C000001"), (START_MS, "")])
    def test_a_benign_hub_is_no_tie_in_the_evidence_and_says_why(self, until_ms: int, benign: str) -> None:
        store = self.claimed()
        delta = small_shop(1)
        delta.constraints = [replace(CONSTRAINT, until_ms=until_ms)]
        store.commit(delta)
        ring = store.snapshot("R-1")
        assert ring is not None
        links = [link for link in ring.links if link.kind is EntityKind.DEVICE]
        assert {(link.benign, link.hub, link.ties, link.strength > 0.0) for link in links} == {
            (benign, bool(benign), not benign, not benign)
        }

    def test_pairs_that_an_analyst_tied_are_in_the_evidence(self) -> None:
        store = self.claimed()
        delta = small_shop(1)
        pairs = (("ann", "eve", NEVER_MS), ("ann", "zoe", NEVER_MS), ("bob", "eve", START_MS))
        delta.constraints = [
            replace(CONSTRAINT, constraint_id=f"C{i}", kind=ConstraintKind.MUST_LINK, first=a, second=b, until_ms=until)
            for i, (a, b, until) in enumerate(pairs)
        ]
        store.commit(delta)
        ring = store.snapshot("R-1")
        assert ring is not None
        assert ring.together == (("ann", "eve", "C0"),)

    def test_lineage_shows_both_sides_and_the_cause(self) -> None:
        store = self.claimed()
        steps = [
            LineageRow("R-1", "born", 1, 0, 5),
            LineageRow("R-2", "split", 2, 5, 3, "R-1", "kept apart by C000001"),
            LineageRow("R-3", "born", 3, 0, 3),
            LineageRow("R-1", "merged", 4, 2, 5, "R-3"),
        ]
        store.commit(CommitDelta(commit=1, watermark_ms=0, lineage=steps))
        assert store.lineage("R-1") == [steps[0], steps[1], steps[3]]
        assert store.lineage("R-2") == [steps[1]]
        assert store.lineage("R-3") == steps[2:]
        assert store.lineage("R-9") == []


def _undo(row: AuditRow) -> AuditRow:
    return append(
        AuditHead(row.number, row.hash),
        ts_ms=START_MS + 1,
        author="bob",
        what="undo",
        subject=row.subject,
        before="confirmed",
        after="undone",
        content="0" * 64,
    )
