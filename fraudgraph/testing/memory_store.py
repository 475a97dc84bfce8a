"""A store in memory: the port's promises in plain dictionaries, for tests of whatever stands on a store."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cases.audit import AuditHead, AuditRow
from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.errors import ConfigurationError, FencedError, StoreError
from fraudgraph.events.batch import LabelRow, Rekeyed
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.fingerprint import fingerprint, with_past
from fraudgraph.rings.snapshot import (
    RingSnapshot,
    SnapshotLink,
    SnapshotOrder,
    SnapshotSent,
    SnapshotStep,
    SnapshotTransfer,
    SnapshotUser,
)
from fraudgraph.stores.binding import require_same
from fraudgraph.stores.erasure import redacted_command, redacted_snapshot, renamed_command, renamed_snapshot
from fraudgraph.stores.evidence import Lens, declined, follow_mergers, has_verdict, past_rings, transfer_kind
from fraudgraph.stores.image import StoreImage, as_one_commit
from fraudgraph.stores.port import (
    CLOSED_STATUSES,
    COMMANDS,
    LINK_COLUMNS,
    ORDER_COLUMNS,
    QUEUE_STATUSES,
    TRANSFER_COLUMNS,
    USER_COLUMNS,
    AlertRow,
    Columns,
    CommitDelta,
    Entity,
    LineageRow,
    NarrativeRow,
    RingRow,
    StoredDeadLetter,
    StoredState,
)
from fraudgraph.stores.rotation import refuse_second, standing_hubs

_LINK_IDENTITY = ("user", "kind", "ident")
_ORDER_IDENTITY = ("user", "key")
_TRANSFER_IDENTITY = ("from_user", "to_user", "kind")

Record = dict[str, Any]


@dataclass(slots=True)
class _Tables:
    commit: int = 0
    watermark_ms: int = 0
    ring_serial: int = 0
    started_ms: int | None = None
    scorer_state: bytes | None = None
    positions: dict[str, int] = field(default_factory=dict)
    clocks_ms: dict[str, int] = field(default_factory=dict)
    seen: list[tuple[bytes, int]] = field(default_factory=list)
    entities: dict[tuple[int, int], tuple[str | bytes, str]] = field(default_factory=dict)
    links: dict[int, Record] = field(default_factory=dict)
    users: dict[int, Record] = field(default_factory=dict)
    orders: dict[int, Record] = field(default_factory=dict)
    transfers: dict[int, Record] = field(default_factory=dict)
    labels: dict[bytes, LabelRow] = field(default_factory=dict)
    rings: dict[str, RingRow] = field(default_factory=dict)
    members: dict[str, dict[int, float]] = field(default_factory=dict)
    lineage: list[LineageRow] = field(default_factory=list)
    alerts: dict[str, AlertRow] = field(default_factory=dict)
    dead_letters: dict[int, StoredDeadLetter] = field(default_factory=dict)
    dead_letters_ever: int = 0
    dead_letter_recorded_ms: dict[int, int] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    constraints: dict[str, Constraint] = field(default_factory=dict)
    audit: list[AuditRow] = field(default_factory=list)
    frozen: dict[str, RingSnapshot] = field(default_factory=dict)
    fingerprints: dict[str, tuple[str, ...]] = field(default_factory=dict)
    deliveries: set[tuple[str, str]] = field(default_factory=set)
    narratives: dict[str, NarrativeRow] = field(default_factory=dict)


@dataclass(slots=True)
class MemoryFile:
    """What outlives a `MemoryStore`, as a file outlives a process; give it to the next one."""

    tables: _Tables = field(default_factory=_Tables)
    epoch: int = 0
    binding: tuple[str, str, str] = ("", "", "")
    previous_key_id: str = ""
    rotated_ms: int = 0
    commands: list[bytes] = field(default_factory=list)


class MemoryStore:
    """A `Store` without a disk. A commit works on a copy, so that one that fails leaves nothing: for small stores.

    Args:
        policy: the link policy.
        priority: the rules of the queue.
        file: shared by several stores to play several processes.
    """

    def __init__(
        self, policy: LinkPolicy, priority: PriorityRules, file: MemoryFile | None = None, *, warmup_days: int = 14
    ) -> None:
        self.file = MemoryFile() if file is None else file
        self._policy = policy
        self._priority = priority
        self._warmup_days = warmup_days
        self._epoch: int | None = None

    def claim(self) -> int:
        """Takes the next epoch and returns it."""
        self.file.epoch += 1
        self._epoch = self.file.epoch
        return self._epoch

    def bind(self, *, key_id: str, policy_hash: str, policy_version: str) -> None:
        """Records key and policy at first use, and refuses others afterwards."""
        bound_key, bound_hash, _ = self.file.binding
        if not bound_key:
            self.file.binding = (key_id, policy_hash, policy_version)
        require_same(bound_key, bound_hash, key_id=key_id, policy_hash=policy_hash)

    def begin_rotation(self, key_id: str) -> None:
        """Begins a period of two keys."""
        self._require_epoch()
        bound, policy_hash, version = self.file.binding
        refuse_second(bound, self.file.previous_key_id)
        tables = self.file.tables
        clocks = [ms if ms >= 0 else -1 - ms for ms in tables.clocks_ms.values()]
        self.file.binding, self.file.previous_key_id = (key_id, policy_hash, version), bound
        self.file.rotated_ms = max([0, *clocks, *(user["last_ms"] for user in tables.users.values())])

    def end_rotation(self) -> None:
        """Ends the period of two keys. Idempotent."""
        self._require_epoch()
        self.file.previous_key_id, self.file.rotated_ms = "", 0

    def reseal(self, ciphertexts: Mapping[int, bytes]) -> None:
        """Puts other ciphertexts in the place of dead letters' own."""
        self._require_epoch()
        letters = self.file.tables.dead_letters
        for number in ciphertexts.keys() & letters.keys():
            letters[number] = replace(letters[number], ciphertext=ciphertexts[number])

    def load(self) -> StoredState:
        """Returns everything of the last commit."""
        tables = copy.deepcopy(self.file.tables)
        living = {ring_id: ring for ring_id, ring in sorted(tables.rings.items()) if _lives(ring)}
        return StoredState(
            commit=tables.commit,
            watermark_ms=tables.watermark_ms,
            positions=tables.positions,
            clocks_ms=tables.clocks_ms,
            ring_serial=tables.ring_serial,
            started_ms=tables.started_ms,
            scorer_state=tables.scorer_state,
            seen_keys=[key for key, _ in tables.seen],
            seen_ts_ms=[ts_ms for _, ts_ms in tables.seen],
            entities=((kind, number, tables.entities[kind, number][0]) for number, kind in _by_id(tables)),
            links=_columns(tables.links, LINK_COLUMNS),
            users=_columns(tables.users, USER_COLUMNS),
            orders=_columns(tables.orders, ORDER_COLUMNS),
            order_keys=[tables.orders[slot]["key"] for slot in sorted(tables.orders)],
            transfers=_columns(tables.transfers, TRANSFER_COLUMNS),
            labels=list(tables.labels.values()),
            rings=list(living.values()),
            members={ring_id: sorted(tables.members.get(ring_id, {}).items()) for ring_id in living},
            decisions=[tables.decisions[number] for number in sorted(tables.decisions)],
            constraints=[tables.constraints[number] for number in sorted(tables.constraints)],
            audit_head=AuditHead(tables.audit[-1].number, tables.audit[-1].hash) if tables.audit else AuditHead(),
        )

    def record_command(self, body: bytes) -> int:
        """Appends a command and returns its number."""
        self.file.commands.append(body)
        return len(self.file.commands)

    def commit(self, delta: CommitDelta) -> None:
        """Writes the delta, or nothing."""
        self._require_epoch()
        if delta.commit != self.file.tables.commit + 1:
            raise StoreError(f"{delta.commit} is not the next commit", do="Load the state again.")
        kept = {decision: self.snapshot(ring_id) for decision, ring_id in delta.frozen.items()}
        decided = {d.decision_id: self.snapshot(d.ring_id) for d in delta.decisions if has_verdict(d)}
        names = delta.rekeyed.users
        kept = {decision: ring and renamed_snapshot(ring, names) for decision, ring in kept.items()}
        tables = copy.deepcopy(self.file.tables)
        _rekey(tables, delta.rekeyed)
        _delete(tables, delta)
        _upsert(tables, delta)
        _append(tables, delta)
        tables.frozen = {decision: ring for decision, ring in kept.items() if ring is not None} | tables.frozen
        tables.fingerprints = {
            decision: fingerprint(RingView(ring, self._policy))
            for decision, ring in decided.items()
            if ring is not None and ring.users
        } | tables.fingerprints
        self.file.tables = tables
        self.file.commands = [renamed_command(body, names) or body for body in self.file.commands]
        self._forget(delta.forgotten)

    def _forget(self, forgotten: Mapping[str, str]) -> None:
        tables = self.file.tables
        tables.labels = {key: label for key, label in tables.labels.items() if label.about_user not in forgotten}
        tables.frozen = {decision: redacted_snapshot(ring, forgotten) for decision, ring in tables.frozen.items()}
        self.file.commands = [redacted_command(body, forgotten) or body for body in self.file.commands]

    def mark_sent(self, sink: str, alert_ids: Collection[str]) -> None:
        """Notes alerts as delivered to a sink."""
        self._require_epoch()
        self.file.tables.deliveries |= {(sink, each) for each in alert_ids}

    def save_narrative(self, row: NarrativeRow) -> None:
        """Keeps what was said about a ring, in place of what was said before."""
        self._require_epoch()
        self.file.tables.narratives[row.ring_id] = row

    def restore(self, image: StoreImage) -> None:
        """Writes everything of another store into this new one."""
        if self.file.tables.commit or self.file.binding[0] or self.file.commands:
            raise StoreError("the store is in use", do="Restore into a new one.")
        tables = _Tables()
        _upsert(tables, image.delta)
        _append(tables, image.delta)
        tables.dead_letters = {letter.id: letter for letter, _ in image.dead_letters}
        tables.dead_letter_recorded_ms = {letter.id: recorded_ms for letter, recorded_ms in image.dead_letters}
        tables.dead_letters_ever = image.dead_letters_ever
        tables.frozen, tables.fingerprints = dict(image.frozen), dict(image.fingerprints)
        tables.deliveries = set(image.deliveries)
        tables.narratives = {row.ring_id: row for row in image.narratives}
        self.file.tables = tables
        self.file.binding = (image.key_id, image.policy_hash, image.policy_version)
        self.file.previous_key_id, self.file.rotated_ms = image.previous_key_id, image.rotated_ms
        self.file.commands = list(image.commands)

    def _require_epoch(self) -> None:
        if self._epoch is None:
            raise StoreError("this writer holds no epoch", do="Call `claim` first.")
        if self._epoch != self.file.epoch:
            raise FencedError(f"another writer took epoch {self.file.epoch}", do="Stop this process.")

    def meta(self) -> Mapping[str, str]:
        """Returns what the store is and where it stands."""
        key_id, policy_hash, policy_version = self.file.binding
        return {
            "store_id": "memory",
            "schema_version": "0",
            "key_id": key_id,
            "policy_hash": policy_hash,
            "policy_version": policy_version,
            "epoch": str(self.file.epoch),
            "commit": str(self.file.tables.commit),
            "watermark_ms": str(self.file.tables.watermark_ms),
            "started_ms": str(self.file.tables.started_ms or 0),
            "previous_key_id": self.file.previous_key_id,
            "rotated_ms": str(self.file.rotated_ms),
        }

    def rings(
        self,
        *,
        statuses: Iterable[str] | None = None,
        since_ms: int | None = None,
        min_probability: float = 0.0,
        limit: int | None = None,
    ) -> list[RingRow]:
        """Returns rings, best `rank` first."""
        wanted = set(QUEUE_STATUSES if statuses is None else statuses)
        found = [
            ring
            for ring in map(self._lens().ring, self.file.tables.rings.values())
            if ring.status in wanted
            and (since_ms is None or ring.last_seen_ms >= since_ms)
            and ring.probability >= min_probability
        ]
        return _best_first(found)[:limit]

    def resolve_ring(self, ring_id: str) -> str | None:
        """Returns the id under which the ring lives now, else None."""
        went = {step.ring_id: step.other_ring_id for step in self.file.tables.lineage if step.what == "merged"}

        def look_up(ring_id: str) -> tuple[str, str | None] | None:
            ring = self.file.tables.rings.get(ring_id)
            return None if ring is None else (ring.status, went.get(ring_id))

        return follow_mergers(ring_id, look_up)

    def snapshot(self, ring_id: str) -> RingSnapshot | None:
        """Returns all the evidence of a ring, or None where there is no such ring."""
        tables, lens = self.file.tables, self._lens()
        if self.file.binding[1] not in ("", self._policy.hash):
            raise ConfigurationError("the store was written under another link policy", do="Use that policy.")
        ring = tables.rings.get(ring_id)
        if ring is None:
            return None
        members = tables.members.get(ring_id, {})
        found = lens.snapshot(
            ring,
            users=[self._snapshot_user(user, probability) for user, probability in members.items()],
            links=[self._snapshot_link(link) for link in self._live_links() if link["user"] in members],
            orders=[self._snapshot_order(order) for order in tables.orders.values() if order["user"] in members],
            transfers=[
                self._snapshot_transfer(transfer)
                for transfer in tables.transfers.values()
                if transfer["from_user"] in members and transfer["to_user"] in members
            ],
            sent_outside=self._sent_outside(members),
            lineage=[
                SnapshotStep(step.what, step.at_ms, step.users_before, step.users_after, step.other_ring_id)
                for step in tables.lineage
                if step.ring_id == ring_id
            ],
            positions=tables.positions,
            schema_version="0",
        )
        here = [user.user_id for user in found.users]
        return with_past(found, past_rings(self.decisions(), tables.fingerprints, here), self._policy)

    def find(self, kind: EntityKind, key: str | bytes) -> Entity | None:
        """Returns an entity by user id or pseudonym (bytes, or hex)."""
        for (stored_kind, number), (stored, _) in self.file.tables.entities.items():
            if stored_kind == kind and key in (stored, _text(stored)):
                return self._entity(kind, number)
        return None

    def find_order(self, order_key: bytes) -> str | None:
        """Returns the user id behind an order."""
        for order in self.file.tables.orders.values():
            if order["key"] == order_key:
                return self._user_id(order["user"])
        return None

    def users_of(self, entity: Entity, limit: int) -> list[tuple[str, int, int, int]]:
        """Returns (user id, first_ms, last_ms, count), latest first, ties by user id."""
        found = [
            (self._user_id(link["user"]), link["first_ms"], link["last_ms"], link["count"])
            for link in self._live_links()
            if (link["kind"], link["ident"]) == (entity.kind, entity.id)
        ]
        return sorted(found, key=lambda row: (-row[2], row[0]))[:limit]

    def identifiers_of(self, user_id: str) -> list[tuple[Entity, int, int, int]]:
        """Returns (identifier, first_ms, last_ms, count), by kind and pseudonym."""
        found = [
            (self._entity(link["kind"], link["ident"]), link["first_ms"], link["last_ms"], link["count"])
            for link in self._live_links()
            if self._user_id(link["user"]) == user_id
        ]
        return sorted(found, key=lambda row: (row[0].kind, row[0].key))

    def rings_of(self, user_id: str) -> list[RingRow]:
        """Returns the living rings that the user is a member of, best `rank` first."""
        tables = self.file.tables
        return _best_first(
            self._lens().ring(ring)
            for ring_id, ring in tables.rings.items()
            if _lives(ring) and user_id in map(self._user_id, tables.members.get(ring_id, {}))
        )

    def dead_letters(self, *, partition: str | None = None, limit: int | None = None) -> list[StoredDeadLetter]:
        """Returns dead letters in the order of their ids; those of one partition where it is given."""
        letters = self.file.tables.dead_letters.values()
        return [letter for letter in letters if partition in (None, letter.partition)][:limit]

    def alerts(self, *, limit: int | None = None) -> list[AlertRow]:
        """Returns alerts, newest first, ties by alert id."""
        return sorted(self.file.tables.alerts.values(), key=lambda alert: (-alert.at_ms, alert.alert_id))[:limit]

    def outbox(self, sink: str, *, limit: int | None = None) -> list[AlertRow]:
        """Returns the alerts that were not marked as sent to that sink, oldest first."""
        tables = self.file.tables
        waiting = [alert for alert in tables.alerts.values() if (sink, alert.alert_id) not in tables.deliveries]
        return sorted(waiting, key=lambda alert: (alert.at_ms, alert.alert_id))[:limit]

    def narrative(self, ring_id: str) -> NarrativeRow | None:
        """Returns what was last said about a ring under this id, or None."""
        return self.file.tables.narratives.get(ring_id)

    def lineage(self, ring_id: str) -> list[LineageRow]:
        """Returns all steps in which a ring took part, in order."""
        return [step for step in self.file.tables.lineage if ring_id in (step.ring_id, step.other_ring_id)]

    def decisions(self) -> list[Decision]:
        """Returns decisions in the order of their ids."""
        return [self.file.tables.decisions[number] for number in sorted(self.file.tables.decisions)]

    def constraints(self) -> list[Constraint]:
        """Returns constraints in the order of their ids."""
        return [self.file.tables.constraints[number] for number in sorted(self.file.tables.constraints)]

    def audit(self) -> list[AuditRow]:
        """Returns the audit in the order of its numbers."""
        return list(self.file.tables.audit)

    def frozen(self, decision_id: str) -> RingSnapshot | None:
        """Returns the ring as it was when that decision was applied, or None where nothing was kept."""
        return self.file.tables.frozen.get(decision_id)

    def commands(self, *, after: int = 0, limit: int | None = None) -> list[tuple[int, bytes]]:
        """Returns recorded commands with numbers above `after`."""
        return list(enumerate(self.file.commands, 1))[after:][:limit]

    def commands_applied(self) -> int:
        """Returns the highest number of a command that the engine has taken; 0 for none."""
        return self.file.tables.positions.get(COMMANDS, 1) - 1

    def image(self) -> StoreImage:
        """Returns everything that the store holds."""
        tables, state = copy.deepcopy(self.file.tables), self.load()
        key_id, policy_hash, policy_version = self.file.binding
        return StoreImage(
            key_id=key_id,
            policy_hash=policy_hash,
            policy_version=policy_version,
            delta=replace(
                as_one_commit(
                    state, [(kind, number, *tables.entities[kind, number]) for number, kind in _by_id(tables)]
                ),
                rings=[ring for _, ring in sorted(tables.rings.items())],
                members={ring_id: sorted(team.items()) for ring_id, team in tables.members.items() if team},
                lineage=tables.lineage,
                alerts=[alert for _, alert in sorted(tables.alerts.items())],
                audit=tables.audit,
            ),
            dead_letters=[
                (letter, tables.dead_letter_recorded_ms[number]) for number, letter in tables.dead_letters.items()
            ],
            dead_letters_ever=tables.dead_letters_ever,
            commands=list(self.file.commands),
            frozen=tables.frozen,
            fingerprints=tables.fingerprints,
            deliveries=sorted(tables.deliveries),
            narratives=[row for _, row in sorted(tables.narratives.items())],
            previous_key_id=self.file.previous_key_id,
            rotated_ms=self.file.rotated_ms,
        )

    def under_previous_key(self) -> Mapping[str, int]:
        """Returns how many things may still need the key before; empty where there is one key."""
        tables, since_ms = self.file.tables, self.file.rotated_ms
        if not self.file.previous_key_id:
            return {}
        used = {(link["kind"], link["ident"]) for link in tables.links.values() if link["last_ms"] > since_ms}
        hubs = standing_hubs(tables.constraints.values(), tables.watermark_ms)
        return {
            "identifiers": sum(kind != 0 and (kind, number) not in used for kind, number in tables.entities),
            "accounts": sum(
                re.fullmatch("u_[0-9a-f]{32}", str(tables.entities[0, number][0])) is not None
                for number, user in tables.users.items()
                if user["last_ms"] <= since_ms
            ),
            "orders": sum(order["ts_ms"] <= since_ms for order in tables.orders.values()),
            "constraints": len(hubs - {key for place in used if isinstance(key := tables.entities[place][0], bytes)}),
            "event_ids": sum(tables.watermark_ms <= ts_ms <= since_ms for _, ts_ms in tables.seen),
        }

    def close(self) -> None:
        """Does nothing: there is nothing to release."""

    def _lens(self) -> Lens:
        tables = self.file.tables
        lens = Lens(self._policy, self._priority, tables.watermark_ms).constrained(tables.constraints.values())
        signups = any(user["signup_ms"] >= 0 for user in tables.users.values())
        return lens.watching(tables.started_ms, self._warmup_days, signups=signups)

    def _live_links(self) -> list[Record]:
        lens = self._lens()
        return [
            link
            for link in self.file.tables.links.values()
            if link["last_ms"] >= lens.live_since_ms(EntityKind(link["kind"]))
        ]

    def _users_active(self, kind: int, ident: int) -> int:
        return sum((link["kind"], link["ident"]) == (kind, ident) for link in self._live_links())

    def _user_id(self, user: int) -> str:
        return _text(self.file.tables.entities[EntityKind.USER, user][0])

    def _entity(self, kind: int, number: int) -> Entity:
        key, mask = self.file.tables.entities[kind, number]
        users = 1 if kind == EntityKind.USER else self._users_active(kind, number)
        return Entity(EntityKind(kind), number, _text(key), mask, users)

    def _snapshot_user(self, user: int, probability: float) -> SnapshotUser:
        activity = {"first_ms": -1, "last_ms": -1} | self.file.tables.users.get(user, {})
        activity.pop("user", None)
        return SnapshotUser(self._user_id(user), probability, **activity)

    def _snapshot_link(self, link: Record) -> SnapshotLink:
        key, mask = self.file.tables.entities[link["kind"], link["ident"]]
        assert isinstance(key, bytes)
        return self._lens().link(
            self._user_id(link["user"]),
            EntityKind(link["kind"]),
            key,
            mask,
            first_ms=link["first_ms"],
            last_ms=link["last_ms"],
            count=link["count"],
            users_active=self._users_active(link["kind"], link["ident"]),
        )

    def _snapshot_order(self, order: Record) -> SnapshotOrder:
        return SnapshotOrder(
            order_ref=order["key"].hex(),
            user_id=self._user_id(order["user"]),
            ts_ms=order["ts_ms"],
            amount_minor=order["amount_minor"],
            refunded_minor=order["refunded_minor"],
            charged_minor=order["charged_minor"],
            currency=order["currency"],
            declined=declined(order["status"]),
        )

    def _sent_outside(self, members: Mapping[int, float]) -> list[SnapshotSent]:
        sent: dict[tuple[int, int], tuple[int, set[int]]] = {}
        for transfer in self.file.tables.transfers.values():
            sender, receiver = transfer["from_user"], transfer["to_user"]
            if sender in members and receiver not in members and transfer["kind"] == EventType.TRANSFER:
                amount, receivers = sent.get((sender, transfer["currency"]), (0, set()))
                sent[(sender, transfer["currency"])] = (amount + transfer["amount_minor"], receivers | {receiver})
        return [
            SnapshotSent(self._user_id(sender), currency, amount, len(receivers))
            for (sender, currency), (amount, receivers) in sent.items()
        ]

    def _snapshot_transfer(self, transfer: Record) -> SnapshotTransfer:
        return SnapshotTransfer(
            from_user_id=self._user_id(transfer["from_user"]),
            to_user_id=self._user_id(transfer["to_user"]),
            kind=transfer_kind(transfer["kind"]),
            first_ms=transfer["first_ms"],
            last_ms=transfer["last_ms"],
            count=transfer["count"],
            amount_minor=transfer["amount_minor"],
            currency=transfer["currency"],
        )


def _rekey(tables: _Tables, rekeyed: Rekeyed) -> None:
    for kind, number, key, before, mask in rekeyed.entities:
        stored = tables.entities[kind, number][1]
        tables.entities[kind, number] = (key, mask if stored == before else stored)
    for slot, order_key in rekeyed.orders:
        tables.orders[slot]["key"] = order_key
    for former, label in rekeyed.labels:
        tables.labels = {
            label.key if key == former else key: replace(label, event=-1) if key == former else row
            for key, row in tables.labels.items()
        }
    tables.frozen = {decision: renamed_snapshot(ring, rekeyed.users) for decision, ring in tables.frozen.items()}


def _delete(tables: _Tables, delta: CommitDelta) -> None:
    for kind, number in delta.entities_deleted:
        tables.entities.pop((kind, number), None)
        if kind == EntityKind.USER:
            tables.users.pop(number, None)
            for members in tables.members.values():
                members.pop(number, None)
    for table, ids in (
        (tables.links, delta.links_deleted),
        (tables.orders, delta.orders_deleted),
        (tables.transfers, delta.transfers_deleted),
    ):
        for slot in ids:
            table.pop(slot, None)
    for number in delta.dead_letters_deleted:
        tables.dead_letters.pop(number, None)
    if delta.dead_letters_before_ms is not None:
        for number, recorded_ms in tables.dead_letter_recorded_ms.items():
            if recorded_ms < delta.dead_letters_before_ms:
                tables.dead_letters.pop(number, None)


def _upsert(tables: _Tables, delta: CommitDelta) -> None:
    for kind, number, key, mask in delta.entities:
        if tables.entities.get((kind, number), (key,))[0] != key:
            raise StoreError("an entity would change its key", do="Delete it first.")
        tables.entities[kind, number] = (key, mask)
    _put(tables.links, _records(delta.links, LINK_COLUMNS), _LINK_IDENTITY)
    _put(tables.users, _records(delta.users, USER_COLUMNS), ())
    orders = _records(delta.orders, ORDER_COLUMNS)
    for order, order_key in zip(orders, delta.order_keys, strict=True):
        order["key"] = order_key
    _put(tables.orders, orders, _ORDER_IDENTITY)
    _put(tables.transfers, _records(delta.transfers, TRANSFER_COLUMNS), _TRANSFER_IDENTITY)
    tables.rings |= {ring.ring_id: ring for ring in delta.rings}
    tables.members |= {ring_id: dict(members) for ring_id, members in delta.members.items()}
    tables.decisions |= {decision.decision_id: decision for decision in delta.decisions}
    tables.constraints |= {constraint.constraint_id: constraint for constraint in delta.constraints}


def _append(tables: _Tables, delta: CommitDelta) -> None:
    for label in delta.labels:
        tables.labels.setdefault(label.key, replace(label, event=-1))
    for alert in delta.alerts:
        tables.alerts.setdefault(alert.alert_id, alert)
    tables.lineage += delta.lineage
    tables.audit += delta.audit
    for letter in delta.dead_letters:
        tables.dead_letters_ever += 1
        tables.dead_letter_recorded_ms[tables.dead_letters_ever] = delta.recorded_ms
        tables.dead_letters[tables.dead_letters_ever] = StoredDeadLetter(
            id=tables.dead_letters_ever,
            reason=letter.reason.code,
            detail=letter.detail,
            partition=letter.partition,
            offset=letter.offset,
            commit=delta.commit,
            ciphertext=letter.ciphertext,
        )
    seen = [*tables.seen, *zip(delta.seen_keys, delta.seen_ts_ms, strict=True)]
    tables.seen = [(key, ts_ms) for key, ts_ms in seen if ts_ms >= delta.watermark_ms]
    tables.positions |= delta.positions
    tables.clocks_ms |= delta.clocks_ms
    tables.scorer_state = tables.scorer_state if delta.scorer_state is None else delta.scorer_state
    tables.ring_serial = max(tables.ring_serial, delta.ring_serial)
    if delta.started_ms is not None:
        tables.started_ms = delta.started_ms
    tables.commit, tables.watermark_ms = delta.commit, delta.watermark_ms


def _put(table: dict[int, Record], records: Iterable[Record], identity: tuple[str, ...]) -> None:
    for record in records:
        number = next(iter(record.values()))
        before = table.get(number, record)
        if any(before[name] != record[name] for name in identity):
            raise StoreError(f"row {number} would change {identity}", do="Delete it first.")
        table[number] = record


def _records(columns: Columns, names: tuple[str, ...]) -> list[Record]:
    if not columns:
        return []
    return [dict(zip(names, row, strict=True)) for row in zip(*(columns[n].tolist() for n in names), strict=True)]


def _columns(table: dict[int, Record], names: tuple[str, ...]) -> Columns:
    rows = [table[number] for number in sorted(table)]
    return {name: np.array([row[name] for row in rows], np.int64) for name in names}


def _by_id(tables: _Tables) -> list[tuple[int, int]]:
    return sorted((number, kind) for kind, number in tables.entities)


def _lives(ring: RingRow) -> bool:
    return ring.status not in CLOSED_STATUSES


def _best_first(rings: Iterable[RingRow]) -> list[RingRow]:
    return sorted(rings, key=lambda ring: (-ring.rank, ring.ring_id))


def _text(key: str | bytes) -> str:
    return key if isinstance(key, str) else key.hex()
