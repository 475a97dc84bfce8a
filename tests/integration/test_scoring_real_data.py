"""The scorer on real data, which it was not fitted on: what it calls rings, and what it leaves alone."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow.parquet as pq
import pytest

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.features import RING_MONEY
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.tables import import_tables, load_mapping
from training.replay import Candidates, passing_decoder, replay

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not there (../shared/data)"),
]


def replayed(name: str, folder: Path) -> list[tuple[Candidates, np.ndarray]]:
    """Returns the living rings every 14 days and at the end, with their probabilities as the shop had them."""
    events = folder / f"{name}.jsonl"
    import_tables(load_mapping(ROOT / "configs" / "datasets" / f"{name}.toml"), DATA / name, events)
    scorer = StructuralScorer()
    engine = Engine(LinkPolicy(), EngineRules(), scorer)
    moments = replay(events, engine, passing_decoder(), tick_ms=14 * DAY_MS)
    return [(rings, scorer.score(rings.features).probability) for rings in moments]


def day(moment: Candidates) -> str:
    return datetime.fromtimestamp(moment.as_of_ms / 1000, UTC).date().isoformat()


@pytest.fixture(scope="module")
def ecom(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Candidates, np.ndarray]]:
    return replayed("ecom", tmp_path_factory.mktemp("ecom"))


@pytest.fixture(scope="module")
def p2p(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Candidates, np.ndarray]]:
    return replayed("p2p", tmp_path_factory.mktemp("p2p"))


def part(members: Iterable[str], of: set[str]) -> float:
    listed = list(members)
    return sum(user in of for user in listed) / max(len(listed), 1)


def test_the_device_farms_of_january_are_rings_and_few_others(ecom: list[tuple[Candidates, np.ndarray]]) -> None:
    with (DATA / "ecom" / "fraud_data_prefix.csv").open(encoding="utf-8") as file:
        fraud = {row["user_id"] for row in csv.DictReader(file) if row["class"] == "1"}
    rings, said = next(moment for moment in ecom if day(moment[0]) >= "2015-01-20")
    likely = [team for team, p in zip(rings.members, said, strict=True) if p >= 0.5]
    assert len(likely) >= 400
    assert part((user for team in likely for user in team), fraud) >= 0.85
    assert sum(part(team, fraud) >= 0.5 for team in likely) >= 0.95 * len(likely)
    later = [p for moment, said in ecom if day(moment) >= "2015-07-20" for p in said.tolist()]
    assert all(p < 0.2 for p in later)


def test_large_harmless_components_do_not_head_the_queue(p2p: list[tuple[Candidates, np.ndarray]]) -> None:
    rules, harmless = PriorityRules(), largest_component("user_devices", "device_id")
    harmless_cards = largest_component("user_cards", "card_id")
    value, last = RING_MONEY.index("value_at_risk_minor"), RING_MONEY.index("last_ms")
    rings, said = p2p[-1]
    ranks = [
        rules.rank(int(money[value]), len(team), p, int(money[last]))
        for money, team, p in zip(rings.money, rings.members, said.tolist(), strict=True)
    ]
    queue = np.argsort(-np.array(ranks)).tolist()
    found = [k for k, team in enumerate(rings.members) if max(part(team, harmless), part(team, harmless_cards)) >= 0.5]
    assert max(len(rings.members[k]) for k in found) > 60, "the components must be candidates, or nothing is tested"
    assert all(said[k] < 0.02 for k in found)
    assert queue[0] not in found


def test_known_fraud_is_in_the_upper_part_of_the_candidates(p2p: list[tuple[Candidates, np.ndarray]]) -> None:
    users = pq.read_table(DATA / "p2p" / "users.parquet").to_pylist()
    fraud = {str(row["user_id"]) for row in users if row["first_chargeback_date"] is not None}
    rings, said = p2p[-1]
    order = np.argsort(-said).tolist()
    upper, lower = order[: len(order) * 3 // 10], order[len(order) * 3 // 10 :]
    share = [part((user for k in half for user in rings.members[k]), fraud) for half in (upper, lower)]
    assert share[0] > 3.0 * share[1]
    assert float(np.mean(said >= 0.5)) < 0.03, "98.7 % of those who share are clean"


def largest_component(table: str, column: str) -> set[str]:
    """Returns the users of the largest component by one kind of identifier, which holds no known fraud."""
    graph = nx.Graph()
    rows = pq.read_table(DATA / "p2p" / f"{table}.parquet").to_pylist()
    graph.add_edges_from((("user", str(row["user_id"])), (column, row[column])) for row in rows)
    components = [{key for kind, key in c if kind == "user"} for c in nx.connected_components(graph)]
    return max(components, key=len)
