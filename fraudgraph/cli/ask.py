"""`fraudgraph ask`: a question about one ring, answered by code from the evidence."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import FAILURE, ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from fraudgraph.narrative.evidence import Evidence
    from fraudgraph.narrative.queries import Answer, Question
    from fraudgraph.settings import Settings


class Format(StrEnum):
    """How the answer is written."""

    TEXT = "text"
    JSON = "json"


def ask(
    ring_id: Annotated[str, typer.Argument(metavar="RING_ID", help="The ring's id, as `rings list` shows it.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[QUESTION]", help="The question; with --query its arguments.")
    ] = None,
    query: Annotated[
        str | None, typer.Option("--query", metavar="NAME", help="Asks this of the closed list, without any guess.")
    ] = None,
    queries: Annotated[bool, typer.Option("--queries", help="Lists what can be asked.")] = False,
    format: Annotated[Format, typer.Option("--format", help="Text for people, JSON for programs.")] = Format.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Answers a question about one ring from its evidence.

    Code answers, from a closed list of queries; rules or, where one is configured, a language model pick which. Names
    and numbers of a question do not leave this machine. Exits with 1 where the evidence does not answer it.
    """
    from fraudgraph.app import open_reader
    from fraudgraph.cli.reading import read_ring
    from fraudgraph.narrative.evidence import make_evidence
    from fraudgraph.narrative.queries import ask as answered
    from fraudgraph.narrative.route import question_of

    if queries:
        _print_queries()
        return
    if not words and query is None:
        raise UsageError("there is no question", do="Write it behind the ring's id, or see `--queries`.")
    settings = effective_settings(store, config, overrides).settings
    with closing(open_reader(settings)) as reader:
        snapshot = read_ring(reader, ring_id)
    evidence = make_evidence(snapshot, settings.links)
    picked, by = _picked(" ".join(words or ()), evidence, settings) if query is None else (None, "")
    question = picked if query is None else question_of(query, words or (), evidence)
    answer = None if question is None else answered(evidence, question)
    if format is Format.JSON:
        print_json(_document(snapshot.ring_id, answer, by))
    elif answer is not None:
        _print(answer)
    if answer is None or not answer.sentences:
        from fraudgraph.narrative.queries import CANNOT

        note(CANNOT)
        note(f"next: `fraudgraph ask {snapshot.ring_id} --queries` lists what can be asked with --query")
        raise typer.Exit(FAILURE)


def _picked(text: str, evidence: Evidence, settings: Settings) -> tuple[Question | None, str]:
    """Returns the query that a question asks for, and who picked it: the model where there is one, else rules."""
    from fraudgraph.app import make_picker
    from fraudgraph.errors import DependencyError
    from fraudgraph.narrative.queries import ask as answered
    from fraudgraph.narrative.route import route

    picker = make_picker(settings)
    if picker is not None:
        try:
            question, _ = picker.pick(text, evidence)
            if question is not None:
                answered(evidence, question)  # what names nothing in this ring is no pick
                return question, settings.narrator.model
        except (DependencyError, UsageError) as error:
            note(f"the model picked nothing ({error.what}); rules pick instead")
    return route(text, evidence), "rules"


def _print(answer: Answer) -> None:
    from fraudgraph.reports.escape import plain

    for sentence in answer.sentences:
        typer.echo(f"{plain(sentence.text)} [{', '.join(sentence.evidence)}]")


def _print_queries() -> None:
    from fraudgraph.narrative.queries import QUERIES

    print_table(
        [Column("query"), Column("arguments"), Column("says", folds=True)],
        [
            [name, " ".join([*(n.upper() for n in query.needs), *(f"[{m.upper()}]" for m in query.may)]), query.says]
            for name, query in QUERIES.items()
        ],
    )


def _document(ring_id: str, answer: Answer | None, picked_by: str) -> dict[str, object]:
    import msgspec

    from fraudgraph.narrative.queries import CANNOT

    said = answer is not None and bool(answer.sentences)
    return {
        "ring_id": ring_id,
        "query": None if answer is None else answer.question.query,
        "arguments": {}
        if answer is None
        else {
            name: value for name, value in msgspec.structs.asdict(answer.question).items() if value and name != "query"
        },
        "picked_by": picked_by or "--query",
        "answered": said,
        "answer": [] if answer is None else [{"text": s.text, "evidence": list(s.evidence)} for s in answer.sentences],
        "cannot": None if said else CANNOT,
    }
