"""`fraudgraph model push|alias|registry`: bundles that a team shares, and which of them is champion."""

from __future__ import annotations

from typing import Annotated

import typer

from fraudgraph.cli.model import Format, NameArgument
from fraudgraph.cli.options import ConfigOption, SetOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table


def push(
    name: NameArgument,
    alias: Annotated[
        str | None, typer.Option("--as", metavar="ALIAS", help="Also points this alias to it: champion or challenger.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Puts a bundle of the models' folder into the registry, where others find it."""
    from fraudgraph.app.models import make_library, make_registry
    from fraudgraph.scoring.registry import require_alias

    if alias is not None:
        require_alias(alias)
    settings = effective_settings(None, config, overrides).settings
    registry = make_registry(settings)
    entry = registry.push(make_library(settings).library.path(name))
    note(f"the registry has {entry.name}, digest {entry.digest}")
    if alias is not None:
        registry.point(alias, name)
        note(f"@{alias} points to {name}")


def alias(
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="champion or challenger.")],
    name: NameArgument,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Lets an alias point to a bundle of the registry; it promotes nothing by itself."""
    from fraudgraph.app.models import make_registry

    registry = make_registry(effective_settings(None, config, overrides).settings)
    before = next((entry.name for entry in registry.entries() if alias in entry.aliases), "nothing")
    registry.point(alias, name)
    note(f"@{alias} points to {name}, and pointed to {before}")


def list_registry(
    format: Annotated[Format, typer.Option("--format", help="Table for people, JSON for programs.")] = Format.TABLE,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Lists the bundles of the registry, and what the aliases point to."""
    from fraudgraph.app.models import make_registry

    settings = effective_settings(None, config, overrides).settings
    entries = make_registry(settings).entries()
    if format is Format.JSON:
        rows = [{"name": each.name, "digest": each.digest, "aliases": list(each.aliases)} for each in entries]
        print_json({"registry": settings.model.registry, "bundles": rows})
        return
    print_table(
        [Column("name"), Column("digest"), Column("aliases")],
        [[each.name, each.digest, " ".join(f"@{alias}" for alias in each.aliases)] for each in entries],
    )
    if not entries:
        note("the registry has no bundle; next: fraudgraph model push NAME --as champion")
