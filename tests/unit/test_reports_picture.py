"""The picture can be read: marks apart, names beside their marks, everything that is left out said."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from itertools import combinations

import networkx as nx
import pytest
from support.snapshots import DAY, EXAMPLES, NASTY_IDS, NOW, Builder

from fraudgraph.events.kinds import EntityKind
from fraudgraph.reports.model import build_report
from fraudgraph.reports.picture import FRAME, MAX_NAMES, caption, draw, drawn_identifiers, named, png, svg
from fraudgraph.reports.picture_layout import APART_INCHES, label_places, places
from fraudgraph.rings.roles import RoleName


def texts_of(name: str) -> list[str]:
    """Returns the texts in an example's picture."""
    figure = draw(build_report(EXAMPLES[name]()))
    return [t.get_text() for axes in figure.axes for t in axes.texts]


@pytest.mark.parametrize("name", EXAMPLES)
def test_marks_stand_apart_and_inside_the_frame(name: str) -> None:
    report = build_report(EXAMPLES[name]())
    drawn = drawn_identifiers(report)
    place = places(report, drawn, FRAME)
    assert len(place) == len(report.members) + len(drawn)
    nearest = min(math.dist(a, b) for a, b in combinations(place.values(), 2))
    assert nearest >= APART_INCHES * 0.9
    assert all(0 < x < FRAME[0] and 0 < y < FRAME[1] for x, y in place.values())
    assert places(report, drawn, FRAME) == place


@pytest.mark.parametrize("name", ["fake-accounts-3", "fake-accounts", "big"])
def test_names_do_not_cover_each_other(name: str) -> None:
    report = build_report(EXAMPLES[name]())
    place = places(report, drawn_identifiers(report), FRAME)
    texts = {f"user:{u}": u for u in named(report)}
    found = label_places(place, texts, FRAME, fontsize=8.0, mark_inches=0.25, all_named=False)
    for (a, (ax, ay)), (b, (bx, by)) in combinations(found.items(), 2):
        wide = 0.6 * 8 / 72 * (len(texts[a]) + len(texts[b])) / 2
        assert abs(ax - bx) >= wide * 0.9 or abs(ay - by) >= 0.13, (a, b)


def test_few_members_are_all_named_and_many_only_where_notable() -> None:
    small = build_report(EXAMPLES["fake-accounts"]())
    assert named(small) == [m.user.user_id for m in small.members]
    large = build_report(EXAMPLES["big"]())
    assert len(large.members) > MAX_NAMES
    bridges = {m.user.user_id for m in large.members if m.role.name is RoleName.BRIDGE}
    assert bridges <= set(named(large))
    assert len(named(large)) < MAX_NAMES


def test_every_member_has_its_number_and_every_identifier_its_name() -> None:
    texts = texts_of("big")
    assert {str(n) for n in range(1, 61)} <= set(texts)
    assert {f"D{n}" for n in range(1, 10)} <= set(texts)
    assert "IP1" not in texts
    assert "IP1" in caption(build_report(EXAMPLES["big"]()))


def test_many_identifiers_are_thinned_without_parting_the_ring() -> None:
    b = Builder()
    for i in range(20):
        b.user(f"U{i}", NOW - DAY)
        for k in range(12):  # every card with everybody near: 12 ways to tie the same accounts
            b.use(f"U{i}", EntityKind.CARD, f"c{i // 2}-{k}", NOW - DAY)
        b.use(f"U{i}", EntityKind.PHONE, f"p{(i + 1) // 2}", NOW - DAY)
    report = build_report(b.build())
    drawn = drawn_identifiers(report)
    assert len(drawn) < len(report.view.shared)
    graph = nx.Graph((f"user:{u}", i.name) for i in drawn for u in i.user_ids)
    assert nx.is_connected(graph)
    assert f"{len(report.view.shared) - len(drawn)} more identifiers not drawn" in caption(report)


def test_legend_counts_roles_and_kinds() -> None:
    figure = draw(build_report(EXAMPLES["takeover"]()))
    words = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert {"core (1)", "likely victim (4)", "device (1)", "address (1)"} <= set(words)


def test_nasty_ids_are_drawn_as_text_without_mathematics_or_controls() -> None:
    report = build_report(EXAMPLES["nasty"]())
    assert png(report).startswith(b"\x89PNG")
    shown = "".join(texts_of("nasty"))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert len(report.members) == len(NASTY_IDS)


def test_svg_is_one_well_formed_element_without_scripts_and_the_same_each_time() -> None:
    report = build_report(EXAMPLES["nasty"]())
    picture = svg(report)
    root = ET.fromstring(picture)
    assert root.tag.endswith("svg")
    assert not [e for e in root.iter() if e.tag.rsplit("}")[-1] in ("script", "foreignObject", "text")]
    assert svg(report) == picture
