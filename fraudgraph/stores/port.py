"""The store port: what one commit holds, and what readers get back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from fraudgraph.cases.audit import AuditHead, AuditRow
from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.events.batch import DeadLetter, LabelRow, Rekeyed
from fraudgraph.events.kinds import EntityKind
from fraudgraph.rings.rule_hits import NO_RULES, RingRules
from fraudgraph.rings.snapshot import RingSnapshot

if TYPE_CHECKING:  # readers import this module, and must start without numpy
    import numpy as np
    import numpy.typing as npt

    from fraudgraph.stores.image import StoreImage

Columns: TypeAlias = "dict[str, npt.NDArray[np.generic]]"
"""Named columns of equal length; names are those of the table. Columns that a store returns are int64."""

LINK_COLUMNS = (
    "slot",
    "user",
    "kind",
    "ident",
    "first_ms",
    "last_ms",
    "count",
    "sources",
    "prev_first_ms",
    "prev_last_ms",
    "prev_count",
)
USER_COLUMNS = (
    "user",
    "first_ms",
    "last_ms",
    "signup_ms",
    "first_spend_ms",
    "logins",
    "orders",
    "payments",
    "declined",
    "refunds",
    "chargebacks",
    "referrals",
    "transfers_out",
    "transfers_in",
    "label",
)
ORDER_COLUMNS = (
    "slot",
    "user",
    "ts_ms",
    "amount_minor",
    "refunded_minor",
    "charged_minor",
    "currency",
    "status",
)
CLOSED_STATUSES = ("closed", "merged")
"""A ring with one of these lives no more; its row stays so that the old id resolves."""
SETTLED_STATUSES = ("confirmed", "false-positive")
"""A living ring with one of these has its verdict, and waits for nobody: it is not in the queue."""
QUEUE_STATUSES = ("open", "dormant", "needs-info", "needs-second-reader")
"""What waits for somebody."""
COMMANDS = "commands"
"""The partition of the store's own commands: command `n` is applied once its position is above `n`."""
TRANSFER_COLUMNS = (
    "slot",
    "from_user",
    "to_user",
    "first_ms",
    "last_ms",
    "count",
    "amount_minor",
    "currency",
    "kind",
)


@dataclass(frozen=True, slots=True)
class RingRow:
    """One ring as the queue shows it. Money in minor units of `currency` (ISO 4217 numeric), times in ms.

    `rank` is log2 of the priority at the epoch (`alerts.priority`), so that the order of the queue needs no
    update as time passes; `status` is `open`, what decisions say (`cases.decisions`), `closed` or `merged`. A reader
    derives priority, recency and `dormant` from `rank`, `last_seen_ms` and the watermark. `rules` is what the shop's
    rules said when it was judged last.
    """

    ring_id: str
    status: str
    probability: float
    rank: float
    value_at_risk_minor: int
    currency: int
    users: int
    identifiers: int
    first_seen_ms: int
    last_seen_ms: int
    reason: str
    scorer: str
    contributions: Mapping[str, float]
    rules: RingRules = NO_RULES


@dataclass(frozen=True, slots=True)
class LineageRow:
    """One step in a ring's life: `born, grew, shrank, merged, split, dormant, revived, closed`.

    `cause` says what an analyst's constraint had to do with it, in a clause; "" where nothing.
    """

    ring_id: str
    what: str
    at_ms: int
    users_before: int
    users_after: int
    other_ring_id: str | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True)
class AlertRow:
    """A ring crossed the alert policy; `alert_id` is a function of the journal."""

    alert_id: str
    ring_id: str
    at_ms: int
    probability: float
    priority: float
    reason: str


@dataclass(frozen=True, slots=True)
class NarrativeRow:
    """What a narrator said about a ring, with the hashes of all that it rests on.

    Attributes:
        evidence_hash, prompt_hash: of the evidence pack, and of the prompt's fixed text.
        model: the narrator, with its version; `verifier`: version of the code that checked the claims.
        made_at_ms: wall time, given at the edge.
        body: JSON of the narrative; it names nobody but by pseudonym (`U1`, `D3`).
    """

    ring_id: str
    evidence_hash: str
    prompt_hash: str
    model: str
    verifier: str
    made_at_ms: int
    body: bytes


@dataclass(slots=True)
class CommitDelta:
    """The net difference of one batch: everything here is written in one transaction, or nothing is.

    Dense ids (`user`, `ident`, `slot`) are small integers that the engine re-uses after a delete; a store
    applies deletes before upserts, and refuses an id that changes its identity without a delete. `entities` is
    (kind, id, key, mask); key is str for users, bytes else. Deleting a user entity deletes its `users` row and
    its memberships. `positions` and `clocks_ms` (latest event time seen per partition; `-1 - ms` where it ended)
    hold what moved; `scorer_state` None leaves the stored one, `started_ms` (the stream's beginning) likewise, and
    `ring_serial` never falls. `members` (user,
    probability) replaces a ring's whole list. `seen_keys` are 16 bytes each, with `seen_ts_ms`; a store forgets
    them below the watermark. A transfer's `kind` is the number of EventType.TRANSFER or EventType.REFERRAL. An
    order's `status` has bit `1 << Status` for each status seen, and bit 7 where an order event named its user: an
    order that goes to another user is in `orders_deleted` and in `orders`. A label is stored once by its `key`, an
    alert by its id. `rings` are upserts by ring id: the columns as given. So are `decisions` and
    `constraints`, by theirs; `recorded_ms` is wall time, given at the edge: it says only how old a dead letter is, and
    those recorded before `dead_letters_before_ms` are forgotten; `audit` rows are appended. `frozen` (decision ->
    ring) asks for the ring's snapshot as of the commit before this one. `forgotten` (user id -> the name in its place)
    takes an account out of labels, kept evidence and recorded commands (`stores.erasure`); its rows are deleted as any
    others are. `rekeyed` comes before all else, deletes included: what is stored gets another pseudonym, and keeps its
    id and its mask.
    """

    commit: int
    watermark_ms: int
    positions: dict[str, int] = field(default_factory=dict)
    clocks_ms: dict[str, int] = field(default_factory=dict)
    seen_keys: list[bytes] = field(default_factory=list)
    seen_ts_ms: list[int] = field(default_factory=list)
    entities: list[tuple[int, int, str | bytes, str]] = field(default_factory=list)
    entities_deleted: list[tuple[int, int]] = field(default_factory=list)
    links: Columns = field(default_factory=dict)
    links_deleted: list[int] = field(default_factory=list)
    users: Columns = field(default_factory=dict)
    orders: Columns = field(default_factory=dict)
    order_keys: list[bytes] = field(default_factory=list)
    orders_deleted: list[int] = field(default_factory=list)
    transfers: Columns = field(default_factory=dict)
    transfers_deleted: list[int] = field(default_factory=list)
    labels: list[LabelRow] = field(default_factory=list)
    rings: list[RingRow] = field(default_factory=list)
    members: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    lineage: list[LineageRow] = field(default_factory=list)
    alerts: list[AlertRow] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    dead_letters_deleted: list[int] = field(default_factory=list)
    dead_letters_before_ms: int | None = None
    recorded_ms: int = 0
    scorer_state: bytes | None = None
    ring_serial: int = 0
    started_ms: int | None = None
    decisions: list[Decision] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    audit: list[AuditRow] = field(default_factory=list)
    frozen: dict[str, str] = field(default_factory=dict)
    forgotten: dict[str, str] = field(default_factory=dict)
    rekeyed: Rekeyed = field(default_factory=Rekeyed)


@dataclass(slots=True)
class StoredState:
    """All that an engine needs to go on where the last commit ended; columns as in `CommitDelta`, by id.

    `rings` and `members` are those of living rings (not `CLOSED_STATUSES`); a new store is at commit 0,
    watermark 0. `entities` is read once and ordered by (id, kind).
    """

    commit: int
    watermark_ms: int
    positions: dict[str, int]
    clocks_ms: dict[str, int]
    ring_serial: int
    started_ms: int | None
    scorer_state: bytes | None
    seen_keys: list[bytes]
    seen_ts_ms: list[int]
    entities: Iterator[tuple[int, int, str | bytes]]
    links: Columns
    users: Columns
    orders: Columns
    order_keys: list[bytes]
    transfers: Columns
    labels: list[LabelRow]
    rings: list[RingRow]
    members: dict[str, list[tuple[int, float]]]
    decisions: list[Decision] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    audit_head: AuditHead = field(default_factory=AuditHead)


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter as listed; `ciphertext` is opened only by replay and `list --reveal`."""

    id: int
    reason: str
    detail: str
    partition: str
    offset: int
    commit: int
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Entity:
    """A node as a reader sees it; `key` is the user id, or the pseudonym in hex."""

    kind: EntityKind
    id: int
    key: str
    mask: str
    users: int


class StoreReader(Protocol):
    """Read side: any number of processes, never blocked by the writer, each call sees one commit."""

    def meta(self) -> Mapping[str, str]:
        """Returns what the store is, and where it stands.

        Store id, schema version, key id, policy hash and version, epoch, commit, watermark_ms, started_ms; in a period
        of two keys also previous_key_id, else "", and rotated_ms: the latest event time that was applied when it began.
        """
        ...

    def rings(
        self,
        *,
        statuses: Iterable[str] | None = None,
        since_ms: int | None = None,
        min_probability: float = 0.0,
        limit: int | None = None,
    ) -> list[RingRow]:
        """Returns rings, best `rank` first, ties by ring id; living ones that are not settled where `statuses` is None.

        `since_ms` and `min_probability` are inclusive bounds on last_seen_ms and probability.
        """
        ...

    def resolve_ring(self, ring_id: str) -> str | None:
        """Returns the id under which the ring lives now (itself, or where its members went), else None."""
        ...

    def snapshot(self, ring_id: str) -> RingSnapshot | None:
        """Returns all the evidence of a ring as of the last commit, or None where there is no such ring."""
        ...

    def find(self, kind: EntityKind, key: str | bytes) -> Entity | None:
        """Returns an entity by user id or pseudonym."""
        ...

    def find_order(self, order_key: bytes) -> str | None:
        """Returns the user id behind an order."""
        ...

    def users_of(self, entity: Entity, limit: int) -> list[tuple[str, int, int, int]]:
        """Returns (user id, first_ms, last_ms, count) of the users linked to an identifier, latest first."""
        ...

    def identifiers_of(self, user_id: str) -> list[tuple[Entity, int, int, int]]:
        """Returns (identifier, first_ms, last_ms, count) of a user's links; `Entity.users` is its users."""
        ...

    def rings_of(self, user_id: str) -> list[RingRow]:
        """Returns the living rings that the user is a member of."""
        ...

    def dead_letters(self, *, partition: str | None = None, limit: int | None = None) -> list[StoredDeadLetter]:
        """Returns dead letters in the order of their ids; those of one partition where it is given."""
        ...

    def alerts(self, *, limit: int | None = None) -> list[AlertRow]:
        """Returns alerts, newest first, ties by alert id."""
        ...

    def outbox(self, sink: str, *, limit: int | None = None) -> list[AlertRow]:
        """Returns the alerts that were not marked as sent to that sink, oldest first, ties by alert id."""
        ...

    def narrative(self, ring_id: str) -> NarrativeRow | None:
        """Returns what was last said about a ring under this id, or None."""
        ...

    def lineage(self, ring_id: str) -> list[LineageRow]:
        """Returns all steps in which a ring took part, under its own id or as the other one, in order."""
        ...

    def decisions(self) -> list[Decision]:
        """Returns decisions in the order of their ids, undone ones too."""
        ...

    def constraints(self) -> list[Constraint]:
        """Returns constraints in the order of their ids, removed ones too."""
        ...

    def audit(self) -> list[AuditRow]:
        """Returns the audit in the order of its numbers."""
        ...

    def frozen(self, decision_id: str) -> RingSnapshot | None:
        """Returns the ring as it was when that decision was applied, or None where nothing was kept."""
        ...

    def commands(self, *, after: int = 0, limit: int | None = None) -> list[tuple[int, bytes]]:
        """Returns recorded commands (number, JSON of the event), applied or not, with numbers above `after`."""
        ...

    def commands_applied(self) -> int:
        """Returns the highest number of a command that the engine has taken; 0 for none."""
        ...

    def image(self) -> StoreImage:
        """Returns everything that the store holds, as of the last commit, in memory."""
        ...

    def under_previous_key(self) -> Mapping[str, int]:
        """Returns how many identifiers, accounts, orders, constraints and event_ids may still need the key before.

        `accounts` are those whose ids are pseudonyms, `constraints` benign hubs that stand. Counted is what was not
        seen since the period of two keys began, so of what came late it may count too much, never too little. Empty
        where there is one key.
        """
        ...

    def close(self) -> None:
        """Releases the connection. Idempotent."""
        ...


class Store(StoreReader, Protocol):
    """Write side: one process at a time, fenced by an epoch (DESIGN §3.7).

    `commit` is called by the daemon, once per batch, after `Engine.apply`. It is all or nothing: a crash at
    any instruction leaves the commit before. Committing the same `commit` number twice is refused, so a
    caller that does not know whether a commit went through must `load` and go on from `positions`.
    Not promised: that a reader sees a commit before `commit` returned, or any order among rows.
    """

    def record_command(self, body: bytes) -> int:
        """Appends a command (the JSON of its event) and returns its number.

        From any process, whoever holds the epoch: the engine reads it as a stream of its own.
        """
        ...

    def claim(self) -> int:
        """Takes the next epoch and returns it; every earlier writer is fenced from then on."""
        ...

    def bind(self, *, key_id: str, policy_hash: str, policy_version: str) -> None:
        """Records key and policy at first use, and refuses others afterwards.

        Raises:
            ConfigurationError: the store was written under another key or link policy.
        """
        ...

    def begin_rotation(self, key_id: str) -> None:
        """Begins a period of two keys: `key_id` is the store's from now on, and the one so far the previous.

        Raises:
            FencedError: another writer claimed a newer epoch.
            StoreError: no epoch was claimed, no key was bound, or such a period is under way.
        """
        ...

    def end_rotation(self) -> None:
        """Ends the period of two keys. Idempotent.

        Raises:
            FencedError, StoreError: as `begin_rotation`.
        """
        ...

    def reseal(self, ciphertexts: Mapping[int, bytes]) -> None:
        """Puts other ciphertexts in the place of dead letters' own, by id, in one transaction; unknown ids are passed.

        Raises:
            FencedError, StoreError: as `begin_rotation`.
        """
        ...

    def load(self) -> StoredState:
        """Returns everything of the last commit, for a start without a snapshot."""
        ...

    def commit(self, delta: CommitDelta) -> None:
        """Writes the delta in one transaction, guarded by epoch and by `commit == last + 1`.

        Raises:
            FencedError: another writer claimed a newer epoch.
            StoreError: the commit number is not the next one.
        """
        ...

    def mark_sent(self, sink: str, alert_ids: Collection[str]) -> None:
        """Notes alerts as delivered to a sink, in a transaction of its own.

        Called by the daemon after a delivery. Idempotent. A crash between delivery and mark delivers again: at least
        once, with the same alert id.

        Raises:
            FencedError: another writer claimed a newer epoch.
            StoreError: no epoch was claimed.
        """
        ...

    def save_narrative(self, row: NarrativeRow) -> None:
        """Keeps what was said about a ring, in place of what was said before, in a transaction of its own. Idempotent.

        Raises:
            FencedError: another writer claimed a newer epoch.
            StoreError: no epoch was claimed.
        """
        ...

    def restore(self, image: StoreImage) -> None:
        """Writes everything of another store into this new one, which then goes on from the image's commit.

        Called by `store restore` and `store migrate`, on a store of its own. A crash leaves either nothing or a store
        that is refused until it is emptied. The epoch stays this store's, and none is claimed.

        Raises:
            StoreError: the store is not new.
        """
        ...
