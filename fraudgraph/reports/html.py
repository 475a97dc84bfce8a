"""The report as one HTML file: style and picture inside, nothing fetched, prints on A4."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from fraudgraph.narrative.headline import percent
from fraudgraph.reports.escape import plain
from fraudgraph.reports.json import shown_priority
from fraudgraph.reports.model import RingReport, cited, narrator_line, nothing_against
from fraudgraph.rings.facts_words import date, minute, rfc3339

if TYPE_CHECKING:
    from jinja2 import Template


def render_html(report: RingReport, picture_svg: str | None = None) -> str:
    """Returns a ring's report; `picture_svg` is the SVG of `reports.picture.svg`, trusted as it is."""
    from markupsafe import Markup

    return _template().render(
        report=report,
        s=report.snapshot,
        priority=f"{shown_priority(report.snapshot.priority):,.2f}",
        picture=Markup(picture_svg) if picture_svg is not None else None,  # our own drawing, its text outlined
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fraudgraph.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(date=date, minute=minute, rfc3339=rfc3339, percent=percent)
    environment.globals.update(nothing_against=nothing_against, cited=cited, narrator_line=narrator_line)
    return environment.get_template("ring.html.j2")


def _shown(value: object) -> object:
    """Shows control and bidi characters of plain text; what is markup already stays."""
    return plain(value) if type(value) is str else value
