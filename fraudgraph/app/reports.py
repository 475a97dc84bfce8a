"""A ring's report and picture, rendered."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fraudgraph.reports.model import RingReport


def render_report(report: RingReport, format: str, *, picture: Path | None = None, beside: Path | None = None) -> str:
    """Returns a ring's report as `md`, or as `html` with its picture inside.

    Args:
        picture: the file of the picture, for Markdown to point at.
        beside: the file that the report goes to; the way to the picture starts there.
    """
    if format == "html":
        from fraudgraph.reports.html import render_html
        from fraudgraph.reports.picture import svg

        return render_html(report, svg(report))
    from fraudgraph.reports.markdown import render_markdown

    return render_markdown(report, None if picture is None else _way(picture, beside))


def draw_ring(report: RingReport, suffix: str) -> bytes:
    """Returns the picture of a ring, for a file that ends in `.png` or `.svg`."""
    from fraudgraph.reports.picture import png, svg

    return svg(report).encode() if suffix == ".svg" else png(report)


def _way(picture: Path, beside: Path | None) -> str:
    folder = Path() if beside is None else beside.parent
    return Path(os.path.relpath(picture, folder)).as_posix()
