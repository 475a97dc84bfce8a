"""An `[[events]]` block bound to the tables that are really there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.errors import ConfigurationError
from fraudgraph.tables.checks import FILE, ROW, nearest, template_columns
from fraudgraph.tables.columns import Columns, Errors, name_causes
from fraudgraph.tables.read import check_quotes, column_names, read_rows, table_files
from fraudgraph.tables.spec import Events, Join, Mapping, Table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class OpenTable:
    """A table's files and the columns that all of them have."""

    name: str
    spec: Table
    files: list[Path]
    names: list[str]
    columns: dict[Path, list[str]]
    common: set[str]
    nulls: frozenset[str]


@dataclass(slots=True)
class BoundJoin:
    """The right side of a join, in memory: key -> row, and the columns that the block uses."""

    left: list[str]
    rows: dict[tuple[str | None, ...], int]
    arrays: dict[str, pa.Array]
    nulls: frozenset[str]

    def apply(self, columns: Columns, errors: Errors) -> None:
        """Adds the joined columns; null where no row has the key."""
        import pyarrow as pa

        failed: Errors = {}
        keys = zip(*(columns.text(name, failed) for name in self.left), strict=True)
        name_causes(errors, failed, "join")
        take = pa.array([self.rows.get(key) for key in keys], pa.int64())
        for name, array in self.arrays.items():
            columns.add(name, array.take(take), self.nulls)


@dataclass(slots=True)
class Block:
    """What one `[[events]]` block reads."""

    events: Events
    table: OpenTable
    base_columns: list[str]
    joins: list[BoundJoin] = field(default_factory=list)

    def batches(self) -> Iterator[tuple[int, Columns, Errors, list[int]]]:
        """Yields (index of the file, columns, cells that joins could not read, numbers of torn rows)."""
        nulls = dict.fromkeys(self.base_columns, self.table.nulls)
        for file, path in enumerate(self.table.files):
            for rows in read_rows(path, self.table.spec, self.base_columns, self.table.columns[path]):
                columns = Columns(rows.columns, nulls, rows.numbers, self.table.names[file])
                errors: Errors = {}
                if len(columns):
                    for join in self.joins:
                        join.apply(columns, errors)
                yield file, columns, errors, rows.torn


def bind(mapping: Mapping, folder: Path) -> list[Block]:
    """Finds every file and column that the mapping names.

    Raises:
        ConfigurationError: a file or column is missing, or a join finds two rows for one key.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}", do="Name the folder that holds the tables.")
    used = {name for events in mapping.events for name in (events.table, *(join.table for join in events.join))}
    tables = {name: _open(name, table, folder) for name, table in mapping.tables.items() if name in used}
    return [_bind(events, tables, number) for number, events in enumerate(mapping.events, start=1)]


def _open(name: str, table: Table, folder: Path) -> OpenTable:
    files = table_files(folder, name, table)
    columns = {path: column_names(path, table) for path in files}
    for path in files:
        check_quotes(path, table)
    common = set.intersection(*(set(names) for names in columns.values()))
    names = [path.relative_to(folder).as_posix() for path in files]
    return OpenTable(name, table, files, names, columns, common, frozenset(table.nulls))


def _bind(events: Events, tables: dict[str, OpenTable], number: int) -> Block:
    base = tables[events.table]
    joined = {join.table: tables[join.table] for join in events.join}
    place = f"[[events]] number {number} ({events.type} from {events.table})"
    wanted: dict[str, set[str]] = {name: set() for name in joined}
    base_columns: set[str] = set()
    for reference in _references(events):
        if reference in base.common:
            base_columns.add(reference)
            continue
        table, _, column = reference.partition(".")
        if table in joined and column in joined[table].common:
            wanted[table].add(column)
            continue
        known = base.common | {f"{name}.{c}" for name, other in joined.items() for c in other.common}
        raise ConfigurationError(f"{place}: there is no column `{reference}`", do=nearest(reference, known))
    block = Block(events, base, sorted(base_columns))
    block.joins = [_bind_join(join, joined[join.table], wanted[join.table], place) for join in events.join]
    return block


def _references(events: Events) -> Iterable[str]:
    """Yields every column that a block names, in the order of the mapping."""
    for name in events.fields:
        given = events.field(name)
        if given is None:
            continue
        if given.column is not None:
            yield given.column
        names = [*(given.hash or ()), *(template_columns(given.template) if given.template else ())]
        yield from (n for n in names if n not in (ROW, FILE))
    for condition in events.where:
        yield condition.column
    for join in events.join:
        yield from (left for left, _ in join.pairs())


def _bind_join(join: Join, table: OpenTable, wanted: set[str], place: str) -> BoundJoin:
    import pyarrow as pa

    right = [name for _, name in join.pairs()]
    for name in right:
        if name not in table.common:
            raise ConfigurationError(
                f"{place}: joined table {table.name} has no column `{name}`", do=nearest(name, table.common)
            )
    needed = sorted(wanted | set(right))
    rows: dict[tuple[str | None, ...], int] = {}
    parts: dict[str, list[pa.Array]] = {name: [] for name in wanted}
    nulls = dict.fromkeys(needed, table.nulls)
    count = 0
    for path in table.files:
        for batch in read_rows(path, table.spec, needed, table.columns[path]):
            if batch.torn:
                raise ConfigurationError(
                    f"{place}: joined file {path.name}, row {batch.torn[0]} has not as many columns as the header",
                    do="Mend the row: what it would have joined is not known.",
                )
            columns = Columns(batch.columns, nulls, batch.numbers, path.name)
            if not len(columns):
                continue
            for key in zip(*(columns.text(name, {}) for name in right), strict=True):
                if None not in key and rows.setdefault(key, count) != count:
                    raise ConfigurationError(
                        f"{place}: table {table.name} has two rows for one key ({', '.join(right)})",
                        do="A join finds at most one row: join on more columns, or drop the doubles from the table.",
                    )
                count += 1
            for name in wanted:
                parts[name].append(batch.columns[name])
    arrays = {
        f"{table.name}.{name}": pa.concat_arrays(chunks) if chunks else pa.nulls(0, pa.string())
        for name, chunks in parts.items()
    }
    return BoundJoin([left for left, _ in join.pairs()], rows, arrays, table.nulls)
