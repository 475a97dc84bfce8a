"""The picture of a ring: members and what they share, readable for three members and for sixty.

A member is a circle with the number of their row in the report's table; an identifier has the shape and colour of its
kind (Okabe & Ito's palette, safe for colour-blind readers) and its short name. Hubs are left out, and said.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from fraudgraph.events.kinds import EntityKind
from fraudgraph.reports.escape import plain
from fraudgraph.reports.model import RingReport
from fraudgraph.reports.picture_layout import Point, label_places, places
from fraudgraph.rings.facts_view import NOUN, Identifier
from fraudgraph.rings.facts_words import count
from fraudgraph.rings.roles import RoleName

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES, HEIGHT_INCHES = 11.0, 7.6
FRAME = (0.77 * WIDTH_INCHES, 0.93 * HEIGHT_INCHES)
"""Of the graph itself, beside the legend and above the caption."""

MAX_IDENTIFIERS = 36
"""More are drawn only where the picture would fall apart without them."""

MAX_NAMES = 26
"""With more members only bridges, likely victims and the first of the core are named; all are numbered."""

NOTABLE = 12
MAX_NAME = 18
NAME_POINTS = 8.0

_KIND_MARK: dict[EntityKind, tuple[str, str, float]] = {
    EntityKind.DEVICE: ("s", "#56B4E9", 330.0),
    EntityKind.CARD: ("D", "#009E73", 270.0),
    EntityKind.EMAIL: ("^", "#CC79A7", 420.0),
    EntityKind.PHONE: ("v", "#F0E442", 420.0),
    EntityKind.ADDRESS: ("p", "#BBBBBB", 440.0),
    EntityKind.IP: ("h", "#FFFFFF", 440.0),
}
"""Marker, colour, area in square points."""

_TEXT_SHIFT = {"v": 0.035, "^": -0.035}
"""Inches towards the wide side of a triangle."""

_ROLE_MARK: dict[RoleName, tuple[str, str, float, str]] = {
    RoleName.CORE: ("#D55E00", "#5c2800", 1.2, "#ffffff"),
    RoleName.BRIDGE: ("#E69F00", "#000000", 3.0, "#000000"),
    RoleName.PERIPHERY: ("#f2f2f2", "#555555", 1.0, "#000000"),
    RoleName.LIKELY_VICTIM: ("#ffffff", "#0072B2", 3.0, "#000000"),
}
"""Fill, outline, width of the outline, colour of the number."""

_TRANSFER_COLOUR: dict[str, str] = {"transfer": "#0072B2", "referral": "#CC79A7"}


def draw(report: RingReport) -> Figure:
    """Returns the picture as a matplotlib figure, about A4 landscape; the same for the same report."""
    from matplotlib.figure import Figure  # here: it takes a second, which a list of rings must not wait for

    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), facecolor="white")
    axes = figure.add_axes((0.01, 0.06, 0.77, 0.93))
    axes.set_axis_off()
    drawn = drawn_identifiers(report)
    place = places(report, drawn, frame=FRAME)
    axes.set_xlim(0.0, FRAME[0])
    axes.set_ylim(0.0, FRAME[1])
    scale = 1.5 if len(place) <= 14 else 1.2 if len(place) <= 45 else 1.0
    _links(axes, drawn, place, scale)
    _transfers(axes, report, place, scale)
    _identifiers(axes, drawn, place, scale)
    _members(axes, report, place, scale)
    _names(axes, report, place, scale)
    _legend(figure, report, drawn)
    figure.text(0.015, 0.02, caption(report), fontsize=8.5, color="#333333", parse_math=False)
    return figure


def svg(report: RingReport) -> str:
    """Returns the picture as SVG with its text as outlines, to stand in an HTML page."""
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "fraudgraph", "svg.fonttype": "path"}):
        draw(report).savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def png(report: RingReport, dpi: int = 130) -> bytes:
    """Returns the picture as PNG."""
    out = io.BytesIO()
    draw(report).savefig(out, format="png", dpi=dpi)
    return out.getvalue()


def caption(report: RingReport) -> str:
    """Returns one line under the picture: what it does not show."""
    drawn = drawn_identifiers(report)
    hubs = [i.name for i in report.view.shared if i.hub]
    rest = len(report.view.shared) - len(hubs) - len(drawn)
    parts = ["Numbers are the rows of the members' table"]
    if hubs:
        parts.append(f"not drawn, because too many people share them: {', '.join(hubs[:8])}")
    if rest:
        parts.append(f"{count(rest, 'more identifier')} not drawn")
    return "; ".join(parts) + "."


def drawn_identifiers(report: RingReport) -> list[Identifier]:
    """Returns the identifiers to draw: first those that hold the picture together, then those with most members."""
    shared = [i for i in report.view.shared if not i.hub]
    shared.sort(key=lambda i: (not i.ties, -len(i.links), i.kind, i.name))
    group = {m.user.user_id: m.user.user_id for m in report.members}

    def root(user_id: str) -> str:
        while group[user_id] != user_id:
            user_id = group[user_id]
        return user_id

    joining: list[Identifier] = []
    others: list[Identifier] = []
    for identifier in shared:
        roots = sorted({root(u) for u in identifier.user_ids})
        for other in roots[1:]:
            group[other] = roots[0]
        (joining if len(roots) > 1 else others).append(identifier)
    return (joining + others)[: max(MAX_IDENTIFIERS, len(joining))]


def _links(axes: Axes, drawn: list[Identifier], place: dict[str, Point], scale: float) -> None:
    for i in drawn:
        for link in i.links:
            (x0, y0), (x1, y1) = place[f"user:{link.user_id}"], place[i.name]
            axes.plot(
                (x0, x1),
                (y0, y1),
                color="#444444" if link.ties else "#999999",
                linewidth=scale * (0.5 + 2.2 * link.strength),
                linestyle="-" if link.ties else (0, (3, 2)),
                alpha=0.75 if link.ties else 0.6 if scale > 1.0 else 0.35,
                zorder=1,
            )


def _transfers(axes: Axes, report: RingReport, place: dict[str, Point], scale: float) -> None:
    for t in report.view.snapshot.transfers:
        a, b = f"user:{t.from_user_id}", f"user:{t.to_user_id}"
        if a == b or a not in place or b not in place:
            continue
        axes.annotate(
            "",
            xy=place[b],
            xytext=place[a],
            arrowprops={
                "arrowstyle": "-|>",
                "color": _TRANSFER_COLOUR[t.kind],
                "linewidth": 1.3,
                "shrinkA": 9 * scale,
                "shrinkB": 9 * scale,
                "connectionstyle": "arc3,rad=0.18",
            },
            zorder=2,
        )


def _identifiers(axes: Axes, drawn: list[Identifier], place: dict[str, Point], scale: float) -> None:
    for i in drawn:
        marker, colour, area = _KIND_MARK[i.kind]
        axes.scatter(
            *place[i.name], s=area * scale**2, marker=marker, c=colour, edgecolors="#222222", linewidths=1.0, zorder=3
        )
        axes.text(
            *place[i.name], i.name, fontsize=7.0 * scale, ha="center", va="center_baseline", zorder=4, parse_math=False
        )


def _members(axes: Axes, report: RingReport, place: dict[str, Point], scale: float) -> None:
    for number, m in enumerate(report.members, 1):
        fill, outline, width, ink = _ROLE_MARK[m.role.name]
        at = place[f"user:{m.user.user_id}"]
        axes.scatter(*at, s=210.0 * scale**2, marker="o", c=fill, edgecolors=outline, linewidths=width, zorder=3)
        axes.text(
            *at,
            f"{number}",
            fontsize=7.5 * scale,
            ha="center",
            va="center_baseline",
            color=ink,
            zorder=4,
            weight="bold",
        )


def named(report: RingReport) -> list[str]:
    """Returns the members whose user id stands in the picture: all of few, of many only the notable."""
    if len(report.members) <= MAX_NAMES:
        return [m.user.user_id for m in report.members]
    notable = [m.user.user_id for m in report.members if m.role.name in (RoleName.BRIDGE, RoleName.LIKELY_VICTIM)]
    core = [m.user.user_id for m in report.members if m.role.name is RoleName.CORE]
    return [*notable[:NOTABLE], *core[: max(0, NOTABLE - len(notable))]]


def _names(axes: Axes, report: RingReport, place: dict[str, Point], scale: float) -> None:
    row = {m.user.user_id: number for number, m in enumerate(report.members, 1)}
    many = len(report.members) > MAX_NAMES
    texts = {f"user:{u}": f"{row[u]}: {_short(u)}" if many else _short(u) for u in named(report)}
    spots = label_places(
        place, texts, FRAME, fontsize=NAME_POINTS * scale, mark_inches=0.25 * scale, all_named=not many
    )
    for node, (x, y) in spots.items():
        axes.text(
            x,
            y,
            texts[node],
            fontsize=NAME_POINTS * scale,
            ha="center",
            va="center",
            zorder=5,
            parse_math=False,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )


def _short(user_id: str) -> str:
    shown = plain(user_id)
    return shown if len(shown) <= MAX_NAME else f"{shown[: MAX_NAME - 6]}…{shown[-5:]}"


def _legend(figure: Figure, report: RingReport, drawn: list[Identifier]) -> None:
    from matplotlib.lines import Line2D

    def line(**style: object) -> Line2D:
        return Line2D([], [], **style)  # type: ignore[arg-type]  # a dictionary of style keywords

    handles, words = [], []
    for role in RoleName:
        n = sum(m.role.name is role for m in report.members)
        if n:
            fill, outline, width, _ = _ROLE_MARK[role]
            handles.append(line(marker="o", linestyle="", markersize=12, mfc=fill, mec=outline, mew=min(width, 2.5)))
            words.append(f"{role.value.replace('-', ' ')} ({n})")
    for kind, (marker, colour, _) in _KIND_MARK.items():
        n = sum(i.kind is kind for i in drawn)
        if n:
            handles.append(line(marker=marker, linestyle="", markersize=11, mfc=colour, mec="#222222"))
            words.append(f"{NOUN[kind]} ({n})")
    if any(x.ties for i in drawn for x in i.links):
        handles.append(line(color="#444444", linewidth=2.4))
        words.append("strong tie (wider: stronger)")
    if any(not x.ties for i in drawn for x in i.links):
        handles.append(line(color="#999999", linewidth=1.2, linestyle=(0, (3, 2))))
        words.append("weak link")
    for kind_name, colour in _TRANSFER_COLOUR.items():
        if any(t.kind == kind_name for t in report.view.snapshot.transfers):
            handles.append(line(color=colour, linewidth=1.6, marker=">", markersize=6))
            words.append("money sent" if kind_name == "transfer" else "referral")
    figure.legend(
        handles,
        words,
        loc="upper left",
        bbox_to_anchor=(0.785, 0.985),
        frameon=False,
        fontsize=9.5,
        labelspacing=0.95,
        title=f"{count(len(report.members), 'account')}",
        alignment="left",
    )
