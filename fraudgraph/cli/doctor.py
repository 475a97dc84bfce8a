"""`fraudgraph doctor`: what is configured, reachable or missing, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph import __version__
from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, print_json, print_table, without_password
from fraudgraph.errors import ConfigurationError, FraudgraphError
from fraudgraph.settings import CONFIG_VARIABLE, KEY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fraudgraph.settings import Effective, Settings
    from fraudgraph.stores.port import StoreReader

FREE_BYTES_MIN = 1 << 30
_PACKAGES = ("cryptography", "igraph", "matplotlib", "msgspec", "neo4j", "numba", "numpy", "pyarrow", "scikit-learn")


class Format(StrEnum):
    """How the findings are written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `state` is `ok`, `warning` or `failed`; `do` is what to do about it."""

    name: str
    state: str
    what: str
    do: str = ""
    exit_code: int = 0


def doctor(
    format: Annotated[Format, typer.Option("--format", help="Text for people, JSON for programs.")] = Format.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Says what is missing, and what to do.

    Looks at packages, settings, store, key, link policy, dead letters, disk and the language model.

    Exit code 4 where the configuration is at fault, 5 where the store cannot be reached, 0 where all is well.
    """
    checks = [_python(), _packages()]
    try:
        effective = effective_settings(store, config, overrides)
    except ConfigurationError as error:
        checks.append(_failed("settings", error))
    else:
        checks += [_settings(effective), *_store(effective.settings), _narrator(effective.settings)]
    if format is Format.JSON:
        print_json({"checks": [{k: v for k, v in asdict(c).items() if k != "exit_code"} for c in checks]})
    else:
        print_table(
            [Column("check"), Column("state"), Column("what", folds=True)],
            [[c.name, c.state, c.what + (f". {c.do}" if c.do else "")] for c in checks],
        )
    if code := next((c.exit_code for c in checks if c.exit_code), 0):
        raise typer.Exit(code)


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} on {sys.platform}, fraudgraph {__version__}")


def _packages() -> Check:
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        do = f"Install again: `pip install fraudgraph-rings`, or `pip install {' '.join(missing)}`."
        return Check("packages", "failed", f"missing: {', '.join(missing)}", do, exit_code=5)
    return Check("packages", "ok", ", ".join(found))


def _settings(effective: Effective) -> Check:
    changed = sorted({origin for origin in effective.origins.values() if origin != "default"})
    where = f"set by {', '.join(changed)}" if changed else f"defaults only; {CONFIG_VARIABLE} or --config names a file"
    return Check("settings", "ok", where)


def _store(settings: Settings) -> list[Check]:
    """Looks at the store, its key, its policy, its dead letters and its disk."""
    from fraudgraph.app import open_reader

    url = without_password(settings.store.url)
    try:
        reader = open_reader(settings)
    except FraudgraphError as error:
        return [_failed("store", error), _key(settings, None)]
    with closing(reader):
        try:
            return [*_opened(reader, settings, url), _disk(settings)]
        except FraudgraphError as error:
            return [_failed("store", error)]


def _opened(reader: StoreReader, settings: Settings, url: str) -> list[Check]:
    from fraudgraph.rings.facts_words import minute

    meta = reader.meta()
    until = f"events up to {minute(int(meta['watermark_ms']))} UTC" if int(meta["commit"]) else "no event yet"
    checks = [
        Check("store", "ok", f"{url}: {until}, commit {meta['commit']}, schema {meta['schema_version']}"),
        _key(settings, meta),
    ]
    if meta["policy_hash"] in ("", settings.links.hash):
        checks.append(Check("link policy", "ok", f"version {settings.links.version}, {settings.links.hash}"))
    else:
        checks.append(
            Check(
                "link policy",
                "failed",
                f"the store was written under {meta['policy_hash']}, and the settings say {settings.links.hash}",
                "Use the settings that the store was written with, or ingest again into a new store.",
                exit_code=ConfigurationError.exit_code,
            )
        )
    if reader.dead_letters(limit=1):
        do = f"`fraudgraph dead-letters list --store {url}` says which and why."
        checks.append(Check("dead letters", "warning", "some events were not applied", do))
    else:
        checks.append(Check("dead letters", "ok", "every event was applied"))
    return checks


def _key(settings: Settings, meta: Mapping[str, str] | None) -> Check:
    """Looks for the key; `meta` is what the store says of itself, None where it cannot be asked."""
    from fraudgraph.app import key_file, read_keys

    where = KEY_VARIABLE if os.environ.get(KEY_VARIABLE) else str(key_file(settings))
    if not (meta and meta["key_id"]) and where != KEY_VARIABLE and not Path(where).exists():
        return Check("key", "ok", f"none yet; the first `fraudgraph ingest` makes {where}")
    try:
        keys = read_keys(settings, meta or {"key_id": "", "previous_key_id": ""})
    except ConfigurationError as error:
        return _failed("key", error)
    if keys.previous is None:
        return Check("key", "ok", f"{keys.key_id}, from {where}")
    what = f"{keys.key_id}, and {keys.previous.key_id} before it, for a while"
    return Check("key", "ok", what, "`fraudgraph store rotate-key` says what still needs the former.")


def _disk(settings: Settings) -> Check:
    from fraudgraph.app import local_file

    folder = local_file(settings).resolve().parent
    free_bytes = shutil.disk_usage(folder).free
    what = f"{free_bytes / (1 << 30):,.1f} GiB free in {folder}"
    if free_bytes < FREE_BYTES_MIN:
        return Check("disk", "warning", what, "Free some: the store grows with every new identifier.")
    return Check("disk", "ok", what)


def _narrator(settings: Settings) -> Check:
    """Asks the language model, where one is configured, what it can do; without it the template narrates."""
    from fraudgraph.app import make_client

    try:
        client = make_client(settings)
        if client is None:
            return Check("narrator", "ok", "the template; no language model is asked (narrator.kind)")
        ability = client.probe()
    except ConfigurationError as error:
        return _failed("narrator", error)
    except FraudgraphError as error:
        # Rings are found and told without it: a model that is away makes nothing fail.
        return Check("narrator", "warning", f"{error.what}; the template narrates meanwhile", error.do)
    what = f"{settings.narrator.model} at {client.endpoint.host} answers, asked by {ability.way.value}"
    if not client.endpoint.private:
        do = "Use https, or a server on this machine: evidence and key go there in the clear."
        return Check("narrator", "warning", f"{what}, over plain http", do)
    if not ability.way.strict:
        do = "It does not keep a JSON schema; expect the template to speak more often."
        return Check("narrator", "warning", what, do)
    return Check("narrator", "ok", what)


def _failed(name: str, error: FraudgraphError) -> Check:
    return Check(name, "failed", error.what, error.do, exit_code=error.exit_code)
