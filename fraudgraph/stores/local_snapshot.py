"""A local snapshot of the last commit, for a quick start: a cache beside the store, thrown away when in doubt."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fraudgraph.cases.audit import AuditHead
from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.events.batch import LabelRow
from fraudgraph.rings.rule_hits import RingRules
from fraudgraph.stores.port import RingRow, StoredState

_FORMAT = 2
_TABLES = ("links", "users", "orders", "transfers")


@dataclass(frozen=True, slots=True)
class SnapshotKey:
    """What a snapshot belongs to; any difference makes it worthless."""

    store_id: str
    epoch: str
    commit: str
    schema: str
    policy_hash: str
    scorer: str
    format: int = _FORMAT


class LocalSnapshot:
    """One file (`.npz`, no pickles) that is replaced as a whole.

    `save` is called by the daemon after its last commit; a crash in it leaves the old file or none that matches.
    `load` returns None whenever the file is absent, damaged or of another key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, key: SnapshotKey, state: StoredState) -> None:
        """Writes a snapshot.

        Raises:
            OSError: the disk is full or not writable; the store is not touched by that.
        """
        people: list[tuple[int, str]] = []
        idents: list[tuple[int, int, bytes]] = []
        for kind, entity, name in state.entities:
            if isinstance(name, str):
                people.append((entity, name))
            else:
                idents.append((kind, entity, name))
        head = {
            "key": list(astuple(key)),
            "commit": state.commit,
            "watermark_ms": state.watermark_ms,
            "positions": state.positions,
            "clocks_ms": state.clocks_ms,
            "ring_serial": state.ring_serial,
            "started_ms": state.started_ms,
            "decisions": state.decisions,
            "constraints": state.constraints,
            "audit_head": state.audit_head,
            "labels": [
                [
                    row.key,
                    row.about_user,
                    row.about_order,
                    row.fraud,
                    row.about_ms,
                    row.arrived_ms,
                    row.source,
                    row.supersedes,
                ]
                for row in state.labels
            ],
            "rings": [_ring_fields(row) for row in state.rings],
            "members": state.members,
            "people": [name for _, name in people],
            "scorer_state": state.scorer_state,
        }
        arrays: dict[str, Any] = {
            "head": np.frombuffer(msgspec.msgpack.encode(head), np.uint8),
            "seen": np.frombuffer(b"".join(state.seen_keys), np.uint8),
            "seen_ts_ms": np.array(state.seen_ts_ms, np.int64),
            "people": np.array([entity for entity, _ in people], np.int64),
            "ident_kind": np.array([kind for kind, _, _ in idents], np.uint8),
            "ident": np.array([entity for _, entity, _ in idents], np.int64),
            "ident_key": np.frombuffer(b"".join(name for _, _, name in idents), np.uint8),
            "order_key": np.frombuffer(b"".join(state.order_keys), np.uint8),
        }
        for table in _TABLES:
            for name, column in getattr(state, table).items():
                arrays[f"{table}.{name}"] = column
        part = self._path.with_suffix(self._path.suffix + ".part")
        with part.open("wb") as file:
            np.savez(file, **arrays)
        part.replace(self._path)

    def load(self, key: SnapshotKey) -> StoredState | None:
        """Returns the state of that key, or None."""
        try:
            with np.load(io.BytesIO(self._path.read_bytes()), allow_pickle=False) as file:
                head = msgspec.msgpack.decode(file["head"].tobytes())
                if head["key"] != list(astuple(key)):
                    return None
                return _state(head, {name: file[name] for name in file.files if name != "head"})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, msgspec.DecodeError):
            return None

    def discard(self) -> None:
        """Removes the file. Idempotent."""
        self._path.unlink(missing_ok=True)


def _ring_fields(row: RingRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in RingRow.__dataclass_fields__}


def _state(head: dict[str, Any], arrays: dict[str, Any]) -> StoredState:
    def table(name: str) -> dict[str, Any]:
        prefix = name + "."
        return {key.removeprefix(prefix): column for key, column in arrays.items() if key.startswith(prefix)}

    return StoredState(
        commit=head["commit"],
        watermark_ms=head["watermark_ms"],
        positions=head["positions"],
        clocks_ms=head["clocks_ms"],
        ring_serial=head["ring_serial"],
        started_ms=head["started_ms"],
        scorer_state=head["scorer_state"],
        seen_keys=_keys(arrays["seen"]),
        seen_ts_ms=arrays["seen_ts_ms"].tolist(),
        entities=_entities(head["people"], arrays),
        links=table("links"),
        users=table("users"),
        orders=table("orders"),
        order_keys=_keys(arrays["order_key"]),
        transfers=table("transfers"),
        labels=[LabelRow(-1, *row) for row in head["labels"]],
        rings=[RingRow(**row | {"rules": msgspec.convert(row["rules"], RingRules)}) for row in head["rings"]],
        members={ring: [(user, chance) for user, chance in team] for ring, team in head["members"].items()},
        decisions=msgspec.convert(head["decisions"], list[Decision]),
        constraints=msgspec.convert(head["constraints"], list[Constraint]),
        audit_head=msgspec.convert(head["audit_head"], AuditHead),
    )


def _entities(names: list[str], arrays: dict[str, Any]) -> Iterator[tuple[int, int, str | bytes]]:
    for user, name in zip(arrays["people"].tolist(), names, strict=True):
        yield 0, user, name
    kinds, idents, keys = arrays["ident_kind"].tolist(), arrays["ident"].tolist(), _keys(arrays["ident_key"])
    yield from zip(kinds, idents, keys, strict=True)


def _keys(raw: Any) -> list[bytes]:
    joined = raw.tobytes()
    return [joined[i : i + 16] for i in range(0, len(joined), 16)]
