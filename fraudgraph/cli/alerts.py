"""`fraudgraph alerts`: when which ring crossed the alert line, and where it is now."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import FINDINGS, ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_ndjson, print_table

if TYPE_CHECKING:
    from fraudgraph.stores.port import AlertRow, RingRow

commands = typer.Typer(no_args_is_help=True, help="Reads the alerts.")


class Format(StrEnum):
    """How alerts are written."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"


@commands.command("list", epilog="Example: fraudgraph alerts list --store sqlite:///shop.db --since 24h")
def list_(
    format: Annotated[
        Format, typer.Option("--format", help="Table for people; JSON or NDJSON for programs.")
    ] = Format.TABLE,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Since a date, RFC 3339 time, or 24h, 7d before the last event."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many, the newest first.")
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exits with 3 where there is one.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Lists alerts, the newest first.

    An alert says that a ring crossed the alert line at a time, and stays; what became of the ring is under "now", and
    how many accounts and what value at risk it has now beside that.
    """
    from fraudgraph.app import open_reader
    from fraudgraph.cli.times import parse_since
    from fraudgraph.stores.port import QUEUE_STATUSES, SETTLED_STATUSES

    settings = effective_settings(store, config, overrides).settings
    with closing(open_reader(settings)) as reader:
        since_ms = parse_since(since, int(reader.meta()["watermark_ms"])) if since else None
        alerts = reader.alerts(limit=None if since else limit)
        if since_ms is not None:
            alerts = [alert for alert in alerts if alert.at_ms >= since_ms][:limit]
        names = {alert.ring_id: reader.resolve_ring(alert.ring_id) for alert in alerts}
        living = reader.rings(statuses=(*QUEUE_STATUSES, *SETTLED_STATUSES)) if alerts else []
    rows = {row.ring_id: row for row in living}
    now = {ring_id: (name, rows.get(name or "")) for ring_id, name in names.items()}
    _print(alerts, now, format)
    if not alerts:
        note("no alert" + (" since then" if since else "s yet: no ring has reached alerts.min_probability"))
    if exit_code and alerts:
        raise typer.Exit(FINDINGS)


def _print(alerts: list[AlertRow], now: dict[str, tuple[str | None, RingRow | None]], format: Format) -> None:
    documents = (_document(alert, *now[alert.ring_id]) for alert in alerts)
    if format is Format.JSON:
        print_json({"alerts": list(documents)})
    elif format is Format.NDJSON:
        print_ndjson(documents)
    elif alerts:
        from fraudgraph.reports.json import shown_priority
        from fraudgraph.rings.facts_words import minute, money

        print_table(
            [
                Column("at (UTC)"),
                Column("ring"),
                Column("now"),
                Column("accounts", right=True),
                Column("at risk", right=True),
                Column("prob.", right=True),
                Column("priority", right=True),
                Column("reason", folds=True),
            ],
            [
                [
                    minute(alert.at_ms),
                    alert.ring_id,
                    name or "gone",
                    "" if row is None else f"{row.users:,}",
                    "" if row is None else money(row.value_at_risk_minor, row.currency),
                    f"{alert.probability:.2f}",
                    f"{shown_priority(alert.priority):,.2f}",
                    alert.reason,
                ]
                for alert in alerts
                for name, row in (now[alert.ring_id],)
            ],
        )


def _document(alert: AlertRow, now: str | None, row: RingRow | None) -> dict[str, object]:
    from fraudgraph.reports.json import shown_priority
    from fraudgraph.rings.facts_words import currency_code, major, rfc3339

    return {
        "alert_id": alert.alert_id,
        "ring_id": alert.ring_id,
        "ring_id_now": now,
        "at": rfc3339(alert.at_ms),
        "probability": round(alert.probability, 6),
        "priority": shown_priority(alert.priority),
        "reason": alert.reason,
        "users_now": None if row is None else row.users,
        "value_at_risk_now": None if row is None else str(major(row.value_at_risk_minor, row.currency)),
        "currency": None if row is None else currency_code(row.currency),
    }
