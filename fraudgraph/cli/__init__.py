"""The command line: a module per noun; heavy rooms are imported inside commands, so that a list starts fast."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fraudgraph import __version__
from fraudgraph.cli import (
    alerts,
    ask,
    audit,
    audit_leakage,
    backtest,
    config,
    constraints,
    daemon,
    dead_letters,
    demo,
    doctor,
    dossier,
    drift,
    evaluate,
    evaluate_narrator,
    find,
    forget,
    ingest,
    link,
    model,
    registry,
    rings,
    rules,
    schema,
    score,
    services,
    simulate,
    sort,
    store,
    tables,
    train,
    triage,
)
from fraudgraph.cli.output import note
from fraudgraph.errors import FraudgraphError


class _Root(TyperGroup):
    """Turns the house's errors into two lines on standard error and an exit code; `--debug` shows the traceback."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # the public name of that type
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, so that a closed pipe is met inside typer's handler and not at exit
            return result
        except FraudgraphError as error:
            if ctx.params.get("debug"):
                raise
            _say(error.what, error.do)
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError:
            raise  # typer ends quietly
        except OSError as error:
            if ctx.params.get("debug"):
                raise
            where = f"{error.filename}: " if error.filename else ""
            what = f"{where}{error.strerror or type(error).__name__}"
            _say(what, "Check that path, its permissions and the free disk space.")
            raise typer.Exit(5) from error


def _say(what: str, do: str) -> None:
    note(f"error: {what}")
    note(f"next: {do}")


app = typer.Typer(
    cls=_Root,
    help="Finds fraud rings in a shop's event stream and explains them from evidence.",
    epilog="Start with: fraudgraph demo --out demo-out. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 findings ("
    "of an audit, or where asked with --exit-code), 4 wrong configuration, 5 a store or file cannot be reached.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback with local variables would show personal data
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fraudgraph {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Shows the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Prints the version and exits.")
    ] = False,
) -> None:
    """Finds fraud rings in a shop's event stream and explains them from evidence."""


app.command("demo", epilog="Example: fraudgraph demo --out demo-out")(demo.demo)
app.command("simulate", epilog="Example: fraudgraph simulate --seed 7 --users 20000 --days 30 --out world/")(
    simulate.simulate
)
app.command(
    "import", epilog="Example: fraudgraph import configs/datasets/p2p.toml ../shared/data/p2p --out events.jsonl"
)(tables.import_)
app.command("sort", epilog="Example: fraudgraph sort exports/ --out history.jsonl")(sort.sort)
app.command("ingest", epilog="Example: fraudgraph ingest world/events.jsonl --store sqlite:///shop.db")(ingest.ingest)
app.command("daemon", epilog="Example: fraudgraph daemon --config configs/production.toml")(daemon.daemon)
app.add_typer(rings.commands, name="rings")
app.add_typer(alerts.commands, name="alerts")
app.command("link", epilog="Example: fraudgraph link u1001 u1002 --store sqlite:///shop.db")(link.link)
app.command(
    "find",
    epilog="Example: fraudgraph find --email - --store sqlite:///shop.db < email.txt",
    context_settings={"allow_extra_args": True},
)(find.find)
app.command(
    "backtest",
    short_help="Compares what two configurations alert on.",
    epilog="Example: fraudgraph backtest world/events.jsonl --change alerts.min_probability=0.3",
)(backtest.backtest)
app.command("triage", epilog="Example: fraudgraph triage --since 24h --top 20 --out digest.md")(triage.triage)
app.command("ask", epilog="Example: fraudgraph ask R000001 'who brought the second device in?'")(ask.ask)
app.command("evaluate-narrator", epilog="Example: fraudgraph evaluate-narrator --worlds 1 --users 2000 --mutants 1000")(
    evaluate_narrator.evaluate_narrator
)
app.add_typer(score.commands, name="score")
app.add_typer(constraints.commands, name="constraints")
app.add_typer(rules.commands, name="rules")
model.commands.command(
    "push",
    short_help="Puts a bundle into the registry.",
    epilog="Example: fraudgraph model push spring --as challenger",
)(registry.push)
model.commands.command(
    "alias",
    short_help="Points an alias to a bundle of the registry.",
    epilog="Example: fraudgraph model alias champion spring",
)(registry.alias)
model.commands.command(
    "registry", short_help="Lists the registry's bundles and aliases.", epilog="Example: fraudgraph model registry"
)(registry.list_registry)
model.commands.command(
    "drift",
    short_help="Says what has moved away from the reference.",
    epilog="Example: fraudgraph model drift --store sqlite:///shop.db --exit-code",
)(drift.drift)
model.commands.command(
    "reference",
    short_help="Takes what is now as the reference of drift.",
    epilog="Example: fraudgraph model reference --store sqlite:///shop.db",
)(drift.reference)
app.add_typer(model.commands, name="model")
app.command("train", epilog="Example: fraudgraph train --config configs/training/gnn.toml --data events/")(train.train)
app.command(
    "evaluate",
    short_help="Measures models side by side, and what may ship.",
    epilog="Example: fraudgraph evaluate --worlds --out report",
)(evaluate.evaluate)
app.command(
    "audit-leakage",
    short_help="Looks for leaks in a training table.",
    epilog="Example: fraudgraph audit-leakage --data events/ --table features.parquet",
)(audit_leakage.audit_leakage)
app.add_typer(audit.commands, name="audit")
app.command("forget", epilog="Example: fraudgraph forget u1001 --reason asked-for --store sqlite:///shop.db")(
    forget.forget
)
app.command(
    "verify",
    short_help="Checks a dossier, without its store or any key.",
    epilog="Example: fraudgraph verify R000001.zip",
)(dossier.verify)
app.add_typer(dead_letters.commands, name="dead-letters")
app.add_typer(store.commands, name="store", short_help="Backs up, restores or moves a store.")
app.command("doctor", epilog="Example: fraudgraph doctor --store sqlite:///shop.db")(doctor.doctor)
app.add_typer(services.commands, name="services", short_help="Runs a real Kafka and Neo4j on this machine.")
app.add_typer(schema.commands, name="schema")
app.add_typer(config.commands, name="config")
