"""The narration worker: rings are told beside the daemon, once per evidence, and nothing of the daemon waits."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

import pytest
from support.snapshots import DAY, EXAMPLES, card_testing, fake_accounts, household, nasty

from fraudgraph.errors import DependencyError, StoreError
from fraudgraph.narration import Narration
from fraudgraph.narrative.evidence import Evidence, make_evidence
from fraudgraph.narrative.kept import Asked, KeptPlan, keep, retold
from fraudgraph.narrative.narrate import narrate
from fraudgraph.narrative.pack import EvidencePack
from fraudgraph.narrative.port import Failure, PlanReply
from fraudgraph.narrative.template import make_plan
from fraudgraph.narrative.worker import CHANGED_AFTER_S, NarrationWorker
from fraudgraph.stores.port import AlertRow, CommitDelta, LineageRow, RingRow

ASKED = Asked("compatible:here:tiny", "f" * 32)


class _Model:
    """Plans as the template does, under a model's name; may be away, or hang until it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.hang: threading.Event | None = None
        self.entered = threading.Event()

    def plan(self, pack: EvidencePack) -> PlanReply:
        self.asked += 1
        self.entered.set()
        if self.hang is not None:
            self.hang.wait(10.0)
        if self.away:
            raise DependencyError("away", do="Wait.")
        return PlanReply(
            make_plan(pack), "tiny", "narrator-1", ASKED.prompt_hash, ASKED.model, cost_micros=250, cost_currency="USD"
        )

    def repair(self, pack: EvidencePack, reply: PlanReply, failures: tuple[Failure, ...]) -> PlanReply | None:
        return None


@dataclass
class _Store:
    """What the worker reads, and where the test saves."""

    rings: dict[str, Evidence]
    plans: dict[str, KeptPlan] = field(default_factory=dict)
    away: bool = False
    opened: int = 0
    closed: int = 0
    saved: int = 0
    latest: tuple[str, ...] = ()

    def open(self) -> _Store:
        self.opened += 1
        return self

    def evidence(self, ring_id: str) -> Evidence | None:
        if self.away:
            raise StoreError("the store is away", do="Wait.")
        return self.rings.get(ring_id)

    def kept(self, ring_id: str) -> KeptPlan | None:
        return self.plans.get(ring_id)

    def close(self) -> None:
        self.closed += 1

    def recent(self, limit: int) -> list[str]:
        return list(self.latest)

    def save(self, plan: KeptPlan) -> None:
        self.saved += 1
        self.plans[plan.ring_id] = plan


def _store() -> _Store:
    made = (make_evidence(replace(s, ring_id=name)) for name, s in (("A", fake_accounts()), ("B", card_testing())))
    return _Store({e.snapshot.ring_id: e for e in made})


def test_a_ring_is_told_once_per_evidence() -> None:
    store, model = _store(), _Model()
    worker = NarrationWorker(store.open, model, ASKED, store.save)
    for _ in range(3):
        assert worker.offer("A")
    assert worker.step()
    assert not worker.step()
    assert store.saved == 1
    worker.offer("A")
    worker.step()
    assert (model.asked, worker.counts["unchanged"], store.saved) == (1, 1, 1)
    store.rings["A"] = make_evidence(replace(fake_accounts(9), ring_id="A"))
    worker.offer("A")
    worker.step()
    assert (model.asked, store.saved) == (2, 2)
    worker.offer("gone")
    assert worker.step()
    assert store.saved == 2


@pytest.mark.parametrize("change", ["model", "prompt_hash"])
def test_another_model_or_prompt_tells_it_anew(change: str) -> None:
    store, model = _store(), _Model()
    store.plans["A"] = keep(store.rings["A"], model, ASKED)
    worker = NarrationWorker(store.open, model, replace(ASKED, **{change: "another"}), store.save)
    worker.offer("A")
    worker.step()
    assert store.saved == 1


def test_a_model_that_was_away_is_asked_again_later() -> None:
    store, model, now_s = _store(), _Model(), [0.0]
    worker = NarrationWorker(store.open, model, ASKED, store.save, monotonic=lambda: now_s[0])
    model.away = True
    worker.offer("A")
    worker.step()
    now_s[0] = 59.0
    assert not worker.step()
    assert store.saved == 0
    model.away = False
    now_s[0] = 61.0
    assert worker.step()
    assert not worker.step()
    assert (model.asked, store.saved, store.plans["A"].model) == (2, 1, ASKED.model)


def test_what_became_of_each_ring_is_told_with_its_cost() -> None:
    store, model, seen = _store(), _Model(), []
    worker = NarrationWorker(store.open, model, ASKED, store.save, on_done=lambda *done: seen.append(done))
    for away, name in ((False, "A"), (False, "A"), (True, "B")):
        model.away = away
        worker.offer(name)
        worker.step()
    assert seen == [("model", 250, "USD"), ("unchanged", 0, ""), ("template", 0, "")]


def test_a_store_that_is_away_costs_that_ring_and_no_other() -> None:
    store, model = _store(), _Model()
    worker = NarrationWorker(store.open, model, ASKED, store.save)
    store.away = True
    worker.offer("A")
    assert worker.step()
    store.away = False
    worker.offer("B")
    worker.step()
    assert (worker.counts["failed"], store.saved, store.opened, store.closed) == (1, 1, 2, 1)


def test_nothing_waits_while_the_model_hangs() -> None:
    store, model = _store(), _Model()
    model.hang = threading.Event()
    worker = NarrationWorker(store.open, model, ASKED, store.save, max_waiting=2)
    worker.start()
    worker.offer("A")
    assert model.entered.wait(10.0)
    offered = [worker.offer(name) for name in ("B", "C", "D", "B")]
    assert offered == [True, True, False, True]
    assert worker.counts["dropped"] == 1
    assert store.saved == 0
    worker.close(wait_s=0.0)  # nor does the end
    model.hang.set()
    worker.close(wait_s=10.0)
    assert list(store.plans) == ["A"]
    assert store.closed == 1


def test_what_an_earlier_run_left_untold_is_told() -> None:
    store, model = _store(), _Model()
    store.latest = ("B", "A")
    store.plans["A"] = keep(store.rings["A"], model, ASKED)
    told = threading.Event()

    def save(plan: KeptPlan) -> None:
        store.save(plan)
        told.set()

    worker = NarrationWorker(store.open, model, ASKED, save)
    worker.start()
    assert told.wait(10.0)
    worker.close(wait_s=10.0)
    assert store.saved == 1
    assert set(store.plans) == {"A", "B"}


def test_what_is_kept_names_nobody_and_is_told_as_it_was() -> None:
    evidence = make_evidence(nasty())
    kept = keep(evidence, _Model(), ASKED)
    for user_id in evidence.view.users:
        assert user_id.encode() not in kept.body
    told = retold(evidence, kept.evidence_hash, kept.body)
    assert told is not None
    assert told.summary == narrate(evidence).summary
    assert told.narrator == "tiny"


def test_what_is_kept_is_believed_no_more_than_a_model() -> None:
    evidence = make_evidence(fake_accounts())
    kept = keep(evidence, _Model(), ASKED)
    assert retold(make_evidence(household()), kept.evidence_hash, kept.body) is None
    for body in (b"", b"[]", b"\xff", b'{"reply": {"plan": 3}}'):
        assert retold(evidence, kept.evidence_hash, body) is None
    tampered = kept.body.replace(b'"E1"', b'"E77"')
    assert tampered != kept.body
    told = retold(evidence, kept.evidence_hash, tampered)
    assert told is not None
    assert told.removed > 0


def test_a_ring_that_changed_is_told_anew_at_a_bounded_rate_and_only_then() -> None:
    store, model, now_s = _store(), _Model(), [0.0]
    worker = NarrationWorker(store.open, model, ASKED, store.save, monotonic=lambda: now_s[0])
    follower = Narration(worker)

    def commit(ring_id: str, status: str = "open", **fields: list[AlertRow] | list[LineageRow]) -> None:
        row = RingRow(ring_id, status, 0.9, 1.0, 0, 978, 8, 3, 0, 0, "", "", {})
        follower.committed(CommitDelta(commit=1, watermark_ms=0, rings=[row], **fields))  # type: ignore[arg-type]  # by name
        while worker.step():
            pass

    commit("A")
    assert model.asked == 0  # it never alerted
    commit("A", alerts=[AlertRow("a1", "A", 0, 0.9, 1.0, "new")])
    assert model.asked == 1
    store.rings["A"] = make_evidence(replace(fake_accounts(9), ring_id="A"))
    commit("A")
    now_s[0] = CHANGED_AFTER_S - 1.0
    commit("A")
    assert model.asked == 1  # not so soon
    now_s[0] = CHANGED_AFTER_S
    commit("A")
    assert (model.asked, worker.counts["unchanged"]) == (2, 0)
    now_s[0] = 2 * CHANGED_AFTER_S
    commit("A")
    assert (model.asked, worker.counts["unchanged"]) == (2, 1)  # looked at, and nothing new is in it
    now_s[0] = 3 * CHANGED_AFTER_S
    store.rings["A"] = make_evidence(replace(fake_accounts(10), ring_id="A"))
    commit("A", status="confirmed")
    assert model.asked == 2  # it has its verdict
    commit("B", lineage=[LineageRow("A", "merged", 0, 9, 14, "B")])
    now_s[0] = 4 * CHANGED_AFTER_S
    commit("B")
    assert (model.asked, set(store.plans)) == (3, {"A", "B"})


def _said(evidence: Evidence) -> list[dict[str, object]]:
    return [{"kind": f.kind} | {k: v for k, v in f.fields.items() if k != "strength"} for f in evidence.facts]


def test_time_alone_makes_no_new_evidence() -> None:
    same = 0
    for build in EXAMPLES.values():
        snapshot = build()
        later = replace(
            snapshot,
            as_of_ms=snapshot.as_of_ms + 8 * DAY,
            links=tuple(replace(x, strength=0.99 * x.strength) for x in snapshot.links),
        )
        before, after = make_evidence(snapshot), make_evidence(later)
        if _said(before) == _said(after):  # fading may also put two facts into another order, and then it is told anew
            same += 1
            assert before.hash == after.hash
            assert [s.text for s in narrate(before).summary] == [s.text for s in narrate(after).summary]
    assert same >= 10
