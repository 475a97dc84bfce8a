"""What is kept between calls and processes: replies, what an endpoint can do, and what the day has cost so far.

One SQLite file in a folder of its own: nothing in it is personal data, since prompts hold pseudonyms and numbers only.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fraudgraph.errors import DependencyError

MAX_REPLIES = 5_000
"""The oldest beyond it are forgotten: some 10 MB."""

_DAYS_KEPT = 31
_BUSY_S = 2.0
_FILE = "narrator.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, body BLOB NOT NULL, made_s INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS replies_by_age ON replies (made_s);
CREATE TABLE IF NOT EXISTS abilities (endpoint TEXT PRIMARY KEY, ability TEXT NOT NULL, seen_s INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS spent (day INTEGER PRIMARY KEY, tokens INTEGER NOT NULL, nano INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one UTC day has used: tokens, and money in billionths of the price's currency."""

    tokens: int
    nano: int


class Memory:
    """Replies, abilities and the day's spending in `folder`; any number of processes and threads share it.

    Args:
        folder: made where it is missing, mode 0700; its file is 0600.
        clock: wall clock, seconds since the epoch: days of the budget are UTC days.
    """

    def __init__(self, folder: Path, clock: Callable[[], float], *, max_replies: int = MAX_REPLIES) -> None:
        self._file = folder / _FILE
        self._clock = clock
        self._max_replies = max_replies
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise DependencyError(
                f"the narrator's cache {folder} cannot be written ({error.strerror})",
                do="Name a folder that may be written with narrator.cache_dir.",
            ) from error
        with self._open() as connection:
            connection.executescript(_SCHEMA)

    def reply(self, key: str) -> bytes | None:
        """Returns a reply that was kept under this key."""
        with self._open() as connection:
            row = connection.execute("SELECT body FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def keep_reply(self, key: str, body: bytes) -> None:
        """Keeps a reply, and forgets the oldest beyond the bound."""
        with self._open() as connection:
            connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", (key, body, int(self._clock())))
            connection.execute(
                "DELETE FROM replies WHERE key IN"
                " (SELECT key FROM replies ORDER BY made_s DESC, key LIMIT -1 OFFSET ?)",
                (self._max_replies,),
            )

    def ability(self, endpoint: str, max_age_s: float) -> str | None:
        """Returns what an endpoint could do when it was last asked, unless that is longer ago than `max_age_s`."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT ability FROM abilities WHERE endpoint = ? AND seen_s >= ?",
                (endpoint, int(self._clock() - max_age_s)),
            ).fetchone()
        return None if row is None else str(row[0])

    def keep_ability(self, endpoint: str, ability: str) -> None:
        """Keeps what an endpoint can do."""
        with self._open() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO abilities VALUES (?, ?, ?)", (endpoint, ability, int(self._clock()))
            )

    def spent(self) -> Spent:
        """Returns what today has used."""
        with self._open() as connection:
            row = connection.execute("SELECT tokens, nano FROM spent WHERE day = ?", (self._day(),)).fetchone()
        return Spent(*row) if row else Spent(0, 0)

    def spend(self, tokens: int, nano: int, *, at_most: Spent | None = None) -> bool:
        """Adds to what today has used, below zero to give back; refuses, and adds nothing, where it would exceed."""
        day = self._day()
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR IGNORE INTO spent VALUES (?, 0, 0)", (day,))
            if at_most is not None:
                row = connection.execute("SELECT tokens, nano FROM spent WHERE day = ?", (day,)).fetchone()
                if row[0] + tokens > at_most.tokens or row[1] + nano > at_most.nano:
                    return False
            connection.execute(
                "UPDATE spent SET tokens = max(0, tokens + ?), nano = max(0, nano + ?) WHERE day = ?",
                (tokens, nano, day),
            )
            connection.execute("DELETE FROM spent WHERE day < ?", (day - _DAYS_KEPT,))
        return True

    def _day(self) -> int:
        return int(self._clock()) // 86_400

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Opens the file for one transaction: threads share no connection, and nothing is held between calls."""
        try:
            with closing(sqlite3.connect(self._file, timeout=_BUSY_S, isolation_level=None)) as connection:
                # A killed process loses nothing by this; a power cut may lose a cache, and the day's sum.
                connection.execute("PRAGMA synchronous = OFF")
                yield connection
                if connection.in_transaction:
                    connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise DependencyError(
                f"the narrator's cache {self._file} cannot be used ({error})",
                do="Delete that file: it is only a cache, and today's budget begins anew.",
            ) from error
