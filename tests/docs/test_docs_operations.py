"""What operators are given fits the daemon: every metric that is named exists, every alarm is explained."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.cli import ROOT

from fraudgraph.monitor.metrics import Metrics
from fraudgraph.settings import defaults

PACKAGING = ROOT / "packaging"
OPERATIONS = ROOT / "docs" / "operations.md"
_NAME = re.compile(r"\b((?:fraudgraph|process)_[a-z0-9_]+)\b")
_SUFFIXES = ("", "_total", "_bucket", "_sum", "_count", "_info")


def exported() -> set[str]:
    """Returns the names of all time series that a daemon may export."""
    families = list(Metrics("0", 0.05).registry.collect())
    return {family.name + suffix for family in families for suffix in _SUFFIXES}


def alarms() -> list[str]:
    return re.findall(r"- alert: (\w+)", (PACKAGING / "alerts.yml").read_text())


@pytest.mark.parametrize("file", ["grafana.json", "alerts.yml"])
def test_every_metric_that_is_named_exists(file: str) -> None:
    text = (PACKAGING / file).read_text()
    named = set(_NAME.findall(text))
    assert len(named) > 8
    assert named <= exported()


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = set(_NAME.findall((PACKAGING / "grafana.json").read_text()))
    for family in Metrics("0", 0.05).registry.collect():
        if family.name.startswith("fraudgraph_"):
            assert any(family.name + suffix in shown for suffix in _SUFFIXES), family.name


def test_the_dashboard_is_whole() -> None:
    panels = json.loads((PACKAGING / "grafana.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or all(target["expr"] for target in panel["targets"])


def test_every_alarm_is_explained_and_says_what_to_do() -> None:
    text = OPERATIONS.read_text()
    assert len(alarms()) > 8
    for alarm in alarms():
        row = next((line for line in text.splitlines() if line.startswith(f"| `{alarm}`")), None)
        assert row is not None, f"{alarm} is not in docs/operations.md"
        assert len([cell for cell in row.split("|") if cell.strip()]) == 3


def test_every_metric_of_ours_is_explained() -> None:
    text = OPERATIONS.read_text()
    for family in Metrics("0", 0.05).registry.collect():
        if family.name.startswith("fraudgraph_"):
            assert f"`{family.name}" in text, family.name


def test_knobs_that_operations_names_exist() -> None:
    named = re.findall(r"`(daemon\.[a-z_]+|alerts\.[a-z_]+|dead_letters\.[a-z_]+)`", OPERATIONS.read_text())
    assert len(named) > 5
    assert set(named) <= defaults().keys()


def test_the_unit_starts_the_daemon_and_leaves_people_what_needs_people() -> None:
    unit = (PACKAGING / "fraudgraph.service").read_text()
    assert Path(re.findall(r"^ExecStart=(\S+) daemon", unit, re.M)[0]).name == "fraudgraph"
    assert "RestartPreventExitStatus=1 4" in unit
    (stop_s,) = re.findall(r"^TimeoutStopSec=(\d+)", unit, re.M)
    assert int(stop_s) >= int(str(defaults()["daemon.drain_seconds"])) + 15
