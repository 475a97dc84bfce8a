"""A new key for a store: a period in which it has two, from its beginning to its end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fraudgraph.app.keys import key_file, read_keys, vault_of
from fraudgraph.app.stores import alone, open_reader, open_store
from fraudgraph.errors import ConfigurationError
from fraudgraph.settings import KEY_VARIABLE, PREVIOUS_KEY_VARIABLE, Settings

if TYPE_CHECKING:
    from fraudgraph.stores.port import Store

LETTERS: Final = 1_000
"""Dead letters that are sealed anew in one transaction."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """How far a store is on its way to a new key.

    Attributes:
        key_id, previous_key_id: of the two keys; the latter is "" where the store has one.
        resealed: dead letters that were sealed anew just now.
        left: how many things of each sort may still need the key before (`StoreReader.under_previous_key`).
        file: the key file that was made just now.
    """

    key_id: str
    previous_key_id: str
    resealed: int
    left: Mapping[str, int]
    file: Path | None = None


def rotate_key(settings: Settings, environment: Mapping[str, str] = os.environ) -> Rotation:
    """Begins a period of two keys, or goes on where a crash cut that short; where it is under way, says how far.

    The new key is `FRAUDGRAPH_KEY`, and the one so far `FRAUDGRAPH_KEY_PREVIOUS`. Where the key is in a file, a new one
    is made there. Dead letters are sealed under the new key at once. How far it is can be asked beside a daemon.

    Raises:
        ConfigurationError: a daemon is at work, or the keys given are not a new one and the store's.
        DependencyError, StoreError: the store cannot be used.
    """
    with closing(open_reader(settings)) as reader, alone(settings) as nobody_else:
        keys = read_keys(settings, meta := reader.meta(), environment)
        if meta["previous_key_id"] and not nobody_else:
            return Rotation(keys.key_id, meta["previous_key_id"], 0, reader.under_previous_key())
    made = None
    with _owned(settings, environment) as store:
        if not store.meta()["previous_key_id"]:
            made = _begin(settings, store, environment)
        return _progress(settings, store, environment, made)


def finish_rotation(
    settings: Settings, *, even_so: bool = False, environment: Mapping[str, str] = os.environ
) -> Rotation:
    """Ends the period of two keys, unless something may still need the former.

    Args:
        even_so: end it all the same: what comes back under the new key is then somebody new.

    Raises:
        ConfigurationError: a daemon is at work, the store has one key, or a key is missing.
        DependencyError, StoreError: the store cannot be used.
    """
    with _owned(settings, environment) as store:
        if not store.meta()["previous_key_id"]:
            raise ConfigurationError(
                "the store has one key, so no rotation is under way", do="`fraudgraph store rotate-key` begins one."
            )
        found = _progress(settings, store, environment, None)
        if even_so or not any(found.left.values()):
            store.end_rotation()
            return Rotation(found.key_id, "", found.resealed, found.left)
        return found


@contextmanager
def _owned(settings: Settings, environment: Mapping[str, str]) -> Iterator[Store]:
    with closing(open_reader(settings)) as reader:  # refuses a store that is not there, and a wrong key
        read_keys(settings, reader.meta(), environment)
    with alone(settings) as nobody_else:
        if not nobody_else:
            raise ConfigurationError(
                "a daemon is at work on the store", do="Stop it first, and start it again with both keys afterwards."
            )
        with closing(open_store(settings.store.url, settings)) as store:
            store.claim()
            yield store


def _begin(settings: Settings, store: Store, environment: Mapping[str, str]) -> Path | None:
    """Begins the period; returns the file of the new key, where one was made."""
    from fraudgraph.events.keys import load_key, renew_key_file

    file, bound = key_file(settings), store.meta()["key_id"]
    keys, _ = load_key(environment, file)
    made = None
    if keys.key_id == bound:
        if environment.get(KEY_VARIABLE):
            raise ConfigurationError(
                f"{KEY_VARIABLE} is the key that the store has already",
                do=f"Set it to a new one (`openssl rand -hex 32`), and {PREVIOUS_KEY_VARIABLE} to the one so far.",
            )
        renew_key_file(file)
        made = file
        keys, _ = load_key(environment, file)
    store.begin_rotation(keys.key_id)
    return made


def _progress(settings: Settings, store: Store, environment: Mapping[str, str], made: Path | None) -> Rotation:
    meta = store.meta()
    vault = vault_of(read_keys(settings, meta, environment))
    resealed = 0
    letters = store.dead_letters()
    for start in range(0, len(letters), LETTERS):
        renewed = {each.id: vault.renew(each.ciphertext) for each in letters[start : start + LETTERS]}
        changed = {number: ciphertext for number, ciphertext in renewed.items() if ciphertext is not None}
        if changed:
            store.reseal(changed)
        resealed += len(changed)
    return Rotation(meta["key_id"], meta["previous_key_id"], resealed, store.under_previous_key(), made)
