"""Imports of tables that nobody prepared for it."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.tables import ImportReport, import_tables, load_mapping

LOGIN = """
[tables.t]
file = "t.csv"
{table}
[[events]]
table = "t"
type = "login"
{events}
[events.fields]
ts = {ts}
user_id = "user"
{fields}
"""


class Shop:
    """A folder of tables, and the import of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tables"
        self.folder.mkdir()
        self.mapping = folder / "shop.toml"
        self.out = folder / "out" / "events.jsonl"
        self.rejects = folder / "out" / "rejects.jsonl"

    def csv(self, content: str | bytes, name: str = "t.csv") -> None:
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def parquet(self, name: str, **columns: Any) -> None:
        pq.write_table(pa.table(columns), self.folder / name)

    def run(self, mapping: str) -> tuple[list[dict[str, Any]], ImportReport]:
        self.mapping.write_text(mapping)
        report = import_tables(load_mapping(self.mapping), self.folder, self.out, rejects=self.rejects)
        assert report.rows == report.events + report.left_out + report.rejected
        assert len(self.rejects.read_text().splitlines()) == report.rejected == sum(report.reasons.values())
        lines = self.out.read_text().splitlines()
        assert len(lines) == report.events
        assert sorted(path.name for path in self.out.parent.iterdir()) == ["events.jsonl", "rejects.jsonl"]
        return [json.loads(line) for line in lines], report

    def login(
        self, *, ts: str = '"when"', table: str = "", events: str = "", fields: str = ""
    ) -> tuple[list[dict[str, Any]], ImportReport]:
        return self.run(LOGIN.format(ts=ts, table=table, events=events, fields=fields))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def reasons(report: ImportReport) -> dict[str, int]:
    return {reason: count for (_, reason), count in report.reasons.items()}


def test_rows_become_events_in_order_of_time(shop: Shop) -> None:
    shop.csv("user,when\nb,2026-03-02\n007,2026-03-01T10:00:00+02:00\n a ,2026-03-01 08:00:00.123456\n")
    events, report = shop.login()
    assert events == [
        {"type": "login", "event_id": "t:login:t.csv:2", "ts": "2026-03-01T08:00:00Z", "user_id": "007"},
        {"type": "login", "event_id": "t:login:t.csv:3", "ts": "2026-03-01T08:00:00.123Z", "user_id": "a"},
        {"type": "login", "event_id": "t:login:t.csv:1", "ts": "2026-03-02T00:00:00Z", "user_id": "b"},
    ]
    assert report.first_ms == datetime(2026, 3, 1, 8, tzinfo=UTC).timestamp() * 1000


@pytest.mark.parametrize(
    ("ts", "cell", "expected"),
    [
        ('{column="when", time="unix_s"}', "1772352000", "2026-03-01T08:00:00Z"),
        ('{column="when", time="unix_s"}', "1772352000.9999", "2026-03-01T08:00:00.999Z"),
        ('{column="when", time="unix_ms"}', "1772352000001", "2026-03-01T08:00:00.001Z"),
        ('{column="when", timezone="Europe/Berlin"}', "2026-07-01 10:00", "2026-07-01T08:00:00Z"),
        ('{column="when", timezone="Europe/Berlin"}', "2026-10-25 02:30", "2026-10-25T00:30:00Z"),  # repeated hour
        ('{column="when", time="date", at="23:59:59"}', "2026-03-01", "2026-03-01T23:59:59Z"),
        ('{column="when", time="strftime:%d.%m.%Y %H:%M"}', "01.03.2026 08:00", "2026-03-01T08:00:00Z"),
        ('{column="when", time="strftime:%d/%m/%Y", at="12:00"}', "01/03/2026", "2026-03-01T12:00:00Z"),
        ('{template="{when} {hour}:00"}', "2026-03-01", "2026-03-01T09:00:00Z"),
    ],
)
def test_times(shop: Shop, ts: str, cell: str, expected: str) -> None:
    shop.csv(f"user,when,hour\na,{cell},09\n")
    events, _ = shop.login(ts=ts)
    assert [event["ts"] for event in events] == [expected]


@pytest.mark.parametrize(
    ("ts", "cell", "reason"),
    [
        ('"when"', "", "ts: empty"),
        ('"when"', "yesterday", "ts: not a time as `iso` says"),
        ('"when"', "1969-12-31", "ts: outside the years 1970 to 2200"),
        ('"when"', "9999-12-31", "ts: outside the years 1970 to 2200"),
        ('"when"', "0001-01-01T00:00:00+14:00", "ts: outside the years 1970 to 2200"),
        ('{column="when", time="unix_s"}', "1772352000000", "ts: outside the years 1970 to 2200"),
        ('{column="when", time="unix_s"}', "1e300", "ts: outside the years 1970 to 2200"),
        ('{column="when", time="unix_ms"}', "nan", "ts: not a number"),
        ('{column="when", time="date"}', "2026-03-01 10:00", "ts: not a time as `date` says"),
        ('{column="when", time="strftime:%Y"}', "26", "ts: not a time as `strftime:%Y` says"),
    ],
)
def test_times_that_are_none(shop: Shop, ts: str, cell: str, reason: str) -> None:
    shop.csv(f"user,when\na,{cell}\n")
    events, report = shop.login(ts=ts)
    assert (events, reasons(report)) == ([], {reason: 1})


def test_parquet_types(shop: Shop) -> None:
    shop.parquet(
        "t.parquet",
        user=[1.0, None, 3.0],  # as pandas writes ids with gaps
        day=[date(2026, 3, 1)] * 3,
        ns=pa.array([1_772_352_000_000_000_999, None, 0], pa.timestamp("ns")),
        zoned=pa.array([datetime(2026, 3, 1, 8, tzinfo=UTC)] * 3, pa.timestamp("us", tz="America/New_York")),
        kind=pa.array(["x", "y", "x"]).dictionary_encode(),
        flag=[True, False, None],
    )
    fields = """
user_id = {template = "u{user}"}
device_id = {template = "{kind}-{flag}"}
"""
    blocks = "".join(
        f'[[events]]\ntable = "t"\ntype = "login"\n[events.fields]\n'
        f'event_id = {{template="{c}{{$row}}"}}\nts = "{c}"\n{fields}'
        for c in ("day", "ns", "zoned")
    )
    events, report = shop.run('[tables.t]\nfile = "*.parquet"\n[defaults]\ntimezone = "Asia/Tokyo"\n' + blocks)
    assert {event["event_id"]: event["ts"] for event in events} == {
        "ns1": "2026-02-28T23:00:00Z",
        "day1": "2026-02-28T15:00:00Z",
        "day3": "2026-02-28T15:00:00Z",
        "zoned1": "2026-03-01T08:00:00Z",
        "zoned3": "2026-03-01T08:00:00Z",
    }
    assert {event["user_id"] for event in events} == {"u1", "u3"}
    assert next(event for event in events if event["event_id"] == "day1")["device_id"] == "x-true"
    assert "device_id" not in next(event for event in events if event["event_id"] == "day3")
    assert reasons(report) == {"user_id: empty": 2, "ts: empty": 1, "ts: outside the years 1970 to 2200": 1}


ORDER = """
[defaults]
currency = "EUR"
[tables.t]
file = "{file}"
{table}
[[events]]
table = "t"
type = "order"
[events.fields]
ts = "when"
user_id = "user"
amount = {amount}
{fields}
"""


@pytest.mark.parametrize(
    ("amount", "cell", "expected"),
    [
        ('"sum"', "12.5", "12.50"),
        ('"sum"', "12.500", "12.50"),
        ('"sum"', "1,234.5", "1234.50"),
        ('"sum"', "1e3", "1000.00"),
        ('"sum"', "-0", "0.00"),
        ('"sum"', "12.345", "amount: more decimals than EUR has"),
        ('{column="sum", round=true}', "12.345", "12.34"),
        ('{column="sum", round=true}', "12.355", "12.36"),
        ('{column="sum", minor_units=true}', "1250", "12.50"),
        ('{column="sum", minor_units=true}', "1250.5", "amount: more decimals than EUR has"),
        ('{column="sum", absolute=true}', "-3", "3.00"),
        ('"sum"', "-3", "amount: negative"),
        ('"sum"', "NaN", "amount: not a number"),
        ('"sum"', "Infinity", "amount: not a number"),
        ('"sum"', "1_000", "amount: not a number"),
        ('"sum"', "٣", "amount: not a number"),
        ('"sum"', "1,23", "amount: not a number"),
        ('"sum"', "1e999999999", "amount: not a number"),
        ('"sum"', "1e300", "amount: absurdly large"),
        ('{column="sum", round=true}', "1e300", "amount: absurdly large"),
    ],
)
def test_amounts_in_text(shop: Shop, amount: str, cell: str, expected: str) -> None:
    shop.csv(f'user,when,sum\na,2026-03-01,"{cell}"\n')
    events, report = shop.run(ORDER.format(file="t.csv", amount=amount, table="", fields=""))
    assert [event["amount"] for event in events] or list(reasons(report)) == [expected]
    if events:
        assert (events[0]["amount"], events[0]["currency"]) == (expected, "EUR")


def test_decimal_comma(shop: Shop) -> None:
    shop.csv("user;when;sum\na;2026-03-01;1.234,5\nb;2026-03-01;1.5\n")
    events, report = shop.run(
        ORDER.format(file="t.csv", amount='"sum"', table='delimiter = ";"\ndecimal = ","', fields="")
    )
    assert [event["amount"] for event in events] == ["1234.50"]
    assert reasons(report) == {"amount: not a number": 1}


def test_doubles_are_rounded_half_to_even_and_decimals_are_not(shop: Shop) -> None:
    sums = [0.1 + 0.2, 2.675, 0.125, 0.375, 1e22, float("nan"), None]
    shop.parquet("t.parquet", user=list("abcdefg"), when=["2026-03-01"] * 7, sum=sums)
    mapping = ORDER.format(file="t.parquet", amount='"sum"', table="", fields="")
    events, report = shop.run(mapping)
    assert [event.get("amount") for event in events] == ["0.30", "2.68", "0.12", "0.38", None]
    assert "currency" not in events[-1]
    assert reasons(report) == {"amount: absurdly large": 1, "amount: not a number": 1}
    shop.parquet("t.parquet", user=["a", "b"], when=["2026-03-01"] * 2, sum=[Decimal("0.125"), Decimal("0.120")])
    events, report = shop.run(mapping)
    assert [event["amount"] for event in events] == ["0.12"]
    assert reasons(report) == {"amount: more decimals than EUR has": 1}


def test_currencies_by_row(shop: Shop) -> None:
    shop.csv(
        "user,when,sum,cur\na,2026-03-01,5,JPY\nb,2026-03-01,5.5,JPY\nc,2026-03-01,5.125,BHD\nd,2026-03-01,5,\ne,2026-03-01,5,XAU\n"
    )
    events, report = shop.run(ORDER.format(file="t.csv", amount='"sum"', table="", fields='currency = "cur"'))
    assert [(e["amount"], e["currency"]) for e in events] == [("5", "JPY"), ("5.125", "BHD"), ("5.00", "EUR")]
    assert reasons(report) == {
        "amount: more decimals than JPY has": 1,
        "amount: not a code of ISO 4217 that has a minor unit": 1,
    }


def test_addresses_as_numbers(shop: Shop) -> None:
    shop.csv("user,when,n\na,2026-03-01,732758368.8\nb,2026-03-01,\nc,2026-03-01,4294967296\nd,2026-03-01,x\n")
    events, report = shop.login(fields='ip = {column = "n", as = "ipv4_int"}')
    assert [event.get("ip") for event in events] == ["43.173.1.96", None]
    assert reasons(report) == {"ip: not an IPv4 address": 1, "ip: not a number": 1}


def test_conditions_leave_rows_out_whatever_else_is_wrong_with_them(shop: Shop) -> None:
    shop.csv("user,when,s\na,2026-03-01,1\nb,never,2\nc,2026-03-01,3\n,2026-03-01,\n")
    events, report = shop.login(
        events='where = [{column="s", null=false}, {column="s", not_equals=3}, {column="s", in=[1, "3"]}]'
    )
    assert [event["user_id"] for event in events] == ["a"]
    assert (report.left_out, report.rejected) == (3, 0)


def test_conditions_on_true_and_false(shop: Shop) -> None:
    shop.parquet("t.parquet", user=["a", "b", "c"], when=["2026-03-01"] * 3, test=[True, False, None])
    mapping = LOGIN.format(ts='"when"', table="", events='where = [{column="test", equals=false}]', fields="")
    events, _ = shop.run(mapping.replace("t.csv", "t.parquet"))
    assert [event["user_id"] for event in events] == ["b"]


def test_times_at_the_ends_of_their_types(shop: Shop) -> None:
    ends = [-(2**63), 2**63 - 1]
    for unit in ("ms", "us", "ns"):
        shop.parquet("t.parquet", user=["a", "b"], when=pa.array(ends, pa.timestamp(unit)))
        for zone in ("UTC", "Europe/Berlin"):
            ts = f'{{column="when", timezone="{zone}"}}'
            mapping = LOGIN.format(ts=ts, table="", events="", fields="").replace("t.csv", "t.parquet")
            events, report = shop.run(mapping)
            assert (events, report.rejected) == ([], 2)


def test_columns_that_are_no_text(shop: Shop) -> None:
    shop.parquet("t.parquet", user=[["a"]], when=["2026-03-01"])
    with pytest.raises(ConfigurationError, match=r"column `user` holds values of type list"):
        shop.run(LOGIN.format(ts='"when"', table="", events="", fields="").replace("t.csv", "t.parquet"))


def test_joins_on_several_columns(shop: Shop) -> None:
    shop.csv("user,when,shop,no\na,2026-03-01,1,10\nb,2026-03-01,1,11\nc,2026-03-01,2,10\nd,2026-03-01,,10\n")
    shop.parquet("cards.parquet", branch=[1, 2, None], number=[10.0, 10.0, 10.0], card=["tok-a", "tok-c", "tok-x"])
    mapping = LOGIN.format(
        ts='"when"',
        table='[tables.cards]\nfile = "cards.parquet"',
        events='join = [{table="cards", on={shop="branch", no="number"}}]',
        fields='card = "cards.card"',
    )
    events, _ = shop.run(mapping)
    assert [(event["user_id"], event.get("card")) for event in events] == [
        ("a", "tok-a"),
        ("b", None),
        ("c", "tok-c"),
        ("d", None),
    ]
    shop.parquet("cards.parquet", branch=[1, 1], number=[10, 10], card=["x", "y"])
    with pytest.raises(ConfigurationError, match="two rows for one key"):
        shop.run(mapping)


def test_joins_that_do_not_fit(shop: Shop) -> None:
    shop.csv("user,when,no\na,2026-03-01,10\n")
    shop.csv("no,card\n10,tok\n11\n", "cards.csv")

    def login(on: str = '"no"', column: str = "cards.card") -> None:
        table = '[tables.cards]\nfile = "cards.csv"'
        shop.login(table=table, events=f'join = [{{table="cards", on={on}}}]', fields=f'card = "{column}"')

    with pytest.raises(ConfigurationError, match=r"cards\.csv, row 2 has not as many columns"):
        login()
    shop.csv("no,card\n10,tok\n", "cards.csv")
    login()
    with pytest.raises(ConfigurationError, match="joined table cards has no column `num`"):
        login(on='{no="num"}')
    with pytest.raises(ConfigurationError, match="no column `num`"):
        login(on='{num="no"}')
    with pytest.raises(ConfigurationError, match=r"no column `cards\.crd`.*Did you mean `cards\.card`"):
        login(column="cards.crd")


def test_a_joined_table_of_several_files_and_of_none_that_match(shop: Shop) -> None:
    shop.csv("user,when,no,day\na,2026-03-01,10,1\nb,2026-03-01,11,1\n")
    shop.csv("no,day,card\n10,1,tok-a\n", "cards-1.csv")
    shop.csv("card,no,day\ntok-b,11,1\n", "cards-2.csv")
    shop.csv("no,day,card\n", "cards-3.csv")
    events, _ = shop.login(
        table='[tables.cards]\nfile = "cards-*.csv"',
        events='join = [{table="cards", on=["no", "day"]}]',
        fields="""
card = {column = "cards.card", prefix = "psp:"}
status = {constant = "approved"}
reason = {template = "none"}
""",
    )
    assert [(event["card"], event["status"], event["reason"]) for event in events] == [
        ("psp:tok-a", "approved", "none"),
        ("psp:tok-b", "approved", "none"),
    ]


def test_amounts_from_constants_and_replaced_values(shop: Shop) -> None:
    shop.csv("user,when,plan\na,2026-03-01,basic\nb,2026-03-01,gold\n")
    amount = '{column="plan", values={basic="9.99"}}'
    events, report = shop.run(ORDER.format(file="t.csv", amount=amount, table="", fields=""))
    assert [event["amount"] for event in events] == ["9.99"]
    assert reasons(report) == {"amount: not a number": 1}
    events, _ = shop.run(ORDER.format(file="t.csv", amount="{constant=5}", table="", fields=""))
    assert [event["amount"] for event in events] == ["5.00", "5.00"]


def test_a_folder_that_is_missing_and_a_file_that_is_no_parquet(shop: Shop) -> None:
    (shop.folder / "t.parquet").write_bytes(b"PAR1 nonsense")
    mapping = LOGIN.format(ts='"when"', table="", events="", fields="").replace("t.csv", "t.parquet")
    with pytest.raises(ConfigurationError, match=r"t\.parquet cannot be read"):
        shop.run(mapping)
    with pytest.raises(ConfigurationError, match="there is no folder"):
        import_tables(load_mapping(shop.mapping), shop.folder / "none", shop.out)
    assert not shop.out.exists()


def test_labels(shop: Shop) -> None:
    shop.csv("user,when,v\na,2026-03-01,1\nb,2026-03-01,0\nc,2026-03-01,?\n")
    events, report = shop.run(
        """
[tables.t]
file = "t.csv"
[[events]]
table = "t"
type = "label"
[events.fields]
event_id = {hash = ["user"]}
ts = "when"
about_ts = "when"
arrived_ts = "when"
target = {template = "user:{user}"}
value = {column = "v", values = {1 = "fraud", 0 = "legitimate"}}
source = {constant = "review"}
"""
    )
    assert [(event["target"], event["value"]) for event in events] == [("user:a", "fraud"), ("user:b", "legitimate")]
    (reason,) = reasons(report)
    assert reason.startswith("value: ")
    assert "?" not in reason


def test_ids_that_come_twice_count_once(shop: Shop) -> None:
    shop.csv("user,when,id\na,2026-03-02,x\nb,2026-03-01,x\nc,2026-03-03,y\n")
    events, report = shop.login(fields='event_id = "id"')
    assert [event["user_id"] for event in events] == ["b", "c"]
    assert reasons(report) == {"event_id: an earlier event has it": 1}
    assert [(r.file, r.row) for r in report.examples] == [("t.csv", 1)]


def test_hashes_depend_on_values_and_not_on_order_of_rows(shop: Shop) -> None:
    hashed = 'event_id = {hash = ["user", "when"]}'
    shop.csv("user,when\na,2026-03-01\nb,2026-03-01\n")
    first, _ = shop.login(fields=hashed)
    shop.csv("when,user\n2026-03-01,b\n2026-03-01,a\n")
    second, _ = shop.login(fields=hashed)
    assert {e["user_id"]: e["event_id"] for e in first} == {e["user_id"]: e["event_id"] for e in second}
    assert len({e["event_id"] for e in first}) == 2


def test_rows_that_are_torn_too_long_or_not_in_the_encoding(shop: Shop) -> None:
    long_id = "x" * 257
    shop.csv(
        b"\xef\xbb\xbfuser,when\r\na,2026-03-01\r\nb\r\n\r\n\xff,2026-03-01\r\n"
        + f"{long_id},2026-03-01\r\n".encode()
        + b'"q,\n""1""",2026-03-01\r\nc,2026-03-01,3\r\nd,2026-03-01'
    )
    events, report = shop.login()
    assert [event["user_id"] for event in events] == ["a", 'q,\n"1"', "d"]
    found = {(reject.row, reject.reason) for reject in report.examples}
    assert found == {
        (2, "row: not as many columns as the header"),
        (3, "user_id: not in the table's encoding"),
        (4, "user_id: expected `str` of length <= 256"),
        (6, "row: not as many columns as the header"),
    }
    assert long_id not in shop.rejects.read_text()
    assert events[-1]["event_id"] == "t:login:t.csv:7"


def test_encodings_delimiters_compression_and_nulls(shop: Shop) -> None:
    content = "user\twhen\nJosé\t2026-03-01\nNULL\t2026-03-01\n".encode("latin-1")
    (shop.folder / "t.tsv.gz").write_bytes(gzip.compress(content))
    mapping = LOGIN.format(ts='"when"', table='encoding = "latin-1"\nnulls = ["NULL"]', events="", fields="")
    events, report = shop.run(mapping.replace("t.csv", "t.tsv.gz"))
    assert [event["user_id"] for event in events] == ["José"]
    assert reasons(report) == {"user_id: empty": 1}


def test_a_quote_that_never_closes_is_located(shop: Shop) -> None:
    shop.csv('user,when\na,2026-03-01\n"b,2026-03-01\nc,2026-03-01\n')
    with pytest.raises(ConfigurationError, match="a quote opens in row 2"):
        shop.login()
    events, _ = shop.login(table="quotes = false")
    assert [event["user_id"] for event in events] == ["a", '"b', "c"]
    shop.csv('user,when\n5" pipe,2026-03-01\n')
    assert shop.login()[0][0]["user_id"] == '5" pipe'


def test_files_of_a_pattern_and_folders(shop: Shop) -> None:
    for month in ("01", "02"):
        (shop.folder / month).mkdir()
        shop.csv(f"user,when\na,2026-{month}-01\n", f"{month}/t.csv")
    mapping = LOGIN.format(ts='"when"', table="", events="", fields="").replace('"t.csv"', '"*/t.csv"')
    events, _ = shop.run(mapping)
    assert [event["event_id"] for event in events] == ["t:login:01/t.csv:1", "t:login:02/t.csv:1"]


def test_a_table_without_rows(shop: Shop) -> None:
    shop.csv("user,when\n")
    events, report = shop.login()
    assert (events, report.rows, report.first_ms) == ([], 0, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"there is no file t\.csv"),
        ("", "is empty"),
        ("user,date\na,2026-03-01\n", "no column `when`"),
        ("usr,when\na,2026-03-01\n", "no column `user`.*Did you mean `usr`"),
        ("user,when,user\na,2026-03-01,b\n", "two columns `user`"),
    ],
)
def test_what_does_not_fit_stops_before_anything_is_written(shop: Shop, content: str | None, message: str) -> None:
    if content is not None:
        shop.csv(content)
    with pytest.raises(ConfigurationError, match=message):
        shop.login()
    assert not shop.out.parent.exists()


def test_a_table_that_breaks_off_leaves_the_old_output(shop: Shop) -> None:
    shop.csv("user,when\na,2026-03-01\n")
    shop.login()
    before = shop.out.read_bytes()
    path = shop.folder / "t.csv.gz"
    path.write_bytes(
        gzip.compress(b"user,when\n" + b"".join(b"u%d,2026-03-01\n" % (i * 7919) for i in range(300_000)))[:-3000]
    )
    with pytest.raises(ConfigurationError, match="cannot be read"):
        # Without quotes nobody has read it to its end before the import does.
        mapping = LOGIN.format(ts='"when"', table="quotes = false", events="", fields="")
        shop.run(mapping.replace("t.csv", "t.csv.gz"))
    assert shop.out.read_bytes() == before
    assert sorted(p.name for p in shop.out.parent.iterdir()) == ["events.jsonl", "rejects.jsonl"]


def test_progress_counts_rows(shop: Shop) -> None:
    shop.parquet("t.parquet", user=["a", "b"], when=["2026-03-01"] * 2)
    shop.mapping.write_text(LOGIN.format(ts='"when"', table="", events="", fields="").replace("t.csv", "t.parquet"))
    calls: list[tuple[int, int | None]] = []
    import_tables(load_mapping(shop.mapping), shop.folder, shop.out, lambda done, total: calls.append((done, total)))
    assert calls == [(2, 2)]


def test_an_output_that_cannot_be_written(shop: Shop) -> None:
    shop.csv("user,when\na,2026-03-01\n")
    shop.out.parent.write_text("a file where a folder should be")
    with pytest.raises(DependencyError, match="cannot be written"):
        shop.login()
