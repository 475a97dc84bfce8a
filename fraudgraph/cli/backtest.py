"""`fraudgraph backtest`: what a changed configuration would have alerted, beside the one in force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import ConfigOption, SetOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table
from fraudgraph.cli.progress import progress_bar
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from fraudgraph.backtest import AlertedRing, Change, Side
    from fraudgraph.rules.figures import RuleFigures
    from fraudgraph.settings import Settings

    Said = tuple[Collection[str], bool]
    """Accounts that a standing decision named, and whether it confirmed them."""

SHOWN = ("added", "lost", "merged", "split", "regrouped")


class Format(StrEnum):
    """How the result is written."""

    TABLE = "table"
    JSON = "json"


def backtest(
    events: Annotated[
        list[str], typer.Argument(metavar="EVENTS...", help="Files or folders of events, as for `ingest`.")
    ],
    change: Annotated[
        list[str] | None,
        typer.Option("--change", metavar="KNOB=VALUE", help="What is different on the other side; may be repeated."),
    ] = None,
    changed_config: Annotated[
        Path | None,
        typer.Option("--changed-config", metavar="FILE", help="Settings file of the other side; --config's if absent."),
    ] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE", help="Rule file of the other side, as rules.file.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="URL", help="A store whose decisions are crossed with the differences."),
    ] = None,
    tick_minutes: Annotated[
        int, typer.Option("--tick-minutes", min=1, metavar="N", help="Event time that a commit holds.")
    ] = 60,
    format: Annotated[Format, typer.Option("--format", help="Table for people, JSON for programs.")] = Format.TABLE,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Compares what two configurations alert on the same events.

    They may differ in any setting, the link policy, the rules and the bundle included. No store is changed. Labels in
    the events are counted beside each difference: how many of its accounts turned out fraudulent, how many legitimate;
    so are a store's decisions where one is given. Of each rule it says what it held of, and what the model said.
    """
    from fraudgraph.app import backtest as run
    from fraudgraph.backtest import difference
    from fraudgraph.durations import MINUTE_MS

    if not change and changed_config is None and rules is None:
        raise UsageError("nothing is different on the other side", do="Give --change alerts.min_probability=0.3, say.")
    before = effective_settings(None, config, overrides).settings
    changes_to = [*(change or ()), *([] if rules is None else [f"rules.file={rules}"])]
    after = effective_settings(None, changed_config or config, [*(overrides or ()), *changes_to]).settings
    decided = [] if store is None else _decided(effective_settings(store, config, overrides).settings)
    with progress_bar("replaying") as show:
        old, new = run(before, after, events, tick_ms=tick_minutes * MINUTE_MS, on_progress=show)
    changes = difference(old.alerted.values(), new.alerted.values())
    known = {row.about_user for row in new.engine.graph.labels.rows() if row.about_user is not None}
    verdicts = {user: new.engine.graph.labels.verdict(user) for user in known}
    if format is Format.JSON:
        print_json(
            {
                "before": _side_json(old),
                "after": _side_json(new),
                "changes": [_change_json(change, verdicts, decided) for change in changes],
                "rules": {
                    name: [asdict(row) | {"precision": row.precision} for row in _rules(side, verdicts, decided)]
                    for name, side in (("before", old), ("after", new))
                },
            }
        )
        return
    _print_sides(old, new)
    _print_changes(changes, verdicts, decided)
    for name, side in (("before", old), ("after", new)):
        _print_rules(name, _rules(side, verdicts, decided))


def _decided(settings: Settings) -> list[Said]:
    from fraudgraph.app import open_reader
    from fraudgraph.cases.reasons import Verdict

    with closing(open_reader(settings)) as reader:
        return [
            (each.members, each.verdict is Verdict.CONFIRMED)
            for each in reader.decisions()
            if each.stands and each.verdict in (Verdict.CONFIRMED, Verdict.FALSE_POSITIVE)
        ]


def _rules(side: Side, verdicts: Mapping[str, int], decided: Sequence[Said]) -> list[RuleFigures]:
    from fraudgraph.rules.figures import figures

    rules = [(rule.name, rule.mode) for rule in side.engine.rulebook.rules.rules]
    return figures(rules, side.ruled.values(), verdicts=verdicts, decided=decided, model_ms=side.model_ms)


def _print_rules(name: str, rows: Sequence[RuleFigures]) -> None:
    from fraudgraph.rings.facts_words import duration

    if not rows:
        return
    note(f"rules, {name}:")
    headings = ("rings", "users", "fraud", "legit.", "precision", "conf.", "refuted", "model too", "earlier by")
    print_table(
        [Column("rule"), Column("mode"), *(Column(heading, right=True) for heading in headings)],
        [
            [
                row.rule,
                row.mode,
                *(f"{n:,}" for n in (row.rings, row.users, row.fraud, row.legitimate)),
                "–" if row.precision is None else f"{row.precision:.0%}".replace("%", " %"),
                *(f"{n:,}" for n in (row.confirmed, row.refuted, row.with_model)),
                "–" if row.lead_ms is None else f"{'-' if row.lead_ms < 0 else ''}{duration(abs(row.lead_ms))}",
            ]
            for row in rows
        ],
    )
    if not any(row.fraud or row.legitimate for row in rows):
        note("no account of theirs is known by a label: precision needs labels among the events")


def _print_sides(old: Side, new: Side) -> None:
    numbers = [(_side_json(old)[name], _side_json(new)[name], name) for name in _side_json(old)]
    print_table(
        [Column(""), Column("before", right=True), Column("after", right=True)],
        [[name.replace("_", " "), f"{a:,}", f"{b:,}"] for a, b, name in numbers],
    )


def _print_changes(changes: list[Change], verdicts: dict[str, int], decided: Sequence[Said]) -> None:
    from fraudgraph.rings.facts_words import minute, money

    counts = Counter(change.what for change in changes)
    note(
        ", ".join(f"{counts[what]:,} {what}" for what in ("kept", *SHOWN) if counts[what]) or "no alerts on either side"
    )
    shown = [change for change in changes if change.what in SHOWN]
    if not shown:
        return

    def ids(rings: tuple[AlertedRing, ...]) -> str:
        return " ".join(ring.ring_id for ring in rings) or "–"

    rows = []
    for change in shown:
        rings = change.after or change.before
        surest = max(rings, key=lambda ring: ring.probability)
        fraud, legitimate = _known(change, verdicts)
        rows.append(
            [
                change.what,
                minute(min(ring.at_ms for ring in (*change.before, *change.after))),
                f"{len(change.users):,}",
                f"{surest.probability:.2f}",
                money(surest.value_at_risk_minor, surest.currency),
                f"{fraud:,}",
                f"{legitimate:,}",
                *([f"{_words(change, decided)}"] if decided else []),
                f"{ids(change.before)} → {ids(change.after)}",
            ]
        )
    print_table(
        [
            Column("change"),
            Column("first alert (UTC)"),
            Column("users", right=True),
            Column("prob.", right=True),
            Column("at risk", right=True),
            Column("fraud", right=True),
            Column("legit.", right=True),
            *([Column("decided")] if decided else []),
            Column("rings before → after", folds=True),
        ],
        rows,
    )


def _words(change: Change, decided: Sequence[Said]) -> str:
    confirmed, refuted = _crossed(change, decided)
    said = [f"{n} {word}" for n, word in ((confirmed, "confirmed"), (refuted, "honest")) if n]
    return ", ".join(said) or "–"


def _crossed(change: Change, decided: Sequence[Said]) -> tuple[int, int]:
    """Returns how many decisions about these accounts confirmed them, and how many called them honest."""
    from fraudgraph.rules.figures import is_about

    found = Counter(confirmed for members, confirmed in decided if is_about(members, change.users))
    return found[True], found[False]


def _known(change: Change, verdicts: dict[str, int]) -> tuple[int, int]:
    found = Counter(verdicts.get(user, 0) for user in change.users)
    return found[1], found[-1]


def _side_json(side: Side) -> dict[str, int]:
    users = frozenset().union(*(ring.users for ring in side.alerted.values()))
    return {
        "events": side.applied,
        "dead_letters": side.dead_letters,
        "alerts": side.alerts,
        "alerted_rings": len(side.alerted),
        "alerted_users": len(users),
        "living_rings": len(side.engine.register.members),
    }


def _change_json(change: Change, verdicts: dict[str, int], decided: Sequence[Said]) -> dict[str, object]:
    from fraudgraph.rings.facts_words import currency_code, major, rfc3339

    def ring(each: AlertedRing) -> dict[str, object]:
        return {
            "ring_id": each.ring_id,
            "at": rfc3339(each.at_ms),
            "probability": round(each.probability, 6),
            "value_at_risk": str(major(each.value_at_risk_minor, each.currency)),
            "currency": currency_code(each.currency),
            "users": sorted(each.users),
        }

    fraud, legitimate = _known(change, verdicts)
    confirmed, refuted = _crossed(change, decided)
    return {
        "what": change.what,
        "before": [ring(each) for each in change.before],
        "after": [ring(each) for each in change.after],
        "users": len(change.users),
        "known_fraud": fraud,
        "known_legitimate": legitimate,
        "decisions_confirmed": confirmed,
        "decisions_false_positive": refuted,
    }
