"""Any table, whatever is in it: each row is an event that says what the row says, or a counted reject."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudgraph.events.schema import Order
from fraudgraph.tables import import_tables, load_mapping
from fraudgraph.tables.report import ImportReport

MAPPING = """
[defaults]
currency = "EUR"
[tables.t]
file = "t.*"
[[events]]
table = "t"
type = "order"
[events.fields]
event_id = {template = "{$row}"}
ts = "when"
user_id = "user"
amount = "sum"
address = "street"
"""

names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 12, 31)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000, tzinfo=UTC)
)
sums = st.decimals(0, 10**9, places=2, allow_nan=False)
good_rows = st.lists(st.tuples(names, times, st.none() | sums, st.none() | names), max_size=20)
junk = st.lists(st.tuples(*[st.text(st.characters(codec="utf-8"), max_size=8)] * 4), max_size=20)


def run(write: Any) -> tuple[list[Order], ImportReport, list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tables").mkdir()
        write(folder / "tables")
        (folder / "m.toml").write_text(MAPPING)
        out, rejects = folder / "out.jsonl", folder / "rejects.jsonl"
        report = import_tables(load_mapping(folder / "m.toml"), folder / "tables", out, rejects=rejects)
        events = [msgspec.json.decode(line, type=Order) for line in out.read_bytes().splitlines()]
        return events, report, [msgspec.json.decode(line) for line in rejects.read_bytes().splitlines()]


def write_csv(rows: list[tuple[str, ...]]) -> Any:
    def write(folder: Path) -> None:
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        writer.writerow(["user", "when", "sum", "street"])
        writer.writerows(rows)
        (folder / "t.csv").write_bytes(text.getvalue().encode())

    return write


def check(
    rows: list[tuple[str, datetime, Decimal | None, str | None]], events: list[Order], report: ImportReport
) -> None:
    expected = {}
    for number, (user, when, total, street) in enumerate(rows, start=1):
        if user.strip():
            expected[str(number)] = (user.strip(), when, total, (street or "").strip() or None)
    assert {e.event_id: (e.user_id, e.ts, e.amount, e.address) for e in events} == expected
    assert [e.ts for e in events] == sorted(e.ts for e in events)
    assert report.rejected == len(rows) - len(expected)
    assert set(report.reasons) <= {("t", "user_id: empty")}


@settings(max_examples=60, deadline=None)
@given(good_rows)
def test_csv_round_trip(rows: list[tuple[str, datetime, Decimal | None, str | None]]) -> None:
    cells = [(u, w.isoformat(), "" if s is None else str(s), street or "") for u, w, s, street in rows]
    events, report, _ = run(write_csv(cells))
    check(rows, events, report)


@settings(max_examples=60, deadline=None)
@given(good_rows, st.sampled_from(["ms", "us", "ns"]))
def test_parquet_round_trip(rows: list[tuple[str, datetime, Decimal | None, str | None]], unit: str) -> None:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]

    def write(folder: Path) -> None:
        table = pa.table(
            {
                "user": pa.array(columns[0], pa.string()),
                "when": pa.array(columns[1], pa.timestamp(unit, tz="UTC")),
                "sum": pa.array(columns[2], pa.decimal128(12, 2)),
                "street": pa.array(columns[3], pa.string()),
            }
        )
        pq.write_table(table, folder / "t.parquet", row_group_size=7)

    events, report, _ = run(write)
    check(rows, events, report)


@settings(max_examples=60, deadline=None)
@given(junk)
def test_every_row_is_an_event_or_a_counted_reject(rows: list[tuple[str, ...]]) -> None:
    events, report, rejects = run(write_csv(rows))
    assert report.rows == len(rows)
    numbers = [int(event.event_id) for event in events] + [reject["row"] for reject in rejects]
    assert sorted(numbers) == list(range(1, len(rows) + 1))
    assert sum(report.reasons.values()) == report.rejected == len(rejects)


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1e9), st.timedeltas(timedelta(0), timedelta(days=80_000)))
def test_doubles_and_naive_times_in_parquet(total: float, since: timedelta) -> None:
    when = datetime(1970, 1, 1) + since

    def write(folder: Path) -> None:
        table = pa.table({"user": ["a"], "when": [when], "sum": [total], "street": ["x"]})
        pq.write_table(table, folder / "t.parquet")

    (event,), _, _ = run(write)
    assert event.amount is not None
    assert abs(event.amount - Decimal(total)) <= Decimal("0.005000001")
    assert event.amount == event.amount.quantize(Decimal("0.01"))
    assert timedelta(0) <= when.replace(tzinfo=UTC) - event.ts < timedelta(milliseconds=1)
