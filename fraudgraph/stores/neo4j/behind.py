"""Counters that wait: what a commit changes of links and accounts that the graph has already is first kept packed.

A busy account's links change with each of its events, and each change of a relationship costs the database as much as
a new one. So a large commit packs these rows into one node (`:Behind`), in its own transaction, and a row is written
into the graph once it has rested for some commits, or once its account is in a ring. Nothing is lost by a crash: who
loads the store lays what waits over what is written. Readers see the counts and times of accounts that are in no ring
as of some commits ago; who is linked to what, and all of a ring's members, they see as of the last.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fraudgraph.events.kinds import EntityKind
from fraudgraph.stores.port import CLOSED_STATUSES, LINK_COLUMNS, USER_COLUMNS, Columns, CommitDelta

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

    from fraudgraph.stores.neo4j.model import Space

Ids: TypeAlias = npt.NDArray[np.int64]
Rows: TypeAlias = npt.NDArray[np.int64]
"""Rows of a table, (rows, columns); the first column is the id."""

_UNKNOWN: Final = -1
_WRITTEN: Final = 0
_USER: Final = LINK_COLUMNS.index("user")

_READ: Final = """
    MATCH (b:Behind) WHERE b.number >= $first AND b.number < $end
    RETURN b.number - $first AS commit, b.body AS body ORDER BY commit"""
_KEEP: Final = "CREATE (:Behind {number: $number, body: $body})"
_DROP: Final = """
    MATCH (b:Behind) WHERE b.number >= $first AND b.number < $end AND b.number <= $first + $commit DELETE b"""
_MEMBERS: Final = """
    MATCH (r:Ring)<-[:MEMBER_OF]-(u:User)
    WHERE r.space = $space AND r.ring_id IS NOT NULL AND NOT r.status IN $without
    RETURN DISTINCT u.number - $first AS user"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one commit left to be written later.

    Attributes:
        links, users: rows as they are after the commit.
        links_gone, users_gone: ids of which earlier commits say nothing any more: written since, or deleted.
    """

    commit: int
    links: Rows
    users: Rows
    links_gone: Ids
    users_gone: Ids

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return len(self.links) + len(self.users)

    def pack(self) -> bytes:
        """Returns it as bytes: lengths, then columns as little-endian int64, compressed."""
        parts = (self.links.T, self.users.T, self.links_gone, self.users_gone)
        lengths = np.array([part.shape[-1] for part in parts], "<i8")
        whole = b"".join(np.ascontiguousarray(part, "<i8").tobytes() for part in (lengths, *parts))
        return zlib.compress(whole, 1)


def unpack(commit: int, body: bytes) -> Waiting:
    """Returns what `pack` packed."""
    whole = np.frombuffer(zlib.decompress(body), "<i8").astype(np.int64)
    lengths, rest = whole[:4], whole[4:]
    widths = (len(LINK_COLUMNS), len(USER_COLUMNS), 1, 1)
    links, users, links_gone, users_gone = np.split(rest, np.cumsum(lengths * widths)[:-1])
    return Waiting(
        commit,
        np.ascontiguousarray(links.reshape(widths[0], -1).T),
        np.ascontiguousarray(users.reshape(widths[1], -1).T),
        links_gone,
        users_gone,
    )


class Latest:
    """For each id of a table: not known, written, or the last commit that left its row waiting."""

    def __init__(self) -> None:
        self._commits = np.full(1024, _UNKNOWN, np.int64)

    def of(self, ids: Ids) -> Ids:
        """Returns what is known of ids."""
        inside = ids < len(self._commits)
        return np.where(inside, self._commits[np.where(inside, ids, 0)], _UNKNOWN)

    def set(self, ids: Ids, value: int) -> None:
        """Notes the same for ids."""
        if not len(ids):
            return
        if (highest := int(ids.max())) >= len(self._commits):
            more = np.full(max(highest + 1, 2 * len(self._commits)) - len(self._commits), _UNKNOWN, np.int64)
            self._commits = np.concatenate([self._commits, more])
        self._commits[ids] = value


@dataclass(frozen=True, slots=True)
class Plan:
    """How a commit is written.

    Attributes:
        links, users: what is written into the graph: of this commit, and of earlier ones what has waited long enough.
        keeps: what is left for later; None for nothing.
        drops: commits up to this one leave nothing behind any more; 0 for none.
        deleted_links, deleted_users: ids that the commit deletes.
        members: accounts that are in a ring from now on.
    """

    links: Columns
    users: Columns
    keeps: Waiting | None
    drops: int
    deleted_links: Ids
    deleted_users: Ids
    members: Ids

    def write(self, tx: ManagedTransaction, space: Space) -> None:
        """Writes what waits, and takes away what does no longer."""
        if self.drops:
            tx.run(_DROP, space.bounds, commit=self.drops).consume()
        if self.keeps is not None:
            tx.run(_KEEP, number=space.first + self.keeps.commit, body=self.keeps.pack()).consume()


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait.

    Attributes:
        straight_rows: a commit that changes no more than these writes them: that costs less than packing them.
        rows: so many wait at most; the default is 70 MB in the writer, and a fraction of it in the database.
        commits: so many leave something behind at most.
    """

    straight_rows: int = 400
    rows: int = 700_000
    commits: int = 100


@dataclass(slots=True)
class Behind:
    """What waits, as its only writer knows it.

    Attributes:
        waiting: oldest first.
        members: accounts that are in a ring, or were since the writer began.
    """

    waiting: list[Waiting] = field(default_factory=list)
    members: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    limits: Limits = field(default_factory=Limits)
    _links: Latest = field(default_factory=Latest)
    _users: Latest = field(default_factory=Latest)

    def __post_init__(self) -> None:
        for each in self.waiting:
            self._note(each)

    def plan(self, delta: CommitDelta) -> Plan:
        """Returns how a commit is to be written; changes nothing, so that the commit may be tried again."""
        links, users = matrix(delta.links, LINK_COLUMNS), matrix(delta.users, USER_COLUMNS)
        deleted_links = _ids(delta.links_deleted)
        deleted_users = _ids(number for kind, number in delta.entities_deleted if kind == EntityKind.USER)
        joined = np.setdiff1d(_ids(user for team in delta.members.values() for user, _ in team), self.members)
        members = np.union1d(self.members, joined)
        late_links = self._may_wait(self._links, links, 0, deleted_links) & ~np.isin(links[:, _USER], members)
        late_users = self._may_wait(self._users, users, 0, deleted_users) & ~np.isin(users[:, 0], members)
        small = int(late_links.sum() + late_users.sum()) <= self.limits.straight_rows
        if small:
            late_links[:] = False
            late_users[:] = False
        touched = (np.concatenate([links[:, 0], deleted_links]), np.concatenate([users[:, 0], deleted_users]))
        drops = self._drops(int(late_links.sum() + late_users.sum()), small)
        due_links, due_users = self._due(drops, touched, joined)
        keeps = Waiting(
            delta.commit,
            links[late_links],
            users[late_users],
            self._gone(self._links, drops, touched[0], links[late_links, 0], due_links[:, 0]),
            self._gone(self._users, drops, touched[1], users[late_users, 0], due_users[:, 0]),
        )
        return Plan(
            links=as_columns(np.concatenate([links[~late_links], due_links]), LINK_COLUMNS),
            users=as_columns(np.concatenate([users[~late_users], due_users]), USER_COLUMNS),
            keeps=keeps if keeps.rows or len(keeps.links_gone) or len(keeps.users_gone) else None,
            drops=drops,
            deleted_links=deleted_links,
            deleted_users=deleted_users,
            members=members,
        )

    def settle(self, limit_rows: int) -> Plan:
        """Returns how some of what waits is written without a commit, the oldest first; at least one commit's."""
        none, drops, rows = _ids(()), 0, 0
        for each in self.waiting:
            if drops and rows + each.rows > limit_rows:
                break
            rows += each.rows
            drops = each.commit
        links, users = self._due(drops, (none, none), none)
        return Plan(
            links=as_columns(links, LINK_COLUMNS),
            users=as_columns(users, USER_COLUMNS),
            keeps=None,
            drops=drops,
            deleted_links=none,
            deleted_users=none,
            members=self.members,
        )

    def done(self, plan: Plan) -> None:
        """Notes that a plan is committed."""
        self.waiting = [each for each in self.waiting if each.commit > plan.drops]
        self._links.set(plan.deleted_links, _UNKNOWN)
        self._users.set(plan.deleted_users, _UNKNOWN)
        for latest, columns, key in ((self._links, plan.links, "slot"), (self._users, plan.users, "user")):
            if columns:
                latest.set(columns[key].astype(np.int64), _WRITTEN)
        if plan.keeps is not None:
            self.waiting.append(plan.keeps)
            self._links.set(plan.keeps.links[:, 0], plan.keeps.commit)
            self._users.set(plan.keeps.users[:, 0], plan.keeps.commit)
        self.members = plan.members

    def overlay(self, links: Columns, users: Columns) -> None:
        """Lays what waits over what is written, in place; both by id."""
        none = _ids(())
        late = self._due(0, (none, none), none, every=True)
        for columns, names, rows in zip((links, users), (LINK_COLUMNS, USER_COLUMNS), late, strict=True):
            ids = columns[names[0]]
            if len(ids) and len(rows):
                at = np.minimum(np.searchsorted(ids, rows[:, 0]), len(ids) - 1)
                there = ids[at] == rows[:, 0]
                for place, name in enumerate(names):
                    columns[name][at[there]] = rows[there, place]

    def _note(self, each: Waiting) -> None:
        self._links.set(each.links_gone, _UNKNOWN)
        self._users.set(each.users_gone, _UNKNOWN)
        self._links.set(each.links[:, 0], each.commit)
        self._users.set(each.users[:, 0], each.commit)

    def _may_wait(self, latest: Latest, rows: Rows, column: int, deleted: Ids) -> npt.NDArray[np.bool_]:
        """Returns which rows the graph has already: those that this writer wrote, or found waiting."""
        return (latest.of(rows[:, column]) >= _WRITTEN) & ~np.isin(rows[:, column], deleted)

    def _gone(self, latest: Latest, drops: int, touched: Ids, late: Ids, due: Ids) -> Ids:
        """Returns of which ids that are written or deleted now a commit that stays still speaks."""
        ids = np.setdiff1d(np.concatenate([touched, due]), late)
        return ids[latest.of(ids) > max(drops, _WRITTEN)]

    def _drops(self, more: int, small: bool) -> int:
        """Returns up to which commit all is written now; 0 for none."""
        rows, left, drops = sum(each.rows for each in self.waiting) + more, len(self.waiting), 0
        for each in self.waiting:
            over = rows > self.limits.rows or left >= self.limits.commits
            if not over and not (small and not drops):
                break
            rows, left, drops = rows - each.rows, left - 1, each.commit
        return drops

    def _due(self, drops: int, touched: tuple[Ids, Ids], joined: Ids, *, every: bool = False) -> tuple[Rows, Rows]:
        """Returns rows of which nothing later speaks, nor the commit in hand.

        Args:
            drops: all of the commits up to this one.
            touched: ids of links and of users that the commit in hand speaks of.
            joined: of later commits, those of these accounts.
            every: of all commits, all.
        """
        links, users = [np.zeros((0, len(LINK_COLUMNS)), np.int64)], [np.zeros((0, len(USER_COLUMNS)), np.int64)]
        for each in self.waiting:
            whole = every or each.commit <= drops
            if whole or len(joined):
                last = (self._links.of(each.links[:, 0]) == each.commit) & ~np.isin(each.links[:, 0], touched[0])
                links.append(each.links[last & (whole | np.isin(each.links[:, _USER], joined))])
                last = (self._users.of(each.users[:, 0]) == each.commit) & ~np.isin(each.users[:, 0], touched[1])
                users.append(each.users[last & (whole | np.isin(each.users[:, 0], joined))])
        return np.concatenate(links), np.concatenate(users)


def read_waiting(tx: ManagedTransaction, space: Space) -> list[Waiting]:
    """Returns what waits, oldest first."""
    return [unpack(row["commit"], bytes(row["body"])) for row in tx.run(_READ, space.bounds)]


def read_behind(tx: ManagedTransaction, space: Space, limits: Limits) -> Behind:
    """Returns what waits, and who is in a ring."""
    rows = tx.run(_MEMBERS, space.bounds, without=list(CLOSED_STATUSES))
    return Behind(read_waiting(tx, space), np.unique(_ids(row["user"] for row in rows)), limits)


def matrix(columns: Columns, names: Sequence[str]) -> Rows:
    """Returns columns as rows."""
    if not columns:
        return np.zeros((0, len(names)), np.int64)
    return np.stack([columns[name].astype(np.int64) for name in names], axis=1)


def as_columns(rows: Rows, names: Sequence[str]) -> Columns:
    """Returns rows as columns."""
    return {name: rows[:, place] for place, name in enumerate(names)} if len(rows) else {}


def _ids(numbers: Iterable[int]) -> Ids:
    return np.fromiter(numbers, np.int64)
