"""A whole simulated world: `simulate` draws it, `write_world` puts it into files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from fraudgraph.errors import DependencyError
from fraudgraph.events.kinds import EntityKind, EventType, Status
from fraudgraph.simulate.identifiers import NONE, Pools
from fraudgraph.simulate.ledger import Events, record
from fraudgraph.simulate.people import Group, populate
from fraudgraph.simulate.rings import Ring, draft, recruit
from fraudgraph.simulate.sessions import visits
from fraudgraph.simulate.truth import LabelTruth, reports, truth_document
from fraudgraph.simulate.typologies import Scene, commit_fraud

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    import numpy.typing as npt

    from fraudgraph.simulate.spec import WorldSpec

_CHUNK = 50_000
_IDENTIFIERS = (
    ("device_id", "device", EntityKind.DEVICE),
    ("ip", "ip", EntityKind.IP),
    ("card", "card", EntityKind.CARD),
    ("email", "email", EntityKind.EMAIL),
    ("phone", "phone", EntityKind.PHONE),
    ("address", "address", EntityKind.ADDRESS),
)
_WITH_AGENT = (int(EventType.SIGNUP), int(EventType.LOGIN))


@dataclass(frozen=True, slots=True)
class World:
    """A drawn world: columns of events, and what is true about them.

    Attributes:
        events: in order of time; identifiers as integers, whose text `pools` writes.
        homes: `[users]` home addresses, whose country the events carry.
        rings: the planned rings.
        groups: innocent people who share something.
        labels: what is reported, with the times at which it arrives.
    """

    spec: WorldSpec
    pools: Pools
    events: Events
    homes: npt.NDArray[np.int64]
    rings: list[Ring]
    groups: list[Group]
    labels: list[LabelTruth]

    def lines(self) -> Iterator[bytes]:
        """Yields the events as JSON lines, some thousands at a time, each line ending in a newline."""
        encoder = msgspec.json.Encoder()
        for first in range(0, len(self.events), _CHUNK):
            yield encoder.encode_lines(self._rows(first))

    def truth(self) -> dict[str, Any]:
        """Returns what `truth.json` holds."""
        return truth_document(self.spec, self.pools, self.events, self.rings, self.groups, self.labels)

    def _rows(self, first: int) -> list[dict[str, str]]:
        """Returns up to a chunk of events as they are written, absent fields left out."""
        part = self.events.take(slice(first, first + _CHUNK))
        stamps = np.datetime_as_string(part.ts.astype("datetime64[ms]"), unit="ms", timezone="UTC").tolist()
        ids = self.pools.event_ids(np.arange(first, first + len(part)))
        users = _written(self.pools, EntityKind.USER, part.user)
        countries = self.pools.countries(self.homes[part.user])
        rows = [
            {"type": EventType(kind).name.lower(), "event_id": event_id, "ts": ts, "user_id": user, "country": country}
            for kind, event_id, ts, user, country in zip(part.type.tolist(), ids, stamps, users, countries, strict=True)
        ]
        for name, column, kind in _IDENTIFIERS:
            _fill(rows, name, getattr(part, column) != NONE, _written(self.pools, kind, getattr(part, column)))
        money = [f"{minor // 100}.{minor % 100:02d}" for minor in part.amount.tolist()]
        _fill(rows, "amount", part.amount != NONE, money)
        _fill(rows, "currency", part.amount != NONE, [self.spec.currency] * len(part))
        _fill(rows, "order_id", part.order != NONE, self.pools.order_ids(part.order))
        _fill(rows, "status", part.status != Status.NONE, [Status(x).name.lower() for x in part.status.tolist()])
        _fill(rows, "referred_user_id", part.other != NONE, _written(self.pools, EntityKind.USER, part.other))
        has_agent = np.isin(part.type, _WITH_AGENT) & (part.device != NONE)
        _fill(rows, "user_agent", has_agent, self.pools.user_agents(part.device))
        return rows


def simulate(spec: WorldSpec) -> World:
    """Returns the world of `spec`; the same spec gives the same world, in any process.

    Raises:
        ConfigurationError: raised by `WorldSpec` itself; a spec that exists can be simulated.
    """
    pools = Pools(spec.seed)
    people_rng, rings_rng, visits_rng, acts_rng, ledger_rng, labels_rng = (
        np.random.default_rng([spec.seed, stage]) for stage in range(6)
    )
    drafts = draft(spec, rings_rng)
    people = populate(spec, sum(plan.own for plan in drafts), pools, people_rng)
    rings = recruit(drafts, people, spec, pools, rings_rng)
    sessions = commit_fraud(rings, visits(people, spec, pools, visits_rng), Scene(spec, people, pools, acts_rng))
    events, chargebacks = record(sessions, rings, people, spec, ledger_rng)
    labels = reports(spec, rings, people, chargebacks, pools, labels_rng)
    return World(spec, pools, events, people.address, rings, people.groups, labels)


def write_world(world: World, folder: Path) -> None:
    """Writes `truth.json` and then `events.jsonl` into `folder`, which is made where absent; each whole or not at all.

    Raises:
        DependencyError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        document = msgspec.json.format(msgspec.json.encode(world.truth()), indent=1)
        _write(folder / "truth.json", [document, b"\n"])
        _write(folder / "events.jsonl", world.lines())
    except OSError as error:
        raise DependencyError(
            f"cannot write the world ({error.strerror})", do="Name a folder that you may write to, with room in it."
        ) from error


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as out:
        out.writelines(chunks)
    part.replace(path)


def _written(pools: Pools, kind: EntityKind, ids: npt.NDArray[np.int64]) -> list[str]:
    """Returns the text of each identifier, written once per distinct one; something meaningless for -1."""
    distinct, place = np.unique(ids, return_inverse=True)
    texts = pools.text(kind, np.maximum(distinct, 0))
    return [texts[x] for x in place.tolist()]


def _fill(rows: list[dict[str, str]], name: str, present: npt.NDArray[np.bool_], values: list[str]) -> None:
    for row in np.flatnonzero(present).tolist():
        rows[row][name] = values[row]
