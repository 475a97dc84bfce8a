"""One batch of rows as columns of plain text or numbers, with the cells that could not be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import time as time_of_day
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from fraudgraph.errors import ConfigurationError
from fraudgraph.tables.cells import in_range, time_reader
from fraudgraph.tables.checks import FILE, ROW

if TYPE_CHECKING:
    import pyarrow as pa

Errors = dict[int, str]
"""Index in the batch -> why the row cannot be used."""


class Columns:
    """Columns of a batch, converted when first asked for.

    Args:
        arrays: name -> values as they were read.
        nulls: name -> texts that mean "nothing" in that column's table.
        numbers: row numbers.
        file: name of the file.
    """

    def __init__(
        self,
        arrays: Mapping[str, pa.Array],
        nulls: Mapping[str, frozenset[str]],
        numbers: Sequence[int],
        file: str,
    ) -> None:
        self._arrays = dict(arrays)
        self._nulls = dict(nulls)
        self.numbers = numbers
        self._file = file
        self._texts: dict[str, list[str | None]] = {}
        self._undecoded: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, name: str, array: pa.Array, nulls: frozenset[str]) -> None:
        """Adds a column, from a join."""
        self._arrays[name] = array
        self._nulls[name] = nulls

    def text(self, name: str, errors: Errors) -> list[str | None]:
        """Returns the column as text without surrounding blanks; empty and "nothing" are None.

        Whole numbers have no decimal point, whatever their type: a pandas column of ids with gaps is of doubles.
        """
        if name == ROW:
            return [str(number) for number in self.numbers]
        if name == FILE:
            return [self._file] * len(self)
        if name not in self._texts:
            values, undecoded = _texts(name, self._arrays[name])
            nulls = self._nulls[name]
            self._texts[name] = [None if value is None or value in nulls else value for value in values]
            self._undecoded[name] = undecoded
        for index in self._undecoded[name]:
            errors.setdefault(index, "not in the table's encoding")
        return self._texts[name]

    def plain(self, name: str, errors: Errors) -> Sequence[Any]:
        """Returns numbers as numbers, and everything else as text."""
        import pyarrow.types as pat

        array = self._arrays[name]
        if pat.is_integer(array.type) or pat.is_floating(array.type) or pat.is_decimal(array.type):
            values: list[Any] = array.to_pylist()
            return values
        return self.text(name, errors)

    def times_ms(
        self, name: str, kind: str | None, zone: tzinfo, at: time_of_day | None, errors: Errors
    ) -> list[int | None]:
        """Returns the column as ms since the epoch; a column that has a time type needs no `kind`."""
        import pyarrow.types as pat

        array = self._arrays[name]
        if pat.is_timestamp(array.type) or pat.is_date(array.type):
            return each(_typed_times(array, zone, at), in_range, errors)
        return each(self.text(name, errors), time_reader(kind or "iso", zone, at), errors)


def name_causes(errors: Errors, failed: Errors, name: str) -> None:
    """Adds the causes of one field to those of the rows; the first cause of a row stays."""
    for index, cause in failed.items():
        errors.setdefault(index, f"{name}: {cause}")


def each(values: Sequence[Any], read: Callable[[Any], int], errors: Errors) -> list[int | None]:
    """Reads values one by one; those that cannot be read are None, with their cause in `errors`."""
    out: list[int | None] = []
    for index, value in enumerate(values):
        try:
            out.append(None if value is None else read(value))
        except ValueError as error:
            errors.setdefault(index, str(error))
            out.append(None)
    return out


def _typed_times(array: pa.Array, zone: tzinfo, at: time_of_day | None) -> list[int | None]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as pat

    if at is not None or pat.is_date(array.type):
        array = array.cast(pa.date32(), safe=False)
        midnight = array.cast(pa.timestamp("ms"))
        at_ms = 0 if at is None else ((at.hour * 60 + at.minute) * 60 + at.second) * 1000 + at.microsecond // 1000
        array = pc.add(midnight, pa.scalar(at_ms, pa.duration("ms")))
    if array.type.tz is None and str(zone) != "UTC":
        array = pc.assume_timezone(array, str(zone), ambiguous="earliest", nonexistent="earliest")
    per_second = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}[array.type.unit]
    values: list[int | None] = array.cast(pa.int64()).to_pylist()
    return [None if value is None else value * 1000 // per_second for value in values]


def _texts(name: str, array: pa.Array) -> tuple[list[str | None], list[int]]:
    """Returns (texts, indexes of cells that are not UTF-8)."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as pat

    kind = array.type
    if pat.is_dictionary(kind):
        return _texts(name, array.dictionary_decode())
    if pat.is_floating(kind):
        return [None if v is None or v != v else _number_text(v) for v in array.to_pylist()], []
    undecoded: list[int] = []
    if pat.is_binary(kind) or pat.is_large_binary(kind):
        try:
            array = array.cast(pa.string())
        except pa.ArrowInvalid:
            decoded = [_decode(value) for value in array.to_pylist()]
            undecoded = [
                i for i, (value, raw) in enumerate(zip(decoded, array, strict=True)) if value is None and raw.is_valid
            ]
            array = pa.array(decoded, pa.string())
    elif not pat.is_string(kind) and not pat.is_large_string(kind):
        try:
            array = array.cast(pa.string())
        except pa.ArrowException as error:
            raise ConfigurationError(
                f"column `{name}` holds values of type {kind}, which are no text", do="Map a column of plain values."
            ) from error
    trimmed = pc.utf8_trim_whitespace(array)
    values: list[str | None] = pc.if_else(pc.equal(trimmed, ""), None, trimmed).to_pylist()
    return values, undecoded


def _number_text(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _decode(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
