"""Seals the original bytes of what could not be applied, so that they can be replayed but not read."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

from fraudgraph.errors import ConfigurationError

VAULT_KEY_BYTES: Final = 32


class Vault:
    """Encrypts and authenticates bytes with Fernet (AES-128-CBC and HMAC-SHA256, as `cryptography` specifies it).

    Args:
        key: 32 bytes, secret.

    Raises:
        ValueError: the key has another length.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != VAULT_KEY_BYTES:
            raise ValueError(f"a vault key has {VAULT_KEY_BYTES} bytes, not {len(key)}")
        self._fernet = Fernet(urlsafe_b64encode(key))

    def __repr__(self) -> str:
        return "Vault()"

    def seal(self, original: bytes) -> bytes:
        """Returns the ciphertext of `original`."""
        # The token's time field is not used: no part of the core reads a wall clock.
        return self._fernet.encrypt_at_time(original, 0)

    def open(self, ciphertext: bytes) -> bytes:
        """Returns the original bytes.

        Raises:
            ConfigurationError: they were sealed with another key, or changed since.
        """
        try:
            return self._fernet.decrypt(ciphertext)
        except InvalidToken as error:
            raise ConfigurationError(
                "the original bytes were sealed with another key, or changed since",
                do="Set FRAUDGRAPH_KEY, or put the key file back, as it was when the record was refused.",
            ) from error
