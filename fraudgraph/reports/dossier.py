"""The dossier: one ring with all that its report is derived from, in a zip that anybody can check without the store."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from fraudgraph import __version__
from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.errors import ConfigurationError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.reports.json import report_json
from fraudgraph.reports.markdown import render_markdown
from fraudgraph.reports.model import build_report
from fraudgraph.reports.rescore import SCORER, Basis, row_differences, rule_differences, score_differences
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.scoring.calibration import Calibration

FORMAT: Final = "fraudgraph-dossier-1"
MANIFEST, SNAPSHOT, REPORT, TEXT, CONFIG = "manifest.json", "snapshot.json", "report.json", "report.md", "config.json"
FILES: Final = (SNAPSHOT, REPORT, TEXT, CONFIG)
MAX_FILE_BYTES: Final = 256 * 1024 * 1024
"""A larger file in a zip is no dossier: a ring has some hundred members."""

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can name; the same for every file, so that the same ring gives the same bytes."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hashes, SHA-256 in hex: of each file, and of each value and row of the snapshot, to say which was changed."""

    format: str
    code: str
    ring_id: str
    as_of_ms: int
    files: dict[str, str]
    rows: dict[str, str]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the ring was judged by.

    Attributes:
        settings: the knobs that decide about rings, by their dotted names; for reading.
        evidence: the constants of the scorer's evidence.
        started_ms: the earliest event of the stream.
    """

    links: LinkPolicy
    priority: PriorityRules
    calibration: Calibration
    evidence: dict[str, Any]
    settings: dict[str, Any]
    started_ms: int
    warmup_days: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What checking a dossier found.

    Attributes:
        digest: SHA-256 of the manifest: whoever noted it when the dossier was made knows this one again.
        code: the version that wrote it; another one may derive otherwise.
        checked: what was derived anew, in words.
        differences: what is not as it was, or not as it follows; empty where all holds.
    """

    ring_id: str
    digest: str
    code: str
    checked: tuple[str, ...]
    differences: tuple[str, ...]


def pack(snapshot: RingSnapshot, basis: Basis, settings: Mapping[str, object]) -> tuple[bytes, str]:
    """Returns a dossier and its digest; the same bytes for the same arguments.

    Args:
        settings: knobs without secrets, by their dotted names.
    """
    report = build_report(snapshot, basis.policy)
    config = Config(
        links=basis.policy,
        priority=basis.priority,
        calibration=basis.calibration,
        evidence=msgspec.to_builtins(basis.evidence),
        settings=dict(settings),
        started_ms=basis.started_ms,
        warmup_days=basis.warmup_days,
    )
    files = {
        SNAPSHOT: _json(snapshot),
        REPORT: _json(report_json(report)),
        TEXT: render_markdown(report).encode(),
        CONFIG: _json(config),
    }
    manifest = _json(
        Manifest(
            format=FORMAT,
            code=__version__,
            ring_id=snapshot.ring_id,
            as_of_ms=snapshot.as_of_ms,
            files={name: _sha256(content) for name, content in files.items()},
            rows=dict(_rows(files[SNAPSHOT])),
        )
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in ((MANIFEST, manifest), *files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, wherever it is made
            archive.writestr(entry, content)
    return out.getvalue(), _sha256(manifest)


def verify(content: bytes) -> Verdict:
    """Checks a dossier against itself: its hashes, and everything in it that follows from something else in it.

    Whoever rewrites a dossier as a whole, hashes and derivations included, makes another dossier; that shows only
    against the digest noted when it was made.

    Raises:
        ConfigurationError: it is no dossier, or of a format that this version does not read.
    """
    files = _unpack(content)
    digest = _sha256(files.get(MANIFEST, b""))
    manifest = _manifest(files.pop(MANIFEST, None))
    checked = ["hashes"]
    differences = list(_hash_differences(files, manifest))
    snapshot, config = _decoded(files, SNAPSHOT, RingSnapshot), _decoded(files, CONFIG, Config)
    differences += [found for found in (snapshot, config) if isinstance(found, str)]
    if isinstance(snapshot, RingSnapshot) and isinstance(config, Config):
        try:
            words, found = _derivation_differences(snapshot, config, files)
        except (ArithmeticError, LookupError, ValueError, TypeError) as error:
            # A snapshot that was tampered with may say anything; one that no ring can have is a difference too.
            words, found = [], [f"{SNAPSHOT}: nothing can be derived from it ({type(error).__name__})"]
        checked += words
        differences += found
        if manifest.ring_id != snapshot.ring_id or manifest.as_of_ms != snapshot.as_of_ms:
            differences.append(f"{MANIFEST}: it is about ring {manifest.ring_id}, the snapshot about another one")
    return Verdict(manifest.ring_id, digest, manifest.code, tuple(checked), tuple(dict.fromkeys(differences)))


def _derivation_differences(
    snapshot: RingSnapshot, config: Config, files: Mapping[str, bytes]
) -> tuple[list[str], list[str]]:
    from fraudgraph.scoring.evidence import EvidenceRules

    basis = Basis(
        policy=config.links,
        priority=config.priority,
        calibration=config.calibration,
        evidence=msgspec.convert(config.evidence, EvidenceRules),
        started_ms=config.started_ms,
        warmup_days=config.warmup_days,
    )
    checked = ["strength of links", "money", "priority"]
    found = [f"{SNAPSHOT}: {line}" for line in row_differences(snapshot, basis)]
    if snapshot.versions.get("scorer") == SCORER:
        checked.append("score and its reasons, from features measured again")
        found += [f"{SNAPSHOT}: {line}" for line in score_differences(snapshot, basis)]
    if snapshot.rules.hits:
        checked.append("the shop's rules, their numbers measured again")
        found += [f"{SNAPSHOT}: {line}" for line in rule_differences(snapshot, basis)]
    report = build_report(snapshot, config.links)
    checked.append("report: facts, roles, money, ties, stress test")
    said = msgspec.json.decode(files.get(REPORT, b"null"))
    found += [f"{REPORT}: {line}" for line in _unlike(said, msgspec.to_builtins(report_json(report)), "")]
    if files.get(TEXT) != render_markdown(report).encode():
        found.append(f"{TEXT}: it is not the report of this snapshot")
    return checked, found


def _hash_differences(files: Mapping[str, bytes], manifest: Manifest) -> Iterator[str]:
    for name in sorted(manifest.files.keys() | files.keys() | set(FILES)):
        if name not in files:
            yield f"{name}: it is missing"
        elif name not in manifest.files:
            yield f"{name}: the manifest does not name it"
        elif _sha256(files[name]) != manifest.files[name]:
            yield f"{name}: it is not what was packed"
    try:
        rows = dict(_rows(files.get(SNAPSHOT, b"{}")))
    except msgspec.DecodeError:
        return
    for name in sorted(manifest.rows.keys() | rows.keys()):
        if rows.get(name) != manifest.rows.get(name):
            what = "missing" if name not in rows else "new" if name not in manifest.rows else "not what was packed"
            yield f"{SNAPSHOT}: {name} is {what}"


def _rows(content: bytes) -> Iterator[tuple[str, str]]:
    """Yields (name, hash) of each value of a snapshot, and of each row where it is a list."""
    document = msgspec.json.decode(content)
    for name, value in document.items() if isinstance(document, dict) else ():
        if isinstance(value, list):
            yield from (
                (f"{name}[{at}]", _sha256(msgspec.json.encode(row, order="sorted"))) for at, row in enumerate(value)
            )
        else:
            yield name, _sha256(msgspec.json.encode(value, order="sorted"))


def _unlike(said: Any, derived: Any, path: str) -> Iterator[str]:
    """Yields where two JSON values differ, leaf by leaf."""
    if isinstance(said, dict) and isinstance(derived, dict):
        for name in sorted(said.keys() | derived.keys()):
            yield from _unlike(said.get(name), derived.get(name), f"{path}.{name}" if path else name)
    elif isinstance(said, list) and isinstance(derived, list) and len(said) == len(derived):
        for at, (one, other) in enumerate(zip(said, derived, strict=True)):
            yield from _unlike(one, other, f"{path}[{at}]")
    elif isinstance(said, list) and isinstance(derived, list):
        yield f"{path}: has {len(said)} entries, derived {len(derived)}"
    elif said != derived:
        yield f"{path}: says {said!r}, derived {derived!r}"


def _unpack(content: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > 2 * len(FILES) or any(entry.file_size > MAX_FILE_BYTES for entry in entries):
                raise _no_dossier("it holds too much")
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise _no_dossier("its archive is damaged") from error


def _manifest(content: bytes | None) -> Manifest:
    if content is None:
        raise _no_dossier(f"it has no {MANIFEST}")
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise _no_dossier(f"its {MANIFEST} cannot be read") from error
    if manifest.format != FORMAT:
        raise _no_dossier(f"its format is {manifest.format!r}, and this version reads {FORMAT}")
    return manifest


def _no_dossier(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the file is no dossier: {why}",
        do="Give a file that `fraudgraph rings dossier RING_ID --out FILE.zip` wrote, with the version that wrote it.",
    )


def _decoded(files: Mapping[str, bytes], name: str, kind: type[Any]) -> Any:
    """Returns a file's content, or what is wrong with it."""
    try:
        return msgspec.json.decode(files.get(name, b""), type=kind)
    except (msgspec.DecodeError, ConfigurationError) as error:
        return f"{name}: it cannot be read ({type(error).__name__})"


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
