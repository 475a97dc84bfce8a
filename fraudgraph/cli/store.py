"""`fraudgraph store`: what is kept, copied whole: to a backup, from one, or to another kind of store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import note, without_password

commands = typer.Typer(no_args_is_help=True, help="Backs a store up, restores it, or moves it to another kind.")


@commands.command(epilog="Example: fraudgraph store backup shop-2026-11-24.db --store sqlite:///shop.db")
def backup(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The backup, which must not be there yet.")],
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Copies all that the store holds, as of its last commit, into one file.

    The store may be at work meanwhile. The file is an embedded store itself: every reading command opens it. The key is
    not in it: keep that apart, since without it identifiers cannot be looked up and nothing can be ingested any more.
    """
    from fraudgraph.app import back_up

    copied = back_up(effective_settings(store, config, overrides).settings, out)
    note(f"wrote {out}: commit {copied.commit}, {copied.links:,} links, {copied.rings:,} rings")


@commands.command(epilog="Example: fraudgraph store restore shop-2026-11-24.db --store sqlite:///new.db")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Copies a backup into a new store, which goes on from the backup's commit.

    The stream goes on from the backup's positions too: what came since is read once more.
    """
    from fraudgraph.app import restore as restore_file

    settings = effective_settings(store, config, overrides).settings
    copied = restore_file(settings, file)
    note(
        f"restored {without_password(settings.store.url)}: commit {copied.commit}, {copied.links:,} links,"
        f" {copied.rings:,} rings"
    )


@commands.command(epilog="Example: fraudgraph store migrate --to neo4j://localhost:7687 --store sqlite:///shop.db")
def migrate(
    to: Annotated[str, typer.Option("--to", metavar="URL", help="A new store, of any kind.")],
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Copies all that one store holds into another, such as from the embedded one into Neo4j.

    Stop the daemon first, and start it again on the new store: it goes on from the same commit and the same positions.
    """
    from fraudgraph.app import migrate as migrate_store

    copied = migrate_store(effective_settings(store, config, overrides).settings, to)
    note(
        f"moved to {without_password(to)}: commit {copied.commit}, {copied.links:,} links, {copied.rings:,} rings;"
        " the old store is as it was"
    )
