"""`config` and `doctor`: what is in force and why, what is wrong and what to do; and how errors look."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import fraudgraph, process

from fraudgraph.settings import defaults


def test_show_lists_every_knob_with_its_origin(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text("[rings]\nmin_users = 4\n")
    said = fraudgraph(
        *("config", "show", "--format", "json", "--config", file, "--set", "time.max_skew_hours=3"),
        env={"FRAUDGRAPH_INGEST__BATCH_EVENTS": "50"},
    )
    rows = {row["name"]: row for row in said.json["settings"]}
    assert set(rows) == set(defaults())
    assert rows["rings.min_users"] == {"name": "rings.min_users", "value": 4, "from": f"file {file}"}
    assert rows["time.max_skew_hours"]["from"] == "command line"
    assert rows["ingest.batch_events"]["from"] == "environment FRAUDGRAPH_INGEST__BATCH_EVENTS"
    assert rows["alerts.min_probability"]["from"] == "default"
    text = fraudgraph("config", "show").out
    assert all(name in text for name in defaults())


def test_the_file_may_come_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('[store]\nurl = "sqlite:///other.db"\n')
    env = {"FRAUDGRAPH_CONFIG": str(file)}
    assert "sqlite:///other.db" in fraudgraph("config", "show", env=env).out
    assert "sqlite:///mine.db" in fraudgraph("config", "show", "--store", "sqlite:///mine.db", env=env).out


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        (("--set", "rings.min_user=4"), {}, "nearest is rings.min_users"),
        (("--set", "rings.min_users"), {}, "has no ="),
        ((), {"FRAUDGRAPH_RINGS__MIN_USER": "4"}, "nearest is FRAUDGRAPH_RINGS__MIN_USERS"),
        (("--config", "none.toml"), {}, "cannot be read"),
        (("--set", "rings.min_users=1"), {}, ">= 2"),
    ],
)
def test_what_cannot_be_used_is_exit_code_4_with_a_next_step(
    arguments: tuple[str, ...], env: dict[str, str], says: str
) -> None:
    for words in (("config", "check"), ("rings", "list"), ("doctor",)):
        said = fraudgraph(*words, *arguments, env=env)
        assert said.code == 4, words
        assert says in said.err + said.out
    check = fraudgraph("config", "check", *arguments, env=env)
    assert check.out == ""
    assert check.err.startswith("error: ")
    assert "\nnext: " in check.err


def test_check_is_content_with_the_shipped_file() -> None:
    said = fraudgraph("config", "check", "--config", Path(__file__).parents[2] / "configs" / "embedded.toml")
    assert (said.code, said.out) == (0, "")


def test_a_password_in_a_url_is_not_shown() -> None:
    url = "neo4j://reader:canary@host:7687"
    for arguments in (("config", "show"), ("config", "show", "--format", "json"), ("doctor",), ("rings", "list")):
        said = fraudgraph(*arguments, "--store", url)
        assert "canary" not in said.out + said.err, arguments


def test_doctor_tells_a_missing_store_from_a_wrong_one(tmp_path: Path) -> None:
    missing = fraudgraph("doctor", "--store", f"sqlite:///{tmp_path / 'none.db'}", "--format", "json")
    assert missing.code == 5
    checks = {check["name"]: check for check in missing.json["checks"]}
    assert checks["store"]["state"] == "failed"
    assert "ingest" in checks["store"]["do"]
    assert checks["key"]["state"] == "ok"
    (tmp_path / "text.db").write_text("no database at all, but long enough to look at: " * 40)
    wrong = fraudgraph("doctor", "--store", f"sqlite:///{tmp_path / 'text.db'}")
    assert wrong.code in (4, 5)
    assert "failed" in wrong.out
    assert fraudgraph("doctor", "--store", "ftp://host/x").code == 4


def test_a_key_that_others_may_read_is_reported(tmp_path: Path) -> None:
    key = tmp_path / "shop.db.key"
    key.write_text("ab" * 32)
    key.chmod(0o644)
    said = fraudgraph("doctor", "--store", f"sqlite:///{tmp_path / 'shop.db'}")
    assert "chmod 600" in said.out
    assert "abab" not in said.out + said.err


def test_an_error_of_the_system_is_two_lines_too(tmp_path: Path) -> None:
    said = fraudgraph("simulate", "--users", 100, "--days", 1, "--out", "/proc/nowhere")
    assert said.code == 5
    assert said.err.startswith("error: ")
    assert "\nnext: " in said.err


def test_the_shim_is_the_command() -> None:
    said = process("--version")
    assert said.code == 0
    assert said.out.startswith("fraudgraph ")
