"""One deterministic step per micro-batch: graph, ties, rings, scores and alerts, as one difference to commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fraudgraph.cases.book import CaseBook, CaseChange
from fraudgraph.cases.desk import CaseDesk
from fraudgraph.cases.promotion import take_promotions
from fraudgraph.cases.rekeying import as_known, rekey
from fraudgraph.cases.rule_sets import take_rules
from fraudgraph.durations import DAY_MS
from fraudgraph.engine_rules import EngineRules
from fraudgraph.events.batch import DecodedBatch, FormerNames, LabelRow
from fraudgraph.events.clock import EventClock
from fraudgraph.graph.hot import GraphChange, HotGraph, distinct
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.graph.restore import restore_graph
from fraudgraph.graph.rows import entity_rows, link_rows, order_rows, transfer_rows, user_rows
from fraudgraph.graph.types import F64, Bool
from fraudgraph.ring_records import RingRecords
from fraudgraph.rings.causes import Causes
from fraudgraph.rings.components import ComponentFinder, largest_component
from fraudgraph.rings.cut import Splitter
from fraudgraph.rings.forest import NEVER
from fraudgraph.rings.identity import RingRegister, ring_name, ring_serial
from fraudgraph.rings.measure import Watch
from fraudgraph.rings.ties import Ties
from fraudgraph.rules.book import RuleBook
from fraudgraph.rules.schema import RuleSet
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.event_head import score_orders
from fraudgraph.scoring.port import RingScorer
from fraudgraph.scoring.serving import Library, Serving
from fraudgraph.stores.port import CommitDelta, RingRow, StoredState

__all__ = ["Engine", "EngineRules", "Outcome"]


@dataclass(slots=True)
class Outcome:
    """What one batch came to.

    Attributes:
        delta: what to commit.
        applied: events that took effect.
        duplicates: events and commands that had come before.
        commands: those that were obeyed.
    """

    delta: CommitDelta
    applied: int
    duplicates: int
    commands: int = 0


class Engine:
    """The deterministic core: the same journal gives the same states, ids, lineage and alerts.

    Called by the daemon only, from one thread. `apply` is not idempotent. A crash in it leaves nothing behind: what
    it changed is in memory, and a new engine restores the last commit.
    """

    def __init__(
        self,
        policy: LinkPolicy,
        rules: EngineRules,
        scorer: RingScorer,
        *,
        bundle: Bundle | None = None,
        library: Library | None = None,
        shadow: Bundle | None = None,
        rule_set: RuleSet | None = None,
    ) -> None:
        self.policy = policy
        self.rules = rules
        self.graph = HotGraph(policy, rules.limits)
        line = rules.alerts.min_probability
        self.serving = Serving(
            scorer,
            self.graph,
            bundle=bundle,
            library=library,
            shadow=shadow,
            line=line,
            pull_degree=rules.pull_degree,
            warmed_users=rules.warmed_users,
        )
        self.ties = Ties(policy)
        self.register = RingRegister(rules.min_users)
        self.cases = CaseBook(second_reader=rules.second_reader)
        self.commit = 0
        self._desk = CaseDesk(self.graph, self.register, self.cases)
        self._clock = EventClock(rules.clock)
        self._find = ComponentFinder(rules.min_users, rules.max_users)
        self.rulebook = RuleBook(rule_set)
        self.records = RingRecords(rules, self.graph, self.ties, self.register, self.serving, self._desk, self.rulebook)
        self._started_ms: int | None = None
        self._positions: dict[str, int] = {}

    @property
    def watermark_ms(self) -> int:
        """Event time up to which everything is settled."""
        return self._clock.watermark_ms

    @property
    def latest_ms(self) -> int | None:
        """The latest event time of all partitions; None before the first event."""
        return max(self._clock.clocks_ms.values(), default=None)

    @property
    def started_ms(self) -> int | None:
        """When the stream began; None before its first event."""
        return self._started_ms

    @property
    def rows(self) -> Mapping[int, RingRow]:
        """The living rings as they were last written, by serial."""
        return self.records.rows

    @property
    def scorer(self) -> RingScorer:
        """The scorer in force."""
        return self.serving.scorer

    def restore(self, state: StoredState, *, asked_only: bool = False) -> None:
        """Takes up a store's last commit; to be called on a new engine, before `apply`.

        Args:
            asked_only: as of `Serving.restore`; `apply` is not to be called.
        """
        self.commit = state.commit
        self._positions = dict(state.positions)
        self._started_ms = state.started_ms
        self._clock.restore(state.watermark_ms, state.clocks_ms, state.seen_keys, state.seen_ts_ms)
        restore_graph(
            self.graph,
            entities=state.entities,
            links=state.links,
            users=state.users,
            orders=state.orders,
            order_keys=state.order_keys,
            transfers=state.transfers,
            labels=state.labels,
        )
        self.cases.restore(state.decisions, state.constraints, state.audit_head, state.labels)
        _, bonds = self._desk.constrain(state.watermark_ms)
        self.ties.restore(self.graph, state.watermark_ms, bonds.together)
        self.serving.restore(self.rulebook.unwrap(state.scorer_state), self.graph, asked_only=asked_only)
        self.register.restore(
            {ring_serial(ring): np.array([user for user, _ in team], np.int32) for ring, team in state.members.items()},
            state.ring_serial or 1,
            self.graph.users.ring,
        )
        self.records.restore(state)

    def export(self) -> StoredState:
        """Returns what `restore` takes, as of the last batch; its arrays are copies.

        Members' probabilities are not part of the state: they are written again when they move.
        """
        graph, clock = self.graph, self._clock
        orders, order_keys = order_rows(graph, np.flatnonzero(graph.orders.user >= 0).astype(np.int32))
        top = int(graph.links.state[1])
        return StoredState(
            commit=self.commit,
            watermark_ms=clock.watermark_ms,
            positions=dict(self._positions),
            clocks_ms=clock.stored_clocks_ms(),
            ring_serial=self.register.next_serial,
            started_ms=self._started_ms,
            scorer_state=self.records.scorer_state() or None,
            seen_keys=(seen := clock.seen())[0],
            seen_ts_ms=seen[1],
            entities=entity_rows(graph),
            links=link_rows(graph, np.flatnonzero(graph.links.user[:top] >= 0).astype(np.int32)),
            users=user_rows(graph, np.flatnonzero(graph.users.last_ms >= 0).astype(np.int32)),
            orders=orders,
            order_keys=order_keys,
            transfers=transfer_rows(graph, np.flatnonzero(graph.transfers.columns.sender >= 0).tolist()),
            labels=graph.labels.rows(),
            rings=list(self.rows.values()),
            members={
                ring_name(serial): [(user, 0.0) for user in team.tolist()]
                for serial, team in self.register.members.items()
            },
            decisions=list(self.cases.decisions.values()),
            constraints=list(self.cases.constraints.values()),
            audit_head=self.cases.head,
        )

    def apply(self, batch: DecodedBatch, *, backfill: bool = False) -> Outcome:
        """Applies a batch and returns what it changed.

        Args:
            backfill: late events apply, and event time does not move (replay of dead letters).
        """
        self.commit += 1
        latest_ms = self.latest_ms
        before_ms = self._clock.watermark_ms
        former = batch.former
        renamed = CaseChange() if former is None else self.rekey(former)
        admission = self._clock.admit(batch, backfill=backfill, positions=self._positions)
        batch = admission.batch
        accepted = admission.accepted
        now_ms = admission.watermark_ms
        commands = admission.commands
        if commands and former is not None:
            obeyed = (self.cases.knows, self.serving.knows, self.rulebook.knows)
            commands = as_known(commands, former, obeyed)
        promotions = take_promotions(commands, self.serving, self.cases)
        ruled = take_rules(promotions.others, self.rulebook, self.cases)
        taken = self._desk.take(ruled.others, now_ms, renamed)
        watch = self.watch
        change = self.graph.apply(batch, accepted, now_ms, taken.change.labels, taken.change.forgotten)
        marked, bonds = self._desk.constrain(now_ms)
        change.idents = distinct(np.concatenate((change.idents, marked)))
        moved = self.serving.update(self.graph, change)
        turned = self.serving.advance(self.graph, self.commit)
        if promotions.bundle is not None:
            turned |= self.serving.promote(promotions.bundle, promotions.key, self.graph, self.commit)
        if turned:
            self.records.forget_scores()
        if ruled.changed:
            self.records.note_outdated(self.rows)
        nodes = self.ties.update(self.graph, change, now_ms, bonds.together)
        nodes = np.concatenate((nodes, self._desk.nodes_of(taken.change.users, bonds)))
        started_ms = self._started_ms
        if not backfill:
            self._note_start(batch, accepted, latest_ms)
        if self.watch != watch:
            # What counts as new moved for every ring, not only for those that this batch touches.
            nodes = np.concatenate((nodes, *(2 * team for team in self.register.members.values())))
        users = self.graph.users
        touched = self._find(self.ties.forest, nodes, users.ring, self.register.sizes)
        components = self._find.with_everybody(self.ties.forest, touched)
        splitter = Splitter(self.graph, self.ties, bonds.apart, now_ms, self.rules.max_users, self.rules.max_strangers)
        splitter.look_at(components)
        moves = self.register.update(
            components,
            users.ring,
            self.rules.max_users,
            splitter.split,
            lambda user: self.graph.user_table.key_of[user] or "",
            splitter.torn,
        )
        delta = CommitDelta(
            commit=self.commit,
            watermark_ms=now_ms,
            positions=admission.positions,
            clocks_ms=admission.clocks_ms,
            seen_keys=admission.seen_keys,
            seen_ts_ms=admission.seen_ts_ms,
            labels=_labels(batch, accepted, taken.change),
            dead_letters=[
                *batch.dead_letters,
                *admission.dead_letters,
                *promotions.dead_letters,
                *ruled.dead_letters,
                *taken.dead_letters,
            ],
            decisions=list(taken.change.decisions.values()),
            constraints=list(taken.change.constraints.values()),
            audit=sorted((*promotions.audit, *ruled.audit, *taken.change.audit), key=lambda row: row.number),
            scorer_state=self.records.scorer_state() if turned or promotions.obeyed or ruled.obeyed else None,
            frozen=taken.change.frozen,
            forgotten=taken.change.forgotten,
            dead_letters_deleted=taken.change.dead_letters_deleted,
            rekeyed=taken.change.rekeyed,
        )
        delta.started_ms = self._started_ms if self._started_ms != started_ms else None
        self._positions.update(delta.positions)
        self._write_graph(change, delta)
        self.records.write(moves, moved, self.watch, delta)
        causes = Causes(
            self.graph,
            self.ties,
            splitter,
            moves,
            change,
            batch,
            bonds.users,
            before_ms,
            now_ms,
            self.register.members,
        )
        delta.lineage = [*self.records.steps(moves, causes), *self.records.turns(moves, causes)]
        delta.ring_serial = self.register.next_serial
        applied = len(batch) if accepted is None else int(accepted.sum())
        duplicates = admission.duplicates + promotions.duplicates + ruled.duplicates + taken.duplicates
        return Outcome(delta, applied, duplicates, promotions.obeyed + ruled.obeyed + taken.obeyed)

    def rekey(self, former: FormerNames) -> CaseChange:
        """Gives what is known by a former name its present one; `apply` does so with each batch by itself."""
        return rekey(former, self.graph, self._clock, self.cases)

    @property
    def watch(self) -> Watch:
        """Returns since when the stream shows beginnings."""
        settled_ms = (self._started_ms or 0) + self.rules.warmup_days * DAY_MS
        return Watch(births_ms=NEVER if self.graph.users.signups[0] else settled_ms, links_ms=settled_ms)

    def largest_component(self) -> tuple[int, int]:
        """Returns how many accounts hold together in the largest component, uncut, and how many there are in all.

        It looks at every account: about 0.1 s for a million.
        """
        users = np.flatnonzero(self.graph.users.last_ms >= 0).astype(np.int32)
        return int(largest_component(self.ties.forest, users)), len(users)

    def score(self, batch: DecodedBatch) -> F64:
        """Returns the probability that each event is a fraudulent order, `[n]`, as of the last commit; changes nothing.

        It is nan where the event is no order, and everywhere without a bundle that has an event head.
        """
        return score_orders(self.serving.live, self.graph, batch)

    def _note_start(self, batch: DecodedBatch, accepted: Bool | None, latest_ms: int | None) -> None:
        """Notes when the stream began: its earliest event after the last long silence.

        One event of long ago (a default of 1970, say) before all others, or replayed after them, is no beginning.

        Args:
            latest_ms: the latest event time before this batch.
        """
        moments = np.sort(batch.ts_ms if accepted is None else batch.ts_ms[accepted])
        if not len(moments):
            return
        gap_ms = self.rules.clock.max_gap_ms
        before = moments[:1] if latest_ms is None else np.array([latest_ms])
        gaps = np.diff(np.maximum.accumulate(np.concatenate((before, moments))))
        silences = np.flatnonzero(gaps > gap_ms)
        if len(silences):
            self._started_ms = int(moments[silences[-1]])
        elif self._started_ms is None:
            self._started_ms = int(moments[0])
        else:
            near = moments[moments > self._started_ms - gap_ms]
            if len(near):
                self._started_ms = min(self._started_ms, int(near[0]))

    def _write_graph(self, change: GraphChange, delta: CommitDelta) -> None:
        delta.entities = change.entities
        delta.entities_deleted = change.entities_deleted
        delta.links = link_rows(self.graph, change.links)
        delta.links_deleted = change.links_deleted.tolist()
        delta.users = user_rows(self.graph, change.users_written)
        delta.orders, delta.order_keys = order_rows(self.graph, change.orders)
        delta.orders_deleted = change.orders_deleted.tolist()
        delta.transfers = transfer_rows(self.graph, change.transfers)
        delta.transfers_deleted = change.transfers_deleted


def _labels(batch: DecodedBatch, accepted: Bool | None, said: CaseChange) -> list[LabelRow]:
    came = [row for row in batch.labels if accepted is None or accepted[row.event]]
    return [row for row in (*came, *said.labels) if row.about_user not in said.forgotten]
