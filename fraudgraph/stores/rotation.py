"""A period of two keys: what all stores have in common."""

from __future__ import annotations

from collections.abc import Iterable

from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.reasons import ConstraintKind
from fraudgraph.errors import StoreError
from fraudgraph.stores.port import CommitDelta


def refuse_second(bound: str, previous: str) -> None:
    """Refuses to begin such a period where no key was bound, or one is under way.

    Raises:
        StoreError: that is so.
    """
    if not bound:
        raise StoreError("the store has no key yet", do="Ingest something first: that gives it its key.")
    if previous:
        raise StoreError(
            f"the store is on its way from key {previous} to {bound} already",
            do="End that first: `fraudgraph store rotate-key --finish`.",
        )


def written_down(delta: CommitDelta) -> dict[str, str]:
    """Returns the user ids, so far -> now, under which evidence and commands of earlier commits may have accounts.

    Those are the ones that decisions and constraints speak of, which the delta has anew.
    """
    if not delta.rekeyed.users:
        return {}
    said = {name for each in delta.decisions for name in (*each.members, *each.others)}
    said |= {name for each in delta.constraints for name in (each.first, each.second)}
    return {former: name for former, name in delta.rekeyed.users.items() if name in said}


def standing_hubs(constraints: Iterable[Constraint], now_ms: int) -> set[bytes]:
    """Returns the pseudonyms of the identifiers that tie nobody by an analyst's word that stands."""
    return {
        bytes.fromhex(each.first)
        for each in constraints
        if each.kind is ConstraintKind.BENIGN_HUB and each.holds_at(now_ms)
    }
