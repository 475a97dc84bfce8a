"""What brought each step of a ring's life, in a clause: which tie began or ended, and through what.

Identifiers are named by kind, and by mask where an event of the commit names them; accounts not at all, since the log
outlasts them. The same journal gives the same words: where several ties began or ended at once, the order of names and
keys decides which one is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.hot import GraphChange, HotGraph
from fraudgraph.graph.interning import key_bytes
from fraudgraph.graph.links import Links
from fraudgraph.graph.types import I32, I64, Bool, Int
from fraudgraph.kernels import njit
from fraudgraph.rings.cut import Splitter
from fraudgraph.rings.facts_view import NOUN
from fraudgraph.rings.facts_words import count, date, listed
from fraudgraph.rings.forest import find_root
from fraudgraph.rings.identity import RingMoves, Step
from fraudgraph.rings.ties import Ties


@dataclass
class Causes:
    """Reads causes off one commit, once it is applied.

    Attributes:
        released: users whom an analyst keeps apart from somebody since this commit, or no longer.
        before_ms, now_ms: the watermark before the commit and after it.
        members: of the rings that live now, by serial.
    """

    graph: HotGraph
    ties: Ties
    splitter: Splitter
    moves: RingMoves
    change: GraphChange
    batch: DecodedBatch
    released: set[int]
    before_ms: int
    now_ms: int
    members: Mapping[int, I32]

    def of(self, step: Step) -> str:
        """Returns what brought a step, in a clause."""
        team = self.members.get(step.serial, np.empty(0, np.int32))
        former = self.moves.former
        if step.what == "born":
            return self._joining(team, np.ones(len(team), np.bool_), whole=True)
        if step.what == "grew":
            return self._joining(team, ~np.isin(team, former[step.serial]))
        if step.what == "merged" and step.other is not None:
            into = self.members[step.other]
            return self._joining(into, np.isin(into, former[step.serial]))
        if step.what == "split" and step.other is not None:
            return self._leaving(team, np.setdiff1d(former[step.other], team))
        if step.what == "shrank":
            return self._leaving(team, np.setdiff1d(former[step.serial], team))
        return self._leaving(team, former[step.serial])

    def _joining(self, team: I32, new: Bool, *, whole: bool = False) -> str:
        """Says what ties the `new` members to the others, or where `whole`, members to each other."""
        places = {user: bool(is_new) for user, is_new in zip(team.tolist(), new.tolist(), strict=True)}

        def crosses(a: int, b: int) -> bool:
            return a in places and b in places and (whole or places[a] != places[b])

        if any(crosses(a, b) for a, b in self.ties.news.bound):
            return "an analyst ties two of the accounts"
        place, slot = team_links(self.graph.users.links, self.graph.links, team)
        return (
            self._by_hard_tie(new[place], slot, whole=whole)
            or self._by_soft_tie(team, crosses)
            or self._by_other_cut(team)
        )

    def _by_hard_tie(self, new: Bool, slot: I32, *, whole: bool) -> str:
        links, idents = self.graph.links, self.graph.idents
        keeps = (links.tie_ends_ms[slot] > self.now_ms) & (idents.degree[links.ident[slot]] > 1)
        slot, new = slot[keeps], new[keeps]
        if not len(slot):
            return ""
        found, at = np.unique(links.ident[slot], return_inverse=True)
        uses, inside = np.bincount(at), np.bincount(at, new)
        begun = np.bincount(at, np.isin(slot, self.ties.news.fresh)) > 0
        ties = begun & (uses > 1) & (whole | ((inside > 0) & (inside < uses)))
        if not ties.any():
            return ""
        ident = self._first_by_key(found[ties])
        own = slot[links.ident[slot] == ident]
        used = own[np.isin(own, self.change.links)]
        if not len(used):
            return f"{self._called(ident)} ties again: it has few enough users, or an analyst's word on it ended"
        again = "" if links.first_ms[used].max() > self.before_ms else " again"
        others = count(len(own) - 1, "other account")
        return f"an account used {self._called(ident)}{again}, in use by {others} of the ring"

    def _by_soft_tie(self, team: I32, crosses: Callable[[int, int], bool]) -> str:
        soft = self.ties.soft_pairs(self.graph, team.tolist(), self.now_ms)
        pairs = sorted(self._names(a, b) for a, b in soft if crosses(a, b))
        if not pairs:
            return ""
        a, b = (self.graph.user_table.id_of[name] for name in pairs[0])
        kinds = self._weak_in_common(a, b)
        return f"two accounts share {listed(kinds)}: together enough to tie"

    def _by_other_cut(self, team: I32) -> str:
        said = self.splitter.cause_of(team) or self.splitter.why_parted(team)
        if said:
            return said
        if not self.released.isdisjoint(team.tolist()):
            return "an analyst's word that kept accounts apart ended"
        return "their component is no longer cut into communities"

    def _leaving(self, team: I32, gone: I32) -> str:
        """Says what no longer ties the members who are gone to the others, and to each other where nobody is left."""
        users = np.concatenate((team, gone))
        roots = {int(find_root(self.ties.forest, 2 * user)) for user in users.tolist()}
        if len(roots) == 1 and len(users) > 1:
            # They still hold together: it is the cut into rings that came out otherwise.
            return self._by_other_cut(users)
        here = set(users.tolist())
        if any(a in here or b in here for a, b in self.ties.news.parted):
            return "an analyst's tie of two accounts ended"
        _, slot = team_links(self.graph.users.links, self.graph.links, users)
        return self._by_stop(slot) or self._by_age(users, slot)

    def _by_stop(self, slot: I32) -> str:
        links, idents = self.graph.links, self.graph.idents
        met, uses = np.unique(links.ident[slot], return_counts=True)
        stopped = met[(uses > 1) & np.isin(met, self.ties.news.stopped)]
        if not len(stopped):
            return ""
        ident = self._first_by_key(stopped)
        if idents.benign[ident]:
            return f"{self._called(ident)} is harmless by an analyst's word: it ties nobody"
        return f"{self._called(ident)} has {count(int(idents.degree[ident]), 'account')} now: too many for it to tie"

    def _by_age(self, users: I32, slot: I32) -> str:
        links, idents = self.graph.links, self.graph.idents
        ends = links.tie_ends_ms[slot]
        # Of an identifier that one account used alone nobody lost anything, and when its tie ends is not kept.
        shared = idents.degree[links.ident[slot]] > 1
        idle = slot[shared & (ends > self.before_ms) & (ends <= self.now_ms)]
        lost, together = np.unique(self.change.deleted_idents, return_counts=True)
        shared = (idents.degree[self.change.deleted_idents] > 0) | np.isin(
            self.change.deleted_idents, lost[together > 1]
        )
        mine = shared & np.isin(self.change.deleted_users, users)
        gone, were = self.change.links_deleted[mine], self.change.deleted_idents[mine]
        found = [
            (int(links.last_ms[one]), int(idents.kind[ident]), how)
            for slots, ends_of, how in ((idle, links.ident[idle], ""), (gone, were, "expired, "))
            for one, ident in zip(slots.tolist(), ends_of.tolist(), strict=True)
        ]
        if not found:
            return "what its accounts share no longer holds them together: it has more users, or was last used long ago"
        last_ms, kind, how = min(found, key=lambda row: (-row[0], row[1:]))
        return f"a tie through {_a(EntityKind(kind))} ended: {how}last used on {date(last_ms)}"

    def _weak_in_common(self, a: int, b: int) -> list[str]:
        links, idents = self.graph.links, self.graph.idents
        place, slot = team_links(self.graph.users.links, links, np.array([a, b], np.int32))
        ident = links.ident[slot]
        both = np.intersect1d(ident[place == 0], ident[place == 1])
        weak = [one for one in both.tolist() if self.ties.makes_soft_ties(self.graph, one)]
        order = sorted(weak, key=lambda one: (int(idents.kind[one]), self._key(one)))
        return [self._called(one) for one in order] or ["weak identifiers"]

    def _first_by_key(self, found: I32) -> int:
        idents: list[int] = found.tolist()
        return min(idents, key=lambda one: (int(self.graph.idents.kind[one]), self._key(one)))

    def _key(self, ident: int) -> bytes:
        return key_bytes(self.graph.keys, np.array([ident], np.int32))[0]

    def _called(self, ident: int) -> str:
        kind = EntityKind(int(self.graph.idents.kind[ident]))
        mask = self._masks.get(self._key(ident))
        if mask is None:
            return _a(kind)
        return mask if mask.startswith(NOUN[kind]) else f"{NOUN[kind]} {mask}"

    @cached_property
    def _masks(self) -> dict[bytes, str]:
        return dict(zip(self.batch.link_key, self.batch.link_mask, strict=True))

    def _name(self, user: int) -> str:
        return self.graph.user_table.key_of[user] or ""

    def _names(self, a: int, b: int) -> tuple[str, str]:
        one, other = sorted((self._name(a), self._name(b)))
        return one, other


def _a(kind: EntityKind) -> str:
    noun = NOUN[kind]
    return f"{'an' if noun[0] in 'aeI' else 'a'} {noun}"


@njit(cache=True)
def team_links(user_head: I32, links: Links, team: I32) -> tuple[I64, I32]:
    """Returns place in the team and slot of each link of its users."""
    n: Int = 0
    for user in team:
        slot = user_head[user]
        while slot >= 0:
            n += 1
            slot = links.next_of_user[slot]
    places, slots = np.empty(n, np.int64), np.empty(n, np.int32)
    at = 0
    for place in range(len(team)):
        slot = user_head[team[place]]
        while slot >= 0:
            places[at] = place
            slots[at] = slot
            at += 1
            slot = links.next_of_user[slot]
    return places, slots
