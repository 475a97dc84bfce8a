"""What lies on this machine for a store: its key, and what that opens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.errors import ConfigurationError
from fraudgraph.settings import KEY_VARIABLE, Settings

if TYPE_CHECKING:
    from fraudgraph.events.keys import KeyRing
    from fraudgraph.events.pseudonyms import Pseudonymiser
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


def read_keys(settings: Settings, environment: Mapping[str, str] = os.environ) -> KeyRing:
    """Returns the keys of an existing store; never makes one.

    Raises:
        ConfigurationError: there is no key, or it cannot be read.
    """
    from fraudgraph.events.keys import load_key

    file = key_file(settings)
    if not environment.get(KEY_VARIABLE) and not file.exists():
        raise ConfigurationError(
            f"the key of the store is missing: {KEY_VARIABLE} is not set and there is no file {file}",
            do="Set it, or put the key file back, as it was when the store was written.",
        )
    keys, _ = load_key(environment, file)
    return keys


def open_vault(settings: Settings, reader: StoreReader, environment: Mapping[str, str] = os.environ) -> Vault:
    """Returns what opens the original bytes of this store's dead letters.

    Raises:
        ConfigurationError: the key is missing, or another one than the store was written under.
    """
    from fraudgraph.events.vault import Vault

    keys = read_keys(settings, environment)
    bound_pseudonymiser(keys, reader)
    return Vault(keys.vault)


def open_resolver(settings: Settings, reader: StoreReader, environment: Mapping[str, str] = os.environ) -> Resolver:
    """Returns what turns identifiers into the pseudonyms of this store.

    Raises:
        ConfigurationError: the key is missing, or another one than the store was written under.
    """
    from fraudgraph.events.resolver import Resolver

    pseudonymiser = bound_pseudonymiser(read_keys(settings, environment), reader)
    return Resolver(pseudonymiser, default_region=settings.identity.default_region or None)


def bound_pseudonymiser(keys: KeyRing, reader: StoreReader) -> Pseudonymiser:
    from fraudgraph.events.pseudonyms import Pseudonymiser

    pseudonymiser = Pseudonymiser(keys.pseudonyms)
    bound = reader.meta()["key_id"]
    if bound and bound != pseudonymiser.key_id:
        raise ConfigurationError(
            f"the store was written under key {bound}, and the key given is {pseudonymiser.key_id}",
            do=f"Set {KEY_VARIABLE}, or put back the key file, as it was when the store was written.",
        )
    return pseudonymiser
