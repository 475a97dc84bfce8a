"""A ring that closed can still be shown, and says so; it cannot be sealed as if its evidence were there."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cli import app
from fraudgraph.errors import UsageError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.port import USER_COLUMNS, CommitDelta
from fraudgraph.stores.url import open_store
from fraudgraph.testing.store_journal import START_MS, as_columns, ring_row


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store whose one ring closed, with one member left."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    writer = open_store(url, LinkPolicy(), PriorityRules())
    writer.claim()
    writer.bind(key_id="00000000", policy_hash=LinkPolicy().hash, policy_version="1")
    writer.commit(
        CommitDelta(
            commit=1,
            watermark_ms=START_MS,
            started_ms=START_MS,
            entities=[(0, 0, "ann", "")],
            users=as_columns(USER_COLUMNS, [(0, *[START_MS] * 2, *[-1] * 2, *[0] * (len(USER_COLUMNS) - 5))]),
            rings=[ring_row("R000001", status="closed")],
            members={"R000001": [(0, 0.5)]},
        )
    )
    writer.close()
    return url


def test_a_closed_ring_that_is_shown_says_that_its_evidence_has_expired(store: str) -> None:
    said = CliRunner().invoke(app, ["rings", "show", "R000001", "--store", store])
    assert said.exit_code == 0
    assert "ann" in said.stdout
    assert "ring R000001 has closed" in said.stderr


def test_a_closed_ring_makes_no_dossier(store: str, tmp_path: Path) -> None:
    out = tmp_path / "x.zip"
    said = CliRunner().invoke(app, ["rings", "dossier", "R000001", "--out", str(out), "--store", store])
    assert said.exit_code == UsageError.exit_code
    assert "--as-decided" in said.stderr
    assert not out.exists()
