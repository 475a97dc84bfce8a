"""A snapshot arranged for reading: identifiers with their short names and users, links by member."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.snapshot import UNKNOWN_MS, RingSnapshot, SnapshotLink, SnapshotUser

PREFIX: dict[EntityKind, str] = {
    EntityKind.DEVICE: "D",
    EntityKind.IP: "IP",
    EntityKind.CARD: "C",
    EntityKind.EMAIL: "M",
    EntityKind.PHONE: "P",
    EntityKind.ADDRESS: "A",
}
"""First letters of an identifier's short name; `E` is left to the evidence."""

NOUN: dict[EntityKind, str] = {
    EntityKind.USER: "account",
    EntityKind.DEVICE: "device",
    EntityKind.IP: "IP address",
    EntityKind.CARD: "card",
    EntityKind.EMAIL: "e-mail address",
    EntityKind.PHONE: "phone number",
    EntityKind.ADDRESS: "address",
}


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier of the ring; `links` has one link per member that used it, earliest first."""

    name: str
    kind: EntityKind
    key: str
    mask: str
    links: tuple[SnapshotLink, ...]

    @property
    def noun(self) -> str:
        """What it is, for a sentence."""
        return NOUN[self.kind]

    @property
    def called(self) -> str:
        """`device D1`."""
        return f"{self.noun} {self.name}"

    @property
    def user_ids(self) -> tuple[str, ...]:
        """Members that used it, earliest first."""
        return tuple(x.user_id for x in self.links)

    @property
    def users_total(self) -> int:
        """Users of it in and outside the ring."""
        return max(len(self.links), *(x.users_active for x in self.links))

    @property
    def hub(self) -> bool:
        """Whether it is shared too widely to tie anybody."""
        return any(x.hub for x in self.links)

    @property
    def benign(self) -> str:
        """The analyst's constraint that says that it ties nobody; "" for none."""
        return max(x.benign for x in self.links)

    @property
    def ties(self) -> bool:
        """Whether it joins at least two members by hard ties."""
        return sum(x.ties for x in self.links) >= 2

    @property
    def strength(self) -> float:
        """Mean strength of its links, in [0, 1]."""
        return sum(x.strength for x in self.links) / len(self.links)

    @property
    def first_ms(self) -> int:
        """First use by a member."""
        return self.links[0].first_ms

    @property
    def last_ms(self) -> int:
        """Last use by a member."""
        return max(x.last_ms for x in self.links)

    @property
    def uses(self) -> int:
        """Uses by members."""
        return sum(x.count for x in self.links)


class RingView:
    """Indexes over one snapshot, in an order that does not depend on the order of its rows.

    Attributes:
        policy: the link policy of the snapshot (its hash is in `versions`); it says which weak links tie together.
        users: user id -> member, by user id.
        identifiers: most members first within a kind, then oldest; that order numbers the names.
        shared: those used by at least two members.
        by_user: user id -> identifiers that the member used.
    """

    def __init__(self, snapshot: RingSnapshot, policy: LinkPolicy | None = None) -> None:
        self.snapshot = snapshot
        self.policy = policy or LinkPolicy()
        self.users: dict[str, SnapshotUser] = {u.user_id: u for u in sorted(snapshot.users, key=lambda u: u.user_id)}
        self.identifiers = _identifiers(snapshot)
        self.shared = tuple(i for i in self.identifiers if len(i.links) >= 2)
        self.by_user: dict[str, list[Identifier]] = defaultdict(list)
        for identifier in self.identifiers:
            for user_id in identifier.user_ids:
                self.by_user[user_id].append(identifier)

    @property
    def size(self) -> int:
        """Number of members."""
        return len(self.users)

    @property
    def newcomers(self) -> list[SnapshotUser]:
        """Members who are new accounts, as the score counts them, by user id.

        Where a snapshot does not say since when the stream shows beginnings: those who signed up in it, if any did,
        and all otherwise.
        """
        births_ms = self.snapshot.births_ms
        if births_ms != UNKNOWN_MS:
            return [user for user in self.users.values() if user.signup_ms >= 0 or user.first_ms >= births_ms]
        signed_up = [user for user in self.users.values() if user.signup_ms >= 0]
        return signed_up or list(self.users.values())

    def beginnings(self, identifier: Identifier) -> tuple[SnapshotLink, ...]:
        """Returns the links of an identifier that began while the stream was watching, earliest first."""
        links_ms = self.snapshot.links_ms
        if links_ms == UNKNOWN_MS:
            return identifier.links
        new = {user.user_id for user in self.newcomers}
        return tuple(link for link in identifier.links if link.first_ms >= links_ms or link.user_id in new)

    def age_ms(self, user_id: str, at_ms: int) -> int:
        """Returns how long the shop has known a member at that time; negative before it did."""
        user = self.users[user_id]
        known = user.first_ms if user.signup_ms < 0 else min(user.first_ms, user.signup_ms)
        return at_ms - known


def _identifiers(snapshot: RingSnapshot) -> tuple[Identifier, ...]:
    members = {u.user_id for u in snapshot.users}
    grouped: dict[tuple[EntityKind, str], list[SnapshotLink]] = defaultdict(list)
    for link in snapshot.links:
        if link.user_id in members:
            grouped[link.kind, link.key].append(link)
    rows = [(kind, key, sorted(links, key=lambda x: (x.first_ms, x.user_id))) for (kind, key), links in grouped.items()]
    rows.sort(key=lambda row: (row[0], -len(row[2]), row[2][0].first_ms, row[1]))
    numbers: dict[EntityKind, int] = defaultdict(int)
    found = []
    for kind, key, links in rows:
        numbers[kind] += 1
        found.append(Identifier(f"{PREFIX[kind]}{numbers[kind]}", kind, key, links[0].mask, tuple(links)))
    return tuple(found)
