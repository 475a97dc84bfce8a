"""The note of an evaluation of models, in Markdown, with the gate that decides what is the default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import fraudgraph
from fraudgraph.scoring.manifest import Manifest
from training.evaluate_rings import Scale
from training.gnn.measure import Figure, interval, paired
from training.gnn.recipe import STRUCTURAL_NAME, Recipe

WIDTH = 120
TREES = "trees"
GATE = ("ring", "average precision")


@dataclass(frozen=True, slots=True)
class Results:
    """An evaluation; `planted` is None where the real data was absent."""

    recipe: Recipe
    manifest: Manifest
    scale: Scale
    simulated: list[Figure]
    planted: list[Figure] | None

    @property
    def network(self) -> str:
        """The bundle's name among the models."""
        return f"network-1/{self.manifest.name}"


def document(results: Results) -> str:
    """Returns the note."""
    parts = [
        "# Models, side by side",
        _preface(results),
        "## In short",
        _short(results),
        "## Simulated shops",
        f"{len(results.scale.seeds[0])} worlds of {results.scale.users:,} users and {results.scale.days} days (default"
        " spec), chargebacks in the stream, analysts' labels not.",
        *_tables(results, results.simulated),
        "## Rings planted into real payments",
    ]
    if results.planted is None:
        parts.append("Not measured: the real data was not there.")
    else:
        parts += [
            f"{len(results.scale.seeds[1])} times rings of about {results.scale.members} accounts in the last 180 days"
            " of the peer-to-peer data (`training/planted.py`); real fraud in the background counts as honest. All"
            " seeds share that one background: no interval speaks for another one.",
            *_tables(results, results.planted),
        ]
    return "\n\n".join(part if part.startswith("|") else _wrapped(part) for part in parts) + "\n"


def gate(results: Results) -> dict[str, tuple[float, float, float]]:
    """Returns, by data and rival, how much better the network ranks rings: mean and interval of paired differences."""
    found = {}
    for data, measured in (("simulated", results.simulated), ("planted", results.planted)):
        for rival in (STRUCTURAL_NAME, TREES):
            for figure in paired(measured or [], results.network, rival):
                if (figure.level, figure.name) == GATE:
                    found[f"{data}, over {rival}"] = interval(figure.worlds)
    return found


def _preface(results: Results) -> str:
    plan, manifest = results.recipe.worlds, results.manifest
    simulated, planted, _ = results.scale.seeds
    taught = ", ".join(f"{_span(plan.seeds(role))} ({role})" for role in ("fit", "stop", "calibrate", "rings", "check"))
    return f"""
Written by `python -m training.gnn.evaluate --out docs/models.md`; do not edit. Version {fraudgraph.__version__}, bundle
`{manifest.digest}`, features `{manifest.features_hash}`, link policy `{manifest.policy_hash}`. Run once, on the worlds
of [results.md](results.md): seeds {_span(simulated)} (simulated) and {_span(planted)} (planted). Learnt from: {taught}.

**{STRUCTURAL_NAME}** scores rings from readable evidence and needs no label. **{results.network}** adds the network:
its ring head is a logistic regression on the structural log-odds and what the network says of the members.
**{TREES}** is gradient boosting (scikit-learn) on the same features of accounts and the means over their neighbours,
trained on the same labels of the same worlds, with the same calibration and the same kind of ring head: the network has
to beat it. **ring-trees** is gradient boosting on the structural scorer's features, taught by the truth about rings,
which no shop has; it says what those features could give.

Accounts and rings are ranked at three moments of each world. A group is a ring by majority of its members; accounts
are fraud by their world's truth, victims left out. Figures are means over worlds; brackets hold 95 % bootstrap
intervals over worlds, of differences over the same worlds. Precision at n: of the n surest at one reading. At the alert
line (0.5): at the last reading; ring-trees are not calibrated to the prior that the others assume.
"""


def _short(results: Results) -> str:
    found = gate(results)
    items = [f"- {name}: {_signed(value)} ring average precision." for name, value in found.items()]
    missed = [name for name, (_, low, _) in found.items() if not low > 0]
    if results.planted is None:
        missed.append("planted: not measured")
    if not missed:
        return "\n".join([*items, "- **The gate is passed**: beyond the interval on all data and over both rivals."])
    verdict = (
        f"- **The gate is not passed**: not beyond the interval are: {'; '.join(missed)}. The default stays the"
        ' structural scorer (`model.bundle = ""`); the bundle ships as an option: `fraudgraph model promote default`.'
    )
    return "\n".join([*items, verdict])


def _tables(results: Results, measured: Sequence[Figure]) -> list[str]:
    models = list(dict.fromkeys(figure.model for figure in measured))
    out = []
    for level, title in (("ring", "rings"), ("user", "accounts")):
        names = list(dict.fromkeys(figure.name for figure in measured if figure.level == level))
        cells = {(f.name, f.model): interval(f.worlds) for f in measured if f.level == level}
        rows = [[model, *(_value(cells[name, model]) for name in names)] for model in models]
        for rival in models:
            if rival != results.network:
                gains = {
                    f.name: interval(f.worlds) for f in paired(measured, results.network, rival) if f.level == level
                }
                rows.append([f"network over {rival}", *(_signed(gains[name]) for name in names)])
        out.append(_table([title, *names], rows))
    return out


def _value(of: tuple[float, float, float]) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(*of)


def _signed(of: tuple[float, float, float]) -> str:
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*of)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _span(seeds: range) -> str:
    return f"{seeds[0]:,} to {seeds[-1]:,}" if len(seeds) > 1 else f"{seeds[0]:,}"


def _wrapped(part: str) -> str:
    """Returns a part in lines of at most `WIDTH`, paragraph by paragraph, list items each by itself."""
    paragraphs = []
    for paragraph in part.strip().split("\n\n"):
        items = paragraph.split("\n- ")
        lines = [fill(" ".join(items[0].split()), WIDTH, subsequent_indent="  " if items[0].startswith("- ") else "")]
        lines += [fill("- " + " ".join(item.split()), WIDTH, subsequent_indent="  ") for item in items[1:]]
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs)
