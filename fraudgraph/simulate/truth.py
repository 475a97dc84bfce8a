"""The ground truth beside a simulated stream: rings, innocent groups, and what is reported when."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.simulate.identifiers import NONE, Pools

if TYPE_CHECKING:
    from typing import Any

    from fraudgraph.simulate.ledger import Chargebacks, Events
    from fraudgraph.simulate.people import Group, People
    from fraudgraph.simulate.rings import Ring
    from fraudgraph.simulate.spec import WorldSpec

SCHEMA_VERSION = 1

_SHAREABLE = (EntityKind.DEVICE, EntityKind.IP, EntityKind.CARD, EntityKind.PHONE, EntityKind.ADDRESS)


@dataclass(frozen=True, slots=True)
class LabelTruth:
    """A report as it arrives, with `correct` saying what the reporter cannot know."""

    target: str
    value: str
    about_ms: int
    arrived_ms: int
    source: str
    correct: bool


def reports(
    spec: WorldSpec, rings: list[Ring], people: People, backs: Chargebacks, pools: Pools, rng: np.random.Generator
) -> list[LabelTruth]:
    """Returns all labels in order of arrival: banks about orders, analysts about some accounts, some wrong."""
    labels = [
        LabelTruth(f"order:{order}", "fraud", about, arrived, "chargeback", ring != NONE)
        for order, about, arrived, ring in zip(
            pools.order_ids(backs.order),
            backs.ordered_ms.tolist(),
            backs.arrived_ms.tolist(),
            backs.ring.tolist(),
            strict=True,
        )
    ]
    for ring in rings:
        names = pools.text(EntityKind.USER, np.array(ring.users))
        for name, victim, joined in zip(names, ring.victim, ring.joined_ms, strict=True):
            if victim or rng.random() >= 0.5 * (1 - spec.label_missing):
                continue
            labels.append(_judged(name, True, joined, spec, rng))
    honest = np.flatnonzero(~people.is_member & (rng.random(len(people)) < 0.004))
    for name in pools.text(EntityKind.USER, honest):
        seen = spec.start_ms + int(rng.random() * (spec.end_ms - spec.start_ms))
        labels.append(_judged(name, False, seen, spec, rng))
    return sorted(labels, key=lambda label: (label.arrived_ms, label.target))


def _judged(name: str, fraud: bool, about_ms: int, spec: WorldSpec, rng: np.random.Generator) -> LabelTruth:
    """Returns an analyst's word on an account, one to three weeks later, sometimes mistaken."""
    correct = bool(rng.random() >= spec.label_wrong)
    arrived = about_ms + int(rng.lognormal(np.log(9 * DAY_MS), 0.5))
    return LabelTruth(
        f"user:{name}", "fraud" if fraud == correct else "legitimate", about_ms, arrived, "analyst", correct
    )


def truth_document(
    spec: WorldSpec, pools: Pools, events: Events, rings: list[Ring], groups: list[Group], labels: list[LabelTruth]
) -> dict[str, Any]:
    """Returns the document that `truth.json` holds; times are RFC 3339, identifiers as in the events."""
    order = np.argsort(events.user, kind="stable")
    sorted_users = events.user[order]
    return {
        "schema_version": SCHEMA_VERSION,
        "spec": msgspec.to_builtins(spec),
        "spec_hash": spec.hash,
        "events": len(events),
        "rings": [_ring(ring, pools, events, order, sorted_users) for ring in rings],
        "groups": [
            {"kind": group.kind, "users": pools.text(EntityKind.USER, np.array(group.users))} for group in groups
        ],
        "labels": [
            {
                "target": label.target,
                "value": label.value,
                "about_ts": _stamp(label.about_ms),
                "arrived_ts": _stamp(label.arrived_ms),
                "source": label.source,
                "correct": label.correct,
            }
            for label in labels
        ],
    }


def _ring(
    ring: Ring, pools: Pools, events: Events, order: np.ndarray[Any, Any], sorted_users: np.ndarray[Any, Any]
) -> dict[str, Any]:
    names = pools.text(EntityKind.USER, np.array(ring.users))
    rows = [order[slice(*np.searchsorted(sorted_users, [user, user + 1]))] for user in ring.users]
    own = np.concatenate(rows)
    acts = own[(events.ring[own] == ring.number) & (events.type[own] == EventType.ORDER)]
    return {
        "ring_id": f"R{ring.number + 1:04d}",
        "typology": ring.typology,
        "active_from": _stamp(ring.start_ms),
        "active_until": _stamp(ring.end_ms),
        "dormant": [_stamp(x) for x in ring.dormant_ms] if ring.dormant_ms else None,
        "members": [
            {"user_id": name, "role": role, "joined": _stamp(joined), "camouflaged": camouflaged, "events": len(mine)}
            for name, role, joined, camouflaged, mine in zip(
                names, ring.roles(), ring.joined_ms, ring.camouflaged, rows, strict=True
            )
        ],
        "shared": _shared(ring, names, rows, pools, events),
        "orders": pools.order_ids(np.sort(events.order[acts])),
        "habits": asdict(ring.habits),
    }


def _shared(ring: Ring, names: list[str], rows: list[Any], pools: Pools, events: Events) -> list[dict[str, Any]]:
    """Returns the ring's own identifiers that the events show with at least two members."""
    out = []
    for kind in _SHAREABLE:
        column = getattr(events, kind.label)
        planned = {x for tools in ring.tools for x in tools.get(kind, [])}
        users: dict[int, list[str]] = {}
        for name, mine in zip(names, rows, strict=True):
            for identifier in np.unique(column[mine]).tolist():
                if identifier in planned:
                    users.setdefault(identifier, []).append(name)
        ids = sorted(x for x, who in users.items() if len(who) > 1)
        texts = pools.text(kind, np.array(ids, dtype=np.int64))
        out += [{"kind": kind.label, "value": text, "users": users[x]} for x, text in zip(ids, texts, strict=True)]
    return out


def _stamp(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
