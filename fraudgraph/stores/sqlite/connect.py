"""Connections: opened for one purpose, with every failure told in our own errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fraudgraph.errors import DependencyError, StoreError
from fraudgraph.stores.sqlite import schema

PAGE_BYTES: Final = 1024
"""A commit touches rows all over the file, and each costs its page in the WAL and again at the checkpoint, so small
pages pay: 3,600 of 3M links and 1,000 of 1M users took 41 ms of CPU at SQLite's usual 4,096, and 29 ms at 1,024."""
WAL_PAGES: Final = 32 * 1024
"""Checkpoint after so many pages (32 MiB): it bounds the WAL, and one commit in about ten pays some 0.1 s for it."""
CACHE_KIB: Final = 64 * 1024
LOCK_WAIT_S: Final = 10.0

_CACHE: Final = f"PRAGMA cache_size = -{CACHE_KIB}"
_WRITER_PRAGMAS: Final = (
    f"PRAGMA page_size = {PAGE_BYTES}",
    f"PRAGMA wal_autocheckpoint = {WAL_PAGES}",
    f"PRAGMA journal_size_limit = {2 * WAL_PAGES * PAGE_BYTES}",
    # A commit is in the WAL, in the operating system's hands, when it returns: a killed process loses nothing. A
    # power cut may take the last commits, each whole, and the positions go back with them, so that the stream
    # brings the same events again. FULL would pay an fsync per commit for what the stream gives anyway.
    "PRAGMA synchronous = NORMAL",
)

_ADVICE: Final = {
    sqlite3.SQLITE_BUSY: ("is locked by another process", "Let that process finish, or stop it, and try again."),
    sqlite3.SQLITE_LOCKED: ("is locked by another process", "Let that process finish, or stop it, and try again."),
    sqlite3.SQLITE_FULL: ("is out of disk space; nothing of this commit was written", "Free space and start again."),
    sqlite3.SQLITE_NOTADB: ("is not an SQLite file", "Name the store's own file, or restore it from a backup."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "Restore it from a backup, or rebuild it from the event stream."),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "Check that it exists and that its folder can be written to: readers need it for the shared `-shm` file.",
    ),
    sqlite3.SQLITE_READONLY: ("cannot be written to", "Check the rights on the file and on its folder."),
    sqlite3.SQLITE_IOERR: ("could not be read or written", "Check the disk, then start again."),
}
_BITS_OF_PRIMARY_CODE: Final = 0xFF


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into ours; a misuse of its interface stays what it is, a defect.

    Raises:
        DependencyError: the file is locked, full, damaged or unreadable.
        StoreError: it refuses the rows.
    """
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise StoreError(
            f"store {path} refuses the rows: {error}", do="Report this with the log; nothing was written."
        ) from error
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _BITS_OF_PRIMARY_CODE
        if code == sqlite3.SQLITE_ERROR:  # a wrong statement
            raise
        what, do = _ADVICE.get(code, (f"failed: {error}", "Check the file and its disk, then try again."))
        raise DependencyError(f"store {path} {what}", do=do) from error


def connect_reader(path: Path) -> sqlite3.Connection:
    """Opens an existing store for reading only; it neither waits for the writer nor makes it wait.

    Raises:
        DependencyError: the file is missing or unreadable.
        ConfigurationError: it is not a store.
        StoreError: its schema is not the one that this version reads.
    """
    if not path.is_file():
        raise DependencyError(f"there is no store at {path}", do="Run `fraudgraph ingest` first, or check --store.")
    with translated(path):
        db = _connect(path, "ro")
        try:
            found = schema.version(db, str(path))
            if found < schema.SCHEMA_VERSION:
                raise StoreError(
                    f"{path} has schema version {found}, and reading needs {schema.SCHEMA_VERSION}",
                    do="Run `fraudgraph ingest` on it once: the writer brings it up to date.",
                )
        except BaseException:
            db.close()
            raise
        return db


def connect_writer(path: Path) -> sqlite3.Connection:
    """Opens a store for writing, makes it if it is not there, and brings its schema up to date.

    Raises:
        DependencyError: the file cannot be opened, or its disk cannot hold a WAL.
        ConfigurationError: it is an SQLite file of something else.
        StoreError: a newer fraudgraph wrote it.
    """
    if not path.parent.is_dir():
        raise DependencyError(f"there is no folder {path.parent}", do="Make it, or check --store.")
    with translated(path):
        db = _connect(path, "rwc")
        try:
            schema.version(db, str(path))  # before anything is changed in a file that may not be ours
            for pragma in _WRITER_PRAGMAS:
                db.execute(pragma)
            (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise DependencyError(
                    f"the disk under {path} has no shared memory (journal mode {mode})", do="Use a local disk."
                )
            schema.migrate(db, str(path))
        except BaseException:
            db.close()
            raise
        return db


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    # A connection may change hands, one thread after the other: the daemon commits in a thread of its own.
    db = sqlite3.connect(uri, uri=True, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
    db.execute(_CACHE)
    return db
