"""The secret of a store: from the environment, from its file, or made at once; never shown, never shared."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from fraudgraph.errors import ConfigurationError
from fraudgraph.events.keys import load_key

SECRET = bytes(range(200, 240))


@pytest.mark.parametrize(
    "text",
    [
        SECRET.hex(),
        SECRET.hex().upper(),
        base64.b64encode(SECRET).decode(),
        base64.urlsafe_b64encode(SECRET).decode().rstrip("="),
        f"  {SECRET.hex()}\n",
    ],
)
def test_hex_and_base64_of_one_secret_give_the_same_keys(text: str) -> None:
    ring, made = load_key({"FRAUDGRAPH_KEY": text}, None)
    assert not made
    assert ring == load_key({"FRAUDGRAPH_KEY": SECRET.hex()}, None)[0]


def test_the_derived_keys_are_independent_of_each_other_and_hidden_in_the_repr() -> None:
    ring, _ = load_key({"FRAUDGRAPH_KEY": SECRET.hex()}, None)
    assert len(ring.pseudonyms) == len(ring.vault) == 32
    assert ring.pseudonyms != ring.vault
    assert repr(ring) == "KeyRing()"


@pytest.mark.parametrize(
    ("text", "message"),
    [("deadbeef", "holds 4 bytes, fewer than 32"), ("not a key!", "neither hex nor base64"), ("é" * 40, "neither")],
)
def test_an_unusable_secret_is_refused_without_being_quoted(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_key({"FRAUDGRAPH_KEY": text}, None)
    assert text not in str(caught.value)
    assert "openssl rand" in caught.value.do


def test_no_secret_and_no_place_for_one_is_an_error_that_says_how_to_make_one() -> None:
    with pytest.raises(ConfigurationError, match="FRAUDGRAPH_KEY is not set"):
        load_key({"FRAUDGRAPH_KEY": " "}, None)


def test_a_file_is_made_once_for_the_owner_only_and_read_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "shop.key"
    ring, made = load_key({}, path)
    assert made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key({}, path) == (ring, False)
    assert [p.name for p in tmp_path.iterdir()] == ["shop.key"]
    assert load_key({}, tmp_path / "other.key")[0] != ring


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.key"
    ring, made = load_key({"FRAUDGRAPH_KEY": SECRET.hex()}, path)
    assert not made
    assert not path.exists()
    assert ring != load_key({}, path)[0]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "shop.key"
    load_key({}, path)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="by others") as caught:
        load_key({}, path)
    assert "chmod 600" in caught.value.do


def test_a_damaged_file_is_refused_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "shop.key"
    path.touch(mode=0o600)
    with pytest.raises(ConfigurationError, match="holds 0 bytes"):
        load_key({}, path)
    assert path.read_bytes() == b""


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_key({}, tmp_path / "nowhere" / "shop.key")


def test_a_folder_in_the_files_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.key").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_key({}, tmp_path / "shop.key")


def test_a_link_to_nowhere_or_to_a_device_in_the_files_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nowhere.key").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_key({}, tmp_path / "nowhere.key")
    (tmp_path / "null.key").symlink_to("/dev/null")
    with pytest.raises(ConfigurationError, match="not a plain file"):
        load_key({}, tmp_path / "null.key")
