"""A store belongs to one key and one link policy."""

from __future__ import annotations

from fraudgraph.errors import ConfigurationError


def require_same(bound_key: str, bound_policy: str, *, key_id: str, policy_hash: str) -> None:
    """Refuses a key or policy that is not the one that a store was bound to; one that is bound to none takes any.

    Raises:
        ConfigurationError: the store was written under another key or link policy.
    """
    if bound_key not in ("", key_id):
        raise ConfigurationError(
            f"the store was written under key {bound_key}, and the key given is {key_id}",
            do="Give the key that the store was written with, or start a new store.",
        )
    if bound_policy not in ("", policy_hash):
        raise ConfigurationError(
            f"the store was written under link policy {bound_policy}, and the settings say {policy_hash}",
            do="Use the settings that the store was written with, or rebuild it: ingest again into a new store.",
        )
