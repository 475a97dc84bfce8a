"""`fraudgraph store`: what is kept, copied whole or given another key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudgraph.cli.options import FINDINGS, ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import note, without_password
from fraudgraph.errors import UsageError

commands = typer.Typer(no_args_is_help=True, help="Backs a store up, moves it, or gives it a new key.")


@commands.command(
    short_help="Copies all that the store holds to a file.",
    epilog="Example: fraudgraph store backup shop-2026-11-24.db --store sqlite:///shop.db",
)
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


@commands.command(
    short_help="Copies a backup into a new store.",
    epilog="Example: fraudgraph store restore shop-2026-11-24.db --store sqlite:///new.db",
)
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


@commands.command(
    short_help="Copies one store into another.",
    epilog="Example: fraudgraph store migrate --to neo4j://localhost:7687 --store sqlite:///shop.db",
)
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


@commands.command(
    "rotate-key",
    short_help="Gives the store a new key.",
    epilog="Example: fraudgraph store rotate-key --store sqlite:///shop.db",
)
def rotate_key(
    finish: Annotated[bool, typer.Option("--finish", help="End it, if nothing needs the old key.")] = False,
    even_so: Annotated[bool, typer.Option("--even-so", help="With --finish: end it in any case.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Gives the store a new key, without breaking a link.

    It begins a time of two keys: whatever is seen is known by its old pseudonym, and takes its new one. What is not
    seen expires. While it lasts, this command says what may still need the old key. Give the new key as FRAUDGRAPH_KEY
    and the old one as FRAUDGRAPH_KEY_PREVIOUS; where the key is in a file, a new one is made there, and the old one
    stays beside it as ….previous. No daemon may be at work when it begins and ends; start it again with both keys.

    --finish exits with 3 where something may still need the old key.
    """
    from fraudgraph.app import finish_rotation
    from fraudgraph.app import rotate_key as begin

    if even_so and not finish:
        raise UsageError("--even-so goes with --finish", do="Give both, or none.")
    settings = effective_settings(store, config, overrides).settings
    found = finish_rotation(settings, even_so=even_so) if finish else begin(settings)
    if found.file is not None:
        note(f"made a new key in {found.file}; back it up, and the old one, {found.file.name}.previous, beside it")
    if found.resealed:
        note(f"{found.resealed:,} dead letters are sealed under the new key")
    left = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in found.left.items() if count)
    if not found.previous_key_id:
        note(f"the store has one key, {found.key_id}" + (f"; lost to it: {left}" if left else ""))
        note("next: take the old key out of the environment, or destroy its file; backups from before still need it")
        return
    note(f"from key {found.previous_key_id} to {found.key_id}: {left or 'nothing'} may still need the old one")
    if finish:
        note("next: wait until they were seen or have expired, or give --even-so: they would be somebody new then")
        raise typer.Exit(FINDINGS)
    note("next: start the daemon with both keys; `fraudgraph store rotate-key --finish` ends it once nothing is left")
