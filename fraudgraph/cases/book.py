"""The book of decisions and constraints: takes commands in the order of the journal, and says what each one changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from fraudgraph.cases.audit import AuditHead, AuditRow, append, digest
from fraudgraph.cases.constraints import Constraint, InForce, in_force
from fraudgraph.cases.decisions import FREEZES, OPEN, Decision, RingStatus, label_key, label_of, status_of
from fraudgraph.cases.orders import Constrain, Decide, Forget, Order, Remove, Undo
from fraudgraph.cases.reasons import ConstraintKind
from fraudgraph.events.batch import LabelRow, Rekeyed
from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.rejected import Rejected

SOURCE = "analyst"
"""What the labels that decisions make name as their source."""
KEEPER = "daemon"
"""Who writes down again what was written under the key before."""
REKEY = "rekey"
_REKEYED = "under the new key"


@dataclass(frozen=True, slots=True)
class Said:
    """A command with all that the journal knows of it.

    Attributes:
        key: keyed pseudonym of its event id, in hex.
        source: where it stood (`commands@17`).
        ts_ms: when it was said.
    """

    key: str
    source: str
    ts_ms: int
    author: str
    order: Order


class Rings(Protocol):
    """The rings as of the last commit."""

    def members_of(self, ring_id: str) -> list[str] | None:
        """Returns a living ring's user ids."""
        ...

    def ring_of(self, user_id: str) -> str | None:
        """Returns the living ring that a user is in."""
        ...

    def knows(self, user_id: str) -> bool:
        """Returns whether there is an account with this id."""
        ...

    def existed(self, ring_id: str) -> bool:
        """Returns whether a ring has or had this id."""
        ...


@dataclass(slots=True)
class CaseChange:
    """What the commands of one commit changed.

    Attributes:
        decisions, constraints: new or changed, by id the last of each.
        audit: one row for each command that took effect.
        labels: of members; they arrive at the watermark.
        users: ids of users whose ring must be looked at again.
        frozen: decision -> ring whose evidence is to be kept.
        forgotten: user id -> the name that stands in its place.
        dead_letters_deleted: ids of those that were about them.
        rekeyed: what goes by another pseudonym, before anything else of the commit.
    """

    decisions: dict[str, Decision] = field(default_factory=dict)
    constraints: dict[str, Constraint] = field(default_factory=dict)
    audit: list[AuditRow] = field(default_factory=list)
    labels: list[LabelRow] = field(default_factory=list)
    users: set[str] = field(default_factory=set)
    frozen: dict[str, str] = field(default_factory=dict)
    forgotten: dict[str, str] = field(default_factory=dict)
    dead_letters_deleted: list[int] = field(default_factory=list)
    rekeyed: Rekeyed = field(default_factory=Rekeyed)


class CaseBook:
    """All decisions and constraints; a function of the commands in committed order, and of the rings that they met.

    Args:
        second_reader: a confirmation needs two authors before it counts.
    """

    def __init__(self, *, second_reader: bool = False) -> None:
        self.second_reader = second_reader
        self.decisions: dict[str, Decision] = {}
        self.constraints: dict[str, Constraint] = {}
        self.head = AuditHead()
        self._about: dict[str, list[str]] = {}
        self._labels: dict[str, bytes] = {}
        self._keys: set[str] = set()
        self._in_force: InForce | None = None

    def restore(
        self,
        decisions: Iterable[Decision],
        constraints: Iterable[Constraint],
        head: AuditHead,
        labels: Iterable[LabelRow],
    ) -> None:
        """Takes up what a store holds; `labels` are all of them."""
        self.head = head
        for constraint in constraints:
            self.constraints[constraint.constraint_id] = constraint
            self._keys |= {key for key in (constraint.key, constraint.removed_key) if key}
        mine: dict[bytes, str] = {}
        for decision in sorted(decisions, key=lambda d: d.decision_id):
            self._put(decision)
            for key in (decision.key, decision.undone_key):
                if key:
                    self._keys.add(key)
                    mine |= {label_key(key, user): user for user in decision.members}
        if mine:
            stored = {row.key: row for row in labels}
            over = {row.supersedes for row in stored.values()}
            self._labels = {
                user: key
                for key, user in mine.items()
                if key in stored and key not in over and stored[key].about_user is not None
            }

    def in_force(self, now_ms: int) -> InForce:
        """Returns the constraints that hold at an event time; event time does not go back."""
        if self._in_force is None or now_ms >= self._in_force.ends_ms:
            self._in_force = in_force(self.constraints.values(), now_ms)
        return self._in_force

    def status(self, members: Collection[str]) -> RingStatus:
        """Returns what decisions make of a ring with these members."""
        if not self._about:
            return OPEN
        ids = {decision for user in members for decision in self._about.get(user, ())}
        about = [self.decisions[decision] for decision in sorted(ids)]
        return status_of(members, about, second_reader=self.second_reader) if about else OPEN

    def knows(self, key: str) -> bool:
        """Returns whether a command with this key was obeyed before."""
        return key in self._keys

    def obey(self, said: Said, rings: Rings, now_ms: int, change: CaseChange) -> None:
        """Does what a command asks for, and adds to `change` what that came to.

        Raises:
            Rejected: it cannot be done; nothing is changed.
        """
        order = said.order
        if isinstance(order, Decide):
            self._decide(said, order, rings, now_ms, change)
        elif isinstance(order, Undo):
            self._undo(said, order, now_ms, change)
        elif isinstance(order, Constrain):
            self._constrain(said, order, now_ms, change)
        elif isinstance(order, Forget):
            self._forget(said, order, rings, change)
        else:
            self._remove(said, order, now_ms, change)
        self._keys.add(said.key)

    def rekey(
        self, keys: Mapping[bytes, bytes], users: Mapping[str, str], now_ms: int, change: CaseChange
    ) -> dict[bytes, bytes]:
        """Takes what was written down by the first name of a pair to be written by the second; the audit says so.

        Returns:
            Keys of labels that decisions gave, which are made of the account's name: former -> present.
        """
        for constraint in list(self.constraints.values()):
            first, second = constraint.first, constraint.second
            if constraint.kind is ConstraintKind.BENIGN_HUB:
                first = keys.get(pseudonym := bytes.fromhex(first), pseudonym).hex()
            else:
                first, second = sorted((users.get(first, first), users.get(second, second)))
            if (first, second) == (constraint.first, constraint.second):
                continue
            renamed = replace(constraint, first=first, second=second)
            self._put_constraint(renamed, change)
            self._append(now_ms, KEEPER, REKEY, renamed.constraint_id, "", _REKEYED, renamed, change)
        return self._rename_accounts(users, now_ms, change) if users else {}

    def _rename_accounts(self, users: Mapping[str, str], now_ms: int, change: CaseChange) -> dict[bytes, bytes]:
        labels: dict[bytes, bytes] = {}
        for decision in list(self.decisions.values()):
            here = sorted(users.keys() & {*decision.members, *decision.others})
            if not here:
                continue
            members, others = (
                tuple(sorted(users.get(user, user) for user in named)) for named in (decision.members, decision.others)
            )
            renamed = replace(decision, members=members, others=others)
            self.decisions[renamed.decision_id] = renamed
            change.decisions[renamed.decision_id] = renamed
            self._append(now_ms, KEEPER, REKEY, renamed.decision_id, "", _REKEYED, renamed, change)
            labels |= {
                label_key(key, user): label_key(key, users[user])
                for key in (decision.key, decision.undone_key)
                for user in here
                if key
            }
        for former in users.keys() & self._about.keys():
            self._about[users[former]] = self._about.pop(former)
        for former in users.keys() & self._labels.keys():
            key = self._labels.pop(former)
            self._labels[users[former]] = labels.get(key, key)
        return labels

    def _decide(self, said: Said, order: Decide, rings: Rings, now_ms: int, change: CaseChange) -> None:
        if not rings.existed(order.ring_id):
            raise _refuse(f"decide: no ring has the id {order.ring_id}")
        present = rings.members_of(order.ring_id)
        members = tuple(sorted(set(order.members or present or ())))
        if not members:
            raise _refuse(f"decide: ring {order.ring_id} lives no more, and no members are named")
        ring_id = order.ring_id
        if present is None:
            homes = Counter(home for user in members if (home := rings.ring_of(user)) is not None)
            if homes:
                ring_id = min(homes, key=lambda home: (-homes[home], home))
                present = rings.members_of(ring_id)
        decision = Decision(
            decision_id=f"D{len(self.decisions) + 1:06d}",
            ring_id=ring_id,
            verdict=order.verdict,
            members=members,
            others=tuple(sorted(set(present or ()).difference(members))),
            ts_ms=said.ts_ms,
            at_ms=now_ms,
            author=said.author,
            reason=order.reason,
            note=order.note,
            key=said.key,
            source=said.source,
        )
        before = self.status(present or members).status
        self._put(decision)
        self._relabel(said, decision, now_ms, change)
        change.decisions[decision.decision_id] = decision
        if present is not None and decision.verdict in FREEZES:
            change.frozen[decision.decision_id] = ring_id
        after = f"{decision.verdict} ({decision.reason}), {len(members)} members of {ring_id}"
        self._record(said, "decide", decision.decision_id, before, after, decision, change)

    def _undo(self, said: Said, order: Undo, now_ms: int, change: CaseChange) -> None:
        decision = self.decisions.get(order.decision_id)
        if decision is None:
            raise _refuse(f"undo: no decision has the id {order.decision_id}")
        if not decision.stands:
            raise _refuse(f"undo: decision {order.decision_id} is undone already")
        undone = replace(
            decision, undone_by=said.author, undone_ts_ms=said.ts_ms, undone_at_ms=now_ms, undone_key=said.key
        )
        self.decisions[undone.decision_id] = undone
        self._relabel(said, undone, now_ms, change)
        change.decisions[undone.decision_id] = undone
        self._record(said, "undo", undone.decision_id, str(decision.verdict), "undone", undone, change)

    def _constrain(self, said: Said, order: Constrain, now_ms: int, change: CaseChange) -> None:
        if order.until_ms <= now_ms:
            raise _refuse(f"constrain: {order.kind} ends before it begins")
        constraint = Constraint(
            constraint_id=f"C{len(self.constraints) + 1:06d}",
            kind=order.kind,
            entity=order.entity,
            first=order.first,
            second=order.second,
            until_ms=order.until_ms,
            ts_ms=said.ts_ms,
            at_ms=now_ms,
            author=said.author,
            reason=order.reason,
            note=order.note,
            key=said.key,
            source=said.source,
        )
        self._put_constraint(constraint, change)
        after = f"{constraint.kind} ({constraint.reason})"
        self._record(said, "constrain", constraint.constraint_id, "", after, constraint, change)

    def _remove(self, said: Said, order: Remove, now_ms: int, change: CaseChange) -> None:
        constraint = self.constraints.get(order.constraint_id)
        if constraint is None:
            raise _refuse(f"release: no constraint has the id {order.constraint_id}")
        if constraint.removed_by is not None:
            raise _refuse(f"release: constraint {order.constraint_id} is removed already")
        removed = replace(
            constraint, removed_by=said.author, removed_ts_ms=said.ts_ms, removed_at_ms=now_ms, removed_key=said.key
        )
        self._put_constraint(removed, change)
        self._record(said, "release", removed.constraint_id, str(removed.kind), "removed", removed, change)

    def _forget(self, said: Said, order: Forget, rings: Rings, change: CaseChange) -> None:
        """Puts another name in the account's place wherever it was written down, and takes the notes beside it away.

        The rows of the audit stay as they are: they name accounts by digest only.
        """
        user_id = order.user_id
        decisions = [d for d in self.decisions.values() if user_id in d.members or user_id in d.others]
        constraints = [c for c in self.constraints.values() if user_id in (c.first, c.second)]
        if not (decisions or constraints or rings.knows(user_id)):
            raise _refuse("forget: no such account is known")
        other = f"forgotten-{said.source.rpartition('@')[2]}"
        change.forgotten[user_id] = other
        change.dead_letters_deleted += order.dead_letters
        self._labels.pop(user_id, None)
        self._about.pop(user_id, None)
        for decision in decisions:
            members, others = (_renamed(users, user_id, other) for users in (decision.members, decision.others))
            redacted = replace(decision, members=members, others=others, note="")
            self.decisions[redacted.decision_id] = redacted
            change.decisions[redacted.decision_id] = redacted
            self._record(said, "forget", redacted.decision_id, "", other, redacted, change)
        for constraint in constraints:
            first, second = _renamed((constraint.first, constraint.second), user_id, other)
            blank = replace(constraint, first=first, second=second, note="")
            self._put_constraint(blank, change)
            self._record(said, "forget", blank.constraint_id, "", other, blank, change)
        self._record(said, "forget", other, "", order.reason, other, change)

    def _put(self, decision: Decision) -> None:
        self.decisions[decision.decision_id] = decision
        for user in decision.members:
            self._about.setdefault(user, []).append(decision.decision_id)

    def _put_constraint(self, constraint: Constraint, change: CaseChange) -> None:
        self.constraints[constraint.constraint_id] = constraint
        self._in_force = None
        change.constraints[constraint.constraint_id] = constraint

    def _relabel(self, said: Said, decision: Decision, now_ms: int, change: CaseChange) -> None:
        """Gives the members of a decision the label that they have by all decisions now."""
        change.users.update(decision.members, decision.others)
        for user in decision.members:
            about = [self.decisions[number] for number in self._about[user]]
            fraud = label_of(about, second_reader=self.second_reader)
            before = self._labels.pop(user, None)
            if fraud is None and before is None:
                continue
            key = label_key(said.key, user)
            change.labels.append(
                LabelRow(
                    event=-1,
                    key=key,
                    # One that is about nobody only takes back the one before.
                    about_user=None if fraud is None else user,
                    about_order=None,
                    fraud=bool(fraud),
                    about_ms=now_ms,
                    arrived_ms=now_ms,
                    source=SOURCE,
                    supersedes=before,
                )
            )
            if fraud is not None:
                self._labels[user] = key

    def _record(
        self,
        said: Said,
        what: str,
        subject: str,
        before: str,
        after: str,
        content: Decision | Constraint | str,
        change: CaseChange,
    ) -> None:
        self._append(said.ts_ms, said.author, what, subject, before, after, content, change)

    def _append(
        self,
        ts_ms: int,
        author: str,
        what: str,
        subject: str,
        before: str,
        after: str,
        content: Decision | Constraint | str,
        change: CaseChange,
    ) -> None:
        row = append(
            self.head,
            ts_ms=ts_ms,
            author=author,
            what=what,
            subject=subject,
            before=before,
            after=after,
            content=digest(content),
        )
        self.head = AuditHead(row.number, row.hash)
        change.audit.append(row)


def _renamed(users: tuple[str, ...], user_id: str, other: str) -> tuple[str, ...]:
    return tuple(sorted(other if user == user_id else user for user in users))


def _refuse(detail: str) -> Rejected:
    return Rejected(RejectReason.INVALID_FIELD, detail)
