"""A training table: accounts at moments, with features, a label, and which part of the split each row is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.graph.types import I64, Bool
from fraudgraph.scoring.gnn.model import F32

if TYPE_CHECKING:
    import pyarrow as pa

TRAIN, STOP, TEST = "train", "stop", "test"
ROLES = {
    "train": TRAIN,
    "fit": TRAIN,
    "stop": STOP,
    "valid": STOP,
    "validation": STOP,
    "dev": STOP,
    "test": TEST,
    "calibrate": TEST,
}
"""What a split column may say."""
USER, CUT, LABEL, SPLIT = "user", "cut_ts", "label", "split"
_TRUE, _FALSE = ("1", "true", "fraud", "yes"), ("0", "false", "legitimate", "no")


@dataclass(frozen=True, slots=True)
class Table:
    """`n` rows.

    Attributes:
        users: `[n]` business keys, as in the events.
        cut_ms: `[n]` the moment that a row speaks of: its features must see nothing later.
        names, x: `k` features, `[n, k]` float32; nan where a value is absent.
        label: `[n]` bool, fraud.
        split: `[n]` of `TRAIN`, `STOP`, `TEST`; None where the table has no split.
        skipped: columns that hold no numbers, and are not looked at.
    """

    users: tuple[str, ...]
    cut_ms: I64
    names: tuple[str, ...]
    x: F32
    label: Bool
    split: npt.NDArray[np.str_] | None = None
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.users)

    def role(self, role: str) -> Bool:
        """Returns which rows play a part, `[n]`; none do where there is no split."""
        return np.zeros(len(self), np.bool_) if self.split is None else np.asarray(self.split == role)

    @property
    def learnt(self) -> Bool:
        """Which rows are learnt from or stopped on: all that are not tested on."""
        return ~self.role(TEST)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Table:
        """Returns some rows."""
        places = np.arange(len(self))[rows]
        return replace(
            self,
            users=tuple(self.users[place] for place in places.tolist()),
            cut_ms=self.cut_ms[places],
            x=self.x[places],
            label=self.label[places],
            split=None if self.split is None else self.split[places],
        )


def read_table(path: Path) -> Table:
    """Returns the table in a CSV or Parquet file.

    It has the columns `user`, `cut_ts` (a timestamp, RFC 3339 text, or ms since the epoch), `label` (0 or 1, or fraud
    or legitimate) and, where it was split, `split` (train, stop, test). Every other column of numbers is a feature.

    Raises:
        DependencyError: the file cannot be read.
        ConfigurationError: a column is missing, or holds what it must not.
    """
    found = _read(path)
    for name in (USER, CUT, LABEL):
        if name not in found.column_names:
            raise ConfigurationError(
                f"{path.name} has no column {name!r}",
                do="A training table has user, cut_ts, label, features, and split where it was split.",
            )
    names, columns, skipped = [], [], []
    for name in found.column_names:
        if name in (USER, CUT, LABEL, SPLIT):
            continue
        values = _numbers(found.column(name))
        if values is None:
            skipped.append(name)
        else:
            names.append(name)
            columns.append(values)
    if not len(found):
        raise ConfigurationError(f"{path.name} has no rows", do="Give the table that the model was trained on.")
    return Table(
        users=tuple(map(str, found.column(USER).to_pylist())),
        cut_ms=_times(found.column(CUT)),
        names=tuple(names),
        x=np.stack(columns, axis=1) if columns else np.empty((len(found), 0), np.float32),
        label=_labels(found.column(LABEL).to_pylist()),
        split=_split(found.column(SPLIT).to_pylist()) if SPLIT in found.column_names else None,
        skipped=tuple(skipped),
    )


def write_table(table: Table, path: Path) -> None:
    """Writes a table as `read_table` reads it; CSV or Parquet by its name.

    Raises:
        ConfigurationError: it is called neither.
    """
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet

    columns: dict[str, Any] = {
        USER: pa.array(table.users, pa.string()),
        CUT: pa.array(table.cut_ms, pa.timestamp("ms", tz="UTC")),
        **{name: table.x[:, at] for at, name in enumerate(table.names)},
        LABEL: table.label.astype(np.int8),
    }
    if table.split is not None:
        columns[SPLIT] = pa.array(table.split.tolist(), pa.string())
    if path.suffix == ".csv":
        csv.write_csv(pa.table(columns), path)
    elif path.suffix == ".parquet":
        parquet.write_table(pa.table(columns), path)
    else:
        raise ConfigurationError(f"{path.name} is no name of a table", do="Let it end in .csv or .parquet.")


def _read(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet

    try:
        if path.suffix == ".parquet":
            return parquet.read_table(path)
        if path.suffix == ".csv":
            as_text = csv.ConvertOptions(column_types={USER: pa.string()})
            return csv.read_csv(path, convert_options=as_text)
    except OSError as error:
        raise DependencyError(f"{path} cannot be read ({error.strerror or 'it is damaged'})", do="Check it.") from error
    except pa.ArrowInvalid as error:
        raise ConfigurationError(f"{path.name} is no such table", do="Write it again, with a header.") from error
    raise ConfigurationError(f"{path.name} is no kind of table", do="Give one that ends in .csv or .parquet.")


def _numbers(column: pa.ChunkedArray) -> F32 | None:
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    values = column.cast(pa.int8()) if pa.types.is_boolean(kind) else column
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), np.float32)


def _times(column: pa.ChunkedArray) -> I64:
    import pyarrow as pa

    if pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy(), np.int64)
    if pa.types.is_timestamp(column.type):
        return np.asarray(column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64()).to_numpy(), np.int64)
    try:
        moments = [datetime.fromisoformat(str(value)) for value in column.to_pylist()]
    except ValueError as error:
        raise ConfigurationError("cut_ts holds what is no time", do="Write RFC 3339, or ms since the epoch.") from error
    zoned = [moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in moments]
    return np.array([round(moment.timestamp() * 1000) for moment in zoned], np.int64)


def _labels(values: Sequence[object]) -> Bool:
    words = [str(value).lower() for value in values]
    unknown = sorted({word for word in words if word not in (*_TRUE, *_FALSE)})
    if unknown:
        raise ConfigurationError(
            f"label holds {unknown[0]!r}", do="Write 0 or 1; leave out rows of which nothing is known."
        )
    return np.array([word in _TRUE for word in words], np.bool_)


def _split(values: Sequence[object]) -> npt.NDArray[np.str_]:
    words = [str(value).lower() for value in values]
    unknown = sorted({word for word in words if word not in ROLES})
    if unknown:
        raise ConfigurationError(f"split holds {unknown[0]!r}", do=f"Use {', '.join(ROLES)}.")
    return np.array([ROLES[word] for word in words])
