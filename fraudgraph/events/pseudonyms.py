"""Keyed pseudonyms: the same identifier is always the same 16 bytes, and without the key they say nothing."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from hashlib import blake2b
from typing import Final

from fraudgraph.events.kinds import EntityKind

PSEUDONYM_BYTES: Final = 16
KEY_BYTES_MIN: Final = 32
KEY_BYTES_MAX: Final = 64
MASK_BYTES: Final = 2
"""So much of a pseudonym shows where an identifier has no mask of its own."""


class Domain(Enum):
    """What a pseudonym is of; equal texts of two domains have unrelated pseudonyms."""

    EVENT = "event"
    ORDER = "order"
    USER = "user"
    DEVICE = "device"
    IP = "ip"
    CARD = "card"
    EMAIL = "email"
    PHONE = "phone"
    ADDRESS = "address"


def mask_prefix(kind: EntityKind) -> str:
    """Returns how a mask begins that is made of a pseudonym."""
    return f"{kind.label} "


def pseudonym_mask(kind: EntityKind, key: bytes) -> str:
    """Returns the mask of an identifier that shows nothing but the beginning of its pseudonym (`device 94fe`)."""
    return mask_prefix(kind) + key[:MASK_BYTES].hex()


class Pseudonymiser:
    """Makes pseudonyms: BLAKE2b (RFC 7693) with a 128-bit digest, keyed, over `domain NUL text` in UTF-8.

    Args:
        key: 32 to 64 bytes, secret.

    Raises:
        ValueError: the key has another length.
    """

    def __init__(self, key: bytes) -> None:
        if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
            raise ValueError(f"a pseudonym key has {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes, not {len(key)}")
        # The prefix separates domains and, because it pushes the key block through the compression function, a copy
        # of the prepared state costs half of what a fresh keyed hash does.
        self._states = {
            domain: blake2b(domain.value.encode() + b"\0", digest_size=PSEUDONYM_BYTES, key=key) for domain in Domain
        }
        self._key_id = blake2b(b"fraudgraph key id", digest_size=4, key=key).hexdigest()

    @property
    def key_id(self) -> str:
        """Eight hex digits that tell keys apart and reveal nothing of them."""
        return self._key_id

    def __repr__(self) -> str:
        return f"Pseudonymiser(key_id={self._key_id!r})"

    def of(self, domain: Domain, text: str) -> bytes:
        """Returns the 16-byte pseudonym of a normalised text."""
        state = self._states[domain].copy()
        state.update(text.encode())
        return state.digest()

    def maker(self, domain: Domain) -> Callable[[str], bytes]:
        """Returns `of` with its domain fixed, for loops over many texts."""
        copy = self._states[domain].copy

        def make(text: str) -> bytes:
            state = copy()
            state.update(text.encode())
            return state.digest()

        return make


class TwoKeys(Pseudonymiser):
    """Makes pseudonyms under a key, and remembers for each what it was under the key before.

    Args:
        key, previous: 32 to 64 bytes, secret.
    """

    def __init__(self, key: bytes, previous: bytes) -> None:
        super().__init__(key)
        self._former = Pseudonymiser(previous)
        self._keys: dict[bytes, bytes] = {}
        self._users: dict[bytes, bytes] = {}

    def maker(self, domain: Domain) -> Callable[[str], bytes]:
        """Returns `of` with its domain fixed; what it makes is remembered until `take`."""
        make, make_former, take_users = super().maker(domain), self._former.maker(domain), domain is Domain.USER

        def make_both(text: str) -> bytes:
            key = make(text)
            (self._users if take_users else self._keys)[make_former(text)] = key
            return key

        return make_both

    def take(self) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
        """Returns former -> present of all that was made since the last call: of users apart from all else."""
        keys, users = self._keys, self._users
        self._keys, self._users = {}, {}
        return keys, users
