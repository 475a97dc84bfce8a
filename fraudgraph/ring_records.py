"""Rings as they are stored: scored once per commit where it changed them, as rows, members, alerts and lineage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fraudgraph.alerts.policy import HELD_BACK, alert_id
from fraudgraph.cases.book import CaseBook
from fraudgraph.cases.decisions import OPEN
from fraudgraph.cases.desk import CaseDesk
from fraudgraph.durations import DAY_MS
from fraudgraph.engine_rules import EngineRules
from fraudgraph.graph.hot import HotGraph, distinct
from fraudgraph.graph.types import F64, I32, I64
from fraudgraph.rings.causes import Causes
from fraudgraph.rings.facts_words import date
from fraudgraph.rings.forest import NEVER
from fraudgraph.rings.fragile import parts_without_weak_bridges
from fraudgraph.rings.identity import RingMoves, RingRegister, ring_name, ring_serial
from fraudgraph.rings.measure import RingMeasure, Watch
from fraudgraph.rings.members import member_probabilities
from fraudgraph.rings.quiet import QuietRings
from fraudgraph.rings.rule_hits import NO_RULES, Mode, RingRules
from fraudgraph.rings.ties import Ties
from fraudgraph.rules.book import RuleBook
from fraudgraph.rules.table import table_of_graph
from fraudgraph.scoring.serving import Judgement, Serving
from fraudgraph.stores.port import SETTLED_STATUSES, AlertRow, CommitDelta, LineageRow, RingRow, StoredState


@dataclass(frozen=True, slots=True)
class Judged:
    """What model and rules say of `r` rings.

    Attributes:
        judgement: of the model; probabilities are rounded as they are stored.
        money: `[r, len(RING_MONEY)]`.
        rules: of each ring.
    """

    judgement: Judgement
    money: I64
    rules: list[RingRules]


class RingRecords:
    """What the store knows of the rings, and what of it a commit changes; called by the engine only.

    Attributes:
        rows: of the living rings, by serial, as they were last written.
    """

    def __init__(
        self,
        rules: EngineRules,
        graph: HotGraph,
        ties: Ties,
        register: RingRegister,
        serving: Serving,
        desk: CaseDesk,
        rulebook: RuleBook,
    ) -> None:
        self.rows: dict[int, RingRow] = {}
        self._rules = rules
        self._graph = graph
        self._ties = ties
        self._register = register
        self._serving = serving
        self._desk = desk
        self._rulebook = rulebook
        self._book: CaseBook = desk.book
        self._measure = RingMeasure()
        self._quiet = QuietRings(rules.priority.dormant_days * DAY_MS)
        self._watch = Watch(births_ms=NEVER, links_ms=NEVER)
        self._chances: dict[int, F64] = {}
        self._heard: dict[int, bytes] = {}
        self._outdated: list[int] = []

    def restore(self, state: StoredState) -> None:
        """Takes up the rings of a store's last commit, whose members the register knows already."""
        members = {ring_serial(ring): sorted(team) for ring, team in state.members.items()}
        self._chances = {serial: np.array([chance for _, chance in team]) for serial, team in members.items()}
        self.rows = {ring_serial(row.ring_id): row for row in state.rings}
        self._quiet.restore(((serial, row.last_seen_ms) for serial, row in self.rows.items()), state.watermark_ms)
        self.note_outdated(self.rows)

    def forget_scores(self) -> None:
        """Notes that another model is in force: every ring is due to be scored again, some of them each commit."""
        self._heard = {}
        self.note_outdated(self.rows)

    def scorer_state(self) -> bytes:
        """Returns what the store keeps of the scorer, and the rule set in force beside it."""
        return self._rulebook.wrap(self._serving.state())

    def rule_rings(self) -> Counter[tuple[str, Mode]]:
        """Returns how many living rings each rule holds of, by (rule, mode), those of the mode `shadow` included."""
        return Counter((hit.rule, hit.mode) for row in self.rows.values() for hit in row.rules.hits)

    def write(self, moves: RingMoves, moved: I32, watch: Watch, delta: CommitDelta) -> None:
        """Scores the rings that a commit changed, and writes their rows, members and alerts into its difference.

        Args:
            moved: users of whom the network may say something else now.
            watch: since when the stream shows beginnings.
        """
        self._watch = watch
        for serial, goes_to in moves.ended.items():
            row = replace(self.rows.pop(serial), status="closed" if goes_to is None else "merged")
            delta.rings.append(row)
            if goes_to is not None:
                # One that closed keeps its last members: who they were is all that is left to ask about it.
                delta.members[row.ring_id] = []
            self._chances.pop(serial, None)
            self._heard.pop(serial, None)
        alive, reshaped = {**self._due(moved), **moves.alive}, moves.reshaped
        if self._serving.scorer.wants(len(self._register.members)):
            features, _ = self._measure(
                self._graph, self._ties.tables.limit, self._watch, *_in_a_row(self._register.members)
            )
            if self._serving.scorer.observe(features):
                alive = self._register.members
                delta.scorer_state = self.scorer_state()
        if alive:
            members, starts = _in_a_row(alive)
            judged = self.judge(members, starts)
            judgement = judged.judgement
            chances = member_probabilities(
                self._graph,
                members,
                starts,
                judgement.scores.probability,
                self._ties.tables.weak,
                judgement.member_shift,
            )
            for place, serial in enumerate(sorted(alive)):
                self._heard[serial] = judgement.summaries[place].tobytes()
                self._write_ring(serial, alive[serial], judged, place, delta)
                part = slice(starts[place], starts[place + 1])
                self._write_members(serial, members[part], chances[part], serial in reshaped, delta)

    def judge(self, members: I32, starts: I64) -> Judged:
        """Returns what model and rules say of rings whose members are in a row, and their money."""
        features, money = self._measure(self._graph, self._ties.tables.limit, self._watch, members, starts)
        judgement = self._serving.judge(self._graph, features, members, starts)
        scores = replace(judgement.scores, probability=np.round(judgement.scores.probability, 6))
        rules = [NO_RULES] * (len(starts) - 1)
        if self._rulebook.rules.rules:
            table = table_of_graph(self._graph, members, starts, features, money, scores)
            rules = self._rulebook.judge(table)
        return Judged(replace(judgement, scores=scores), money, rules)

    def features(self, serials: Sequence[int], watch: Watch) -> F64:
        """Returns the features of living rings as they are now, `[r, len(RING_FEATURES)]`; reads, and scores nobody."""
        teams = {serial: self._register.members[serial] for serial in serials}
        return self._measure(self._graph, self._ties.tables.limit, watch, *_in_a_row(teams))[0]

    def _due(self, moved: I32) -> dict[int, I32]:
        """Returns rings to be judged again though nothing touched them.

        They are those of whose members the network says something else now, and some of those that another model or
        other rules judged last: a promotion never rewrites the store in one transaction.
        """
        teams = self._register.members
        due: dict[int, I32] = {}
        if self._outdated:
            self.note_outdated(self._outdated)
            due = {serial: teams[serial] for serial in self._outdated[: self._rules.rescored_rings]}
        serials = distinct(self._graph.users.ring[moved])
        maybe = {serial: teams[serial] for serial in serials.tolist() if serial in teams}
        if maybe:
            summaries = self._serving.summaries(self._graph, *_in_a_row(maybe))
            due |= {
                serial: maybe[serial]
                for serial, row in zip(sorted(maybe), summaries, strict=True)
                if self._heard.get(serial) != row.tobytes()
            }
        return due

    def note_outdated(self, serials: Iterable[int]) -> None:
        """Notes which of these rings another model, or another rule set, judged last."""
        known = {serial: self.rows[serial] for serial in sorted(serials) if serial in self.rows}
        by = self._serving.scorer.name, self._rulebook.rules.hash
        self._outdated = [serial for serial, row in known.items() if (row.scorer, row.rules.rules) != by]

    def _write_members(self, serial: int, team: I32, chances: F64, reshaped: bool, delta: CommitDelta) -> None:
        written = self._chances.get(serial)
        if reshaped or written is None or np.abs(chances - written).max() >= self._rules.score_epsilon:
            self._chances[serial] = chances.copy()
            delta.members[ring_name(serial)] = list(zip(team.tolist(), chances.tolist(), strict=True))

    def _write_ring(self, serial: int, team: I32, judged: Judged, place: int, delta: CommitDelta) -> None:
        scores, rules, known = judged.judgement.scores, judged.rules[place], self.rows.get(serial)
        decided = self._book.status(self._desk.names_of(team)) if self._book.decisions else OPEN
        probability = float(scores.probability[place])
        # A ring with a verdict alarms nobody; one that outgrew it alarms as a new one would, and so does one that was
        # held back.
        reopened = known is not None and known.status in SETTLED_STATUSES and decided.grown > 0
        last = None if known is None or reopened or HELD_BACK in known.reason else known
        crosses = self._rules.alerts.crosses(None if last is None else last.probability, probability)
        raised = rules.names("alert") - (frozenset() if last is None else last.rules.names("alert"))
        alarms = decided.status not in SETTLED_STATUSES and (crosses or bool(raised))
        reason = scores.reason_of(place)
        if alarms and self._is_held_back(team, delta.watermark_ms, raised, crosses=crosses):
            alarms = False
            reason = f"{reason}; {HELD_BACK}"
        if decided.grown:
            reason = f"{reason}; {decided.grown} new since {decided.because}"
        value, currency, identifiers, first_ms, last_ms = judged.money[place].tolist()
        row = RingRow(
            ring_id=ring_name(serial),
            status=decided.status,
            probability=probability,
            rank=self._rules.priority.rank(value, len(team), probability, last_ms),
            value_at_risk_minor=value,
            currency=currency,
            users=len(team),
            identifiers=identifiers,
            first_seen_ms=first_ms,
            last_seen_ms=last_ms,
            reason=reason,
            scorer=self._serving.scorer.name,
            contributions=scores.contributions_of(place),
            rules=rules,
        )
        if known is None or known != row:
            delta.rings.append(row)
        if alarms:
            delta.alerts.append(
                AlertRow(
                    alert_id=alert_id(row.ring_id, delta.commit),
                    ring_id=row.ring_id,
                    at_ms=last_ms,
                    probability=probability,
                    priority=self._rules.priority.priority(row.rank, last_ms),
                    reason="; ".join([*(f"rule {name}" for name in sorted(raised)), row.reason]),
                )
            )
        self.rows[serial] = row

    def _is_held_back(self, team: I32, now_ms: int, raised: frozenset[str], *, crosses: bool) -> bool:
        """Returns whether no part of a ring alarms by itself, without the weak bridges between the parts.

        Args:
            raised: rules that raise the alarm.
            crosses: the probability does.
        """
        alerts = self._rules.alerts
        parts = parts_without_weak_bridges(self._graph, self._ties, team, now_ms, alerts.weak_tie_strength)
        if len(parts) < 2:
            return False
        rings = {place: part for place, part in enumerate(parts) if len(part) >= self._rules.min_users}
        if not rings:
            return True
        judged = self.judge(*_in_a_row(rings))
        if crosses and judged.judgement.scores.probability.max() >= alerts.min_probability:
            return False
        return not any(raised & rules.names("alert") for rules in judged.rules)

    def steps(self, moves: RingMoves, causes: Causes) -> Iterator[LineageRow]:
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

    def turns(self, moves: RingMoves, causes: Causes) -> Iterator[LineageRow]:
        """Yields which rings went quiet or woke by the end of a commit."""
        seen = [(serial, self.rows[serial].last_seen_ms) for serial in moves.alive]
        for turn in self._quiet.turn(moves.ended, seen, causes.before_ms, causes.now_ms):
            team = self._register.members[turn.serial]
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
