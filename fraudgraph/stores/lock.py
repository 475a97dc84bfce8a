"""Who is at work on an embedded store: an advisory lock on a file beside it.

The epoch fences a second writer; it does not say whether the first one still runs. An advisory lock does: the system
drops it when its process ends, however that happens, so there is nothing to clean up after a kill. It is not taken on
the store's own file, because SQLite's locks are of the same kind, and closing any descriptor of a file drops them all.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def lock_file(store: Path) -> Path:
    """Returns the lock file of a store."""
    return store.with_name(f"{store.name}.lock")


@contextmanager
def at_work(store: Path) -> Iterator[None]:
    """Says, until it is left, that an engine works on the store; waits for whoever is `alone` there.

    Raises:
        OSError: the lock file cannot be made.
    """
    with lock_file(store).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(store: Path) -> Iterator[bool]:
    """Yields whether nobody works on the store; if so, nobody begins until it is left.

    Raises:
        OSError: the lock file cannot be made.
    """
    with lock_file(store).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
