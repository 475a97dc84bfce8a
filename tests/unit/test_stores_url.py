"""A store's URL names a file, or says what is wrong without repeating it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.url import open_reader, open_store, sqlite_path

RULES = (LinkPolicy(), PriorityRules())


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///shop.db", Path("shop.db")),
        ("sqlite:///data/shop.db", Path("data/shop.db")),
        ("sqlite:////var/lib/shop.db", Path("/var/lib/shop.db")),
        ("sqlite:///a shop?#%20.db", Path("a shop?#%20.db")),
    ],
)
def test_url_names_a_file(url: str, path: Path) -> None:
    assert sqlite_path(url) == path


@pytest.mark.parametrize("url", ["shop.db", "", "sqlite://", "sqlite:///", "sqlite:////", "sqlite://host/shop.db"])
def test_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///"):
        sqlite_path(url)


@pytest.mark.parametrize("opens", [open_reader, open_store])
def test_unknown_scheme_is_refused_without_the_password(opens: object) -> None:
    assert callable(opens)
    with pytest.raises(ConfigurationError, match="'mysql'") as refusal:
        opens("mysql://root:secret@db/shop", *RULES)
    assert "secret" not in str(refusal.value)


def test_store_is_made_and_then_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/odd name?#%20.db"
    with pytest.raises(DependencyError, match="no store"):
        open_reader(url, *RULES)
    store = open_store(url, *RULES)
    assert store.claim() == 1
    assert open_reader(url, *RULES).meta()["epoch"] == "1"
    assert (tmp_path / "odd name?#%20.db").is_file()
