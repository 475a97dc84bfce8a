"""A rule file: read, checked, hashed. TOML for people; the same as JSON in the journal."""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from fraudgraph.durations import DAY_MS, HOUR_MS, MINUTE_MS
from fraudgraph.errors import ConfigurationError
from fraudgraph.events.money import currency_of, minor_units
from fraudgraph.events.rejected import Rejected
from fraudgraph.rings.rule_hits import AccountCondition, Group, Mode, Operator, RuleCondition, Severity
from fraudgraph.rules.features import ACCOUNT_FEATURES, ACCOUNTS, FEATURES, Feature, Unit

MAX_RULES: Final = 200
MAX_BYTES: Final = 40_000
"""Of a rule set as JSON: it travels as one command of the journal, which has 64 KiB."""
GROUPS: Final[tuple[Group, ...]] = ("all", "any", "none")

_WINDOW: Final = re.compile(r"([1-9][0-9]{0,4})(m|h|d)")
_WINDOW_MS: Final = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
_MAX_WINDOW_MS: Final = 400 * DAY_MS

Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]*$")]
Number = int | float


class _Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    feature: str
    op: Operator
    value: Number


class _Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    op: Operator
    value: Number | str
    feature: str = ""
    accounts: tuple[_Account, ...] = ()
    of: Literal["count", "part"] = "count"
    window: str = ""
    currency: str = ""


class _When(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    all: tuple[_Condition, ...] = ()
    any: tuple[_Condition, ...] = ()
    none: tuple[_Condition, ...] = ()


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{1,47}$")]
    description: Text
    severity: Severity
    mode: Mode
    when: _When


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    rule: Annotated[tuple[_Rule, ...], Meta(max_length=MAX_RULES)] = ()


@dataclass(frozen=True)
class Rule:
    """A rule that was checked.

    Attributes:
        version: 16 hex digits that change with every part of it.
        when: conditions by group: all of `all` hold, one of `any` where there are some, and none of `none`.
    """

    name: str
    version: str
    description: str
    severity: Severity
    mode: Mode
    when: Mapping[Group, tuple[RuleCondition, ...]]


@dataclass(frozen=True)
class RuleSet:
    """All rules of a file, in its order; `version` is what the file calls itself."""

    version: str
    rules: tuple[Rule, ...]
    text: str
    """As JSON, canonical: what the journal keeps."""

    @cached_property
    def hash(self) -> str:
        """16 hex digits that change with every part of the file but comments and layout; "" where it has no rules."""
        return _hash(self.text) if self.rules else ""


NO_RULE_SET: Final = RuleSet("", (), "")


def read_rules(path: Path) -> RuleSet:
    """Returns the rules of a TOML file.

    Raises:
        ConfigurationError: it cannot be read, or a rule cannot be used; the message says which, where and why.
    """
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(
            f"the rule file {path} cannot be read ({error.strerror})", do="Name an existing file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the rule file {path} is no TOML ({error})", do="Mend that line; configs/rules.toml is an example."
        ) from error
    try:
        return _checked(msgspec.convert(content, _File))
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"the rule file {path} does not fit: {error}", do="docs/rules.md says what a rule is made of."
        ) from error


def parse_rules(text: str) -> RuleSet:
    """Returns the rules of `RuleSet.text`.

    Raises:
        ConfigurationError: it is none.
    """
    if not text:
        return NO_RULE_SET
    try:
        return _checked(msgspec.json.decode(text, type=_File))
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ConfigurationError(
            f"that is no rule set: {error}", do="Write it as TOML and use `fraudgraph rules check`."
        ) from error


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _checked(file: _File) -> RuleSet:
    text = msgspec.json.encode(file, order="sorted").decode()
    if len(text) > MAX_BYTES:
        raise ConfigurationError(f"the rules take {len(text):,} bytes, more than {MAX_BYTES:,}", do="Use fewer rules.")
    names = [rule.name for rule in file.rule]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"two rules are called {name!r}", do="Give each a name of its own.")
    return RuleSet(file.version, tuple(_rule(rule) for rule in file.rule), text)


def _rule(rule: _Rule) -> Rule:
    when: dict[Group, tuple[RuleCondition, ...]] = {}
    for group in GROUPS:
        conditions: tuple[_Condition, ...] = getattr(rule.when, group)
        when[group] = tuple(
            _condition(each, f"rule {rule.name!r}, when.{group}[{place}]") for place, each in enumerate(conditions)
        )
    if not when["all"] and not when["any"]:
        raise ConfigurationError(
            f"rule {rule.name!r} has no condition", do="Give when.all or when.any; when.none alone would hold of most."
        )
    version = _hash(msgspec.json.encode(rule, order="sorted").decode())
    return Rule(rule.name, version, rule.description, rule.severity, rule.mode, when)


def _condition(said: _Condition, where: str) -> RuleCondition:
    if bool(said.feature) == bool(said.accounts):
        raise ConfigurationError(f"{where} names a feature and accounts, or neither", do="Give exactly one of them.")
    if said.accounts:
        return _of_accounts(said, where)
    feature = _known(said.feature, FEATURES, where)
    if said.of != "count":
        raise ConfigurationError(f"{where}: of goes with accounts, not with {feature.name}", do="Leave it out.")
    if bool(said.window) != feature.window:
        raise ConfigurationError(
            f"{where}: {feature.name} {'needs a window' if feature.window else 'has no window'}",
            do=f"Those with one: {', '.join(f.name for f in FEATURES.values() if f.window)}.",
        )
    if feature.unit is Unit.MONEY:
        return _of_money(said, feature, where)
    if said.currency:
        raise ConfigurationError(f"{where}: {feature.name} has no currency", do="Leave it out.")
    if isinstance(said.value, str):
        raise ConfigurationError(f"{where}: value {said.value!r} is text", do="Give a number.")
    if feature.unit is Unit.PART and not 0 <= said.value <= 1:
        raise ConfigurationError(f"{where}: {feature.name} is a part, and {said.value} is none", do="Give 0 to 1.")
    return RuleCondition(feature.name, said.op, said.value, window_ms=_window(said.window, where))


def _of_accounts(said: _Condition, where: str) -> RuleCondition:
    if said.window or said.currency or isinstance(said.value, str):
        raise ConfigurationError(
            f"{where}: accounts are counted, without window or currency", do="Give op and a number as value."
        )
    part = said.of == "part"
    if part and not 0 <= said.value <= 1:
        raise ConfigurationError(f"{where}: {said.value} is no part", do="Give 0 to 1, or leave `of` out.")
    return RuleCondition(
        ACCOUNTS,
        said.op,
        said.value,
        accounts=tuple(
            AccountCondition(_known(each.feature, ACCOUNT_FEATURES, where).name, each.op, each.value)
            for each in said.accounts
        ),
        part=part,
    )


def _of_money(said: _Condition, feature: Feature, where: str) -> RuleCondition:
    try:
        currency = currency_of(said.currency)
        if isinstance(said.value, float):
            raise InvalidOperation
        minor = minor_units(Decimal(said.value), currency)
    except (Rejected, InvalidOperation):
        raise ConfigurationError(
            f"{where}: {feature.name} needs an amount and its currency, and {said.value!r} {said.currency!r} is none",
            do='Write value = "500.00" and currency = "EUR".',
        ) from None
    return RuleCondition(feature.name, said.op, minor, currency=currency.number)


def _window(text: str, where: str) -> int:
    if not text:
        return 0
    match = _WINDOW.fullmatch(text)
    window_ms = int(match[1]) * _WINDOW_MS[match[2]] if match else 0
    if not 0 < window_ms <= _MAX_WINDOW_MS:
        raise ConfigurationError(f"{where}: window {text!r} is none", do='Write "30m", "6h" or "7d", up to 400d.')
    return window_ms


def _known(name: str, features: Mapping[str, Feature], where: str) -> Feature:
    if name in features:
        return features[name]
    near = [*_near(name, features), *([] if features is ACCOUNT_FEATURES else _near_words(name, features))]
    raise ConfigurationError(
        f"{where}: there is no feature {name[:64]!r}",
        do=f"Near: {', '.join(dict.fromkeys(near))}." if near else "`fraudgraph rules features` lists all.",
    )


def _near(name: str, features: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name, list(features), n=3, cutoff=0.5)


def _near_words(name: str, features: Iterable[str]) -> Iterator[str]:
    parts = {part for part in re.split(r"[^a-z]+", name.lower()) if len(part) > 3}
    yield from [each for each in features if parts & set(re.split(r"[^a-z]+", each))][:3]
