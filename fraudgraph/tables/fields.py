"""Reads one field of an event from a batch of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import time as time_of_day
from string import Formatter
from typing import Any

from fraudgraph.tables.cells import ipv4_from_number, money, time_reader, written_number, zone_of
from fraudgraph.tables.checks import template_columns
from fraudgraph.tables.columns import Columns, Errors, each
from fraudgraph.tables.spec import Field


def read_text(field: Field, columns: Columns, errors: Errors) -> list[str | None]:
    """Returns the field's values; None where any column that it needs is empty."""
    values = _source(field, columns, errors)
    if field.as_ == "ipv4_int":
        for index, value in enumerate(values):
            if value is not None:
                try:
                    values[index] = ipv4_from_number(value)
                except ValueError as error:
                    errors.setdefault(index, str(error))
    if field.values:
        replace = field.values
        values = [value if value is None else replace.get(value, value) for value in values]
    if field.prefix:
        values = [value if value is None else field.prefix + value for value in values]
    return values


def _source(field: Field, columns: Columns, errors: Errors) -> list[str | None]:
    if field.constant is not None:
        return [str(field.constant)] * len(columns)
    if field.column is not None:
        return list(columns.text(field.column, errors))
    names = template_columns(field.template) if field.template is not None else list(field.hash or ())
    if not names:
        return [field.template] * len(columns)
    cells = zip(*(columns.text(name, errors) for name in names), strict=True)
    if field.hash is not None:
        return [digest(row) for row in cells]
    pattern = _positional(field.template or "")
    return [None if None in row else pattern.format(*row) for row in cells]


def _positional(template: str) -> str:
    """Returns the template with `{}` for each name, so that no name is looked up as an attribute."""
    parts = []
    for literal, name, _, _ in Formatter().parse(template):
        parts.append(literal.replace("{", "{{").replace("}", "}}"))
        if name is not None:
            parts.append("{}")
    return "".join(parts)


def digest(cells: Sequence[str | None]) -> str:
    """Returns 128 bits of BLAKE2b (RFC 7693) over the cells, each with its length, in hexadecimal."""
    text = "".join("-" if cell is None else f"{len(cell)}:{cell}" for cell in cells)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def read_amount(
    field: Field, columns: Columns, currencies: Sequence[str | None], decimal_sign: str, errors: Errors
) -> list[str | None]:
    """Returns amounts in major units, as text with the currency's decimals."""
    values: Sequence[Any]
    if field.column is not None and not field.values:
        values = columns.plain(field.column, errors)
    else:
        values = read_text(field, columns, errors)
    out: list[str | None] = []
    for index, value in enumerate(values):
        amount = None
        if value is not None:
            currency = currencies[index]
            try:
                if isinstance(value, str):
                    value = written_number(value, decimal_sign)
                if currency is None:
                    raise ValueError("no currency")
                amount = money(value, currency, field.minor_units, field.round, field.absolute)
            except ValueError as error:
                errors.setdefault(index, str(error))
        out.append(amount)
    return out


def read_times(field: Field, columns: Columns, default_zone: str, errors: Errors) -> list[int | None]:
    """Returns times in ms since the epoch."""
    at = time_of_day.fromisoformat(field.at) if field.at is not None else None
    zone = zone_of(field.timezone or default_zone)
    if field.column is not None:
        return columns.times_ms(field.column, field.time, zone, at, errors)
    return each(_source(field, columns, errors), time_reader(field.time or "iso", zone, at), errors)


def rfc3339(times_ms: Sequence[int | None]) -> list[str | None]:
    """Returns times as RFC 3339 in UTC, with milliseconds where there are some."""
    import numpy as np

    dense = np.array([0 if ms is None else ms for ms in times_ms], dtype="datetime64[ms]")
    texts = np.datetime_as_string(dense, unit="ms").tolist()
    return [
        None if ms is None else (text[:19] if text.endswith(".000") else text) + "Z"
        for ms, text in zip(times_ms, texts, strict=True)
    ]
