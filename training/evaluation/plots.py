"""The plots of an evaluation, as SVG: text outlined, nothing fetched, the same bytes for the same figures."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from training.evaluation.compare import AVERAGE_PRECISION, RING_RECALL, Comparison, at_budget
from training.evaluation.figures import ACCOUNTS, RINGS
from training.evaluation.tables import main_models

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_INCHES, HEIGHT_INCHES = 7.2, 4.6
_MARKS = "osD^vP*Xh<>pd8"


def plots(part: Comparison, budgets: Sequence[int]) -> list[tuple[str, str]]:
    """Returns titles and SVGs; a plot for which nothing was measured is left out."""
    models = main_models(part)
    out = [
        ("Precision over recall, accounts", _drawn(lambda axes: _curves(axes, part, models))),
        ("Reliability: what was said of accounts, and what was true", _drawn(lambda axes: _reliability(axes, part))),
        (
            "Average precision of accounts, with intervals",
            _drawn(lambda axes: _forest(axes, part, models, ACCOUNTS, AVERAGE_PRECISION)),
        ),
    ]
    if RING_RECALL in part.names(RINGS):
        out.append(
            (
                "Rings found at 90 % purity, with intervals",
                _drawn(lambda axes: _forest(axes, part, models, RINGS, RING_RECALL)),
            )
        )
    for what in ("recall", "money stopped"):
        if at_budget(what, budgets[0]) in part.names(ACCOUNTS):
            out.append((f"{what.capitalize()} by alerts a day", _drawn(_by_budget(part, models, what, budgets))))
    return out


def _drawn(draw: Callable[[Axes], None]) -> str:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "fraudgraph", "svg.fonttype": "path", "font.size": 8.0}):
        figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    return svg[svg.index("<svg") :]


def _curves(axes: Axes, part: Comparison, models: Sequence[str]) -> None:
    for model, style in zip(models, _styles(), strict=False):
        recall, precision = part.curves[model]
        axes.plot(recall, precision, label=model, **style, markevery=0.1, linewidth=1.0)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    _legend(axes)


def _reliability(axes: Axes, part: Comparison) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    for model, style in zip(main_models(part), _styles(), strict=False):
        bins = part.reliability[model]
        axes.plot([each.said for each in bins], [each.true for each in bins], label=model, **style, linewidth=0.8)
    axes.set(xlabel="said", ylabel="true", xscale="symlog", yscale="symlog", xlim=(0, 1.02), ylim=(0, 1.02))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.set_xscale("symlog", linthresh=0.01)
    axes.set_yscale("symlog", linthresh=0.01)
    _legend(axes)


def _forest(axes: Axes, part: Comparison, models: Sequence[str], level: str, name: str) -> None:
    found = [part.of(name, model, level=level) for model in models if _has(part, name, model, level)]
    value = np.array([each.value for each in found])
    off = np.abs(np.array([[each.low, each.high] for each in found]).T - value)
    axes.errorbar(value, range(len(found)), xerr=np.nan_to_num(off), fmt="o", color="#0072B2", capsize=3, markersize=4)
    axes.set_yticks(range(len(found)), [each.model for each in found])
    axes.invert_yaxis()
    axes.set(xlabel=name, xlim=(0, None))
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)


def _by_budget(part: Comparison, models: Sequence[str], what: str, budgets: Sequence[int]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for model, style in zip(models, _styles(), strict=False):
            found = [part.of(at_budget(what, a_day), model) for a_day in budgets]
            axes.plot(budgets, [each.value for each in found], label=model, **style, linewidth=1.0)
        axes.set_xscale("log")
        axes.set_xticks(list(budgets), [str(a_day) for a_day in budgets])
        axes.minorticks_off()
        axes.set(xlabel="alerts a day", ylabel=what, ylim=(0, 1.02))
        _legend(axes)

    return draw


def _has(part: Comparison, name: str, model: str, level: str) -> bool:
    return any((each.level, each.name, each.model) == (level, name, model) for each in part.figures if not each.part)


def _styles() -> list[dict[str, str | float]]:
    from matplotlib import colormaps

    colours = colormaps["tab20"].colors  # type: ignore[attr-defined]  # a listed map
    return [
        {"color": colours[place % len(colours)], "marker": _MARKS[place % len(_MARKS)], "markersize": 4.0}
        for place in range(len(colours))
    ]


def _legend(axes: Axes) -> None:
    axes.legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
