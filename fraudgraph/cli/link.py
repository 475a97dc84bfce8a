"""`fraudgraph link`: the path that ties two accounts."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import FINDINGS, ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import note, print_json

if TYPE_CHECKING:
    from fraudgraph.rings.path import LinkPath, LinkSearch, PathUse


class Format(StrEnum):
    """How the path is written."""

    TEXT = "text"
    JSON = "json"


def link(
    user_a: Annotated[str, typer.Argument(metavar="USER_A", help="One account's id, as lists show it.")],
    user_b: Annotated[str, typer.Argument(metavar="USER_B", help="The other account's id.")],
    max_steps: Annotated[
        int, typer.Option("--max-steps", min=1, max=8, metavar="N", help="Identifiers on the path, at most.")
    ] = 4,
    format: Annotated[Format, typer.Option("--format", help="Text for people, JSON for programs.")] = Format.TEXT,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exits with 3 where the accounts are tied.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Shows what ties two accounts.

    The strongest path between them, with dates and counts, its weakest link marked.
    """
    from fraudgraph.app import open_reader
    from fraudgraph.cases.constraints import in_force
    from fraudgraph.cases.reasons import ConstraintKind
    from fraudgraph.cli.lookup import user_secret
    from fraudgraph.rings.path import link_path

    settings = effective_settings(store, config, overrides).settings
    for user_id in (user_a, user_b):
        user_secret(user_id, settings.identity.default_region or None, typed=True)
    with closing(open_reader(settings)) as reader:
        as_of_ms = int(reader.meta()["watermark_ms"])
        constraints = reader.constraints()
        benign = in_force(constraints, as_of_ms).benign
        together = {
            (each.first, each.second): each.constraint_id
            for each in constraints
            if each.kind is ConstraintKind.MUST_LINK and each.holds_at(as_of_ms)
        }
        search = link_path(
            reader,
            settings.links,
            user_a,
            user_b,
            as_of_ms=as_of_ms,
            max_depth=max_steps,
            benign={key.hex() for key in benign},
            together=together,
        )
    if format is Format.JSON:
        _print_json(search, user_a, user_b)
    elif search.path is None:
        _say_why_not(search, user_a, user_b, max_steps)
    else:
        _print_path(search.path, user_a, user_b)
    if exit_code and search.path is not None:
        raise typer.Exit(FINDINGS)


def _print_path(path: LinkPath, user_a: str, user_b: str) -> None:
    from fraudgraph.cli.lookup import named
    from fraudgraph.reports.escape import plain
    from fraudgraph.rings.facts_words import count, listed, minute

    def use(of: PathUse) -> str:
        first, last = minute(of.first_ms), minute(of.last_ms)
        return f"{count(of.count, 'use')}, {first}" + (f" to {last}" if last != first else "")

    bonds = sum(bool(step.constraint) for step in path.steps)
    steps = listed(
        [count(n, what) for n, what in ((len(path.steps) - bonds, "identifier"), (bonds, "analyst's tie")) if n]
    )
    typer.echo(f"{plain(user_a)} and {plain(user_b)} are tied by {steps}, strength {path.strength:.2f} (times in UTC)")
    typer.echo(f"\n  {plain(user_a)}")
    for index, step in enumerate(path.steps):
        weakest = "   <- weakest" if index == path.weakest and len(path.steps) > 1 else ""
        if step.constraint:
            typer.echo(
                f"    |\n   [{step.constraint}]  tied by an analyst, strength {step.strength:.2f}{weakest}\n    |"
            )
            typer.echo(f"  {plain(step.far.user_id)}")
            continue
        typer.echo(f"    |  {use(step.near)}")
        shared = f"{count(step.users, 'account')}, strength {step.strength:.2f}{weakest}"
        typer.echo(f"   [{named(step.kind.label, step.mask)}]  {shared}")
        typer.echo(f"    |  {use(step.far)}")
        typer.echo(f"  {plain(step.far.user_id)}")


def _say_why_not(search: LinkSearch, user_a: str, user_b: str, max_steps: int) -> None:
    from fraudgraph.cli.lookup import named
    from fraudgraph.reports.escape import plain
    from fraudgraph.rings.facts_words import count

    more = "; the search gave up there" if search.gave_up else ""
    note(
        f"no path of at most {count(max_steps, 'identifier')} ties {plain(user_a)} and {plain(user_b)}"
        f" ({count(search.users_seen, 'account')} looked at{more})"
    )
    for left in search.not_followed[:5]:
        note(f"not followed: {named(left.kind.label, left.mask)}, {count(left.users, 'account')} ({left.why})")


def _print_json(search: LinkSearch, user_a: str, user_b: str) -> None:
    from fraudgraph.rings.facts_words import rfc3339

    def use(of: PathUse) -> dict[str, object]:
        used = of.count > 0
        return {
            "user_id": of.user_id,
            "first_seen": rfc3339(of.first_ms) if used else None,
            "last_seen": rfc3339(of.last_ms) if used else None,
            "count": of.count,
            "strength": round(of.strength, 4),
        }

    path = search.path
    print_json(
        {
            "users": [user_a, user_b],
            "linked": path is not None,
            "strength": None if path is None else round(path.strength, 4),
            "weakest": None if path is None else path.weakest,
            "path": [
                {
                    "kind": "constraint" if step.constraint else step.kind.label,
                    "shown": step.constraint or step.mask,
                    "users": step.users,
                    "strength": round(step.strength, 4),
                    "from": use(step.near),
                    "to": use(step.far),
                }
                for step in (path.steps if path else ())
            ],
            "not_followed": [
                {"kind": left.kind.label, "shown": left.mask, "users": left.users, "why": left.why}
                for left in search.not_followed
            ],
            "users_seen": search.users_seen,
            "gave_up": search.gave_up,
        }
    )
