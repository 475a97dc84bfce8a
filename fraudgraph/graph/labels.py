"""What is known about each user from labels: the latest word that nothing supersedes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fraudgraph.events.batch import LabelRow


class LabelBook:
    """Labels by their own key; the verdict is the same for any order in which they came."""

    def __init__(self) -> None:
        self._by_user: dict[str, list[LabelRow]] = {}
        self._user_of: dict[bytes, str] = {}
        self._superseded: set[bytes] = set()
        self._silent: list[LabelRow] = []

    def __contains__(self, user_key: object) -> bool:
        return user_key in self._by_user

    def add(self, row: LabelRow) -> set[str]:
        """Takes a label in; returns users whose verdict may have changed. One about no user only supersedes."""
        changed = set()
        if row.supersedes is not None:
            self._superseded.add(row.supersedes)
            if row.supersedes in self._user_of:
                changed.add(self._user_of[row.supersedes])
        if row.about_user is not None:
            self._by_user.setdefault(row.about_user, []).append(row)
            self._user_of[row.key] = row.about_user
            changed.add(row.about_user)
        elif row.supersedes is not None:
            self._silent.append(row)
        return changed

    def rekey(self, keys: Mapping[bytes, bytes], users: Mapping[str, str]) -> list[tuple[bytes, LabelRow]]:
        """Takes pseudonyms and user ids that are known by the first of a pair to be known by the second.

        Returns:
            (key so far, the label as it is now) of each label that this changed.
        """
        touched = {self._user_of[key] for key in keys.keys() & self._user_of.keys()} | (
            users.keys() & self._by_user.keys()
        )
        over = keys.keys() & self._superseded
        if over:  # by whom, only a look at all of them tells
            self._superseded = {keys.get(key, key) for key in self._superseded}
            touched |= {user for user, rows in self._by_user.items() if any(row.supersedes in over for row in rows)}
        changed: list[tuple[bytes, LabelRow]] = []

        def renamed(row: LabelRow) -> LabelRow:
            now = replace(
                row,
                key=keys.get(row.key, row.key),
                about_user=users.get(row.about_user or "", row.about_user),
                supersedes=None if row.supersedes is None else keys.get(row.supersedes, row.supersedes),
            )
            if now != row:
                changed.append((row.key, now))
            return now

        if over:
            self._silent = [renamed(row) for row in self._silent]
        for user in sorted(touched):
            rows = self._by_user.pop(user)
            for row in rows:
                del self._user_of[row.key]
            for row in map(renamed, rows):
                self.add(row)
        return changed

    def drop(self, user_key: str) -> None:
        """Forgets all labels about a user."""
        for row in self._by_user.pop(user_key, ()):
            del self._user_of[row.key]

    def rows(self) -> list[LabelRow]:
        """Returns all labels that have a say about users."""
        return [row for rows in (*self._by_user.values(), self._silent) for row in rows]

    def verdict(self, user_key: str | None) -> int:
        """Returns 1 fraud, -1 legitimate, 0 unknown."""
        rows = [row for row in self._by_user.get(user_key or "", ()) if row.key not in self._superseded]
        if not rows:
            return 0
        latest = max(rows, key=lambda row: (row.arrived_ms, row.key))
        return 1 if latest.fraud else -1
