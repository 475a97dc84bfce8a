"""A world in which part of the events is hostile structure: things shared by crowds, and links planted on the innocent.

- a kiosk: one device on which 5,000 people log in;
- a carrier that hides its customers behind a /16: they come from any of its 65,536 addresses, some far more often;
- a device id that is no id: 800 people's browsers report the same one;
- an attacker who wants company: each member of a ring uses the e-mails, phones and devices of strangers, 1,000 in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np
import numpy.typing as npt

from fraudgraph.events.kinds import EntityKind
from fraudgraph.simulate.identifiers import NONE
from fraudgraph.simulate.world import World
from training.ring_watch import Line

_CARRIER_BLOCK = "188.20"
_FORGED = (EntityKind.EMAIL, EntityKind.PHONE, EntityKind.DEVICE)
_FIELD = {EntityKind.EMAIL: "email", EntityKind.PHONE: "phone", EntityKind.DEVICE: "device_id"}


@dataclass(frozen=True, slots=True)
class Hostility:
    """How much of what; `share` is of all events, made up by the carrier's customers."""

    kiosk_users: int = 5_000
    collision_users: int = 800
    planted_users: int = 1_000
    share: float = 0.05


def hostile_lines(world: World, hostility: Hostility, seed: int) -> list[Line]:
    """Returns the hostile events of a world, in order of time; the same seed gives the same events."""
    rng = np.random.default_rng([seed, 0xBAD])
    members = {user for ring in world.rings for user in ring.users}
    seen = np.unique(world.events.user)
    honest = seen[~np.isin(seen, list(members))]
    wanted = round(len(world.events) * hostility.share / (1.0 - hostility.share))
    crowd = hostility.kiosk_users + hostility.collision_users + hostility.planted_users
    events = [
        *_crowd(world, rng.choice(honest, hostility.kiosk_users, replace=False), "device_id", ["kiosk-0001"], rng),
        *_crowd(world, rng.choice(honest, hostility.collision_users, replace=False), "device_id", ["0" * 16], rng),
        *_crowd(world, rng.choice(honest, max(0, wanted - crowd)), "ip", _carrier(max(0, wanted - crowd), rng), rng),
        *_attack(world, honest, hostility.planted_users, rng),
    ]
    lines = []
    for number, (ts, event) in enumerate(sorted(events, key=lambda item: (item[0], sorted(item[1].items())))):
        stamp = datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec="milliseconds")
        lines.append(
            (ts, msgspec.json.encode({"type": "login", "event_id": f"hostile-{number}", "ts": stamp, **event}))
        )
    return lines


def _crowd(
    world: World, users: npt.NDArray[np.int64], field: str, things: list[str], rng: np.random.Generator
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields one login of each user with one of the things, at any time of the world."""
    spec = world.spec
    times = rng.integers(spec.start_ms, spec.end_ms, len(users)).tolist()
    names = world.pools.text(EntityKind.USER, users)
    for place, (ts, name) in enumerate(zip(times, names, strict=True)):
        yield ts, {"user_id": name, field: things[place % len(things)]}


def _carrier(count: int, rng: np.random.Generator) -> list[str]:
    """Returns addresses of the carrier's /16, a few of them used by far more customers than the rest."""
    host = (rng.random(count) ** 3 * 65_536).astype(np.int64)
    return [f"{_CARRIER_BLOCK}.{x >> 8}.{x & 255}" for x in host.tolist()]


def _attack(
    world: World, honest: npt.NDArray[np.int64], victims: int, rng: np.random.Generator
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields logins in which the members of the largest ring use what belongs to so many honest users."""
    events, ring = world.events, max(world.rings, key=lambda ring: (len(ring.users) - sum(ring.victim), -ring.number))
    attackers = [user for user, victim in zip(ring.users, ring.victim, strict=True) if not victim]
    names = world.pools.text(EntityKind.USER, np.array(attackers))
    known = np.isin(events.user, honest)
    order = rng.permutation(np.flatnonzero(known))
    rows = order[np.unique(events.user[order], return_index=True)[1]]
    targets = rng.permutation(rows)
    done = 0
    for row in targets.tolist():
        for kind in np.roll(np.array(_FORGED), done % len(_FORGED)).tolist():
            thing = int(getattr(events, EntityKind(kind).label)[row])
            if thing != NONE:
                ts = int(rng.integers(ring.start_ms, ring.end_ms))
                text = world.pools.text(EntityKind(kind), np.array([thing]))[0]
                yield ts, {"user_id": names[done % len(names)], _FIELD[EntityKind(kind)]: text}
                done += 1
                break
        if done == victims:
            return
