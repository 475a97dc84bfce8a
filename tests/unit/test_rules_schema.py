"""A rule file says what it means, or why it cannot be used; its hash follows its meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import ROOT

from fraudgraph.errors import ConfigurationError
from fraudgraph.rings.features import RING_FEATURES
from fraudgraph.rules.features import FEATURES
from fraudgraph.rules.schema import MAX_BYTES, parse_rules, read_rules
from fraudgraph.rules.words import condition_words

HEAD = 'version = "1"\n[[rule]]\nname = "r"\ndescription = "d"\nseverity = "low"\nmode = "shadow"\n'.replace(
    '"r"', '"rr"'
)


def read(tmp_path: Path, when: str, head: str = HEAD) -> object:
    file = tmp_path / "rules.toml"
    file.write_text(f"{head}{when}\n")
    return read_rules(file)


@pytest.mark.parametrize(
    ("when", "match"),
    [
        ('when.all = [{feature = "max_shar", op = ">=", value = 1}]', r"no feature 'max_shar'.*Near: max_share"),
        ('when.all = [{feature = "chargeback", op = ">=", value = 1}]', "chargeback_members"),
        ('when.all = [{accounts = [{feature = "order", op = ">", value = 1}], op = ">", value = 1}]', "Near: orders"),
        ('when.all = [{feature = "users", op = "=>", value = 1}]', "Invalid enum value '=>'"),
        ('when.all = [{feature = "users", op = ">", value = "3"}]', "is text"),
        ('when.all = [{feature = "users", op = ">", value = 3, windw = "1d"}]', "unknown field `windw`"),
        ('when.all = [{feature = "users", op = ">", value = 3, window = "1d"}]', "has no window"),
        ('when.all = [{feature = "orders", op = ">", value = 3}]', "needs a window"),
        ('when.all = [{feature = "orders", op = ">", value = 3, window = "1y"}]', "window '1y' is none"),
        ('when.all = [{feature = "orders", op = ">", value = 3, window = "9999d"}]', "window '9999d' is none"),
        ('when.all = [{feature = "max_share", op = ">", value = 60}]', "is a part"),
        ('when.all = [{feature = "value_at_risk", op = ">", value = 10}]', "needs an amount and its currency"),
        ('when.all = [{feature = "value_at_risk", op = ">", value = 1.5, currency = "EUR"}]', "needs an amount"),
        ('when.all = [{feature = "value_at_risk", op = ">", value = "1.555", currency = "EUR"}]', "needs an amount"),
        ('when.all = [{feature = "users", op = ">", value = 1, currency = "EUR"}]', "has no currency"),
        ('when.all = [{op = ">", value = 1}]', "or neither"),
        ('when.none = [{feature = "users", op = ">", value = 1}]', "has no condition"),
        ('when.all = [{feature = "users", op = ">", value = 1, of = "part"}]', "of goes with accounts"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place_and_what_to_do(tmp_path: Path, when: str, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        read(tmp_path, when)


def test_two_rules_of_one_name_a_hidden_letter_and_a_flood_are_refused(tmp_path: Path) -> None:
    one = 'when.all = [{feature = "users", op = ">", value = 1}]'
    with pytest.raises(ConfigurationError, match="two rules are called"):
        read(tmp_path, f"{one}\n{HEAD.partition(chr(10))[2]}{one}")
    with pytest.raises(ConfigurationError, match="description"):
        read(tmp_path, one, HEAD.replace('"d"', '"a\\u202eb"'))
    many = ", ".join('{feature = "users", op = ">", value = 1}' for _ in range(MAX_BYTES // 20))
    with pytest.raises(ConfigurationError, match="more than"):
        read(tmp_path, f"when.all = [{many}]")


def test_the_hash_follows_the_meaning_and_not_the_layout(tmp_path: Path) -> None:
    def hash_of(when: str, head: str = HEAD) -> str:
        return read(tmp_path, when, head).hash  # type: ignore[attr-defined]  # a RuleSet

    one = 'when.all = [{feature = "users", op = ">", value = 1}]'
    same = '# why\nwhen.all = [\n  { op = ">", value = 1, feature = "users" },\n]'
    assert hash_of(one) == hash_of(same)
    others = [
        hash_of(one.replace("1", "2")),
        hash_of(one.replace(">", ">=")),
        hash_of(one, HEAD.replace("low", "high")),
    ]
    assert len({hash_of(one), *others}) == 4


def test_the_example_is_a_rule_set_and_comes_back_from_the_journal_as_it_was() -> None:
    rules = read_rules(ROOT / "configs" / "rules.toml")
    again = parse_rules(rules.text)
    assert (again.hash, again.rules) == (rules.hash, rules.rules)
    assert {rule.mode for rule in rules.rules} == {"alert", "evidence", "shadow"}
    assert "value at risk: at least 2,000.00 EUR" in {
        condition_words(each) for rule in rules.rules for each in rule.when["all"]
    }


def test_every_feature_of_a_ring_is_published() -> None:
    assert set(RING_FEATURES) <= FEATURES.keys()
    assert all(feature.words for feature in FEATURES.values())
