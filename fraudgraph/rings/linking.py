"""What the link policy makes of one link: the same for whoever reads a store and whoever checks a dossier."""

from __future__ import annotations

from typing import NamedTuple

from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy


class Linking(NamedTuple):
    """A link's `strength` in [0, 1], whether it is a hard tie, and whether its identifier ties nobody."""

    strength: float
    ties: bool
    hub: bool


def linking(policy: LinkPolicy, kind: EntityKind, *, users_active: int, idle_ms: int, benign: str) -> Linking:
    """Returns what a link is worth.

    Args:
        users_active: users of the identifier with a live link.
        idle_ms: time since the link was last used.
        benign: the analyst's constraint by which the identifier is harmless; "" for none.
    """
    hub = bool(benign) or users_active > policy.kinds[kind.label].hub_users
    strength = 0.0 if benign else policy.strength(kind.label, users_active, idle_ms)
    return Linking(strength, strength >= policy.theta and users_active > 1 and not hub, hub)
