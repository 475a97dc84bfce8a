"""What lies on this machine for a store: its key, and what that opens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.errors import ConfigurationError
from fraudgraph.settings import KEY_VARIABLE, PREVIOUS_KEY_VARIABLE, Settings

if TYPE_CHECKING:
    from fraudgraph.events.keys import KeyRing
    from fraudgraph.events.resolver import Resolver
    from fraudgraph.events.vault import Vault
    from fraudgraph.stores.port import StoreReader


def key_file(settings: Settings) -> Path:
    """Returns the file of the secret key: as set, else beside the embedded store."""
    if settings.identity.key_file:
        return Path(settings.identity.key_file)
    store = local_file(settings)
    return store.with_name(f"{store.name}.key")


def local_file(settings: Settings) -> Path:
    """Returns the file beside which this machine keeps what belongs to the store: its key, its snapshot."""
    from fraudgraph.stores.url import local_file as file_of

    return file_of(settings.store.url, Path(settings.neo4j.local_folder))


def read_keys(settings: Settings, meta: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> KeyRing:
    """Returns the keys of an existing store, in a period of two keys both; never makes one.

    Which of the keys given is the store's, the store says: before such a period begins, and after it, one of two given
    keys is not used.

    Args:
        meta: as the store says of itself.

    Raises:
        ConfigurationError: a key is missing, cannot be read, or is another one than the store was written under.
    """
    from fraudgraph.events.keys import load_key, load_previous_key

    file = key_file(settings)
    if not environment.get(KEY_VARIABLE) and not file.exists():
        raise ConfigurationError(
            f"the key of the store is missing: {KEY_VARIABLE} is not set and there is no file {file}",
            do="Set it, or put the key file back, as it was when the store was written.",
        )
    keys, _ = load_key(environment, file)
    bound, former = meta["key_id"], meta["previous_key_id"]
    if not bound or (bound == keys.key_id and not former):
        return keys
    other = load_previous_key(environment, file)
    given = {each.key_id: each for each in (keys, other) if each is not None}
    if bound not in given:
        raise ConfigurationError(
            f"the store was written under key {bound}, and the key given is {' or '.join(given)}",
            do=f"Set {KEY_VARIABLE}, or put back the key file, as it was when the store was written.",
        )
    if former and former not in given:
        raise ConfigurationError(
            f"the store is on its way from key {former} to {bound}, and the former is missing",
            do=f"Give both until `fraudgraph store rotate-key --finish`: set {PREVIOUS_KEY_VARIABLE} to the former.",
        )
    return replace(given[bound], previous=given.get(former))


def vault_of(keys: KeyRing) -> Vault:
    """Returns what seals and opens original bytes."""
    from fraudgraph.events.vault import Vault

    return Vault(keys.vault, None if keys.previous is None else keys.previous.vault)


def open_vault(settings: Settings, reader: StoreReader, environment: Mapping[str, str] = os.environ) -> Vault:
    """Returns what opens the original bytes of this store's dead letters.

    Raises:
        ConfigurationError: a key is missing, or another one than the store was written under.
    """
    return vault_of(read_keys(settings, reader.meta(), environment))


def open_resolvers(
    settings: Settings, reader: StoreReader, environment: Mapping[str, str] = os.environ
) -> list[Resolver]:
    """Returns what turns identifiers into the pseudonyms of this store: in a period of two keys a second one, for what
    is known by its former pseudonym.

    Raises:
        ConfigurationError: a key is missing, or another one than the store was written under.
    """
    from fraudgraph.events.pseudonyms import Pseudonymiser
    from fraudgraph.events.resolver import Resolver

    keys = read_keys(settings, reader.meta(), environment)
    region = settings.identity.default_region or None
    rings = [keys] if keys.previous is None else [keys, keys.previous]
    return [Resolver(Pseudonymiser(each.pseudonyms), default_region=region) for each in rings]
