"""The words of a mapping, as they stand in its TOML file."""

from __future__ import annotations

from typing import Literal

import msgspec


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a table's rows are.

    Attributes:
        file: name or glob pattern, relative to the folder that is imported.
        format: by the file's suffix unless given.
        delimiter, encoding: of CSV; a tab for `.tsv`, else a comma, and UTF-8.
        quotes: whether `"` quotes cells of CSV.
        nulls: texts that mean "nothing", beside the empty one.
        decimal: the decimal sign of numbers written as text; the other one of `.` and `,` may group thousands.
    """

    file: str
    format: Literal["csv", "parquet"] | None = None
    delimiter: str | None = None
    encoding: str = "utf-8"
    quotes: bool = True
    nulls: tuple[str, ...] = ()
    decimal: Literal[".", ","] = "."


class Defaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds where a field does not say otherwise."""

    currency: str | None = None
    timezone: str = "UTC"


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"as_": "as"}):
    """Where a field's value comes from (exactly one of the first four) and how it is read.

    Attributes:
        column: name of a column; `table.column` of a joined table.
        constant: the same value in every event.
        template: text with `{column}` in it; `{$row}` and `{$file}` name the row.
        hash: columns whose values, together, make a deterministic id.
        time: how a time in a column or template is written: `iso`, `date`, `unix_s`, `unix_ms` or `strftime:FORMAT`.
        timezone: IANA zone of times without an offset.
        at: time of day, `HH:MM[:SS]`, of days without one.
        minor_units: the amount counts cents (or what the currency has).
        round: an amount with more decimals than its currency has is rounded half to even.
        absolute: the sign of the amount is dropped, where a table writes money that goes back as negative.
        prefix: put before the value.
        as_: `ipv4_int`, an IPv4 address written as a number.
        values: replaces values by others; a value not named stays as it is.
    """

    column: str | None = None
    constant: str | int | None = None
    template: str | None = None
    hash: tuple[str, ...] | None = None
    time: str | None = None
    timezone: str | None = None
    at: str | None = None
    minor_units: bool = False
    round: bool = False
    absolute: bool = False
    prefix: str = ""
    as_: Literal["ipv4_int"] | None = None
    values: dict[str, str] | None = None


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"in_": "in"}):
    """Which rows become events; exactly one test of a column, on its text."""

    column: str
    null: bool | None = None
    equals: str | int | bool | None = None
    not_equals: str | int | bool | None = None
    in_: tuple[str | int | bool, ...] | None = None


class Join(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A left join: at most one row of `table` per row.

    Attributes:
        on: a column, several, or a map from columns here to columns there.
    """

    table: str
    on: str | tuple[str, ...] | dict[str, str]

    def pairs(self) -> list[tuple[str, str]]:
        """Returns (column here, column there)."""
        if isinstance(self.on, str):
            return [(self.on, self.on)]
        return list(self.on.items()) if isinstance(self.on, dict) else [(name, name) for name in self.on]


class Events(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of event from one table."""

    table: str
    type: str
    fields: dict[str, str | Field]
    where: tuple[Condition, ...] = ()
    join: tuple[Join, ...] = ()

    def field(self, name: str) -> Field | None:
        """Returns the field in its long form."""
        given = self.fields.get(name)
        return Field(column=given) if isinstance(given, str) else given


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole mapping, as written."""

    tables: dict[str, Table]
    events: tuple[Events, ...]
    defaults: Defaults = Defaults()
