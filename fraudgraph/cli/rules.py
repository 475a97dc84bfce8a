"""`fraudgraph rules`: a shop's own rules, checked, listed and put in force."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.commands import AuthorOption, FormatOption, WaitOption, give_command, say
from fraudgraph.cli.commands import Format as ResultFormat
from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from fraudgraph.rules.schema import Rule, RuleSet

commands = typer.Typer(no_args_is_help=True, help="Checks, lists and applies a shop's own rules.")

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A rule file (TOML); docs/rules.md explains it.")]


class Format(StrEnum):
    """How rules are written."""

    TABLE = "table"
    JSON = "json"


TableOption = Annotated[Format, typer.Option("--format", help="Table for people, JSON for programs.")]


@commands.command(
    short_help="Reads a rule file as the engine would.", epilog="Example: fraudgraph rules check configs/rules.toml"
)
def check(file: FileArgument, format: TableOption = Format.TABLE) -> None:
    """Reads a rule file as the engine would, and says what each rule asks."""
    from fraudgraph.rules.schema import read_rules

    rules = read_rules(file)
    _print(rules, {}, format)
    note(f"{len(rules.rules)} rules can be used; hash {rules.hash or 'none'}")


@commands.command(
    "list",
    short_help="Lists the rules in force, and what they hold of.",
    epilog="Example: fraudgraph rules list --store sqlite:///shop.db",
)
def list_(
    format: TableOption = Format.TABLE,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Lists the rules in force, and how many living rings each holds of."""
    from collections import Counter

    from fraudgraph.app import open_reader
    from fraudgraph.app.rule_sets import journal_rules
    from fraudgraph.stores.port import QUEUE_STATUSES, SETTLED_STATUSES

    settings = effective_settings(store, config, overrides).settings
    with closing(open_reader(settings)) as reader:
        rules = journal_rules(reader)
        rows = reader.rings(statuses=(*QUEUE_STATUSES, *SETTLED_STATUSES))
    rings = Counter(hit.rule for row in rows for hit in row.rules.hits)
    _print(rules, rings, format)
    if not rules.rules:
        note("no rule is in force; next: fraudgraph rules apply configs/rules.toml")
    elif waiting := sum(row.rules.rules != rules.hash for row in rows):
        note(f"{waiting:,} rings were judged by other rules, and are again when something touches them")


@commands.command(
    short_help="Puts the rules of a file in force.",
    epilog="Example: fraudgraph rules apply configs/rules.toml --store sqlite:///shop.db",
)
def apply(
    file: FileArgument,
    author: AuthorOption = None,
    wait: WaitOption = False,
    format: FormatOption = ResultFormat.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Puts the rules of a file in force from the next commit on; one without rules takes all away."""
    from fraudgraph.cases.rule_sets import write_rules
    from fraudgraph.rules.schema import read_rules

    settings = effective_settings(store, config, overrides).settings
    if settings.rules.file and Path(settings.rules.file).resolve() != file.resolve():
        raise UsageError(
            f"rules.file names {settings.rules.file}, and the next start of the daemon would put that back",
            do="Change that file and apply it, or set rules.file to this one.",
        )
    rules = read_rules(file)
    recorded = give_command(settings, *write_rules(rules), author=author, wait=wait)
    names = [rule.name for rule in rules.rules]
    said: dict[str, object] = {"version": rules.version, "hash": rules.hash, "rules": names}
    say(recorded, said, f"{len(rules.rules)} rules of version {rules.version} are in force", format)


@commands.command(short_help="Lists what a rule may compare.", epilog="Example: fraudgraph rules features")
def features(format: TableOption = Format.TABLE) -> None:
    """Lists what a rule may compare, of a ring and of an account."""
    from fraudgraph.rules.features import ACCOUNT_FEATURES, FEATURES

    rows = [
        ("ring" if known is FEATURES else "account", each)
        for known in (FEATURES, ACCOUNT_FEATURES)
        for each in known.values()
    ]
    if format is Format.JSON:
        fields = [
            {"of": of, "name": f.name, "unit": f.unit.value, "window": f.window, "words": f.words} for of, f in rows
        ]
        print_json({"features": fields})
        return
    print_table(
        [Column("of"), Column("feature"), Column("unit"), Column("what it is", folds=True)],
        [[of, f.name, f.unit.value, f.words.format(window="a window") if f.window else f.words] for of, f in rows],
    )


def _print(rules: RuleSet, rings: Mapping[str, int], format: Format) -> None:
    if format is Format.JSON:
        document = [
            {
                "name": rule.name,
                "version": rule.version,
                "severity": rule.severity,
                "mode": rule.mode,
                "description": rule.description,
                "when": {group: _said(rule, group) for group in rule.when},
                "rings": rings.get(rule.name, 0),
            }
            for rule in rules.rules
        ]
        print_json({"version": rules.version, "hash": rules.hash, "rules": document})
        return
    print_table(
        [
            Column("rule"),
            Column("mode"),
            Column("severity"),
            Column("rings", right=True),
            Column("holds where", folds=True),
        ],
        [
            [rule.name, rule.mode, rule.severity, f"{rings[rule.name]:,}" if rule.name in rings else "–", _words(rule)]
            for rule in rules.rules
        ],
    )


def _words(rule: Rule) -> str:
    parts = [*_said(rule, "all")]
    if some := _said(rule, "any"):
        parts.append(f"one of ({'; '.join(some)})")
    parts += [f"not {each}" for each in _said(rule, "none")]
    return "; ".join(parts)


def _said(rule: Rule, group: str) -> list[str]:
    from fraudgraph.rules.words import condition_words

    return [condition_words(each) for name, conditions in rule.when.items() if name == group for each in conditions]
