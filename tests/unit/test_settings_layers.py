"""Settings: who wins, what is refused, and that the shipped file says it all."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from fraudgraph.errors import ConfigurationError
from fraudgraph.settings import Settings, defaults, load_settings, parse_overrides, variable_of

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "configs" / "embedded.toml"


def _flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text("[time]\nmax_skew_hours = 2\nallowed_lateness_minutes = 2\n[ingest]\nbatch_events = 2\n")
    environment = {"FRAUDGRAPH_TIME__MAX_SKEW_HOURS": "3", "FRAUDGRAPH_INGEST__BATCH_EVENTS": "3"}
    effective = load_settings(environment=environment, config=file, flags={"ingest.batch_events": "4"})
    assert effective.settings.ingest.batch_events == 4
    assert effective.settings.time.max_skew_hours == 3
    assert effective.settings.time.allowed_lateness_minutes == 2
    assert effective.settings.rings.min_users == Settings().rings.min_users
    assert effective.origins["ingest.batch_events"] == "command line"
    assert effective.origins["time.max_skew_hours"] == "environment FRAUDGRAPH_TIME__MAX_SKEW_HOURS"
    assert effective.origins["time.allowed_lateness_minutes"] == f"file {file}"
    assert effective.origins["rings.min_users"] == "default"


def test_config_flag_beats_its_variable(tmp_path: Path) -> None:
    for name, users in (("a.toml", 5), ("b.toml", 6)):
        (tmp_path / name).write_text(f"[rings]\nmin_users = {users}\n")
    environment = {"FRAUDGRAPH_CONFIG": str(tmp_path / "a.toml")}
    assert load_settings(environment=environment).settings.rings.min_users == 5
    assert load_settings(environment=environment, config=tmp_path / "b.toml").settings.rings.min_users == 6


def test_a_part_of_a_nested_section_leaves_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text("[links.kinds.ip]\nprior = 0.2\n")
    links = load_settings(environment={}, config=file).settings.links
    assert links.kinds["ip"].prior == 0.2
    assert links.kinds["ip"].ttl_days == Settings().links.kinds["ip"].ttl_days
    assert links.kinds["card"] == Settings().links.kinds["card"]


def test_the_shipped_file_names_every_knob_with_its_default() -> None:
    assert _flat(tomllib.loads(EMBEDDED.read_text())) == defaults()
    assert load_settings(environment={}, config=EMBEDDED).settings == Settings()


def test_every_knob_can_be_set_by_its_variable() -> None:
    environment = {variable_of(name): str(value) for name, value in defaults().items()}
    effective = load_settings(environment=environment)
    assert effective.settings == Settings()
    assert all(origin.startswith("environment ") for origin in effective.origins.values())


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("[time]\nmax_skew_hour = 1\n", "time.max_skew_hours"),
        ("[tine]\nmax_skew_hours = 1\n", "time.max_skew_hours"),
        ("[ring]\nmin_user = 1\n", "rings.min_users"),
        ("half_life_days = 1\n", "priority.half_life_days"),
        ("[links.kinds.ips]\nprior = 0.1\n", "links.kinds.ip.prior"),
    ],
)
def test_unknown_key_in_file_names_the_nearest(tmp_path: Path, text: str, nearest: str) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=f"nearest is {nearest};"):
        load_settings(environment={}, config=file)


def test_unknown_variable_names_the_nearest_and_never_its_value() -> None:
    with pytest.raises(ConfigurationError, match="nearest is FRAUDGRAPH_STORE__URL") as caught:
        load_settings(environment={"FRAUDGRAPH_STORE_URL": "sqlite:///canary.db"})
    assert "canary" not in str(caught.value)


def test_variables_of_others_and_the_key_are_no_settings() -> None:
    environment = {"FRAUDGRAPH_KEY": "secret", "FRAUDGRAPHS": "x", "PATH": "/bin", "FRAUDGRAPH_CONFIG": ""}
    assert load_settings(environment=environment).settings == Settings()


@pytest.mark.parametrize(
    ("flag", "text", "says"),
    [
        ("rings.min_users", "three", "int"),
        ("rings.min_users", "1", ">= 2"),
        ("alerts.min_probability", "1.5", "<= 1.0"),
        ("links.kinds.ip.prior", "0.6", "never joins"),
        ("links.kinds.card.hub_users", "0", ">= 1"),
        ("rings.max_users", "2", "below rings.min_users"),
        ("logging.level", "loud", "loud"),
        ("identity.default_currency", "euro", "regex"),
        ("priority.half_life_days", "0", "> 0"),
        ("memory.user_days", "365", "not above 365"),
        ("alerts.topic", "shop-events", "read what it writes"),
        ("dead_letters.topic", "shop-events", "read what it writes"),
        ("links.kinds.card.ttl_days", "400", "not above 400"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(flag: str, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load_settings(environment={}, flags={flag: text})


@pytest.mark.parametrize(
    "text", ['[rings]\nmin_users = "4"\n', "[rings]\nmin_users = 4.5\n", "rings = 3\n", "[rings\n"]
)
def test_a_file_is_strict(tmp_path: Path, text: str) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"shop\.toml"):
        load_settings(environment={}, config=file)


def test_a_missing_file_and_a_pair_without_equals_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(environment={}, config=tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match="no ="):
        parse_overrides(["rings.min_users"])
    assert parse_overrides(["store.url=sqlite:///a=b.db"]) == {"store.url": "sqlite:///a=b.db"}
