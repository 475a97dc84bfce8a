"""The hot graph: applies a batch of events and the passing of event time, and says what changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.events.batch import DecodedBatch, LabelRow, Rekeyed
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.events.pseudonyms import pseudonym_mask
from fraudgraph.graph.erase import end_accounts
from fraudgraph.graph.interning import (
    KeyTable,
    UserTable,
    forget_key,
    grown,
    intern_keys,
    key_halves,
    look_up_keys,
    new_key_table,
    rename_keys,
    reserve_keys,
)
from fraudgraph.graph.labels import LabelBook
from fraudgraph.graph.links import (
    Links,
    add_link,
    find_slot,
    new_links,
    next_expired,
    remove_link,
    reserve_links,
    use_link,
)
from fraudgraph.graph.orders import OWNED, count_orders, forget_orders, move_order, new_orders, reserve_orders
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.graph.transfers import Transfers
from fraudgraph.graph.types import I32, I64, U8, Bool, Int
from fraudgraph.graph.users import count_activity, forget_silent, new_users, reserve_users
from fraudgraph.kernels import njit

_CHUNK = 65_536
_ORDER_LIKE = (int(EventType.ORDER), int(EventType.REFUND), int(EventType.CHARGEBACK))


@dataclass(frozen=True, slots=True)
class GraphLimits:
    """How long, in event time, what is not a link is kept after its last use.

    Attributes:
        user_days: longer than every other limit and every link's time to live, so that a user outlives what
            hangs on them.
        order_days: longer than the chargeback lag of card schemes (120 d).
    """

    user_days: int = 400
    order_days: int = 180
    transfer_days: int = 365


class Idents(NamedTuple):
    """Columns by identifier id, `[cap]`.

    Attributes:
        kind: uint8 EntityKind.
        degree: int32, users with a live link.
        links: int32 head of the list of links; -1 where empty.
        hold_ms: int64, how long after its last use a link to it ties (`rings.ties`); -1 not known yet.
        benign: an analyst says that it ties nobody.
    """

    kind: U8
    degree: I32
    links: I32
    hold_ms: I64
    benign: Bool


def new_idents(capacity: int = 1024) -> Idents:
    """Returns columns without identifiers."""
    return Idents(
        np.zeros(capacity, np.uint8),
        np.zeros(capacity, np.int32),
        np.full(capacity, -1, np.int32),
        np.full(capacity, -1, np.int64),
        np.zeros(capacity, np.bool_),
    )


@dataclass(slots=True)
class GraphChange:
    """What one batch did to the graph. Ids and slots are distinct within each array.

    Attributes:
        links: slots that were used and are alive.
        links_deleted: slots that expired; `deleted_users` and `deleted_idents` were their ends.
        idents: identifiers whose number of users changed and that are alive.
        users: users with an event, a label, an order that changed or an expired link: their ring must be looked at
            again.
        erased: users who are gone before anything of theirs ended.
        users_written: users whose row changed.
        entities, entities_deleted: as in `CommitDelta`.
        orders, orders_deleted, transfers, transfers_deleted: slots; an order that went to another user is in both.
    """

    links: I32
    links_deleted: I32
    idents: I32
    users: I32
    users_written: I32
    entities: list[tuple[int, int, str | bytes, str]]
    entities_deleted: list[tuple[int, int]]
    orders: I32
    orders_deleted: I32
    transfers: list[int] = field(default_factory=list)
    transfers_deleted: list[int] = field(default_factory=list)
    deleted_users: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    deleted_idents: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    erased: I32 = field(default_factory=lambda: np.empty(0, np.int32))


class HotGraph:
    """Users, identifiers, links, orders and transfers in columns; one writer, no thread safety."""

    def __init__(self, policy: LinkPolicy, limits: GraphLimits) -> None:
        self.policy = policy
        self.user_table = UserTable()
        self.users = new_users()
        self.keys: KeyTable = new_key_table()
        self.idents = new_idents()
        self._benign: frozenset[bytes] = frozenset()
        self._benign_halves = key_halves([])
        self._marked = np.empty(0, np.int32)
        self.links: Links = new_links()
        self.order_keys: KeyTable = new_key_table()
        self.orders = new_orders()
        self.transfers = Transfers(limits.transfer_days * DAY_MS)
        self.labels = LabelBook()
        self.ttl_ms = np.zeros(len(EntityKind), np.int64)
        for name, kind in policy.kinds.items():
            self.ttl_ms[EntityKind[name.upper()]] = kind.ttl_days * DAY_MS
        self.user_ttl_ms = limits.user_days * DAY_MS
        self.order_ttl_ms = limits.order_days * DAY_MS

    def apply(
        self,
        batch: DecodedBatch,
        accepted: Bool | None,
        now_ms: int,
        said: Sequence[LabelRow] = (),
        erased: Collection[str] = (),
    ) -> GraphChange:
        """Applies the accepted events of a batch and lets event time pass to the watermark `now_ms`.

        Args:
            accepted: `[n]` which events the clock let through; None for all.
            said: labels beside the batch's own.
            erased: ids of users to forget, with all that is theirs and what this batch says of them.
        """
        n = len(batch)
        entities: list[tuple[int, int, str | bytes, str]] = []
        user = self._intern_users(batch.user, accepted, entities)
        counterparty = self._intern_users(batch.counterparty, accepted, entities)
        self.users = reserve_users(self.users, self.user_table.top, 2 * n)
        count_activity(
            self.users, user, counterparty, batch.type, batch.status, batch.amount_minor, batch.ts_ms, self.user_ttl_ms
        )
        self._label_new_users(entities)
        used, changed_idents = self._apply_links(batch, user, entities)
        orders, owners_before = self._apply_orders(batch, user)
        transfers = self._apply_transfers(batch, user, counterparty)
        labels = [row for row in batch.labels if accepted is None or accepted[row.event]]
        labelled = self._apply_labels([*labels, *said])
        gone = self._erase(erased, now_ms)
        seen = np.concatenate((user[user >= 0], counterparty[counterparty >= 0], labelled))
        change = self._expire(now_ms, used, changed_idents, seen, orders, owners_before, transfers, entities)
        change.erased = gone
        return change

    def _intern_users(
        self,
        names: list[str] | list[str | None],
        accepted: Bool | None,
        entities: list[tuple[int, int, str | bytes, str]],
    ) -> I32:
        id_of = self.user_table.id_of
        ids = [id_of.get(name, -1) if name else -2 for name in names]
        if -1 in ids:
            for i, known in enumerate(ids):
                name = names[i]
                if known == -1 and name and (accepted is None or accepted[i]):
                    before = len(self.user_table)
                    ids[i] = self.user_table.intern(name)
                    if len(self.user_table) > before:
                        entities.append((0, ids[i], name, ""))
        out = np.array(ids, np.int32)
        if accepted is not None:
            out[~accepted] = -1
        return np.maximum(out, -1)

    def _apply_links(
        self, batch: DecodedBatch, user: I32, entities: list[tuple[int, int, str | bytes, str]]
    ) -> tuple[I32, I32]:
        m = len(batch.link_key)
        if m == 0:
            return np.empty(0, np.int32), np.empty(0, np.int32)
        owner = user[batch.link_event]
        keep = np.flatnonzero(owner >= 0)
        halves = key_halves(batch.link_key)
        kinds = batch.link_kind
        events = batch.link_event
        if len(keep) < m:
            halves, kinds, events, owner = halves[keep], kinds[keep], events[keep], owner[keep]
        self.keys = reserve_keys(self.keys, len(keep))
        ids = np.empty(len(keep), np.int32)
        is_new = np.empty(len(keep), np.bool_)
        intern_keys(self.keys, halves, ids, is_new)
        top = int(self.keys.state[1])
        if top > len(self.idents.kind):
            capacity = top * 3 // 2
            self.idents = Idents(
                grown(self.idents.kind, capacity),
                grown(self.idents.degree, capacity),
                grown(self.idents.links, capacity, -1),
                grown(self.idents.hold_ms, capacity, -1),
                grown(self.idents.benign, capacity),
            )
        fresh = np.flatnonzero(is_new)
        self.idents.kind[ids[fresh]] = kinds[fresh]
        for i, ident, kind in zip(keep[fresh].tolist(), ids[fresh].tolist(), kinds[fresh].tolist(), strict=True):
            entities.append((kind, ident, batch.link_key[i], batch.link_mask[i]))
        self.links = reserve_links(self.links, len(keep))
        slots = np.empty(len(keep), np.int32)
        opened = np.empty(len(keep), np.bool_)
        use_links(
            self.links,
            self.users.links,
            self.idents,
            owner,
            ids,
            batch.ts_ms[events],
            (np.int64(1) << batch.type[events].astype(np.int64)),
            self.ttl_ms,
            slots,
            opened,
        )
        return distinct(slots), distinct(ids[opened])

    def _apply_orders(self, batch: DecodedBatch, user: I32) -> tuple[I32, I32]:
        """Returns the orders that events spoke of, and whose they were before; -1 for new ones."""
        rows, keys = [], []
        kinds = batch.type.tolist()
        for i, key in enumerate(batch.order_key):
            if key is not None:
                rows.append(i)
                keys.append(key)
            elif kinds[i] in _ORDER_LIKE:
                # Money without an order id is still counted once: under its event's own key.
                rows.append(i)
                keys.append(batch.event_key[i])
        if not rows:
            return np.empty(0, np.int32), np.empty(0, np.int32)
        at = np.array(rows, np.int32)
        halves = key_halves(keys)
        known = user[at] >= 0
        if not known.all():
            at, halves = at[known], halves[known]
        self.order_keys = reserve_keys(self.order_keys, len(at))
        slots = np.empty(len(at), np.int32)
        intern_keys(self.order_keys, halves, slots, np.empty(len(at), np.bool_))
        self.orders = reserve_orders(self.orders, int(self.order_keys.state[1]))
        touched = distinct(slots)
        before = self.orders.user[touched]
        claims = np.empty(len(at), np.bool_)
        count_orders(
            self.orders,
            self.users.orders,
            slots,
            user[at],
            batch.type[at],
            batch.status[at],
            batch.amount_minor[at],
            batch.currency[at],
            batch.ts_ms[at],
            self.order_ttl_ms,
            claims,
        )
        if claims.any():
            self._settle_claims(slots[claims], user[at[claims]], batch.type[at[claims]] == EventType.ORDER)
        return touched, before

    def _settle_claims(self, slots: I32, users: I32, by_order: Bool) -> None:
        """Gives orders that several users claim to the first by name, so that the order of arrival does not matter."""
        key_of = self.user_table.key_of
        for slot, user, named in zip(slots.tolist(), users.tolist(), by_order.tolist(), strict=True):
            owner = int(self.orders.user[slot])
            if named == bool(self.orders.status[slot] & OWNED) and (key_of[user] or "") < (key_of[owner] or ""):
                move_order(self.orders, self.users.orders, slot, user)

    def _apply_transfers(self, batch: DecodedBatch, user: I32, counterparty: I32) -> list[int]:
        slots = []
        for i in np.flatnonzero((counterparty >= 0) & (user >= 0)).tolist():
            slots.append(
                self.transfers.add(
                    self.users.transfers_out,
                    self.users.transfers_in,
                    sender=int(user[i]),
                    receiver=int(counterparty[i]),
                    kind=int(batch.type[i]),
                    currency=int(batch.currency[i]),
                    ts_ms=int(batch.ts_ms[i]),
                    amount_minor=int(batch.amount_minor[i]),
                )
            )
        return slots

    def _label_new_users(self, entities: list[tuple[int, int, str | bytes, str]]) -> None:
        """Gives a label that came before its user, or outlived them, to the user who is new."""
        for kind, user, key, _ in entities:
            if kind == EntityKind.USER and key in self.labels:
                self.users.label[user] = self.labels.verdict(str(key))

    def _erase(self, names: Collection[str], now_ms: int) -> I32:
        for name in names:
            self.labels.drop(name)
        gone = [self.user_table.id_of[name] for name in sorted(names) if name in self.user_table.id_of]
        if gone:
            end_accounts(
                self.users,
                self.links,
                self.orders,
                self.transfers,
                gone,
                now_ms,
                ident_kind=self.idents.kind,
                ttl_ms=self.ttl_ms,
                user_ttl_ms=self.user_ttl_ms,
            )
        return np.array(gone, np.int32)

    def rekey(self, keys: Mapping[bytes, bytes], users: Mapping[str, str]) -> Rekeyed:
        """Takes whatever is known by the first name of a pair to be known by the second; returns what that renamed.

        Nothing else changes.
        """
        rekeyed = Rekeyed()
        for former, name in users.items():
            if (user := self.user_table.rename(former, name)) >= 0:
                rekeyed.entities.append((0, user, name, "", ""))
        if keys:
            before, now = key_halves(list(keys)), key_halves(list(keys.values()))
            ids = rename_keys(self.keys, before, now)
            kinds = self.idents.kind[ids].tolist()
            for kind, ident, (former_key, key) in zip(kinds, ids.tolist(), keys.items(), strict=True):
                if ident >= 0:
                    masks = (pseudonym_mask(EntityKind(kind), former_key), pseudonym_mask(EntityKind(kind), key))
                    rekeyed.entities.append((kind, ident, key, *masks))
            slots = rename_keys(self.order_keys, before, now).tolist()
            rekeyed.orders = [(slot, key) for slot, key in zip(slots, keys.values(), strict=True) if slot >= 0]
        rekeyed.labels = self.labels.rekey(keys, users)
        return rekeyed

    def mark_benign(self, keys: frozenset[bytes]) -> I32:
        """Marks exactly the identifiers with these pseudonyms; returns the living ones whose mark changed.

        To be called after `apply`, which gives ids to keys and takes them back.
        """
        if keys is not self._benign:
            self._benign, self._benign_halves = keys, key_halves(sorted(keys))
        marked = look_up_keys(self.keys, self._benign_halves)
        marked = marked[marked >= 0]
        changed: I32 = np.setxor1d(self._marked, marked)
        self.idents.benign[self._marked] = False
        self.idents.benign[marked] = True
        self._marked = marked
        return changed[self.idents.degree[changed] > 0]

    def _apply_labels(self, rows: Sequence[LabelRow]) -> I32:
        """Returns users whose label may have changed."""
        touched: set[str] = set()
        for row in rows:
            touched |= self.labels.add(row)
        users = set()
        for name in touched:
            user = self.user_table.id_of.get(name)
            if user is not None and self.users.last_ms[user] >= 0:
                self.users.label[user] = self.labels.verdict(name)
                users.add(user)
        return np.array(sorted(users), np.int32)

    def _expire(
        self,
        now_ms: int,
        used: I32,
        changed_idents: I32,
        seen: I32,
        orders: I32,
        owners_before: I32,
        transfers: list[int],
        entities: list[tuple[int, int, str | bytes, str]],
    ) -> GraphChange:
        owners = self.orders.user[orders]
        moved = orders[(owners_before >= 0) & (owners_before != owners)]
        dropped_slots, dropped_users, dropped_idents = self._expire_links(now_ms)
        orders_deleted, order_users = self._expire_orders(now_ms)
        transfers_gone = self.transfers.forget(self.users.transfers_out, self.users.transfers_in, now_ms)
        transfer_users = np.array([u for _, a, b in transfers_gone for u in (a, b)], np.int32)
        forgotten = self._forget_users(now_ms)
        all_idents = distinct(np.concatenate((changed_idents, dropped_idents)))
        dead = all_idents[self.idents.degree[all_idents] == 0]
        deleted = [(int(kind), ident) for kind, ident in zip(self.idents.kind[dead], dead.tolist(), strict=True)]
        for ident in dead.tolist():
            self.idents.hold_ms[ident] = -1
            forget_key(self.keys, ident)
        for user in forgotten.tolist():
            deleted.append((0, user))
            self.user_table.forget(user)
        former = owners_before[owners_before >= 0]
        users = distinct(np.concatenate((seen, dropped_users, owners, former, order_users, transfer_users)))
        written = distinct(seen)
        gone = {slot for slot, _, _ in transfers_gone}
        dead_entities = set(deleted)
        return GraphChange(
            links=used[self.links.user[used] >= 0] if len(dropped_slots) else used,
            links_deleted=dropped_slots,
            idents=all_idents[self.idents.degree[all_idents] > 0],
            users=users[self.users.last_ms[users] >= 0],
            users_written=written[self.users.last_ms[written] >= 0],
            entities=[e for e in entities if (e[0], e[1]) not in dead_entities] if dead_entities else entities,
            entities_deleted=deleted,
            orders=orders[self.orders.user[orders] >= 0],
            orders_deleted=distinct(np.concatenate((orders_deleted, moved))),
            transfers=sorted({slot for slot in transfers if slot not in gone}),
            transfers_deleted=sorted(gone),
            deleted_users=dropped_users,
            deleted_idents=dropped_idents,
        )

    def _expire_links(self, now_ms: int) -> tuple[I32, I32, I32]:
        parts: list[tuple[I32, I32, I32]] = []
        while True:
            out = (np.empty(_CHUNK, np.int32), np.empty(_CHUNK, np.int32), np.empty(_CHUNK, np.int32))
            n = expire_links(self.links, self.users.links, self.idents, self.ttl_ms, now_ms, *out)
            parts.append((out[0][:n], out[1][:n], out[2][:n]))
            if n < _CHUNK:
                break
        if len(parts) == 1:
            slots, users, idents = parts[0]
        else:
            slots, users, idents = (np.concatenate(column) for column in zip(*parts, strict=True))
        return slots, users, idents

    def _expire_orders(self, now_ms: int) -> tuple[I32, I32]:
        slots, users = [], []
        while True:
            out, owner = np.empty(_CHUNK, np.int32), np.empty(_CHUNK, np.int32)
            n = forget_orders(self.orders, self.users.orders, now_ms, out, owner)
            slots.append(out[:n])
            users.append(owner[:n])
            for slot in out[:n].tolist():
                forget_key(self.order_keys, slot)
            if n < _CHUNK:
                return np.concatenate(slots), np.concatenate(users)

    def _forget_users(self, now_ms: int) -> I32:
        parts = []
        while True:
            out = np.empty(_CHUNK, np.int32)
            n = forget_silent(self.users, now_ms, self.user_ttl_ms, out)
            parts.append(out[:n])
            if n < _CHUNK:
                return np.concatenate(parts)


def distinct(items: I32) -> I32:
    """Returns the distinct items in ascending order."""
    if len(items) < 2:
        return items
    # numpy.unique hashes integers, which is many times slower than a sort on millions of them.
    ordered = np.sort(items)
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


@njit(cache=True)
def use_links(
    links: Links,
    user_head: I32,
    idents: Idents,
    user: I32,
    ident: I32,
    ts_ms: I64,
    source: I64,
    ttl_ms: I64,
    slots: I32,
    opened: Bool,
) -> None:
    """Counts `[m]` uses; fills `slots` `[m]` and whether each use `opened` its link."""
    for i in range(len(user)):
        ttl = ttl_ms[idents.kind[ident[i]]]
        slot = find_slot(links, user[i], ident[i])
        opened[i] = slot < 0
        if slot < 0:
            slot = add_link(links, user_head, idents.links, user[i], ident[i], ts_ms[i], source[i], ttl)
            idents.degree[ident[i]] += 1
        else:
            use_link(links, slot, ts_ms[i], source[i], ttl)
        slots[i] = slot


@njit(cache=True)
def expire_links(
    links: Links, user_head: I32, idents: Idents, ttl_ms: I64, now_ms: Int, slots: I32, users: I32, ident: I32
) -> Int:
    """Removes links that ended, at most `len(slots)`; fills their slots and both ends; returns how many."""
    n = 0
    while n < len(slots):
        slot = next_expired(links, idents.kind, ttl_ms, now_ms)
        if slot < 0:
            break
        slots[n] = slot
        users[n] = links.user[slot]
        ident[n] = links.ident[slot]
        idents.degree[links.ident[slot]] -= 1
        remove_link(links, user_head, idents.links, slot)
        n += 1
    return n
