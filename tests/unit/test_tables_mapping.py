"""What is wrong with a mapping is said with its place, the nearest known word and a next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudgraph.errors import ConfigurationError
from fraudgraph.tables import load_mapping

GOOD = """
[defaults]
currency = "EUR"
timezone = "Europe/Berlin"
[tables.orders]
file = "orders.csv"
[tables.cards]
file = "cards.csv"
[[events]]
table = "orders"
type = "order"
where = [{column = "state", equals = "paid"}]
join = [{table = "cards", on = "no"}]
[events.fields]
event_id = {hash = ["no"]}
ts = {column = "when", time = "iso"}
user_id = "customer"
amount = {column = "sum", minor_units = true}
"""


def load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(text)
    load_mapping(path)


def test_the_good_one_loads(tmp_path: Path) -> None:
    load(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[defaults]", "[default]", r"the top level: unknown key `default`.*Did you mean `defaults`"),
        ("currency =", "curency =", r"\[defaults\]: unknown key `curency`.*Did you mean `currency`"),
        ('file = "cards', 'flie = "cards', r"\[tables\.cards\]: unknown key `flie`.*Did you mean `file`"),
        ("where =", "were =", r"\[\[events\]\] number 1: unknown key `were`.*Did you mean `where`"),
        ("equals =", "equal =", r"number 1, where: unknown key `equal`.*Did you mean `equals`"),
        ("on =", "onn =", r"number 1, join: unknown key `onn`.*Did you mean `on`"),
        ("minor_units", "minor_unit", r"field amount: unknown key `minor_unit`.*Did you mean `minor_units`"),
        ("user_id", "userid", r"an event of type order has no field `userid`.*Did you mean `user_id`"),
        ('type = "order"', 'type = "ordr"', r"unknown type `ordr`.*Did you mean `order`"),
        ('type = "order"', 'type = "command"', r"unknown type `command`"),
        ('table = "orders"', 'table = "order"', r"no \[tables\.order\].*Did you mean `orders`"),
        ('table = "cards"', 'table = "card"', r"no \[tables\.card\].*Did you mean `cards`"),
        ('table = "cards"', 'table = "orders"', r"joined twice, or to itself"),
        ('user_id = "customer"', "", r"field `user_id` is missing"),
        ('type = "order"', 'type = "transfer"', r"field `to_user_id` is missing"),
        ('currency = "EUR"', "", r"an amount without a currency"),
        ('"EUR"', '"EURO"', r"`EURO` is not a currency"),
        ('"EUR"', '"XAU"', r"`XAU` is not a currency"),
        ("Europe/Berlin", "Europe/Bärlin", r"is not a time zone"),
        ("Europe/Berlin", "../etc/passwd", r"is not a time zone"),
        ('time = "iso"', 'time = "unix"', r"unknown `time = unix`.*Did you mean `unix_s`"),
        ('time = "iso"', 'at = "25:00"', r"is not a time of day"),
        ('time = "iso"', 'prefix = "x"', r"a time comes from columns, unchanged"),
        ('{column = "when", time = "iso"}', '{constant = "2026-03-01"}', r"a time comes from columns"),
        ('user_id = "customer"', 'user_id = {column = "c", time = "iso"}', r"are for times"),
        ('user_id = "customer"', 'user_id = {column = "c", round = true}', r"are for amounts"),
        ('user_id = "customer"', 'user_id = {column = "c", as = "ipv4_int"}', r"is for `ip`"),
        ('user_id = "customer"', 'user_id = {column = "c", as = "ipv4"}', r"Invalid enum value"),
        ('user_id = "customer"', 'user_id = {column = "c", constant = "d"}', r"found `column` and `constant`"),
        ('user_id = "customer"', "user_id = {}", r"found none of them"),
        ('user_id = "customer"', "user_id = 5", r"events\[0\]\.fields"),
        ('user_id = "customer"', 'user_id = {template = "{a"}', r"template: "),
        ('user_id = "customer"', 'user_id = {template = "{a!r}"}', r"name of a column and nothing else"),
        ('user_id = "customer"', 'user_id = {template = "{}"}', r"name of a column and nothing else"),
        ("minor_units = true", 'prefix = "x"', r"an amount is a number"),
        (', equals = "paid"', "", r"a condition is one test"),
        ('equals = "paid"', 'equals = "paid", null = true', r"a condition is one test"),
        ('file = "cards.csv"', 'file = "cards.csv"\ndelimiter = "||"', r"one ASCII character"),
        ('file = "cards.csv"', 'file = "/data/cards.csv"', r"is absolute"),
        ("[[events]]", "[[events]", r"is not TOML"),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError, match=r"shop\.toml") as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert caught.match(message)
    assert caught.value.do


@pytest.mark.parametrize("text", ["", "[defaults]\n", '[tables.a]\nfile = "a.csv"\n', '[[events]]\ntable = "a"\n'])
def test_a_mapping_that_maps_nothing(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="maps nothing"):
        load(tmp_path, text)


def test_a_mapping_that_is_missing_or_binary(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_mapping(tmp_path / "none.toml")
    path = tmp_path / "shop.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load_mapping(path)
