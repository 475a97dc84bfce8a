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


@dataclass(frozen=True, slots=True)
class Hostile:
    """Hostile events in order of time, and the honest users whom each structure touches."""

    lines: list[Line]
    touched: dict[str, frozenset[str]]


def hostile(world: World, hostility: Hostility, seed: int) -> Hostile:
    """Returns the hostile events for a world; the same seed gives the same events."""
    rng = np.random.default_rng([seed, 0xBAD])
    members = {user for ring in world.rings for user in ring.users}
    seen = np.unique(world.events.user)
    honest = seen[~np.isin(seen, list(members))]
    wanted = round(len(world.events) * hostility.share / (1.0 - hostility.share))
    crowd = hostility.kiosk_users + hostility.collision_users + hostility.planted_users
    carried = max(0, wanted - crowd)
    # Nobody is touched by two structures, so that who was pulled in can be laid at the door of one.
    ends = np.cumsum([hostility.kiosk_users, hostility.collision_users, 2 * hostility.planted_users])
    kiosk, collision, forgeable, others = np.split(rng.permutation(honest), ends)
    carrier = rng.choice(others, carried)
    forged = _forged(world, forgeable, hostility.planted_users, rng)
    events = [
        *_crowd(world, kiosk, "device_id", ["kiosk-0001"], rng),
        *_crowd(world, collision, "device_id", ["0" * 16], rng),
        *_crowd(world, carrier, "ip", _carrier(carried, rng), rng),
        *_attack(world, forged, rng),
    ]
    lines = []
    for number, (ts, event) in enumerate(sorted(events, key=lambda item: (item[0], sorted(item[1].items())))):
        stamp = datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec="milliseconds")
        lines.append(
            (ts, msgspec.json.encode({"type": "login", "event_id": f"hostile-{number}", "ts": stamp, **event}))
        )
    groups = {"kiosk": kiosk, "collision": collision, "carrier": carrier, "attack": [user for user, _, _ in forged]}
    return Hostile(
        lines,
        {
            name: frozenset(world.pools.text(EntityKind.USER, np.asarray(users, np.int64)))
            for name, users in groups.items()
        },
    )


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


def _forged(
    world: World, honest: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> list[tuple[int, EntityKind, int]]:
    """Returns (user, kind, identifier) of so many honest users, one identifier of each, the kinds in turn."""
    events = world.events
    order = rng.permutation(np.flatnonzero(np.isin(events.user, honest)))
    rows = rng.permutation(order[np.unique(events.user[order], return_index=True)[1]])
    out: list[tuple[int, EntityKind, int]] = []
    for row in rows.tolist():
        for turn in range(len(_FORGED)):
            kind = _FORGED[(len(out) + turn) % len(_FORGED)]
            thing = int(getattr(events, kind.label)[row])
            if thing != NONE:
                out.append((int(events.user[row]), kind, thing))
                break
        if len(out) == count:
            break
    return out


def _attack(
    world: World, forged: list[tuple[int, EntityKind, int]], rng: np.random.Generator
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields logins in which the members of the largest ring use, in turn, what belongs to others."""
    ring = max(world.rings, key=lambda ring: (len(ring.users) - sum(ring.victim), -ring.number))
    attackers = [user for user, victim in zip(ring.users, ring.victim, strict=True) if not victim]
    names = world.pools.text(EntityKind.USER, np.array(attackers))
    for place, (_, kind, thing) in enumerate(forged):
        text = world.pools.text(kind, np.array([thing]))[0]
        ts = int(rng.integers(ring.start_ms, ring.end_ms))
        yield ts, {"user_id": names[place % len(names)], _FIELD[kind]: text}
