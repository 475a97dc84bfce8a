"""What the decoder hands to the engine: columns of a micro-batch, with pseudonyms instead of identifiers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fraudgraph.events.kinds import RejectReason

if TYPE_CHECKING:  # readers of a store import this module, and must start without numpy
    import numpy as np
    import numpy.typing as npt

    from fraudgraph.events.schema import Command


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that was not applied.

    Attributes:
        reason: why.
        detail: one clause for a person, without personal data (`amount: more decimals than JPY has`).
        partition: where it came from.
        offset: its position there.
        ciphertext: the original bytes, encrypted (Fernet) under the store's key.
    """

    reason: RejectReason
    detail: str
    partition: str
    offset: int
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A label, with its times in ms since the epoch (UTC).

    Attributes:
        event: index of the label's event in its batch; -1 when read back from a store.
        key: keyed 128-bit pseudonym of the label's event id, by which a later label supersedes it.
        about_user: the user id that it is about, or None.
        about_order: keyed pseudonym of the order that it is about, or None.
        supersedes: `key` of the label that it takes the place of, or None.
    """

    event: int
    key: bytes
    about_user: str | None
    about_order: bytes | None
    fraud: bool
    about_ms: int
    arrived_ms: int
    source: str
    supersedes: bytes | None


@dataclass(frozen=True, slots=True)
class FormerNames:
    """What a batch names by its name of before, while a store has two keys. It may hold more than the batch does.

    Attributes:
        keys: pseudonyms of identifiers, orders and events: former -> present.
        users: business keys that are pseudonyms: former -> present.
    """

    keys: dict[bytes, bytes] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Rekeyed:
    """What goes by another pseudonym from a commit on, and is otherwise as it was.

    Attributes:
        entities: (kind, id, key, mask so far, mask now), as in `CommitDelta`; only a mask that is made of the pseudonym
            (`device 94fe`) changes, so where another one is stored it stays.
        orders: (slot, key).
        labels: (its key so far, the label as it is now).
        users: business key so far -> now.
    """

    entities: list[tuple[int, int, str | bytes, str, str]] = field(default_factory=list)
    orders: list[tuple[int, bytes]] = field(default_factory=list)
    labels: list[tuple[bytes, LabelRow]] = field(default_factory=list)
    users: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.entities) + len(self.orders)


@dataclass(frozen=True, slots=True)
class ArrivedCommand:
    """A command with its place in the journal.

    Attributes:
        key: keyed 128-bit pseudonym of its event id.
        partition, offset, next_offset: where it stood, as of its event.
        seal: encrypts its original bytes; called only where it is refused.
    """

    command: Command
    key: bytes
    partition: str
    offset: int
    next_offset: int
    seal: Callable[[], bytes]


@dataclass(slots=True)
class DecodedBatch:
    """Columns of `n` good events in the order of arrival, and the bad ones as dead letters.

    Attributes:
        partitions: names, as in `RawBatch`.
        partition_of: `[n]` int32 index into `partitions`.
        offset, next_offset: `[n]` int64.
        broker_ms: `[n]` int64 broker time, or None for files.
        event_key: keyed 128-bit pseudonym of `event_id`, `[n]`.
        type: `[n]` uint8 EventType.
        ts_ms: `[n]` int64, ms since the epoch (UTC).
        user: `[n]` business keys (pseudonym text where the key was an e-mail or a phone); "" for labels and commands.
        counterparty: `[n]` the other account of a transfer or referral, else None.
        amount_minor: `[n]` int64 in minor units of the currency; 0 where there is none.
        currency: `[n]` uint16 ISO 4217 numeric code (978 = EUR); 0 where there is none.
        order_key: `[n]` keyed 128-bit pseudonym of `order_id`, or None.
        status: `[n]` uint8 Status.
        link_event: `[m]` int32 index of the event that carries the identifier; ascending.
        link_kind: `[m]` uint8 EntityKind.
        link_key: `[m]` keyed 128-bit pseudonyms.
        link_mask: `[m]` display masks (`•••• 4242`, `203.0.113.0/24`).
        seal: encrypts the original bytes of good event `i`; called only for those that the clock refuses.
        labels, commands: the rare events, each with the index of its event.
        dead_letters: what could not be decoded.
        damaged_through: partition -> next offset after its dead letters; the position to commit is the
            maximum of this and the `next_offset` of its last good event.
        ended: partitions that ended with this batch.
        former: what its names were under the key before; None where a store has one key.
    """

    partitions: list[str]
    partition_of: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    next_offset: npt.NDArray[np.int64]
    broker_ms: npt.NDArray[np.int64] | None
    event_key: list[bytes]
    type: npt.NDArray[np.uint8]
    ts_ms: npt.NDArray[np.int64]
    user: list[str]
    counterparty: list[str | None]
    amount_minor: npt.NDArray[np.int64]
    currency: npt.NDArray[np.uint16]
    order_key: list[bytes | None]
    status: npt.NDArray[np.uint8]
    link_event: npt.NDArray[np.int32]
    link_kind: npt.NDArray[np.uint8]
    link_key: list[bytes]
    link_mask: list[str]
    seal: Callable[[int], bytes]
    labels: list[LabelRow] = field(default_factory=list)
    commands: list[tuple[int, Command]] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    damaged_through: dict[str, int] = field(default_factory=dict)
    ended: tuple[str, ...] = ()
    former: FormerNames | None = None

    def __len__(self) -> int:
        return len(self.event_key)
