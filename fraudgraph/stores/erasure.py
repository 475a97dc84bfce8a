"""An account taken out of what a store keeps as a whole: evidence kept with a decision, and recorded commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from fraudgraph.events.schema import Command
from fraudgraph.rings.snapshot import RingSnapshot, SnapshotUser

NO_TIME_MS: Final = -1
_ACCOUNTS: Final = ("user_id", "first", "second")
"""Arguments that hold one account."""
_USERS: Final = msgspec.json.Decoder(list[str])


def redacted_snapshot(ring: RingSnapshot, forgotten: Mapping[str, str]) -> RingSnapshot:
    """Returns a ring with another name in the place of each forgotten account, and nothing of what that account did."""
    return replace(
        ring,
        users=tuple(
            SnapshotUser(forgotten[user.user_id], user.probability, NO_TIME_MS, NO_TIME_MS)
            if user.user_id in forgotten
            else user
            for user in ring.users
        ),
        links=tuple(link for link in ring.links if link.user_id not in forgotten),
        orders=tuple(order for order in ring.orders if order.user_id not in forgotten),
        transfers=tuple(
            transfer
            for transfer in ring.transfers
            if transfer.from_user_id not in forgotten and transfer.to_user_id not in forgotten
        ),
        sent_outside=tuple(sent for sent in ring.sent_outside if sent.user_id not in forgotten),
        together=tuple(pair for pair in ring.together if pair[0] not in forgotten and pair[1] not in forgotten),
    )


def renamed_snapshot(ring: RingSnapshot, names: Mapping[str, str]) -> RingSnapshot:
    """Returns a ring with other user ids, and all else as it was."""

    def now(user: str) -> str:
        return names.get(user, user)

    return replace(
        ring,
        users=tuple(replace(user, user_id=now(user.user_id)) for user in ring.users),
        links=tuple(replace(link, user_id=now(link.user_id)) for link in ring.links),
        orders=tuple(replace(order, user_id=now(order.user_id)) for order in ring.orders),
        transfers=tuple(
            replace(each, from_user_id=now(each.from_user_id), to_user_id=now(each.to_user_id))
            for each in ring.transfers
        ),
        sent_outside=tuple(replace(sent, user_id=now(sent.user_id)) for sent in ring.sent_outside),
        together=tuple((now(first), now(second), by) for first, second, by in ring.together),
    )


def renamed_command(body: bytes, names: Mapping[str, str]) -> bytes | None:
    """Returns a command's JSON with other user ids, or None where it names none of the accounts."""
    try:
        command = msgspec.json.decode(body, type=Command)
    except msgspec.DecodeError:
        return None
    after = {name: _renamed(name, text, names) for name, text in command.arguments.items()}
    if after == command.arguments:
        return None
    return msgspec.json.encode(msgspec.structs.replace(command, arguments=after))


def redacted_command(body: bytes, forgotten: Mapping[str, str]) -> bytes | None:
    """Returns a command's JSON with other names and without its note, or None where it names none of the accounts."""
    try:
        command = msgspec.json.decode(body, type=Command)
    except msgspec.DecodeError:
        return None  # never obeyed; it is in the dead letters
    before = command.arguments
    after = {name: _renamed(name, text, forgotten) for name, text in before.items()}
    if after == before:
        return None
    if "note" in after:
        after["note"] = ""
    return msgspec.json.encode(msgspec.structs.replace(command, arguments=after))


def _renamed(name: str, text: str, forgotten: Mapping[str, str]) -> str:
    if name == "members":
        try:
            users = _USERS.decode(text)
        except msgspec.DecodeError:
            return text  # refused as it stands
        if forgotten.keys().isdisjoint(users):
            return text
        return msgspec.json.encode([forgotten.get(user, user) for user in users]).decode()
    return forgotten.get(text, text) if name in _ACCOUNTS else text
