"""A store's image: everything that it holds as of one commit, so that it can be backed up, or moved to another kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.stores.port import CommitDelta, NarrativeRow, StoredDeadLetter, StoredState


@dataclass(slots=True)
class StoreImage:
    """Everything of a store but its id and its epoch, which belong to the place and not to what is kept there.

    Attributes:
        key_id, policy_hash, policy_version: as `Store.bind` recorded them; "" where it never did.
        previous_key_id, rotated_ms: of a period of two keys; "" and 0 where there is none.
        delta: links, rings, members (of closed rings too), lineage, alerts, labels, decisions, constraints, audit,
            positions and all else that commits write, as if one commit with the store's number had written it; its
            `dead_letters` and `frozen` are empty.
        dead_letters: (as listed, when it was recorded in ms), in the order of their ids; `dead_letters_ever`: how many
            ids were given.
        commands: the JSON of commands 1, 2, …
        frozen, fingerprints: by decision.
        deliveries: (sink, alert id).
    """

    key_id: str
    policy_hash: str
    policy_version: str
    delta: CommitDelta
    dead_letters: list[tuple[StoredDeadLetter, int]] = field(default_factory=list)
    dead_letters_ever: int = 0
    commands: list[bytes] = field(default_factory=list)
    frozen: Mapping[str, RingSnapshot] = field(default_factory=dict)
    fingerprints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deliveries: list[tuple[str, str]] = field(default_factory=list)
    narratives: list[NarrativeRow] = field(default_factory=list)
    previous_key_id: str = ""
    rotated_ms: int = 0


def as_one_commit(state: StoredState, entities: list[tuple[int, int, str | bytes, str]]) -> CommitDelta:
    """Returns a loaded state as the commit that would have written it.

    What an engine does not load is the caller's to add: closed rings and their members, lineage, alerts and audit.

    Args:
        entities: all of them, with their masks.
    """
    return CommitDelta(
        commit=state.commit,
        watermark_ms=state.watermark_ms,
        positions=state.positions,
        clocks_ms=state.clocks_ms,
        seen_keys=state.seen_keys,
        seen_ts_ms=state.seen_ts_ms,
        entities=entities,
        links=state.links,
        users=state.users,
        orders=state.orders,
        order_keys=state.order_keys,
        transfers=state.transfers,
        labels=state.labels,
        scorer_state=state.scorer_state,
        ring_serial=state.ring_serial,
        started_ms=state.started_ms,
        decisions=state.decisions,
        constraints=state.constraints,
    )
