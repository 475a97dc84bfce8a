"""The mapping for the IEEE-CIS set, on rows made by hand after its published columns; the real files are not here."""

from __future__ import annotations

import json
from pathlib import Path

from fraudgraph.tables import import_tables, load_mapping

MAPPING = Path(__file__).parents[2] / "configs" / "datasets" / "ieee-cis.toml"
TRANSACTIONS = """\
TransactionID,isFraud,TransactionDT,TransactionAmt,ProductCD,card1,card2,card3,card4,card5,card6,addr1,addr2
2987000,0,86400,68.5,W,13926,,150.0,discover,142.0,credit,315.0,87.0
2987001,1,86401,29.125,W,2755,404.0,150.0,mastercard,102.0,credit,325.0,87.0
2987002,0,86469,59.0,W,13926,,150.0,discover,142.0,credit,315.0,87.0
"""
IDENTITY = """\
TransactionID,id_01,DeviceType,DeviceInfo
2987001,0.0,mobile,SAMSUNG SM-G892A Build/NRD90M
"""


def test_rows_become_orders_of_accounts_that_share_nothing(tmp_path: Path) -> None:
    (tmp_path / "train_transaction.csv").write_text(TRANSACTIONS)
    (tmp_path / "train_identity.csv").write_text(IDENTITY)
    out = tmp_path / "events.jsonl"
    import_tables(load_mapping(MAPPING), tmp_path, out)
    first, second, third = map(json.loads, out.read_text().splitlines())
    assert first["user_id"] == third["user_id"] != second["user_id"], "equal card attributes are taken for one account"
    assert [event["ts"] for event in (first, second)] == ["1970-01-02T00:00:00Z", "1970-01-02T00:00:01Z"]
    assert [event["amount"] for event in (first, second, third)] == ["68.50", "29.12", "59.00"]
    assert second["user_agent"].startswith("SAMSUNG")
    for event in (first, second, third):
        assert event["type"] == "order"
        assert not {"device_id", "ip", "card", "email", "phone", "address"} & set(event), "nothing to share"
        assert "fraud" not in json.dumps(event).lower(), "a label without a time of arrival is no event"
