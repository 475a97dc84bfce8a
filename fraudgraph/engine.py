"""One deterministic step per micro-batch: graph, ties, rings, scores and alerts, as one difference to commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from fraudgraph.alerts.policy import HELD_BACK, AlertPolicy, alert_id
from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cases.book import CaseBook, CaseChange
from fraudgraph.cases.decisions import OPEN
from fraudgraph.cases.desk import CaseDesk
from fraudgraph.cases.promotion import take_promotions
from fraudgraph.durations import DAY_MS
from fraudgraph.events.batch import DecodedBatch, LabelRow
from fraudgraph.events.clock import ClockRules, EventClock
from fraudgraph.graph.hot import GraphChange, GraphLimits, HotGraph, distinct
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.graph.restore import restore_graph
from fraudgraph.graph.rows import entity_rows, link_rows, order_rows, transfer_rows, user_rows
from fraudgraph.graph.types import F64, I32, I64, Bool
from fraudgraph.rings.causes import Causes
from fraudgraph.rings.components import ComponentFinder, largest_component
from fraudgraph.rings.cut import Splitter
from fraudgraph.rings.facts_words import date
from fraudgraph.rings.forest import NEVER
from fraudgraph.rings.fragile import parts_without_weak_bridges
from fraudgraph.rings.identity import RingMoves, RingRegister, ring_name, ring_serial
from fraudgraph.rings.measure import RingMeasure, Watch
from fraudgraph.rings.members import member_probabilities
from fraudgraph.rings.quiet import QuietRings
from fraudgraph.rings.ties import Ties
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.port import RingScorer, RingScores
from fraudgraph.scoring.serving import Judgement, Library, Serving
from fraudgraph.stores.port import SETTLED_STATUSES, AlertRow, CommitDelta, LineageRow, RingRow, StoredState


@dataclass(frozen=True, slots=True)
class EngineRules:
    """What decides about rings beside the link policy.

    Attributes:
        min_users: fewer users that hold together are no ring.
        max_users: more are cut into communities.
        max_strangers: an account that alone ties more than so many groups to a ring ties none of them.
        warmup_days: so long after its first event a stream without sign-ups shows everybody for the first time.
        score_epsilon: a member's probability that moved less is not written again.
        second_reader: a confirmed verdict counts only once a second author says the same.
        pull_degree: accounts with more transfers than this are pulled from by the network (`scoring.gnn.engine`).
        rescored_rings: the most rings of a commit that are scored again because another model scored them last.
    """

    clock: ClockRules = field(default_factory=ClockRules)
    limits: GraphLimits = field(default_factory=GraphLimits)
    priority: PriorityRules = field(default_factory=PriorityRules)
    alerts: AlertPolicy = field(default_factory=AlertPolicy)
    min_users: int = 3
    max_users: int = 200
    max_strangers: int = 3
    warmup_days: int = 14
    score_epsilon: float = 0.01
    second_reader: bool = False
    rescored_rings: int = 256
    pull_degree: int = 512


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
        )
        self.ties = Ties(policy)
        self.register = RingRegister(rules.min_users)
        self.cases = CaseBook(second_reader=rules.second_reader)
        self.commit = 0
        self._desk = CaseDesk(self.graph, self.register, self.cases)
        self._clock = EventClock(rules.clock)
        self._find = ComponentFinder(rules.min_users, rules.max_users)
        self._measure = RingMeasure()
        self._quiet = QuietRings(rules.priority.dormant_days * DAY_MS)
        self._started_ms: int | None = None
        self.rows: dict[int, RingRow] = {}
        self._chances: dict[int, F64] = {}
        self._heard: dict[int, bytes] = {}
        self._outdated: list[int] = []
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
    def scorer(self) -> RingScorer:
        """The scorer in force."""
        return self.serving.scorer

    def restore(self, state: StoredState) -> None:
        """Takes up a store's last commit; to be called on a new engine, before `apply`."""
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
        self.serving.restore(state.scorer_state, self.graph)
        members = {ring_serial(ring): sorted(team) for ring, team in state.members.items()}
        self._chances = {serial: np.array([chance for _, chance in team]) for serial, team in members.items()}
        self.register.restore(
            {serial: np.array([user for user, _ in team], np.int32) for serial, team in members.items()},
            state.ring_serial or 1,
            self.graph.users.ring,
        )
        self.rows = {ring_serial(row.ring_id): row for row in state.rings}
        self._quiet.restore(((serial, row.last_seen_ms) for serial, row in self.rows.items()), state.watermark_ms)
        self._note_outdated(self.rows)

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
            scorer_state=self.serving.state() or None,
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
        admission = self._clock.admit(batch, backfill=backfill, positions=self._positions)
        batch = admission.batch
        accepted = admission.accepted
        now_ms = admission.watermark_ms
        promotions = take_promotions(admission.commands, self.serving, self.cases)
        taken = self._desk.take(promotions.others, now_ms)
        watch = self.watch
        change = self.graph.apply(batch, accepted, now_ms, taken.change.labels, taken.change.forgotten)
        marked, bonds = self._desk.constrain(now_ms)
        change.idents = distinct(np.concatenate((change.idents, marked)))
        moved = self.serving.update(self.graph, change)
        if promotions.bundle is not None:
            self.serving.promote(promotions.bundle, promotions.key, self.graph)
            self._heard = {}
            self._note_outdated(self.rows)
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
            dead_letters=[*batch.dead_letters, *admission.dead_letters, *promotions.dead_letters, *taken.dead_letters],
            decisions=list(taken.change.decisions.values()),
            constraints=list(taken.change.constraints.values()),
            audit=[*promotions.audit, *taken.change.audit],
            scorer_state=None if promotions.bundle is None else self.serving.state(),
            frozen=taken.change.frozen,
            forgotten=taken.change.forgotten,
            dead_letters_deleted=taken.change.dead_letters_deleted,
        )
        delta.started_ms = self._started_ms if self._started_ms != started_ms else None
        self._positions.update(delta.positions)
        self._write_graph(change, delta)
        self._write_rings(moves, moved, now_ms, delta)
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
        delta.lineage = [*self._steps(moves, causes), *self._turns(moves, causes)]
        delta.ring_serial = self.register.next_serial
        applied = len(batch) if accepted is None else int(accepted.sum())
        duplicates = admission.duplicates + promotions.duplicates + taken.duplicates
        return Outcome(delta, applied, duplicates, promotions.obeyed + taken.obeyed)

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

    def _write_rings(self, moves: RingMoves, moved: I32, now_ms: int, delta: CommitDelta) -> None:
        for serial, goes_to in moves.ended.items():
            row = replace(self.rows.pop(serial), status="closed" if goes_to is None else "merged")
            delta.rings.append(row)
            if goes_to is not None:
                # One that closed keeps its last members: who they were is all that is left to ask about it.
                delta.members[row.ring_id] = []
            self._chances.pop(serial, None)
            self._heard.pop(serial, None)
        alive, reshaped = {**self._due(moved), **moves.alive}, moves.reshaped
        if self.scorer.wants(len(self.register.members)):
            features, _ = self._measure(
                self.graph, self.ties.tables.limit, self.watch, *_in_a_row(self.register.members)
            )
            if self.scorer.observe(features):
                alive = self.register.members
                delta.scorer_state = self.serving.state()
        if alive:
            members, starts = _in_a_row(alive)
            judgement, money = self._judge(members, starts)
            scores = replace(judgement.scores, probability=np.round(judgement.scores.probability, 6))
            chances = member_probabilities(
                self.graph, members, starts, scores.probability, self.ties.tables.weak, judgement.member_shift
            )
            for place, serial in enumerate(sorted(alive)):
                self._heard[serial] = judgement.summaries[place].tobytes()
                self._write_ring(serial, alive[serial], scores, money[place], place, delta)
                part = slice(starts[place], starts[place + 1])
                self._write_members(serial, members[part], chances[part], serial in reshaped, delta)

    def _judge(self, members: I32, starts: I64) -> tuple[Judgement, I64]:
        """Returns scores and money of rings whose members are in a row."""
        features, money = self._measure(self.graph, self.ties.tables.limit, self.watch, members, starts)
        return self.serving.judge(self.graph, features, members, starts), money

    def _due(self, moved: I32) -> dict[int, I32]:
        """Returns rings to be scored again though nothing touched them.

        They are those of whose members the network says something else now, and some of those that another model
        scored last: a promotion never rewrites the store in one transaction.
        """
        teams = self.register.members
        due: dict[int, I32] = {}
        if self._outdated:
            self._note_outdated(self._outdated)
            due = {serial: teams[serial] for serial in self._outdated[: self.rules.rescored_rings]}
        serials = distinct(self.graph.users.ring[moved])
        maybe = {serial: teams[serial] for serial in serials.tolist() if serial in teams}
        if maybe:
            summaries = self.serving.summaries(self.graph, *_in_a_row(maybe))
            due |= {
                serial: maybe[serial]
                for serial, row in zip(sorted(maybe), summaries, strict=True)
                if self._heard.get(serial) != row.tobytes()
            }
        return due

    def _note_outdated(self, serials: Iterable[int]) -> None:
        name, rows = self.scorer.name, self.rows
        self._outdated = [serial for serial in sorted(serials) if serial in rows and rows[serial].scorer != name]

    def _write_members(self, serial: int, team: I32, chances: F64, reshaped: bool, delta: CommitDelta) -> None:
        written = self._chances.get(serial)
        if reshaped or written is None or np.abs(chances - written).max() >= self.rules.score_epsilon:
            self._chances[serial] = chances.copy()
            delta.members[ring_name(serial)] = list(zip(team.tolist(), chances.tolist(), strict=True))

    def _write_ring(
        self, serial: int, team: I32, scores: RingScores, money: I64, place: int, delta: CommitDelta
    ) -> None:
        known = self.rows.get(serial)
        decided = self.cases.status(self._desk.names_of(team)) if self.cases.decisions else OPEN
        probability = float(scores.probability[place])
        # A ring with a verdict alarms nobody; one that outgrew it alarms as a new one would, and so does one that was
        # held back.
        reopened = known is not None and known.status in SETTLED_STATUSES and decided.grown > 0
        before = None if known is None or reopened or HELD_BACK in known.reason else known.probability
        alarms = decided.status not in SETTLED_STATUSES and self.rules.alerts.crosses(before, probability)
        reason = scores.reason_of(place)
        if alarms and self._is_held_back(team, delta.watermark_ms):
            alarms = False
            reason = f"{reason}; {HELD_BACK}"
        if decided.grown:
            reason = f"{reason}; {decided.grown} new since {decided.because}"
        value, currency, identifiers, first_ms, last_ms = money.tolist()
        row = RingRow(
            ring_id=ring_name(serial),
            status=decided.status,
            probability=probability,
            rank=self.rules.priority.rank(value, len(team), probability, last_ms),
            value_at_risk_minor=value,
            currency=currency,
            users=len(team),
            identifiers=identifiers,
            first_seen_ms=first_ms,
            last_seen_ms=last_ms,
            reason=reason,
            scorer=self.scorer.name,
            contributions=scores.contributions_of(place),
        )
        if known is None or known != row:
            delta.rings.append(row)
        if alarms:
            delta.alerts.append(
                AlertRow(
                    alert_id=alert_id(row.ring_id, self.commit),
                    ring_id=row.ring_id,
                    at_ms=last_ms,
                    probability=probability,
                    priority=self.rules.priority.priority(row.rank, last_ms),
                    reason=row.reason,
                )
            )
        self.rows[serial] = row

    def _is_held_back(self, team: I32, now_ms: int) -> bool:
        """Returns whether no part of a ring reaches the alert line without the weak bridges between the parts."""
        alerts = self.rules.alerts
        parts = parts_without_weak_bridges(self.graph, self.ties, team, now_ms, alerts.weak_tie_strength)
        if len(parts) < 2:
            return False
        rings = {place: part for place, part in enumerate(parts) if len(part) >= self.rules.min_users}
        if not rings:
            return True
        judgement, _ = self._judge(*_in_a_row(rings))
        return bool(judgement.scores.probability.max() < alerts.min_probability)

    def _steps(self, moves: RingMoves, causes: Causes) -> Iterator[LineageRow]:
        """Yields what a commit did to rings, each step with what brought it."""
        for step in moves.steps:
            row = self.rows.get(step.serial)
            recent = row is not None and step.what in ("born", "grew", "split")
            yield LineageRow(
                ring_id=ring_name(step.serial),
                what=step.what,
                at_ms=row.last_seen_ms if row is not None and recent else causes.now_ms,
                users_before=step.users_before,
                users_after=step.users_after,
                other_ring_id=None if step.other is None else ring_name(step.other),
                cause=causes.of(step),
            )

    def _turns(self, moves: RingMoves, causes: Causes) -> Iterator[LineageRow]:
        """Yields which rings went quiet or woke by the end of a commit."""
        seen = [(serial, self.rows[serial].last_seen_ms) for serial in moves.alive]
        for turn in self._quiet.turn(moves.ended, seen, causes.before_ms, causes.now_ms):
            team = self.register.members[turn.serial]
            last_ms = self.rows[turn.serial].last_seen_ms
            yield LineageRow(
                ring_id=ring_name(turn.serial),
                what="dormant" if turn.quiet else "revived",
                at_ms=turn.at_ms,
                users_before=len(team),
                users_after=len(team),
                cause=f"nobody in it was seen since {date(last_ms)}" if turn.quiet else "an account was seen again",
            )


def _in_a_row(teams: dict[int, I32]) -> tuple[I32, I64]:
    """Returns the members of rings in the order of their serials, and where each ring begins."""
    ordered = [teams[serial] for serial in sorted(teams)]
    starts = np.zeros(len(ordered) + 1, np.int64)
    np.cumsum([len(team) for team in ordered], out=starts[1:])
    return np.concatenate(ordered) if ordered else np.empty(0, np.int32), starts


def _labels(batch: DecodedBatch, accepted: Bool | None, said: CaseChange) -> list[LabelRow]:
    came = [row for row in batch.labels if accepted is None or accepted[row.event]]
    return [row for row in (*came, *said.labels) if row.about_user not in said.forgotten]
