"""From bytes to the event union, and from the parser's complaints to reasons that quote nothing."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.rejected import Rejected
from fraudgraph.events.schema import Command, Event, Label, Referral, Transfer

_FIELDS: Final = frozenset(name for struct in (Transfer, Referral, Label, Command) for name in struct.__struct_fields__)
_TIMES: Final = frozenset({"ts", "about_ts", "arrived_ts"})
_AT: Final = re.compile(r"- at `\$\.(\w+)[^`]*`$")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_EXPECTED: Final = re.compile(r"Expected `(str|object)[^`]*`( of length [<>]= \d+|, got)?")
_TYPE_NAMES: Final = {"str": "a string", "object": "an object"}

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_decode = _decoder.decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def parse(value: bytes, max_bytes: int) -> Event:
    """Returns the event in one JSON text; a field that is `null` or `""` counts as absent.

    Raises:
        Rejected: too large, malformed, of an unknown type, with a missing or an invalid field.
    """
    if len(value) > max_bytes:
        raise Rejected(RejectReason.TOO_LARGE, f"{len(value)} bytes, more than {max_bytes}")
    try:
        return _decode(value)
    except msgspec.ValidationError as error:
        complaint = error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _malformed() from None
    # Most fields may be null; where the schema says no, the event is read once more without its empty fields.
    try:
        fields = _fields(value)
        given = {name: raw for name, raw in fields.items() if bytes(raw) not in (b"null", b'""')}
        if len(given) < len(fields):
            return _decode(msgspec.json.encode(given))
    except msgspec.ValidationError as error:
        complaint = error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _malformed() from None
    raise _refusal(str(complaint))


def _malformed() -> Rejected:
    return Rejected(RejectReason.MALFORMED_JSON, "not a JSON text (RFC 8259) in UTF-8")


def _refusal(message: str) -> Rejected:
    """Sorts a message of the parser; only names of our own fields and types are taken over from it."""
    missing = _MISSING.match(message)
    if missing is not None and missing[1] in _FIELDS | {"type"}:
        return Rejected(RejectReason.MISSING_FIELD, f"{missing[1]}: missing")
    at = _AT.search(message)
    field = at[1] if at is not None else ""
    if field == "type":
        return Rejected(RejectReason.UNKNOWN_TYPE, "type: not a type of event")
    if field not in _FIELDS:
        return Rejected(RejectReason.INVALID_FIELD, "the event is not a JSON object")
    if field in _TIMES:
        return Rejected(RejectReason.INVALID_TIMESTAMP, f"{field}: not an RFC 3339 time with an offset")
    if field == "amount":
        return Rejected(RejectReason.INVALID_AMOUNT, "amount: not a decimal number")
    expected = _EXPECTED.match(message)
    if expected is None or expected[2] is None:  # a pattern or a closed list
        return Rejected(RejectReason.INVALID_FIELD, f"{field}: not of the form that the schema gives")
    length = "" if expected[2] == ", got" else expected[2]
    return Rejected(RejectReason.INVALID_FIELD, f"{field}: must be {_TYPE_NAMES[expected[1]]}{length}")
