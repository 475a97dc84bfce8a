"""`fraudgraph model`: the bundles that are there, what is known of each, and which one is in force."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.commands import AuthorOption, FormatOption, WaitOption, give_command, say
from fraudgraph.cli.commands import Format as ResultFormat
from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table, write_text
from fraudgraph.errors import FraudgraphError, UsageError

if TYPE_CHECKING:
    from fraudgraph.cases.audit import AuditRow
    from fraudgraph.scoring.library import BundleLibrary
    from fraudgraph.scoring.manifest import Manifest, Metric
    from fraudgraph.settings import Settings

commands = typer.Typer(no_args_is_help=True, help="Shows, compares and promotes models.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A bundle's name, as `model list` shows it.")]


class Format(StrEnum):
    """How bundles are written."""

    TABLE = "table"
    JSON = "json"


class CardFormat(StrEnum):
    """How one bundle is written."""

    CARD = "card"
    JSON = "json"


@commands.command(
    "list", short_help="Lists the bundles there are.", epilog="Example: fraudgraph model list --store sqlite:///shop.db"
)
def list_(
    format: Annotated[Format, typer.Option("--format", help="Table for people, JSON for programs.")] = Format.TABLE,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Lists the bundles of the models' folder and the shipped ones, and which one is in force."""
    from fraudgraph.rings.facts_words import minute, rfc3339

    settings = effective_settings(store, config, overrides).settings
    library = _library(settings)
    rows = []
    for name, path in library.paths().items():
        manifest, why = _look(path, settings)
        rows.append((name, path, manifest, why))
    in_force = _in_force(settings)
    if format is Format.JSON:
        print_json(
            {
                "in_force": in_force,
                "bundles": [
                    {
                        "name": name,
                        "folder": str(path),
                        "shipped": path.parent == library.shipped,
                        "kind": None if manifest is None else manifest.kind,
                        "event_head": None if manifest is None else manifest.event_head is not None,
                        "usable": not why,
                        "why_not": why,
                        "digest": None if manifest is None else manifest.digest,
                        "trained_until": None if manifest is None else rfc3339(manifest.training.cut_ms),
                    }
                    for name, path, manifest, why in rows
                ],
            }
        )
        return
    print_table(
        [Column("name"), Column("in force"), Column("model"), Column("saw until (UTC)"), Column("", folds=True)],
        [
            [
                name,
                "yes" if name == in_force else "",
                "?" if manifest is None else _model(manifest),
                "?" if manifest is None else minute(manifest.training.cut_ms),
                f"cannot be used: {why}" if why else ("shipped" if path.parent == library.shipped else str(path)),
            ]
            for name, path, manifest, why in rows
        ],
    )
    if not rows:
        note(f"no bundle in {library.folder}; next: fraudgraph train --worlds")
    elif in_force not in [name for name, *_ in rows]:
        note(f"in force: {in_force}")


@commands.command(short_help="Shows a bundle's card.", epilog="Example: fraudgraph model show default")
def show(
    name: NameArgument,
    format: Annotated[CardFormat, typer.Option("--format", help="Card (Markdown), or JSON.")] = CardFormat.CARD,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Shows a bundle's card: what it was trained on, what it is not good for, how good it is."""
    import msgspec

    from fraudgraph.scoring.bundle import read_bundle
    from fraudgraph.scoring.card import card_of

    settings = effective_settings(None, config, overrides).settings
    manifest = read_bundle(_library(settings).path(name)).manifest
    if format is CardFormat.JSON:
        print_json({"bundle": msgspec.to_builtins(manifest), "digest": manifest.digest})
    else:
        write_text(card_of(manifest), None)


@commands.command(
    short_help="Prints bundles' figures side by side.", epilog="Example: fraudgraph model compare default mine"
)
def compare(
    names: Annotated[list[str], typer.Argument(metavar="NAME NAME...", help="Two bundles or more.")],
    format: Annotated[Format, typer.Option("--format", help="Table for people, JSON for programs.")] = Format.TABLE,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Prints bundles' figures side by side, with intervals, and the structural scorer's from the same runs."""
    from fraudgraph.scoring.bundle import read_manifest

    if len(names) < 2:
        raise UsageError("one bundle cannot be compared", do="Name two, or use `fraudgraph model show`.")
    settings = effective_settings(None, config, overrides).settings
    library = _library(settings)
    manifests = [read_manifest(library.path(name)) for name in names]
    kinds = list(dict.fromkeys((m.data, m.level, m.name) for manifest in manifests for m in manifest.metrics))
    table = [[_figures(manifest, kind) for manifest in manifests] for kind in kinds]
    if format is Format.JSON:
        print_json(
            {
                "figures": [
                    {
                        "data": kind[0],
                        "level": kind[1],
                        "figure": kind[2],
                        "bundles": [
                            {"name": name, **{m.model: [m.value, m.low, m.high] for m in cell}}
                            for name, cell in zip(names, row, strict=True)
                        ],
                    }
                    for kind, row in zip(kinds, table, strict=True)
                ]
            }
        )
        return
    print_table(
        [Column("data"), Column("of"), Column("figure"), *(Column(name, right=True) for name in names)],
        [
            [*kind, *(_shown(manifest.name, cell) for manifest, cell in zip(manifests, row, strict=True))]
            for kind, row in zip(kinds, table, strict=True)
        ],
    )
    note("in brackets: 95 % intervals; after the slash: the structural scorer in the same run")
    if len({manifest.training.data_hash for manifest in manifests}) > 1:
        note("they were trained and measured on different data: a difference may be the data's")


@commands.command(
    short_help="Puts a bundle in force.", epilog="Example: fraudgraph model promote default --store sqlite:///shop.db"
)
def promote(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A bundle's name, @champion, or structural.")],
    author: AuthorOption = None,
    wait: WaitOption = False,
    format: FormatOption = ResultFormat.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Puts a bundle in force: rings are scored anew as they change, from the next commit on.

    @champion is the bundle that the registry's alias points to.
    """
    from fraudgraph.app.models import bundle_name

    settings = effective_settings(store, config, overrides).settings
    _promote(settings, bundle_name(settings, name), author=author, wait=wait, format=format)


@commands.command(
    short_help="Undoes the last promotion.", epilog="Example: fraudgraph model rollback --store sqlite:///shop.db"
)
def rollback(
    author: AuthorOption = None,
    wait: WaitOption = False,
    format: FormatOption = ResultFormat.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Puts back in force what was so before the last promotion."""
    settings = effective_settings(store, config, overrides).settings
    last = _promotions(settings)
    if not last:
        raise UsageError("nothing was ever promoted on this store", do="`fraudgraph model promote NAME` does.")
    _promote(settings, last[-1].before, author=author, wait=wait, format=format)


def _promote(settings: Settings, name: str, *, author: str | None, wait: bool, format: ResultFormat) -> None:
    from fraudgraph.app.models import make_library
    from fraudgraph.cases.promotion import write_promotion
    from fraudgraph.scoring.fitting import require_fit
    from fraudgraph.scoring.serving import STRUCTURAL

    if name != STRUCTURAL:
        require_fit(make_library(settings)(name).manifest, settings.links.hash)
    recorded = give_command(settings, *write_promotion(name), author=author, wait=wait)
    say(recorded, {"in_force": name}, f"{name} is in force", format)


def _library(settings: Settings) -> BundleLibrary:
    from fraudgraph.scoring.library import BundleLibrary

    return BundleLibrary(Path(settings.model.folder))


def _look(path: Path, settings: Settings) -> tuple[Manifest | None, str]:
    """Returns what a bundle says of itself, and why it cannot be used; "" where it can."""
    from fraudgraph.scoring.bundle import read_bundle, read_manifest
    from fraudgraph.scoring.fitting import require_fit

    manifest = None
    try:
        manifest = read_manifest(path)
        require_fit(manifest, settings.links.hash)
        read_bundle(path)
    except FraudgraphError as error:
        return manifest, error.what
    return manifest, ""


def _model(manifest: Manifest) -> str:
    """Returns what scores accounts, in a few words."""
    schema, trees = manifest.schema, manifest.trees
    network = "" if schema is None else f"network {schema.layers} x {schema.width}"
    if trees is None:
        return network
    return f"{trees.rounds} trees ({trees.features})" + (f", {network}" if network else "")


def _promotions(settings: Settings) -> list[AuditRow]:
    from fraudgraph.app import open_reader
    from fraudgraph.cases.promotion import PROMOTION

    with closing(open_reader(settings)) as reader:
        return [row for row in reader.audit() if row.what == PROMOTION]


def _in_force(settings: Settings) -> str:
    """Returns what scores: what was promoted last, or where there is no store yet, what the settings name."""
    from fraudgraph.scoring.serving import STRUCTURAL

    try:
        promoted = _promotions(settings)
    except FraudgraphError:
        promoted = []
    return promoted[-1].after if promoted else settings.model.bundle or STRUCTURAL


def _figures(manifest: Manifest, kind: tuple[str, str, str]) -> list[Metric]:
    return [m for m in manifest.metrics if (m.data, m.level, m.name) == kind]


def _shown(name: str, cell: list[Metric]) -> str:
    """Returns a bundle's own figure, and the structural scorer's beside it."""
    own = next((m for m in cell if m.model.endswith(f"/{name}")), None)
    rival = next((m for m in cell if m.model.startswith("structural")), None)
    beside = "" if rival is None else f" / {rival.value:.3f}"
    return "-" if own is None else f"{own.value:.3f} [{own.low:.3f}, {own.high:.3f}]{beside}"
