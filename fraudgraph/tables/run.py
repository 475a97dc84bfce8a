"""Imports tables: each row of each `[[events]]` block becomes an event, is left out, or is rejected with a reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from fraudgraph.errors import DependencyError
from fraudgraph.tables.checks import EVENT_STRUCTS, FILE, ROW, TIME_FIELDS, field_names
from fraudgraph.tables.columns import Columns, Errors, name_causes
from fraudgraph.tables.fields import digest, read_amount, read_text, read_times, rfc3339
from fraudgraph.tables.plan import Block, bind
from fraudgraph.tables.read import count_rows
from fraudgraph.tables.report import BlockReport, ImportReport
from fraudgraph.tables.spec import Condition, Mapping
from fraudgraph.tables.spool import Origin, RejectLog, Spool

TORN = "row: not as many columns as the header"
_QUOTED = re.compile(r" '.*'", re.DOTALL)
DOUBLE_ID = "event_id: an earlier event has it"

OnProgress = Callable[[int, int | None], None]
"""Called with (rows done, rows in all or None where a CSV hides it)."""


def import_tables(
    mapping: Mapping,
    folder: Path,
    out: Path,
    on_progress: OnProgress | None = None,
    *,
    rejects: Path | None = None,
    max_examples: int = 5,
) -> ImportReport:
    """Writes the events of a folder of tables as JSON lines, sorted by time, and says what became of each row.

    Rows with the same time keep the order of the `[[events]]` blocks, then that of their files and rows. The
    output appears under its name only when it is complete. Memory holds one batch of rows, joined tables, and
    about 100 bytes per event.

    Args:
        rejects: where every rejected row is written as a JSON line, without its values.
        max_examples: rejects kept in the report, per table and reason.

    Raises:
        ConfigurationError: a file, column or join does not fit the mapping, or a file breaks off; nothing is
            written then.
        DependencyError: the output cannot be written.
    """
    blocks = bind(mapping, folder)
    counts = [count_rows(path, block.table.spec) for block in blocks for path in block.table.files]
    total = None if None in counts else sum(count or 0 for count in counts)
    report = ImportReport([BlockReport(block.table.name, block.events.type) for block in blocks])
    try:
        with RejectLog(report, rejects, max_examples) as log, Spool(out) as spool:
            for index, block in enumerate(blocks):
                for _ in _import_block(index, block, mapping, report.blocks[index], spool, log):
                    if on_progress is not None:
                        on_progress(report.rows, total)
            for origin in spool.drop_doubles():
                counted = report.blocks[origin.block]
                counted.events -= 1
                log.add(counted, blocks[origin.block].table.names[origin.file], origin.row, DOUBLE_ID)
            report.first_ms, report.last_ms = spool.time_range_ms()
            spool.write()
            log.commit()
    except OSError as error:  # what reading raises is told where it is read
        raise DependencyError(
            f"{out} cannot be written: {error.strerror}",
            do="Make room (twice the output's size), or choose another folder.",
        ) from error
    return report


def _import_block(
    index: int, block: Block, mapping: Mapping, counted: BlockReport, spool: Spool, log: RejectLog
) -> Iterator[None]:
    """Imports one block; yields after each batch."""
    struct = EVENT_STRUCTS[block.events.type]
    check = msgspec.json.Decoder(struct).decode
    encode = msgspec.json.Encoder().encode
    _, required = field_names(struct)
    for file, columns, errors, torn in block.batches():
        name = block.table.names[file]
        for number in torn:
            counted.rows += 1
            log.add(counted, name, number, TORN)
        if not len(columns):
            yield
            continue
        kept = _kept(block.events.where, columns, errors)
        undecided = set(errors)
        fields, times = _read_fields(block, mapping, columns, errors)
        names = list(fields)
        need = [names.index(name) for name in sorted(required)]
        counted.rows += len(columns)
        for row, values in enumerate(zip(*fields.values(), strict=True)):
            if not kept[row] and row not in undecided:
                counted.left_out += 1
                continue
            reason = errors.get(row)
            if reason is None:
                empty = next((names[i] for i in need if values[i] is None), None)
                reason = f"{empty}: empty" if empty is not None else None
            if reason is None:
                event = {"type": block.events.type}
                event.update((name, value) for name, value in zip(names, values, strict=True) if value is not None)
                line = encode(event)
                try:
                    check(line)
                except msgspec.ValidationError as error:
                    reason = _reason(error)
            if reason is not None:
                log.add(counted, name, columns.numbers[row], reason)
                continue
            counted.events += 1
            spool.add(line, str(event["event_id"]), times[row] or 0, Origin(index, file, columns.numbers[row]))
        yield


def _reason(error: msgspec.ValidationError) -> str:
    """Returns msgspec's words with the field in front, as in the other reasons, and without the value."""
    text, found, path = _QUOTED.sub("", str(error)).partition(" - at `$")
    return f"{path.strip('.`') if found else 'event'}: {text[0].lower()}{text[1:]}"


def _kept(where: Sequence[Condition], columns: Columns, errors: Errors) -> list[bool]:
    kept = [True] * len(columns)
    for condition in where:
        failed: Errors = {}
        values = columns.text(condition.column, failed)
        name_causes(errors, failed, "where")
        if condition.null is not None:
            test = [(value is None) == condition.null for value in values]
        elif condition.equals is not None:
            test = [value == _text(condition.equals) for value in values]
        elif condition.not_equals is not None:
            test = [value != _text(condition.not_equals) for value in values]
        else:
            allowed = {_text(value) for value in condition.in_ or ()}
            test = [value in allowed for value in values]
        kept = [a and b for a, b in zip(kept, test, strict=True)]
    return kept


def _text(value: str | int | bool) -> str:
    """Returns a value of the mapping as a column's text has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read_fields(
    block: Block, mapping: Mapping, columns: Columns, errors: Errors
) -> tuple[dict[str, list[str | None]], list[int | None]]:
    """Returns (field -> values, time of each row in ms); what cannot be read is in `errors`, named after its field."""
    events, defaults = block.events, mapping.defaults
    fields: dict[str, list[str | None]] = {"event_id": _event_ids(block, columns, errors)}
    times: list[int | None] = []
    names = [name for name in events.fields if name not in ("amount", "event_id")]
    if "amount" in events.fields:
        names.append("amount")  # after its currency
    for name in names:
        field = events.field(name)
        if field is None:
            continue
        failed: Errors = {}
        if name in TIME_FIELDS:
            read = read_times(field, columns, defaults.timezone, failed)
            fields[name] = rfc3339(read)
            times = read if name == "ts" else times
        elif name == "amount":
            given = fields.get("currency") or [None] * len(columns)
            currencies = [code or defaults.currency for code in given]
            fields[name] = read_amount(field, columns, currencies, block.table.spec.decimal, failed)
            fields["currency"] = [
                code if given[i] is not None or fields[name][i] is not None else None
                for i, code in enumerate(currencies)
            ]
        else:
            fields[name] = read_text(field, columns, failed)
        name_causes(errors, failed, name)
    return fields, times


def _event_ids(block: Block, columns: Columns, errors: Errors) -> list[str | None]:
    """Returns the mapped ids; without a mapping, ids of table, file and row number."""
    field = block.events.field("event_id")
    table, event = block.table.name, block.events.type
    if field is None:
        files, rows = columns.text(FILE, errors), columns.text(ROW, errors)
        return [f"{table}:{event}:{file}:{row}" for file, row in zip(files, rows, strict=True)]
    failed: Errors = {}
    ids = read_text(field, columns, failed)
    if field.hash is not None:
        ids = [digest((table, event, value)) for value in ids]
    name_causes(errors, failed, "event_id")
    return ids
