"""Where things stand in the picture of a ring, in inches: members and identifiers, then names beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fraudgraph.reports.model import RingReport
from fraudgraph.rings.facts_view import Identifier

if TYPE_CHECKING:
    import networkx as nx

Point = tuple[float, float]

MARGIN_INCHES = 0.55
APART_INCHES = 0.34
"""Nearest that two marks may stand."""

MAX_COVERED = 0.25
"""Part of a name that may lie on something else."""

MAX_EXACT = 160
"""Up to so many nodes Kamada-Kawai, which is cubic; beyond that a spring layout with a seed."""


def places(report: RingReport, drawn: list[Identifier], frame: Point) -> dict[str, Point]:
    """Returns a place for every member (`user:…`) and identifier (its name); strong ties short, parts side by side.

    The same report gives the same places: Kamada & Kawai (1989) from a circle, in sorted order.
    """
    import networkx as nx

    graph = _graph(report, drawn)
    parts = sorted((sorted(p) for p in nx.connected_components(graph)), key=lambda p: (-len(p), p[0]))
    place: dict[str, Point] = {}
    shelf_width = 2.4 * math.sqrt(len(graph))
    x, y, shelf_height = 0.0, 0.0, 0.0
    for part in parts:
        radius = math.sqrt(len(part)) if len(part) > 1 else 0.5
        if x > 0.0 and x + 2 * radius > shelf_width:
            x, y, shelf_height = 0.0, y - shelf_height, 0.0
        for node, (dx, dy) in _part(graph, part).items():
            place[node] = (x + radius * (1.0 + dx), y - radius * (1.0 + dy))
        x += 2.0 * radius + 0.6
        shelf_height = max(shelf_height, 2.0 * radius + 0.6)
    return _apart(_stretched(place, *frame), *frame)


def _graph(report: RingReport, drawn: list[Identifier]) -> nx.Graph:
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(sorted(f"user:{m.user.user_id}" for m in report.members))
    for i in drawn:
        for link in i.links:
            graph.add_edge(f"user:{link.user_id}", i.name, length=1.0 if link.ties else 2.0)
    for t in report.view.snapshot.transfers:
        a, b = f"user:{t.from_user_id}", f"user:{t.to_user_id}"
        if a != b and a in graph and b in graph:
            graph.add_edge(a, b, length=2.0)
    return graph


def _part(graph: nx.Graph, part: list[str]) -> dict[str, Point]:
    import networkx as nx

    if len(part) == 1:
        return {part[0]: (0.0, 0.0)}
    sub = nx.Graph()
    sub.add_nodes_from(part)
    sub.add_edges_from((a, b, {"length": graph[a][b]["length"]}) for a in part for b in sorted(graph[a]) if a < b)
    if len(part) <= MAX_EXACT:
        spots = nx.kamada_kawai_layout(sub, weight="length", pos=nx.circular_layout(sub))
    else:
        spots = nx.spring_layout(sub, seed=7, iterations=120, k=2.2 / math.sqrt(len(part)))
    return {node: (float(x), float(y)) for node, (x, y) in spots.items()}


def _stretched(place: Mapping[str, Point], wide: float, high: float) -> dict[str, Point]:
    xs, ys = [p[0] for p in place.values()], [p[1] for p in place.values()]
    span_x, span_y = max(xs) - min(xs), max(ys) - min(ys)

    def scaled(value: float, low: float, span: float, room: float) -> float:
        return room / 2 if span < 1e-9 else MARGIN_INCHES + (value - low) / span * (room - 2 * MARGIN_INCHES)

    return {n: (scaled(x, min(xs), span_x, wide), scaled(y, min(ys), span_y, high)) for n, (x, y) in place.items()}


def _apart(place: dict[str, Point], wide: float, high: float) -> dict[str, Point]:
    """Returns places pushed apart until no two are nearer than `APART_INCHES`, or for 60 rounds."""
    names = list(place)
    spots = [list(place[n]) for n in names]
    for _ in range(60):
        moved = False
        for i in range(len(spots)):
            for j in range(i + 1, len(spots)):
                dx, dy = spots[j][0] - spots[i][0], spots[j][1] - spots[i][1]
                gap = math.hypot(dx, dy)
                if gap >= APART_INCHES:
                    continue
                moved = True
                # Two in the same spot part along a direction that depends on their order only.
                ux, uy = (dx / gap, dy / gap) if gap > 1e-6 else (math.cos(i + 1.0), math.sin(i + 1.0))
                push = (APART_INCHES - gap) / 2 + 0.005
                for k, sign in ((i, -1.0), (j, 1.0)):
                    spots[k][0] = min(wide - 0.2, max(0.2, spots[k][0] + sign * ux * push))
                    spots[k][1] = min(high - 0.2, max(0.2, spots[k][1] + sign * uy * push))
        if not moved:
            break
    return {n: (x, y) for n, (x, y) in zip(names, spots, strict=True)}


Box = tuple[float, float, float, float]


def label_places(
    place: Mapping[str, Point],
    texts: Mapping[str, str],
    frame: Point,
    *,
    fontsize: float,
    mark_inches: float,
    all_named: bool,
) -> dict[str, Point]:
    """Returns the centre of each name: of eight spots around its mark the one that covers least of what stands there.

    Args:
        place: all marks, in inches.
        texts: node -> name; most notable first, because earlier names choose first.
        frame: width and height of the picture; a name does not leave it where that can be helped.
        fontsize: in points.
        mark_inches: side of a mark.
        all_named: names every node, even where a name must cover something; else such a name is left out.
    """
    taken: list[Box] = [_box(x, y, mark_inches, mark_inches) for x, y in place.values()]
    middle_x = sum(x for x, _ in place.values()) / len(place)
    middle_y = sum(y for _, y in place.values()) / len(place)
    found = {}
    for node, text in texts.items():
        x, y = place[node]
        wide, high = 0.6 * fontsize / 72 * len(text) + 0.05, 1.35 * fontsize / 72
        away_x, away_y = mark_inches / 2 + wide / 2, mark_inches / 2 + high / 2
        spots = [
            (x + sx * away_x * (0.75 if sx and sy else 1.0), y + sy * away_y)
            for sx, sy in ((0, -1), (0, 1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))
        ]
        outward = [(x - middle_x) * (px - x) + (y - middle_y) * (py - y) for px, py in spots]
        inside = (0.0, 0.0, *frame)
        boxes = [_box(px, py, wide, high) for px, py in spots]
        covered = [
            sum(_overlap(box, other) for other in taken) + 2.0 * (wide * high - _overlap(box, inside)) for box in boxes
        ]
        best = min(range(len(spots)), key=lambda k: (round(covered[k], 4), -round(outward[k], 4), k))
        if covered[best] > MAX_COVERED * wide * high and not all_named:
            continue
        found[node] = spots[best]
        taken.append(_box(*spots[best], wide, high))
    return found


def _box(x: float, y: float, wide: float, high: float) -> Box:
    return (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)


def _overlap(a: Box, b: Box) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    return w * h if w > 0.0 and h > 0.0 else 0.0
