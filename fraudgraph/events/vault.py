"""Seals the original bytes of what could not be applied, so that they can be replayed but not read."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from fraudgraph.errors import ConfigurationError

VAULT_KEY_BYTES: Final = 32


class Vault:
    """Encrypts and authenticates bytes with Fernet (AES-128-CBC and HMAC-SHA256, as `cryptography` specifies it).

    Args:
        key: 32 bytes, secret.
        previous: the key before, which opens what was sealed with it.

    Raises:
        ValueError: a key has another length.
    """

    def __init__(self, key: bytes, previous: bytes | None = None) -> None:
        self._fernet = _fernet(key)
        self._all = self._fernet if previous is None else MultiFernet([self._fernet, _fernet(previous)])

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
            return self._all.decrypt(ciphertext)
        except InvalidToken as error:
            raise ConfigurationError(
                "the original bytes were sealed with another key, or changed since",
                do="Set FRAUDGRAPH_KEY, or put the key file back, as it was when the record was refused.",
            ) from error

    def renew(self, ciphertext: bytes) -> bytes | None:
        """Returns the ciphertext of the same bytes under the key, None where it is under that key already.

        Raises:
            ConfigurationError: as `open`.
        """
        try:
            self._fernet.decrypt(ciphertext)
        except InvalidToken:
            return self.seal(self.open(ciphertext))
        return None


def _fernet(key: bytes) -> Fernet:
    if len(key) != VAULT_KEY_BYTES:
        raise ValueError(f"a vault key has {VAULT_KEY_BYTES} bytes, not {len(key)}")
    return Fernet(urlsafe_b64encode(key))
