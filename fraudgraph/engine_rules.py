"""Every knob of the engine beside the link policy."""

from __future__ import annotations

from dataclasses import dataclass, field

from fraudgraph.alerts.policy import AlertPolicy
from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.events.clock import ClockRules
from fraudgraph.graph.hot import GraphLimits


@dataclass(frozen=True, slots=True)
class EngineRules:
    """What decides about rings beside the link policy.

    Attributes:
        min_users: fewer users that hold together are no ring.
        max_users: more are cut into communities.
        max_strangers: an account that alone ties more than so many groups to a ring ties none of them.
        warmup_days: so long after its first event a stream without sign-ups shows everybody for the first time.
        score_epsilon: a member's probability that moved less is not written again.
        second_reader: a confirmed verdict counts only once a second author says the same.
        pull_degree: accounts with more transfers than this are pulled from by the network (`scoring.gnn.engine`).
        warmed_users: accounts, with their surroundings, that a promoted bundle's network takes up with one commit.
        rescored_rings: the most rings of a commit that are scored again because another model scored them last.
    """

    clock: ClockRules = field(default_factory=ClockRules)
    limits: GraphLimits = field(default_factory=GraphLimits)
    priority: PriorityRules = field(default_factory=PriorityRules)
    alerts: AlertPolicy = field(default_factory=AlertPolicy)
    min_users: int = 3
    max_users: int = 200
    max_strangers: int = 3
    warmup_days: int = 14
    score_epsilon: float = 0.01
    second_reader: bool = False
    rescored_rings: int = 256
    pull_degree: int = 512
    warmed_users: int = 8_192
