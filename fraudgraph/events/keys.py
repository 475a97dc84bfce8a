"""The one secret of a store: where it comes from, and the two keys that are derived from it."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fraudgraph.errors import ConfigurationError
from fraudgraph.events.pseudonyms import Pseudonymiser

KEY_VARIABLE: Final = "FRAUDGRAPH_KEY"
PREVIOUS_KEY_VARIABLE: Final = "FRAUDGRAPH_KEY_PREVIOUS"
SECRET_BYTES_MIN: Final = 32
_MAKE_ONE: Final = f"Set {KEY_VARIABLE} to at least {SECRET_BYTES_MIN} random bytes: `openssl rand -hex 32` makes them."


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The derived keys, 32 bytes each: to make pseudonyms, and to seal original bytes.

    Attributes:
        previous: those of the key before, while a store has two.
    """

    pseudonyms: bytes = field(repr=False)
    vault: bytes = field(repr=False)
    previous: KeyRing | None = field(default=None, repr=False)

    @property
    def key_id(self) -> str:
        """What tells the key from others, and reveals nothing of it."""
        return Pseudonymiser(self.pseudonyms).key_id


def load_key(env: Mapping[str, str], key_file: Path | None) -> tuple[KeyRing, bool]:
    """Returns the keys, and whether a new secret was made just now (the caller tells the user).

    The secret comes from `FRAUDGRAPH_KEY` (hex or base64), else from `key_file`, which is made if it is absent.

    Args:
        env: the environment.
        key_file: beside an embedded store; None where there is no such place.

    Raises:
        ConfigurationError: there is no secret, it is too short or unreadable, or others may read its file.
    """
    if text := env.get(KEY_VARIABLE, "").strip():
        return _derive(_parse(text, KEY_VARIABLE, _MAKE_ONE)), False
    if key_file is None:
        raise ConfigurationError(f"there is no key: {KEY_VARIABLE} is not set", do=_MAKE_ONE)
    try:
        made_new = not key_file.exists() and _make(key_file)
        secret = _read(key_file)
    except OSError as error:
        raise ConfigurationError(
            f"the key file {key_file} cannot be used: {error.strerror}",
            do=f"Mend its folder and its permissions, or set {KEY_VARIABLE}.",
        ) from error
    return _derive(secret), made_new


def load_previous_key(env: Mapping[str, str], key_file: Path | None) -> KeyRing | None:
    """Returns the keys of the secret before, None where none is given.

    It comes from `FRAUDGRAPH_KEY_PREVIOUS`, else from the file that `renew_key_file` left.

    Raises:
        ConfigurationError: it is too short or unreadable, or others may read its file.
    """
    if text := env.get(PREVIOUS_KEY_VARIABLE, "").strip():
        return _derive(_parse(text, PREVIOUS_KEY_VARIABLE, "Give the key that the store was written with until now."))
    if key_file is None or not (file := previous_file(key_file)).exists():
        return None
    try:
        return _derive(_read(file))
    except OSError as error:
        raise ConfigurationError(
            f"the key file {file} cannot be used: {error.strerror}",
            do=f"Mend its permissions, or set {PREVIOUS_KEY_VARIABLE}.",
        ) from error


def previous_file(key_file: Path) -> Path:
    """Returns the file of the key before."""
    return key_file.with_name(f"{key_file.name}.previous")


def renew_key_file(key_file: Path) -> None:
    """Keeps the key as the one before, and makes a new one in its place.

    A crash leaves the old key in one of the two files, or in both.

    Raises:
        ConfigurationError: the files cannot be written.
    """
    draft = key_file.with_name(f".{key_file.name}.next")
    try:
        draft.unlink(missing_ok=True)
        _make(draft)
        kept = key_file.with_name(f".{key_file.name}.kept")
        kept.unlink(missing_ok=True)
        os.link(key_file, kept)
        kept.replace(previous_file(key_file))
        draft.replace(key_file)
    except OSError as error:
        raise ConfigurationError(
            f"no new key can be made beside {key_file}: {error.strerror}",
            do=f"Mend its folder, or set {KEY_VARIABLE} and {PREVIOUS_KEY_VARIABLE}.",
        ) from error


def _parse(text: str, where: str, do: str) -> bytes:
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        try:
            secret = b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
        except (Base64Error, ValueError):  # the cause is left out: it may quote the secret
            raise ConfigurationError(f"{where} is neither hex nor base64", do=do) from None
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigurationError(f"{where} holds {len(secret)} bytes, fewer than {SECRET_BYTES_MIN}", do=do)
    return secret


def _derive(secret: bytes) -> KeyRing:
    """Two independent keys from one secret: HKDF (RFC 5869) with SHA-256."""

    def key(purpose: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"fraudgraph 1 " + purpose).derive(secret)

    return KeyRing(pseudonyms=key(b"pseudonyms"), vault=key(b"vault"))


def _make(path: Path) -> bool:
    """Makes the key file in one step: it is there whole, or not at all; False if somebody else was faster."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # O_EXCL, mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(b64encode(secrets.token_bytes(SECRET_BYTES_MIN)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename, never replaces a key that is in use
        except FileExistsError:
            return False
    finally:
        Path(draft).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigurationError(f"the key file {path} is not a plain file", do="Put the key into a plain file.")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigurationError(
                f"the key file {path} may be read or changed by others (mode {stat.S_IMODE(mode):04o})",
                do=f"If nobody has read it, run `chmod 600 {path}`.",
            )
        text = file.read(4096).decode("ascii", errors="replace").strip()
    return _parse(text, f"the key file {path}", "Put it back from a backup: a store can be read only with its own key.")
