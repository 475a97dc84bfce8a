"""Candidate rings of simulated worlds, with the truth about each."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.port import RingScorer
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import World, simulate
from training.replay import passing_decoder, replay

MAJORITY = 0.5
"""A candidate is a ring when at least this part of its members belong to one true ring."""
TICK_DAYS = 15

THIN_FIELDS = ("type", "event_id", "ts", "user_id", "device_id", "ip", "amount", "currency", "order_id")
THIN_TYPES = ("signup", "order")


@dataclass(frozen=True, slots=True)
class Labelled:
    """`n` candidates of one or more worlds, each as it looked at some moment.

    Attributes:
        features: `[n, len(RING_FEATURES)]`.
        is_ring: `[n]` by majority of members.
        typology: `[n]` of the true ring; empty where it is none.
        world: `[n]` number of the world; candidates of one world are not independent.
    """

    features: npt.NDArray[np.float64]
    is_ring: npt.NDArray[np.bool_]
    typology: npt.NDArray[np.str_]
    world: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.is_ring)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Labelled:
        """Returns some rows."""
        return Labelled(self.features[rows], self.is_ring[rows], self.typology[rows], self.world[rows])


def concatenate(parts: Iterable[Labelled]) -> Labelled:
    """Returns the candidates of all parts."""
    listed = list(parts)
    return Labelled(
        np.vstack([part.features for part in listed]),
        np.concatenate([part.is_ring for part in listed]),
        np.concatenate([part.typology for part in listed]),
        np.concatenate([part.world for part in listed]),
    )


def labelled_candidates(spec: WorldSpec, scorer: RingScorer, number: int, *, thin: bool = False) -> Labelled:
    """Returns the candidates of a world every `TICK_DAYS` of event time and at its end.

    Args:
        number: of the world, for resampling.
        thin: the shop reports signups and orders with device and IP, and nothing else.
    """
    world = simulate(spec)
    lines = thin_shop(events_of(world)) if thin else with_labels(world)
    ring_of = {
        member["user_id"]: number_of_ring
        for number_of_ring, ring in enumerate(world.truth()["rings"])
        for member in ring["members"]
    }
    engine = Engine(LinkPolicy(), EngineRules(), scorer)
    features, rings = [], []
    for candidates in replay(lines, engine, passing_decoder(), tick_ms=TICK_DAYS * DAY_MS):
        features.append(candidates.features)
        rings += [true_ring(team, ring_of) for team in candidates.members]
    typologies = [ring.typology for ring in world.rings]
    return Labelled(
        np.vstack(features),
        np.array([ring is not None for ring in rings], np.bool_),
        np.array(["" if ring is None else typologies[ring] for ring in rings], np.str_),
        np.full(len(rings), number, np.int64),
    )


def true_ring(team: list[str], ring_of: dict[str, int]) -> int | None:
    """Returns the true ring to which at least `MAJORITY` of the members belong, None where there is none."""
    common = Counter(ring_of[user] for user in team if user in ring_of).most_common(1)
    return common[0][0] if common and common[0][1] >= MAJORITY * len(team) else None


def events_of(world: World) -> Iterator[bytes]:
    """Yields the world's events, a JSON line each."""
    for chunk in world.lines():
        yield from chunk.splitlines()


def thin_shop(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yields what a shop would have reported that knows signups and orders with device and IP, and nothing else."""
    for line in lines:
        event = msgspec.json.decode(line)
        if event["type"] in THIN_TYPES:
            yield msgspec.json.encode({name: event[name] for name in THIN_FIELDS if name in event})


def with_labels(world: World) -> Iterator[bytes]:
    """Yields the world's events with the labels about accounts where they arrive; orders' come as chargebacks."""
    reports = [
        (
            label.arrived_ms,
            msgspec.json.encode(
                {
                    "type": "label",
                    "event_id": f"label-{number}",
                    "ts": _stamp(label.arrived_ms),
                    "target": label.target,
                    "value": label.value,
                    "about_ts": _stamp(label.about_ms),
                    "arrived_ts": _stamp(label.arrived_ms),
                    "source": label.source,
                }
            ),
        )
        for number, label in enumerate(world.labels)
        if label.target.startswith("user:") and label.arrived_ms < world.spec.end_ms
    ]
    events = zip(world.events.ts.tolist(), events_of(world), strict=True)
    for _, line in heapq.merge(events, reports, key=lambda item: item[0]):
        yield line


def _stamp(ms: int) -> str:
    return f"{np.datetime64(ms, 'ms')}Z"
