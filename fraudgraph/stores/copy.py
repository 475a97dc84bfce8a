"""A store copied whole."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.errors import UsageError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.port import Store, StoreReader
from fraudgraph.stores.sqlite.store import SqliteStore


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy holds: the number of its commit, and how many links and rings (closed ones too)."""

    commit: int
    links: int
    rings: int


def copy_store(source: StoreReader, target: Store) -> Copied:
    """Copies everything as of the source's last commit.

    Raises:
        StoreError: the target is not new.
    """
    image = source.image()
    target.restore(image)
    return Copied(image.delta.commit, len(image.delta.links.get("slot", ())), len(image.delta.rings))


def back_up(source: StoreReader, out: Path, policy: LinkPolicy, priority: PriorityRules) -> Copied:
    """Copies everything into a new file, which is there whole or not at all.

    Raises:
        UsageError: the file is there already.
        DependencyError: it cannot be written.
    """
    if out.exists():
        raise UsageError(f"{out} is there already", do="Name a new file: a backup never replaces another.")
    draft = out.with_name(f".{out.name}.partial")
    draft.unlink(missing_ok=True)
    try:
        with closing(SqliteStore(draft, policy, priority)) as target:
            copied = copy_store(source, target)
        draft.rename(out)
    finally:
        draft.unlink(missing_ok=True)
    return copied
