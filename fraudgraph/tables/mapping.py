"""Reads a mapping: which table's which column is which field of which event."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec

from fraudgraph.errors import ConfigurationError
from fraudgraph.tables.checks import check_mapping, nearest
from fraudgraph.tables.spec import Condition, Defaults, Events, Field, Join, Mapping, Table

DOCS = "docs/import.md"


def load_mapping(path: Path) -> Mapping:
    """Reads and checks a mapping.

    Raises:
        ConfigurationError: the file is missing, is not TOML, names an unknown key (the nearest known one is
            in the message) or maps nothing.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"the mapping {path} cannot be read: {error.strerror}", do="Check the path."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name} is not TOML: {error}", do="Mend the line that is named.") from error
    _check_keys(data, path.name)
    if not data.get("tables") or not data.get("events"):
        missing = "[[events]]" if data.get("tables") else "[tables.…]"
        raise ConfigurationError(
            f"{path.name} maps nothing: it has no {missing}",
            do=f"Name at least one table and one kind of event; {DOCS} shows how.",
        )
    try:
        mapping = msgspec.convert(data, Mapping)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path.name}: {error}", do=f"{DOCS} lists what each key may be.") from error
    check_mapping(mapping, path.name)
    return mapping


def _check_keys(data: dict[str, Any], file: str) -> None:
    """Names unknown keys with their place and the nearest known one; types are checked afterwards."""

    def check(value: object, struct: type[msgspec.Struct], place: str) -> None:
        if isinstance(value, dict):
            _check_names(value, struct.__struct_encode_fields__, file, place)

    check(data, Mapping, "the top level")
    check(data.get("defaults"), Defaults, "[defaults]")
    for name, table in _items(data.get("tables")):
        check(table, Table, f"[tables.{name}]")
    for i, events in enumerate(_list(data.get("events")), start=1):
        place = f"[[events]] number {i}"
        check(events, Events, place)
        if isinstance(events, dict):
            for name, field in _items(events.get("fields")):
                check(field, Field, f"{place}, field {name}")
            for condition in _list(events.get("where")):
                check(condition, Condition, f"{place}, where")
            for join in _list(events.get("join")):
                check(join, Join, f"{place}, join")


def _check_names(given: Iterable[str], known: Collection[str], file: str, place: str) -> None:
    for key in given:
        if key not in known:
            raise ConfigurationError(f"{file}, {place}: unknown key `{key}`", do=nearest(key, known))


def _items(value: object) -> Iterable[tuple[str, object]]:
    return value.items() if isinstance(value, dict) else ()


def _list(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else ()
