"""`fraudgraph rings dossier` and `fraudgraph verify`: evidence that can be checked without the store."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph import __version__
from fraudgraph.cli.options import FINDINGS, ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import note, print_json, write_bytes
from fraudgraph.errors import DependencyError, UsageError

if TYPE_CHECKING:
    from fraudgraph.reports.rescore import Basis
    from fraudgraph.settings import Settings

_SECTIONS = ("links", "rings", "priority", "alerts", "time", "memory", "cases")
"""What decides about rings; paths, addresses and accounts of the shop's systems are in the others."""


class Format(StrEnum):
    """How the result is written."""

    TEXT = "text"
    JSON = "json"


def dossier(
    ring_id: Annotated[str, typer.Argument(metavar="RING_ID", help="The ring's id, as `rings list` shows it.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The zip file to write.")],
    as_decided: Annotated[
        str | None,
        typer.Option("--as-decided", metavar="DECISION_ID", help="The evidence as it was kept with that decision."),
    ] = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Writes a ring's evidence as a file that anybody can check.

    It holds the snapshot, the report, the configuration, versions and positions, and the hash of each; no key and no
    raw identifier. `fraudgraph verify FILE` derives all of it anew, without the store.
    """
    from fraudgraph.app import open_reader
    from fraudgraph.cli.reading import read_ring
    from fraudgraph.reports.dossier import pack

    effective = effective_settings(store, config, overrides)
    settings = effective.settings
    with closing(open_reader(settings)) as reader:
        snapshot = read_ring(reader, ring_id, as_decided)
        started_ms = int(reader.meta()["started_ms"])
    if as_decided is None and snapshot.status == "closed":
        raise UsageError(
            f"ring {snapshot.ring_id} has closed, and the evidence of its score has expired",
            do="Name a decision of its time with --as-decided; a decided ring keeps its evidence.",
        )
    knobs = {name: value for name, value in effective.values.items() if name.partition(".")[0] in _SECTIONS}
    content, digest = pack(snapshot, _basis(settings, started_ms), knobs)
    write_bytes(content, out)
    note(f"digest: {digest}")
    note("note the digest elsewhere: `fraudgraph verify --digest` then tells this dossier from one that was rewritten")


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `rings dossier` wrote.")],
    digest: Annotated[
        str | None, typer.Option("--digest", metavar="HASH", help="The digest that was noted when it was written.")
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="Text for people, JSON for programs.")] = Format.TEXT,
) -> None:
    """Checks a dossier, without its store and without any key.

    Hashes; and derived anew: strengths, money, priority, score, facts, roles, stress test. Exits with 3 where something
    differs.
    """
    from fraudgraph.reports.dossier import verify as check
    from fraudgraph.reports.escape import plain

    try:
        content = file.read_bytes()
    except OSError as error:
        raise DependencyError(
            f"{file} cannot be read ({error.strerror})", do="Name a file that `fraudgraph rings dossier` wrote."
        ) from error
    verdict = check(content)
    differences = list(verdict.differences)
    if digest is not None and digest != verdict.digest:
        differences.insert(0, "digest: it is not the one that was noted; this is another dossier, or a rewritten one")
    if format is Format.JSON:
        print_json(
            {
                "ring_id": verdict.ring_id,
                "digest": verdict.digest,
                "written_by": verdict.code,
                "checked": list(verdict.checked),
                "differences": differences,
            }
        )
    else:
        for line in differences:
            typer.echo(plain(line))
        if not differences:
            typer.echo(f"ring {plain(verdict.ring_id)}: everything holds")
        typer.echo(f"checked: {'; '.join(verdict.checked)}")
        typer.echo(f"digest: {verdict.digest}")
    if verdict.code != __version__:
        note(f"written by fraudgraph {plain(verdict.code)}; this is {__version__}, which may derive otherwise")
    if differences:
        raise typer.Exit(FINDINGS)


def _basis(settings: Settings, started_ms: int) -> Basis:
    from fraudgraph.reports.rescore import Basis
    from fraudgraph.scoring.calibration import load_calibration
    from fraudgraph.scoring.evidence import EvidenceRules

    return Basis(
        policy=settings.links,
        priority=settings.priority,
        calibration=load_calibration(),
        evidence=EvidenceRules(),
        started_ms=started_ms,
        warmup_days=settings.rings.warmup_days,
    )
