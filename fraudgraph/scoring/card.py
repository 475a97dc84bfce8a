"""A model's card, for people: written by code from what the bundle holds, so that it cannot say anything else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from fraudgraph.scoring.manifest import Manifest, Metric
from fraudgraph.scoring.ring_head import RING_SUMMARIES
from fraudgraph.scoring.user_calibration import PlattLine


def card_of(manifest: Manifest) -> str:
    """Returns the card as Markdown."""
    training = manifest.training
    cut = datetime.fromtimestamp(training.cut_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [
        f"# {manifest.name}",
        "",
        f"{_kind(manifest)}: the probability that an account takes part in organised fraud, and with the structural"
        " evidence the probability of a ring.",
        "",
        f"Trained on {training.data}; {training.positives:,} of {training.users:,} accounts that the loss was taken"
        f" over were positive. It saw nothing after {cut}, labels included.",
        "",
        "## Not good for",
        "",
        *(f"- {sentence}" for sentence in training.caution),
        "",
        "## Measured",
        "",
        *_metrics(manifest.metrics),
        "",
        "## How it reads a ring",
        "",
        _calibration(manifest),
        "",
        f"log-odds of a ring = {manifest.ring_head.intercept:+.3f} {manifest.ring_head.structural:+.3f} x structural"
        + "".join(
            f" {value:+.3f} x {name}" for name, value in zip(RING_SUMMARIES, manifest.ring_head.summaries, strict=True)
        ),
        "",
        *_event_head(manifest),
        "## Made from",
        "",
        *_table(
            ("what", "value"),
            [
                ("data", f"`{training.data_hash}`"),
                ("features", f"`{manifest.features_hash}`"),
                ("link policy", f"`{manifest.policy_hash}`, version {manifest.policy_version}"),
                ("code", manifest.code_version),
                *_hashes(manifest),
                *((f"seeds, {name}", _span(seeds)) for name, seeds in training.seeds.items()),
                *((name, str(value)) for name, value in training.settings.items()),
            ],
        ),
        "",
    ]
    return "\n".join(lines)


def _kind(manifest: Manifest) -> str:
    schema, trees = manifest.schema, manifest.trees
    network = (
        "" if schema is None else f"GraphSAGE over the typed graph, {schema.layers} layers of width {schema.width}"
    )
    if trees is None:
        return f"A {network}"
    reads = f", the last ones the embedding by a {network}" if network else ""
    return f"{trees.rounds} boosted trees over {len(trees.columns)} columns (set {trees.features}){reads}"


def _event_head(manifest: Manifest) -> list[str]:
    head = manifest.event_head
    if head is None:
        return []
    return [
        "## How it reads one order",
        "",
        f"{head.rounds} boosted trees over {len(head.columns)} columns, the account's log-odds among them:"
        f" the probability that the order is fraud. Trained on {head.data}; {head.positives:,} of {head.orders:,}"
        " orders were positive.",
        "",
    ]


def _hashes(manifest: Manifest) -> list[tuple[str, str]]:
    rows = []
    if manifest.weights_sha256:
        rows.append(("weights, SHA-256", f"`{manifest.weights_sha256}`"))
    if manifest.trees is not None:
        rows.append(("columns of the trees", f"`{manifest.trees.columns_hash}`"))
        rows.append(("trees, SHA-256", f"`{manifest.trees.sha256}`"))
    if manifest.event_head is not None:
        rows.append(("columns of the event head", f"`{manifest.event_head.columns_hash}`"))
        rows.append(("event head, SHA-256", f"`{manifest.event_head.sha256}`"))
    return rows


def _metrics(metrics: Sequence[Metric]) -> list[str]:
    if not metrics:
        return ["Nothing."]
    return [
        "Brackets hold 95 % bootstrap intervals: over worlds where they are simulated, else over components.",
        "",
        *_table(
            ("data", "level", "figure", "model", "value"),
            [(m.data, m.level, m.name, m.model, f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]") for m in metrics],
        ),
    ]


def _calibration(manifest: Manifest) -> str:
    calibration = manifest.calibration
    if isinstance(calibration, PlattLine):
        return f"An account's log-odds = {calibration.slope:.3f} x logit {calibration.intercept:+.3f}."
    return f"An account's log-odds lie on a monotone line through {len(calibration.logit)} knots."


def _span(seeds: Sequence[int]) -> str:
    """Returns seeds as `3 to 9` where they follow each other, else one by one."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]:,} to {seeds[-1]:,}"
    return ", ".join(f"{seed:,}" for seed in seeds)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
