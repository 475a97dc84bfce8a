"""Whether a bundle was trained on what this version computes."""

from __future__ import annotations

from fraudgraph.scoring.event_columns import EVENT_COLUMNS_HASH
from fraudgraph.scoring.gnn.features import FEATURES_HASH
from fraudgraph.scoring.manifest import Manifest
from fraudgraph.scoring.trees_columns import COLUMNS_HASH


def require_fit(manifest: Manifest, policy_hash: str) -> None:
    """Refuses a bundle where training would have computed something else than serving under this link policy.

    Raises:
        ConfigurationError: a hash differs; the message says which, and what to do.
    """
    manifest.require(
        features_hash=FEATURES_HASH,
        policy_hash=policy_hash,
        columns_hash=COLUMNS_HASH,
        events_hash=EVENT_COLUMNS_HASH,
    )
