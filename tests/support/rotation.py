"""A small journal as it reads under another key, in the order in which names were before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from fraudgraph.events.batch import DecodedBatch, FormerNames, LabelRow

_T = TypeVar("_T")
MAIL_USERS = frozenset(f"u{number}" for number in range(0, 12, 3))
"""Accounts that are named by a pseudonym."""


def rekeyed(key: bytes) -> bytes:
    """Returns the pseudonym under the new key; what sorts first still does."""
    return key[:-1] + bytes([key[-1] ^ 1])


def renamed(user: str) -> str:
    """Returns the user id under the new key; what sorts first still does."""
    return f"{user}'" if user in MAIL_USERS else user


def under_new_key(batch: DecodedBatch) -> DecodedBatch:
    """Returns what a decoder with both keys would make of the same records."""
    keys = [*batch.event_key, *batch.link_key, *_known(batch.order_key), *_keys_of(batch.labels)]
    users = {*batch.user, *_known(batch.counterparty), *_known(row.about_user for row in batch.labels)}
    return replace(
        batch,
        event_key=[rekeyed(key) for key in batch.event_key],
        link_key=[rekeyed(key) for key in batch.link_key],
        order_key=[None if key is None else rekeyed(key) for key in batch.order_key],
        user=[renamed(user) for user in batch.user],
        counterparty=[None if user is None else renamed(user) for user in batch.counterparty],
        labels=[
            replace(
                row,
                key=rekeyed(row.key),
                about_user=row.about_user and renamed(row.about_user),
                supersedes=None if row.supersedes is None else rekeyed(row.supersedes),
            )
            for row in batch.labels
        ],
        former=FormerNames(
            keys={key: rekeyed(key) for key in keys},
            users={user: renamed(user) for user in sorted(users & MAIL_USERS)},
        ),
    )


def _keys_of(labels: Iterable[LabelRow]) -> list[bytes]:
    return [key for row in labels for key in (row.key, row.supersedes) if key is not None]


def _known(items: Iterable[_T | None]) -> list[_T]:
    return [item for item in items if item is not None]
