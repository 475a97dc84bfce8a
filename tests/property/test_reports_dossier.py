"""Dossiers: untouched they hold, and whatever single value is changed, it is found and named."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cli import fraudgraph

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.errors import ConfigurationError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.reports.dossier import CONFIG, MANIFEST, REPORT, SNAPSHOT, TEXT, pack, verify
from fraudgraph.reports.rescore import Basis
from fraudgraph.rings.facts import facts
from fraudgraph.rings.features import FEATURE_INDEX
from fraudgraph.rings.measure import Watch
from fraudgraph.rings.remeasure import remeasure
from fraudgraph.rings.snapshot import UNKNOWN_MS, RingSnapshot
from fraudgraph.scoring.calibration import load_calibration
from fraudgraph.scoring.evidence import EvidenceRules
from fraudgraph.stores.url import open_reader

Way = tuple[str | int, ...]


class World:
    """A simulated shop in a store, and the dossiers of all its rings."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'shop.db'}"
        shop = ("--seed", 12, "--users", 700, "--days", 40, "--ring-share", 0.15)
        assert fraudgraph("simulate", *shop, "--out", folder).code == 0
        assert fraudgraph("ingest", folder / "events.jsonl", "--store", self.url).code == 0
        with closing(open_reader(self.url, LinkPolicy(), PriorityRules())) as reader:
            read = [reader.snapshot(row.ring_id) for row in reader.rings()]
            started_ms = int(reader.meta()["started_ms"])
        self.rings: list[RingSnapshot] = [snapshot for snapshot in read if snapshot is not None]
        self.basis = Basis(LinkPolicy(), PriorityRules(), load_calibration(), EvidenceRules(), started_ms, 14)

    def pack(self, ring: RingSnapshot) -> bytes:
        return pack(ring, self.basis, {"rings.min_users": 3})[0]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("dossiers"))


def files_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: dict[str, bytes], *, rehash: bool = False) -> bytes:
    """Returns a zip of the files; a forger knows how hashes are made, and makes them again."""
    if rehash:
        manifest = msgspec.json.decode(files[MANIFEST])
        manifest["files"] = {n: hashlib.sha256(c).hexdigest() for n, c in files.items() if n != MANIFEST}
        manifest["rows"] = {
            (name if at is None else f"{name}[{at}]"): hashlib.sha256(
                msgspec.json.encode(value, order="sorted")
            ).hexdigest()
            for name, column in msgspec.json.decode(files[SNAPSHOT]).items()
            for at, value in (enumerate(column) if isinstance(column, list) else [(None, column)])
        }
        files = files | {MANIFEST: msgspec.json.encode(manifest)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def leaves(tree: Any, way: Way = ()) -> list[Way]:
    if isinstance(tree, dict):
        return [leaf for name, branch in tree.items() for leaf in leaves(branch, (*way, name))]
    if isinstance(tree, list):
        return [leaf for at, branch in enumerate(tree) for leaf in leaves(branch, (*way, at))]
    return [way]


def changed(tree: Any, way: Way) -> Any:
    """Returns the tree with one leaf changed, to a value of the same type."""
    if not way:
        if isinstance(tree, bool):
            return not tree
        if isinstance(tree, (int, float)):
            return tree + 1
        return "x" if tree is None else f"{tree}x"
    copy = tree.copy()
    copy[way[0]] = changed(tree[way[0]], way[1:])
    return copy


def test_every_ring_of_a_shop_holds_as_packed_and_packs_to_the_same_bytes(world: World) -> None:
    assert len(world.rings) >= 15
    for ring in world.rings:
        content = world.pack(ring)
        assert content == world.pack(ring)
        verdict = verify(content)
        assert verdict.differences == (), ring.ring_id
        assert any("score" in words for words in verdict.checked)


@settings(deadline=None)
@given(st.data())
def test_every_single_value_of_every_file_is_found_when_changed(world: World, data: st.DataObject) -> None:
    files = files_of(world.pack(data.draw(st.sampled_from(world.rings), label="ring")))
    name = data.draw(st.sampled_from([SNAPSHOT, SNAPSHOT, REPORT, CONFIG]), label="file")
    tree = msgspec.json.decode(files[name])
    way = data.draw(st.sampled_from(leaves(tree)), label="value")
    files[name] = msgspec.json.encode(changed(tree, way))
    found = verify(zipped(files)).differences
    assert any(line.startswith(name) for line in found)
    if name == SNAPSHOT:
        row = f"{way[0]}[{way[1]}]" if isinstance(tree[way[0]], list) else str(way[0])
        assert f"{SNAPSHOT}: {row} is not what was packed" in found


FOLLOWS = {
    (): {"ring_id", "status", "probability", "priority", "value_at_risk_minor", "currency", "recency", "reason"}
    | {"as_of_ms", "identifiers"},
    ("users",): {"user_id", "first_ms", "last_ms", "label", "chargebacks", "orders"},
    ("links",): {"user_id", "kind", "first_ms", "last_ms", "users_active", "strength", "ties", "hub"},
    ("orders",): {"user_id", "amount_minor", "refunded_minor", "charged_minor", "currency", "declined"},
}
"""Fields from which something else in the dossier follows, wherever they stand in a ring."""


def test_a_forger_who_makes_the_hashes_again_is_found_by_what_follows(world: World) -> None:
    """The single values from which something follows are nearly all found; the digest finds all of them."""
    draw = random.Random(5)
    missed: dict[str, int] = {}
    tried = 0
    for ring in world.rings:
        content = world.pack(ring)
        files = files_of(content)
        tree = msgspec.json.decode(files[SNAPSHOT])
        ways = [
            way
            for way in leaves(tree)
            if str(way[-1]) in FOLLOWS.get((way[0],) if isinstance(tree[way[0]], list) else (), set())
        ]
        for way in draw.sample(ways, min(12, len(ways))):
            forged = files | {SNAPSHOT: msgspec.json.encode(changed(tree, way))}
            verdict = verify(zipped(forged, rehash=True))
            assert verdict.digest != verify(content).digest
            tried += 1
            if not verdict.differences:
                missed[f"{way[0]} {way[-1]}"] = missed.get(f"{way[0]} {way[-1]}", 0) + 1
    assert sum(missed.values()) < 0.05 * tried, missed
    assert not [name for name in missed if name.split()[1] in {"strength", "ties", "hub", "priority", "probability"}]


@pytest.mark.parametrize("name", [SNAPSHOT, REPORT, TEXT, CONFIG])
def test_a_file_that_is_missing_or_no_json_is_a_difference(world: World, name: str) -> None:
    files = files_of(world.pack(world.rings[0]))
    for spoilt in (files | {name: b"[1, {"}, {n: c for n, c in files.items() if n != name}):
        assert any(line.startswith(name) for line in verify(zipped(spoilt)).differences)
    assert any(line.startswith("more.txt") for line in verify(zipped(files | {"more.txt": b"?"})).differences)


def test_what_is_no_dossier_is_refused(world: World) -> None:
    files = files_of(world.pack(world.rings[0]))
    other = msgspec.json.decode(files[MANIFEST]) | {"format": "fraudgraph-dossier-9"}
    for content in (
        b"",
        b"PK\x03\x04 nothing",
        zipped({"a.txt": b"a"}),
        zipped(files | {MANIFEST: b"{}"}),
        zipped(files | {MANIFEST: msgspec.json.encode(other)}),
        world.pack(world.rings[0])[:-40],
    ):
        with pytest.raises(ConfigurationError, match="no dossier"):
            verify(content)


def test_the_commands_write_check_and_say_what_differs(world: World, tmp_path: Path) -> None:
    ring = world.rings[0].ring_id
    file = tmp_path / "ring.zip"
    written = fraudgraph("rings", "dossier", ring, "--out", file, "--store", world.url)
    assert written.code == 0
    digest = written.err.partition("digest: ")[2].split()[0]
    held = fraudgraph("verify", file, "--digest", digest, "--format", "json")
    assert (held.code, held.json["differences"], held.json["ring_id"]) == (0, [], ring)
    assert "everything holds" in fraudgraph("verify", file).out
    text = b"".join(files_of(file.read_bytes()).values()).decode()
    assert str(tmp_path) not in text
    assert "shop.db" not in text
    assert fraudgraph("verify", file, "--digest", "0" * 64).code == 3
    files = files_of(file.read_bytes())
    tree = msgspec.json.decode(files[SNAPSHOT])
    file.write_bytes(zipped(files | {SNAPSHOT: msgspec.json.encode(changed(tree, ("users", 0, "orders")))}))
    told = fraudgraph("verify", file)
    assert told.code == 3
    assert "snapshot.json: users[0] is not what was packed" in told.out
    older = msgspec.json.decode(files[MANIFEST]) | {"code": "0.0.1"}
    file.write_bytes(zipped(files | {MANIFEST: msgspec.json.encode(older)}))
    assert "written by fraudgraph 0.0.1" in fraudgraph("verify", file).err
    assert fraudgraph("verify", tmp_path / "none.zip").code == 5
    file.write_bytes(b"no zip")
    assert fraudgraph("verify", file).code == 4
    assert fraudgraph("rings", "dossier", "R999999", "--out", file, "--store", world.url).code == 2


def test_evidence_kept_with_a_decision_holds_too(world: World, tmp_path: Path) -> None:
    ring = world.rings[1].ring_id
    said = fraudgraph("rings", "decide", ring, "confirmed", "--reason", "chargebacks", "--store", world.url)
    assert said.code == 0, said.err
    file = tmp_path / "ring.zip"
    kept = fraudgraph("rings", "dossier", ring, "--as-decided", "D000001", "--out", file, "--store", world.url)
    assert kept.code == 0, kept.err
    assert fraudgraph("verify", file).code == 0
    now = fraudgraph("rings", "dossier", ring, "--out", file, "--store", world.url)
    assert now.code == 0
    assert fraudgraph("verify", file).code == 0


def test_facts_and_score_agree_on_who_is_new(world: World) -> None:
    shown = 0
    for ring in world.rings:
        features, _ = remeasure(ring, LinkPolicy(), Watch(births_ms=ring.births_ms, links_ms=ring.links_ms))
        bursts = {24: features[0, FEATURE_INDEX["burst_day"]], 168: features[0, FEATURE_INDEX["burst_week"]]}
        for fact in facts(ring):
            if fact.kind == "burst":
                shown += 1
                assert fact.fields["members"] == round(bursts[fact.fields["window_hours"]] * len(ring.users))
    assert shown


def test_a_dossier_of_before_beginnings_were_noted_verifies(world: World) -> None:
    for ring in world.rings[:10]:
        old = replace(ring, births_ms=UNKNOWN_MS, links_ms=UNKNOWN_MS)
        files = files_of(world.pack(old))
        snapshot = msgspec.json.decode(files[SNAPSHOT])
        del snapshot["births_ms"], snapshot["links_ms"]
        files[SNAPSHOT] = msgspec.json.encode(snapshot)
        assert verify(zipped(files, rehash=True)).differences == ()
