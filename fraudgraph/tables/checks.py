"""Checks what a mapping says, before any table is opened."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import time
from pathlib import Path
from string import Formatter
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from fraudgraph.errors import ConfigurationError
from fraudgraph.events import schema
from fraudgraph.events.money import currencies
from fraudgraph.tables.spec import Condition, Events, Field, Mapping

EVENT_STRUCTS: dict[str, type[msgspec.Struct]] = {
    str(struct.__struct_config__.tag): struct
    for struct in (
        schema.Signup,
        schema.Login,
        schema.Order,
        schema.Payment,
        schema.Refund,
        schema.Transfer,
        schema.Referral,
        schema.Chargeback,
        schema.Label,
    )
}
"""What a table can become. Commands come from people, not from tables."""

TIME_FIELDS = frozenset({"ts", "about_ts", "arrived_ts"})
TIME_WORDS = ("iso", "date", "unix_s", "unix_ms")
STRFTIME = "strftime:"
ROW, FILE = "$row", "$file"
"""Stand for the row's number and the file's name in templates and hashes."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns the hint that names the nearest known word, or all of them."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"Did you mean `{close[0]}`?" if close else f"Known: {', '.join(f'`{w}`' for w in words)}."


def template_columns(template: str) -> list[str]:
    """Returns the columns in a template.

    Raises:
        ValueError: braces do not match, or hold more than a name.
    """
    columns = []
    for _, name, spec, conversion in Formatter().parse(template):
        if name is None:
            continue
        if not name or spec or conversion:
            raise ValueError("braces hold the name of a column and nothing else")
        columns.append(name)
    return columns


def field_names(struct: type[msgspec.Struct]) -> tuple[list[str], set[str]]:
    """Returns (all fields of an event, those that it cannot do without)."""
    fields = msgspec.structs.fields(struct)
    return [f.name for f in fields], {f.name for f in fields if f.required}


def check_mapping(mapping: Mapping, file: str) -> None:
    """Raises ConfigurationError, with file and place, for what can never work."""
    _check_currency(mapping.defaults.currency, f"{file}, [defaults]")
    _check_zone(mapping.defaults.timezone, f"{file}, [defaults]")
    for name, table in mapping.tables.items():
        if Path(table.file).is_absolute():
            raise _wrong(f"{file}, [tables.{name}]", "`file` is absolute", "Write it relative to the imported folder.")
        if table.delimiter is not None and len(table.delimiter.encode()) != 1:
            raise _wrong(f"{file}, [tables.{name}]", "`delimiter` is not one ASCII character", 'Write "," or "\\t".')
    for i, events in enumerate(mapping.events, start=1):
        _check_events(mapping, events, f"{file}, [[events]] number {i}")


def _wrong(place: str, what: str, do: str) -> ConfigurationError:
    return ConfigurationError(f"{place}: {what}", do=do)


def _check_events(mapping: Mapping, events: Events, place: str) -> None:
    for table in (events.table, *(join.table for join in events.join)):
        if table not in mapping.tables:
            raise _wrong(place, f"there is no [tables.{table}]", nearest(table, mapping.tables))
    if events.type not in EVENT_STRUCTS:
        raise _wrong(place, f"unknown type `{events.type}`", nearest(events.type, EVENT_STRUCTS))
    joined = [join.table for join in events.join]
    if len(set(joined)) < len(joined) or events.table in joined:
        raise _wrong(place, "a table is joined twice, or to itself", "Give the file a second name under [tables].")
    known, required = field_names(EVENT_STRUCTS[events.type])
    for name in events.fields:
        if name not in known:
            raise _wrong(place, f"an event of type {events.type} has no field `{name}`", nearest(name, known))
    for name in sorted(required - {"event_id"}):
        if name not in events.fields:
            raise _wrong(place, f"field `{name}` is missing", f"Say where the `{name}` of a row comes from.")
    for name in events.fields:
        field = events.field(name)
        if field is not None:
            _check_field(name, field, f"{place}, field {name}")
    if "amount" in events.fields and "currency" not in events.fields and mapping.defaults.currency is None:
        raise _wrong(place, "an amount without a currency", "Map `currency`, or name one under [defaults].")
    for condition in events.where:
        _check_condition(condition, f"{place}, where {condition.column}")


def _check_field(name: str, field: Field, place: str) -> None:
    sources = [s for s in ("column", "constant", "template", "hash") if getattr(field, s) not in (None, ())]
    if len(sources) != 1:
        found = " and ".join(f"`{s}`" for s in sources) or "none of them"
        raise _wrong(place, f"found {found}", "Give exactly one of `column`, `constant`, `template`, `hash`.")
    if field.template is not None:
        try:
            template_columns(field.template)
        except ValueError as error:
            raise _wrong(place, f"template: {error}", "Write it like `{user_id}-{card_id}`.") from error
    if name in TIME_FIELDS:
        _check_time(field, place)
    elif field.time or field.timezone or field.at:
        raise _wrong(place, "`time`, `timezone` and `at` are for times", f"Times are {', '.join(sorted(TIME_FIELDS))}.")
    if name != "amount" and (field.minor_units or field.round or field.absolute):
        raise _wrong(place, "`minor_units`, `round` and `absolute` are for amounts", "Remove them here.")
    if name == "amount" and (field.prefix or field.hash):
        raise _wrong(place, "an amount is a number", "Remove `prefix` or `hash` here.")
    if field.as_ is not None and name != "ip":
        raise _wrong(place, f"`as = {field.as_}` is for `ip`", "Remove it here.")


def _check_time(field: Field, place: str) -> None:
    if (field.column is None and field.template is None) or field.prefix or field.values:
        raise _wrong(place, "a time comes from columns, unchanged", 'Write `{column = "…", time = "iso"}`.')
    if field.timezone is not None:
        _check_zone(field.timezone, place)
    if field.time is not None and field.time not in TIME_WORDS and not field.time.startswith(STRFTIME):
        raise _wrong(place, f"unknown `time = {field.time}`", nearest(field.time, (*TIME_WORDS, STRFTIME + "%Y-%m-%d")))
    if field.at is not None:
        try:
            valid = time.fromisoformat(field.at).tzinfo is None
        except ValueError:
            valid = False
        if not valid:
            raise _wrong(place, f"`at = {field.at}` is not a time of day", 'Write "HH:MM" or "HH:MM:SS".')


def _check_condition(condition: Condition, place: str) -> None:
    tests = (condition.null, condition.equals, condition.not_equals, condition.in_)
    if sum(test is not None for test in tests) != 1:
        raise _wrong(place, "a condition is one test", "Give exactly one of `null`, `equals`, `not_equals`, `in`.")


def _check_currency(code: str | None, place: str) -> None:
    if code is not None and code not in currencies():
        raise _wrong(place, f"`{code}` is not a currency", "Use the ISO 4217 code, like EUR.")


def _check_zone(name: str, place: str) -> None:
    try:
        if name != "UTC":
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _wrong(place, f"`{name}` is not a time zone", "Use an IANA name, like Europe/Berlin.") from error
