"""From a batch of bytes to columns: decoded, validated, normalised, pseudonymous."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, compress
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from fraudgraph.errors import ConfigurationError
from fraudgraph.events.batch import DeadLetter, DecodedBatch, FormerNames, LabelRow
from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind, EventType, RejectReason, Status
from fraudgraph.events.money import currencies, currency_of, minor_units
from fraudgraph.events.parser import parse
from fraudgraph.events.pseudonyms import Pseudonymiser, TwoKeys
from fraudgraph.events.rejected import Refusal, Rejected
from fraudgraph.events.resolver import NO_LINK, Resolver, Seen, account_name
from fraudgraph.events.schema import (
    Chargeback,
    Command,
    Event,
    Label,
    Login,
    Order,
    Payment,
    Referral,
    Refund,
    Signup,
    Transfer,
    UserEvent,
)
from fraudgraph.events.statuses import status_of
from fraudgraph.events.text import check_prose, check_visible
from fraudgraph.events.vault import Vault
from fraudgraph.streams.port import RawBatch

Refusals = dict[int, Refusal]
"""The first refusal of each row; rows that are not in it are good."""
MAX_BYTES: Final = 65_536

_TYPES: Final[dict[type, EventType]] = {
    Signup: EventType.SIGNUP,
    Login: EventType.LOGIN,
    Order: EventType.ORDER,
    Payment: EventType.PAYMENT,
    Refund: EventType.REFUND,
    Transfer: EventType.TRANSFER,
    Referral: EventType.REFERRAL,
    Chargeback: EventType.CHARGEBACK,
    Label: EventType.LABEL,
    Command: EventType.COMMAND,
}
_RARE: Final = (Label, Command)
_KIND_NUMBERS: Final = np.array(IDENTIFIER_KINDS, dtype=np.uint8)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_END_MS: Final = (datetime(2201, 1, 1, tzinfo=UTC) - _EPOCH) // _MS
_BLANK: Final = Signup(event_id="", ts=_EPOCH, user_id="")
"""Stands in the row of what could not be parsed, so that every column has the length of the raw batch."""

_APPROVED: Final = Status.APPROVED  # a member of an enum is slow to look up, for a loop
_NONE: Final = Status.NONE
_REASONS: Final = {reason.code: reason for reason in RejectReason}


class Decoder:
    """Decodes raw batches; what it returns depends on the bytes and the settings, never on how they are cut.

    For speed it works column by column. It keeps nothing of a batch: only domain names of e-mail addresses that it has
    validated (at most 4,096) stay in memory.

    Args:
        pseudonymiser: makes the keys; one of two keys says what each was before, too.
        vault: seals the original bytes of what is refused.
        default_region: ISO 3166-1 alpha-2 code for phone numbers in national form; None refuses those that come
            without a `country`.
        default_currency: ISO 4217 code for amounts without one; None refuses them.
        max_bytes: longest record.

    Raises:
        ConfigurationError: the default region or currency does not exist.
    """

    def __init__(
        self,
        pseudonymiser: Pseudonymiser,
        vault: Vault,
        *,
        default_region: str | None,
        default_currency: str | None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._vault = vault
        self._currency = None if default_currency is None else currencies().get(default_currency)
        if self._currency is None and default_currency is not None:
            raise ConfigurationError(
                f"the default currency {default_currency!r} has no minor unit in ISO 4217",
                do="Set it to a three-letter code in capitals, such as EUR, or leave it out.",
            )
        self._max_bytes = max_bytes
        self._two_keys = pseudonymiser if isinstance(pseudonymiser, TwoKeys) else None
        self._resolver = Resolver(pseudonymiser, default_region=default_region)

    def decode(self, raw: RawBatch) -> DecodedBatch:
        """Returns the columns of the good events and the dead letters of the others, in order of arrival."""
        refusals: Refusals = {}
        events, types, rare = self._parse(raw.values, refusals)
        ts_ms = _times(events, refusals)
        users = self._business_keys([("user_id", e.user_id) for e in events], refusals)
        others = self._business_keys([_counterparty(e) for e in events], refusals)
        link_row, link_kind, linked = self._links(events, refusals)
        amounts, numbers = self._money(events, refusals)
        labels = self._labels(rare, refusals)
        commands = _commands(rare, refusals)

        keep = np.ones(len(events), dtype=np.bool_)
        keep[list(refusals)] = False
        if refusals:
            kept_links = keep[link_row]
            link_row, link_kind = link_row[kept_links], link_kind[kept_links]
            linked = list(compress(linked, kept_links.tolist()))
        rows = np.flatnonzero(keep).tolist()
        place = np.cumsum(keep, dtype=np.int32) - np.int32(1)
        event_key, order_key = self._resolver.event_key, self._resolver.order_key
        batch = DecodedBatch(
            partitions=raw.partitions,
            partition_of=np.array(raw.partition_of, dtype=np.int32)[keep],
            offset=np.array(raw.offsets, dtype=np.int64)[keep],
            next_offset=np.array(raw.next_offsets, dtype=np.int64)[keep],
            broker_ms=None if raw.broker_ts_ms is None else np.array(raw.broker_ts_ms, dtype=np.int64)[keep],
            event_key=[event_key(events[row].event_id) for row in rows],
            type=np.array(types, dtype=np.uint8)[keep],
            ts_ms=np.array(ts_ms, dtype=np.int64)[keep],
            user=[users[row] or "" for row in rows],
            counterparty=[others[row] for row in rows],
            amount_minor=np.array(amounts, dtype=np.int64)[keep],
            currency=np.array(numbers, dtype=np.uint16)[keep],
            order_key=[None if (order := events[row].order_id) is None else order_key(order) for row in rows],
            status=np.array([_status(events[row]) for row in rows], dtype=np.uint8),
            link_event=place[link_row],
            link_kind=link_kind,
            link_key=cast("list[bytes]", [key for key, _, _ in linked]),  # refused ones went with their rows
            link_mask=[mask for _, mask, _ in linked],
            seal=lambda event: self._vault.seal(raw.values[rows[event]]),
            labels=[replace(label, event=int(place[row])) for row, label in labels if keep[row]],
            commands=[(int(place[row]), command) for row, command in commands if keep[row]],
            ended=raw.ended,
        )
        if self._two_keys is not None:
            keys, accounts = self._two_keys.take()
            names = {account_name(before): account_name(key) for before, key in accounts.items()}
            batch.former = FormerNames(keys, names)
        self._bury(raw, refusals, batch)
        return batch

    def _parse(
        self, values: Sequence[bytes], refusals: Refusals
    ) -> tuple[list[UserEvent], list[EventType], dict[int, Label | Command]]:
        """Returns a user event per row (a stand-in where there is none), its type, and the rare events by row."""
        events: list[UserEvent] = []
        types: list[EventType] = []
        rare: dict[int, Label | Command] = {}
        max_bytes = self._max_bytes
        for value in values:
            event: Event
            try:
                event = parse(value, max_bytes)
            except Rejected as rejected:
                refusals[len(events)] = rejected.refusal
                event = _BLANK
            types.append(_TYPES[event.__class__])
            if isinstance(event, _RARE):
                rare[len(events)] = event
                event = Signup(event_id=event.event_id, ts=event.ts, user_id="")
            events.append(event)
        return events, types, rare

    def _business_keys(self, fields: Sequence[tuple[str, str | None]], refusals: Refusals) -> list[str | None]:
        """Returns the business key of each (field name, user id)."""
        user = self._resolver.user
        keys: list[str | None] = []
        for field, raw in fields:
            try:
                keys.append(None if raw is None else user(raw))
            except Rejected as rejected:
                refusals.setdefault(len(keys), _in_field(field, rejected))
                keys.append(None)
        return keys

    def _links(
        self, events: Sequence[UserEvent], refusals: Refusals
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], list[Seen]]:
        """Returns row, kind and identifier of every link, by row and then by kind."""
        column = self._resolver.column
        columns = {
            EntityKind.DEVICE: column(EntityKind.DEVICE, [e.device_id for e in events]),
            EntityKind.IP: column(EntityKind.IP, [e.ip for e in events]),
            EntityKind.CARD: column(EntityKind.CARD, [e.card for e in events]),
            EntityKind.EMAIL: column(EntityKind.EMAIL, [e.email for e in events]),
            EntityKind.PHONE: self._resolver.phones([e.phone for e in events], [e.country for e in events]),
            EntityKind.ADDRESS: column(EntityKind.ADDRESS, [e.address for e in events]),
        }
        by_row = zip(*(columns[kind] for kind in IDENTIFIER_KINDS), strict=True)
        flat = list(chain.from_iterable(by_row))
        present = [seen is not NO_LINK for seen in flat]
        at = np.flatnonzero(np.array(present, dtype=np.bool_))
        rows, kinds = np.divmod(at, len(IDENTIFIER_KINDS))
        linked = list(compress(flat, present))
        for i, (_, _, refusal) in enumerate(linked):
            if refusal is not None:
                refusals.setdefault(int(rows[i]), refusal)
        return rows, _KIND_NUMBERS[kinds], linked

    def _money(self, events: Sequence[UserEvent], refusals: Refusals) -> tuple[list[int], list[int]]:
        amounts, numbers = [0] * len(events), [0] * len(events)
        default, table = self._currency, currencies()
        for row, event in enumerate(events):
            amount, code = event.amount, event.currency
            if amount is None and code is None:
                continue
            try:
                currency = default if code is None else table.get(code) or currency_of(code)
                if currency is None:
                    raise Rejected(RejectReason.MISSING_FIELD, "currency: missing, and the settings name no default")
                numbers[row] = currency.number
                if amount is not None:
                    amounts[row] = minor_units(amount, currency)
            except Rejected as rejected:
                refusals.setdefault(row, rejected.refusal)
        return amounts, numbers

    def _labels(self, rare: Mapping[int, Label | Command], refusals: Refusals) -> list[tuple[int, LabelRow]]:
        labels = []
        for row, event in rare.items():
            if isinstance(event, Label):
                try:
                    labels.append((row, self._label(event)))
                except Rejected as rejected:
                    refusals.setdefault(row, rejected.refusal)
        return labels

    def _label(self, label: Label) -> LabelRow:
        about_ms, arrived_ms = _ms("about_ts", label.about_ts), _ms("arrived_ts", label.arrived_ts)
        if arrived_ms > _ms("ts", label.ts):
            raise Rejected(RejectReason.INVALID_FIELD, "arrived_ts: later than ts")
        if about_ms > arrived_ms:
            raise Rejected(RejectReason.INVALID_FIELD, "about_ts: later than arrived_ts")
        check_visible("source", label.source)
        source = self._resolver.user(label.source)  # a person may stand there by their address
        kind, _, target = label.target.partition(":")
        user = None
        if kind == "user":
            try:
                user = self._resolver.user(target)
            except Rejected as rejected:
                raise Rejected(*_in_field("target", rejected)) from None
        return LabelRow(
            event=-1,
            key=self._resolver.event_key(label.event_id),
            about_user=user,
            about_order=self._resolver.order_key(target) if kind == "order" else None,
            fraud=label.value == "fraud",
            about_ms=about_ms,
            arrived_ms=arrived_ms,
            source=source,
            supersedes=None if label.supersedes is None else self._resolver.event_key(label.supersedes),
        )

    def _bury(self, raw: RawBatch, refusals: Refusals, batch: DecodedBatch) -> None:
        """Writes the dead letters, and the positions after them."""
        seal, through = self._vault.seal, batch.damaged_through

        def bury(refusal: Refusal, partition: str, offset: int, after: int, original: bytes) -> None:
            batch.dead_letters.append(DeadLetter(*refusal, partition, offset, seal(original)))
            through[partition] = max(after, through.get(partition, 0))

        for row in sorted(refusals):
            partition = raw.partitions[raw.partition_of[row]]
            bury(refusals[row], partition, raw.offsets[row], raw.next_offsets[row], raw.values[row])
        for partition, offset, seen, text in raw.damaged:
            code, _, rest = text.partition(": ")
            reason = _REASONS.get(code, RejectReason.TRUNCATED_INPUT)
            # A stream goes on at the next position after one that it cannot read.
            bury(Refusal(reason, rest if code in _REASONS else text), partition, offset, offset + 1, seen)


def _in_field(field: str, rejected: Rejected) -> Refusal:
    """The refusal of a user id, under the name of the field that it stands in."""
    return Refusal(rejected.refusal.reason, f"{field}: {rejected.refusal.detail.partition(': ')[2]}")


def _counterparty(event: UserEvent) -> tuple[str, str | None]:
    """The other user of a transfer or referral, with the name of its field."""
    if type(event) is Transfer:
        return "to_user_id", event.to_user_id
    return "referred_user_id", event.referred_user_id if type(event) is Referral else None


def _status(event: UserEvent) -> Status:
    if event.status is None:
        # An order says nothing about its payment: where one was declined, that must count.
        return _APPROVED if type(event) is Payment else _NONE
    return status_of(event.status)


def _times(events: Sequence[UserEvent], refusals: Refusals) -> list[int]:
    times = [(event.ts - _EPOCH) // _MS for event in events]
    if times and (min(times) < 0 or max(times) >= _END_MS):
        for row, time in enumerate(times):
            if not 0 <= time < _END_MS:
                refusals.setdefault(row, _out_of_range("ts"))
    return times


def _ms(field: str, time: datetime) -> int:
    ms = (time - _EPOCH) // _MS
    if not 0 <= ms < _END_MS:
        raise Rejected(*_out_of_range(field))
    return ms


def _out_of_range(field: str) -> Refusal:
    return Refusal(RejectReason.INVALID_TIMESTAMP, f"{field}: before 1970 or after 2200")


def _commands(rare: Mapping[int, Label | Command], refusals: Refusals) -> list[tuple[int, Command]]:
    commands = []
    for row, event in rare.items():
        if isinstance(event, Command):
            try:
                for field, text in (("name", event.name), ("author", event.author)):
                    check_visible(field, text)
                for text in chain.from_iterable(event.arguments.items()):
                    check_prose("arguments", text)
            except Rejected as rejected:
                refusals.setdefault(row, rejected.refusal)
            commands.append((row, event))
    return commands
