"""`fraudgraph config`: which settings are in force, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table, without_password

commands = typer.Typer(no_args_is_help=True, help="Shows and checks the settings in force.")


class Format(StrEnum):
    """How settings are written."""

    TABLE = "table"
    JSON = "json"


@commands.command(epilog="Example: fraudgraph config show --set rings.min_users=4")
def show(
    format: Annotated[Format, typer.Option("--format", help="Table for people, JSON for programs.")] = Format.TABLE,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Prints every setting, and where it came from."""
    effective = effective_settings(store, config, overrides)
    if format is Format.JSON:
        print_json(
            {
                "settings": [
                    {"name": name, "value": _shown(value), "from": effective.origins[name]}
                    for name, value in effective.values.items()
                ]
            }
        )
        return
    print_table(
        [Column("setting"), Column("value"), Column("from", folds=True)],
        [[name, str(_shown(value)) or '""', effective.origins[name]] for name, value in effective.values.items()],
    )


@commands.command(epilog="Example: fraudgraph config check --config configs/embedded.toml")
def check(store: StoreOption = None, config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Checks the settings.

    Starts nothing; exit code 4 says that they cannot be used.
    """
    effective = effective_settings(store, config, overrides)
    changed = sum(origin != "default" for origin in effective.origins.values())
    note(f"settings are good: {len(effective.values)} known, {changed} set outside the defaults")


def _shown(value: object) -> object:
    return without_password(value) if isinstance(value, str) else value
