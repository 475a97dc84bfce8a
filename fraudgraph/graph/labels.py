"""What is known about each user from labels: the latest word that nothing supersedes."""

from __future__ import annotations

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
