"""The options that many commands share, and the settings that come of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudgraph.settings import Effective, load_settings, parse_overrides

FAILURE = 1
"""Exit code where a command ran and nothing came of it."""
FINDINGS = 3
"""Exit code of `--exit-code` where there is something to look at."""

StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="Store, such as sqlite:///shop.db; store.url if absent."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file (TOML); FRAUDGRAPH_CONFIG or the defaults if absent."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KNOB=VALUE", help="Sets one knob, such as rings.min_users=4; may be repeated."),
]


def effective_settings(store: str | None, config: Path | None, overrides: list[str] | None) -> Effective:
    """Returns the settings in force for a command with these three options."""
    flags = parse_overrides(overrides or ())
    if store is not None:
        flags["store.url"] = store
    return load_settings(config=config, flags=flags)
