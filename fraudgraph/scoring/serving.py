"""Which model is in force over the engine's graph: none, the bundle of the settings, or one that was promoted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
import numpy as np

from fraudgraph.errors import ConfigurationError
from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.rejected import Rejected
from fraudgraph.graph.hot import GraphChange, HotGraph
from fraudgraph.graph.types import F64, I32, I64
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.fitting import require_fit
from fraudgraph.scoring.gnn.engine import PULL_DEGREE
from fraudgraph.scoring.live_model import LiveModel, live_model
from fraudgraph.scoring.network import NetworkScorer
from fraudgraph.scoring.port import RingScorer, RingScores

Library: TypeAlias = Callable[[str], Bundle]
"""From a bundle's name to the bundle.

Raises:
    ConfigurationError: it is not there, or cannot be used.
"""

STRUCTURAL: Final = "structural"
"""What a promotion names to have no network in force."""

_MAGIC: Final = b"serving-1\n"
_REMEMBERED: Final = 256
"""Promotions whose second delivery is known as one."""
_LOOKED_AT: Final = 4_096
"""Accounts of a measure of drift."""
_MEMBER_LIMIT: Final = 1.5
"""The most log-odds by which the network sets a member apart from the ring: it orders, and decides about nobody."""


class _Promoted(msgspec.Struct, frozen=True, array_like=True):
    bundle: str  # "" where what is in force comes from the settings
    digest: str
    keys: tuple[str, ...]
    scorer: bytes
    coming: str = ""
    coming_digest: str = ""
    coming_at: int = 0


@dataclass(frozen=True, slots=True)
class _Coming:
    """A promoted bundle whose network is being made beside the one in force.

    Attributes:
        at: the commit with which it comes in force.
    """

    bundle: Bundle
    name: str
    at: int
    live: LiveModel


@dataclass(frozen=True, slots=True)
class Judgement:
    """Scores of rings, and what the network had said.

    Attributes:
        summaries: `[r, k]` of the rings; k is 0 without a network.
        member_shift: `[n]` log-odds of each member beside its ring, by the network; None without one.
    """

    scores: RingScores
    summaries: F64
    member_shift: F64 | None


@dataclass(slots=True)
class ShadowFigures:
    """How far a bundle that only looks on differs from what is in force, over all rings scored so far.

    Attributes:
        crossed: rings that one of the two has above the line, and the other below.
    """

    rings: int = 0
    sum_difference: float = 0.0
    max_difference: float = 0.0
    crossed: int = 0


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """What is in force, in numbers, for those who watch it.

    Attributes:
        bundle: name of the bundle, or `structural`.
        links, bytes: that the network holds; 0 without one.
        drift: largest error of the network's cached means (`scoring.gnn.means`) among the accounts looked at.
    """

    bundle: str
    links: int
    bytes: int
    drift: float
    shadow: ShadowFigures


class Serving:
    """The scorer in force, its network over the graph, and promotions; called by the engine only.

    Args:
        scorer: scores by structure; needs no bundle.
        bundle: the one of the settings, in force until another is promoted; None for structure alone.
        library: where promoted bundles come from; None refuses every promotion.
        shadow: scores beside what is in force, and is only counted.
        line: probability of an alert, for `ShadowFigures.crossed`.
        pull_degree: as of `LiveNetwork`.
        warmed_users: accounts, with their surroundings, that a promoted bundle's network takes up with one commit.

    Raises:
        ConfigurationError: a bundle does not fit this version's features or the graph's link policy.
    """

    def __init__(
        self,
        scorer: RingScorer,
        graph: HotGraph,
        *,
        bundle: Bundle | None = None,
        library: Library | None = None,
        shadow: Bundle | None = None,
        line: float = 0.5,
        pull_degree: int = PULL_DEGREE,
        warmed_users: int = 8_192,
    ) -> None:
        self.structural = scorer
        self.scorer = scorer
        self.live: LiveModel | None = None
        self.shadow_figures = ShadowFigures()
        self._library = library
        self._line, self._pull_degree, self._warmed_users = line, pull_degree, warmed_users
        self._policy_hash = graph.policy.hash
        self._promoted = ""
        self._coming: _Coming | None = None
        self._keys: tuple[str, ...] = ()
        self._bundle, self._shadow_bundle = bundle, shadow
        self._shadow: LiveModel | None = None
        self._asked_only = False
        self._start(graph)

    @property
    def name(self) -> str:
        """Name of the bundle in force, or `structural`."""
        return STRUCTURAL if self.live is None else self.live.bundle.name

    def _start(self, graph: HotGraph) -> None:
        self._put_in_force(self._bundle, graph)
        shadow = self._shadow_bundle
        self._shadow = None if shadow is None else live_model(shadow, graph, self._pull_degree)

    def _put_in_force(self, bundle: Bundle | None, graph: HotGraph) -> None:
        if bundle is None:
            self.live, self.scorer = None, self.structural
        else:
            self._use(live_model(bundle, graph, self._pull_degree))

    def _use(self, live: LiveModel) -> None:
        self.live, self.scorer = live, scorer_of(self.structural, live.bundle)

    def look_at(self, graph: HotGraph, users: I32) -> None:
        """Makes the model for these users, where `restore` left it out; does nothing else."""
        if self._asked_only and self._bundle is not None:
            self._use(live_model(self._bundle, graph, self._pull_degree, only=users))

    def restore(self, state: bytes | None, graph: HotGraph, *, asked_only: bool = False) -> None:
        """Takes up a stored state, and builds the networks over a graph that was restored.

        Args:
            asked_only: no change will come, and before a score is read `look_at` names whose: no network of the whole
                graph is made.

        Raises:
            ConfigurationError: a promoted bundle is not there, is another one by now, or does not fit; or the state is
                another scorer's.
        """
        if state is not None and state.startswith(_MAGIC):
            stored = msgspec.msgpack.decode(state[len(_MAGIC) :], type=_Promoted)
            self._promoted, self._keys, state = stored.bundle, stored.keys, stored.scorer
            if stored.bundle:
                self._bundle = self._find_again(stored.bundle, stored.digest)
            coming = self._find_again(stored.coming, stored.coming_digest) if stored.coming else None
            if coming is not None and not asked_only:
                live = live_model(coming, graph, self._pull_degree)
                self._coming = _Coming(coming, stored.coming, stored.coming_at, live)
        if state:
            self.structural.restore(state)
        self._asked_only = asked_only
        if asked_only and self._bundle is not None:
            self.look_at(graph, np.empty(0, np.int32))
        else:
            self._start(graph)

    def state(self) -> bytes:
        """Returns what was fitted, and what was promoted, for the store; empty where neither."""
        scorer, coming = self.structural.state(), self._coming
        if not self._keys:
            return scorer
        digest = _digest(self._bundle) if self._promoted else ""
        promoted = _Promoted(self._promoted, digest, self._keys, scorer)
        if coming is not None:
            promoted = msgspec.structs.replace(
                promoted, coming=coming.name, coming_digest=_digest(coming.bundle), coming_at=coming.at
            )
        return _MAGIC + msgspec.msgpack.encode(promoted)

    def update(self, graph: HotGraph, change: GraphChange) -> I32:
        """Takes up a change of the graph; returns users whose score by the network may have moved."""
        if self._shadow is not None:
            self._shadow.update(graph, change)
        if self._coming is not None:
            self._coming.live.update(graph, change)
        return np.empty(0, np.int32) if self.live is None else self.live.update(graph, change)

    def summaries(self, graph: HotGraph, members: I32, starts: I64) -> F64:
        """Returns what the network says of rings, `[r, k]`, rounded; k is 0 without a network."""
        if self.live is None:
            return np.empty((len(starts) - 1, 0))
        return self.live.of_rings(graph, members, starts)[1]

    def judge(self, graph: HotGraph, features: F64, members: I32, starts: I64) -> Judgement:
        """Returns the scores of `r` rings with these features; their members are in a row."""
        if self.live is None:
            scores, summaries, shift = self.scorer.score(features), np.empty((len(features), 0)), None
        else:
            log_odds, summaries = self.live.of_rings(graph, members, starts)
            scores = self.scorer.score(features, summaries)
            sizes = np.diff(starts)
            means = np.add.reduceat(log_odds, starts[:-1]) / sizes if len(members) else np.empty(0)
            shift = np.clip(log_odds - np.repeat(means, sizes), -_MEMBER_LIMIT, _MEMBER_LIMIT)
        if self._shadow is not None and len(members):
            self._count_shadow(graph, features, members, starts, scores.probability)
        return Judgement(scores, summaries, shift)

    def figures(self, graph: HotGraph) -> ModelFigures:
        """Returns what is in force, in numbers; it looks at some thousand accounts anew."""
        if self.live is None:
            return ModelFigures(STRUCTURAL, 0, 0, 0.0, self.shadow_figures)
        held = self.live.figures()
        drift = self.live.drift(graph, _LOOKED_AT)
        return ModelFigures(self.live.bundle.name, held.links, held.bytes, drift, self.shadow_figures)

    def knows(self, key: str) -> bool:
        """Returns whether a promotion with this key was obeyed before."""
        return key in self._keys

    def check(self, bundle: str) -> None:
        """Refuses a promotion that `promote` could not do.

        Raises:
            Rejected: the bundle is not there, or does not fit.
        """
        try:
            found = self._find(bundle)
            if found is not None:
                require_fit(found.manifest, self._policy_hash)
        except ConfigurationError as error:
            raise Rejected(RejectReason.INVALID_FIELD, f"promote: {error.what}") from error

    def promote(self, bundle: str, key: str, graph: HotGraph, commit: int) -> bool:
        """Obeys a promotion, between two commits; returns whether the bundle is in force now.

        Where the graph is large, its network is made beside the one in force, a part with each of the next commits, and
        comes in force with the last of them (`advance`). How many they are follows from the number of accounts at this
        commit alone, so it is the same in every replay.
        """
        found = self._find(bundle)
        self._keys = (*self._keys, key)[-_REMEMBERED:]
        self._coming = None
        parts = -(-len(graph.user_table) // self._warmed_users)
        if found is not None and found.network is not None and parts > 1:
            live = live_model(found, graph, self._pull_degree, parts)
            self._coming = _Coming(found, bundle, commit + parts, live)
            return False
        self._bundle, self._promoted = found, bundle
        self._put_in_force(found, graph)
        return True

    def advance(self, graph: HotGraph, commit: int) -> bool:
        """Goes on with the network of a promoted bundle; returns whether it came in force with this commit."""
        coming = self._coming
        if coming is None:
            return False
        coming.live.warm(graph)
        if commit < coming.at:
            return False
        self._bundle, self._promoted, self._coming = coming.bundle, coming.name, None
        self._use(coming.live)
        return True

    def _find_again(self, name: str, digest: str) -> Bundle | None:
        bundle = self._find(name)
        if _digest(bundle) != digest:
            raise ConfigurationError(
                f"the bundle {name!r} is not the one that was promoted, {digest}",
                do="Put that one back under its name, and promote the other under a name of its own.",
            )
        return bundle

    def _find(self, bundle: str) -> Bundle | None:
        if bundle == STRUCTURAL:
            return None
        if self._library is None:
            raise ConfigurationError(f"there is no library to take {bundle!r} from", do="Set model.folder.")
        return self._library(bundle)

    def _count_shadow(self, graph: HotGraph, features: F64, members: I32, starts: I64, in_force: F64) -> None:
        assert self._shadow is not None
        scorer = scorer_of(self.structural, self._shadow.bundle)
        other = scorer.score(features, self._shadow.of_rings(graph, members, starts)[1]).probability
        difference, figures = np.abs(other - in_force), self.shadow_figures
        figures.rings += len(difference)
        figures.sum_difference += float(difference.sum())
        figures.max_difference = max(figures.max_difference, float(difference.max(initial=0.0)))
        figures.crossed += int(np.count_nonzero((other >= self._line) != (in_force >= self._line)))


def scorer_of(structural: RingScorer, bundle: Bundle) -> NetworkScorer:
    """Returns the scorer of rings that adds a bundle's ring head to another."""
    return NetworkScorer(structural, bundle.manifest.ring_head, bundle.name, bundle.manifest.kind)


def _digest(bundle: Bundle | None) -> str:
    return "" if bundle is None else bundle.manifest.digest
