"""From claims that hold to sentences: neighbours are told together, what was just named is referred to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from fraudgraph.narrative.actions import Action
from fraudgraph.narrative.claims import Connective
from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.innocent import Explanation
from fraudgraph.narrative.phrases import CONNECTIVES, JOINED, LIKEWISE, LISTED, QUESTIONS_ASKED, SHARED, SHARED_AMONG
from fraudgraph.narrative.port import Sentence
from fraudgraph.narrative.said_words import noun_of
from fraudgraph.narrative.slots import number
from fraudgraph.narrative.speaker import Speaker
from fraudgraph.narrative.verifier import Held
from fraudgraph.rings.facts_words import count, listed, parts, plural, sentence


class Form(StrEnum):
    """How a clause tells its claims: one, several in a list, or further ones like the one before."""

    ONE = "one"
    LIST = "list"
    LIKEWISE = "likewise"


@dataclass(frozen=True, slots=True)
class _Unit:
    """Claims that one clause tells; only the first of them has a connective."""

    form: Form
    held: tuple[Held, ...]

    @property
    def kind(self) -> str:
        return self.held[0].kind

    @property
    def identifiers(self) -> tuple[str, ...]:
        return tuple(str(x.fields["identifier"]) for h in self.held for x in h.items if "identifier" in x.fields)


def told(section: str, held: Sequence[Held], speaker: Speaker) -> tuple[Sentence, ...]:
    """Returns the claims of a section as sentences, in their order."""
    out: list[Sentence] = []
    units = _units(held)
    place = 0
    while place < len(units):
        first = units[place]
        text, claims = _said(first, (section, place), speaker), first.held
        place += 1
        if place < len(units) and (word := _joined(first, units[place])):
            text = f"{text}, {word} {_said(units[place], (section, place), speaker, first)}"
            claims = (*claims, *units[place].held)
            place += 1
        out.append(_sentence(text, claims, section, speaker))
        speaker.sentence_ends()
    return tuple(out)


def _units(held: Sequence[Held]) -> list[_Unit]:
    units: list[_Unit] = []
    for run in _runs(held):
        kind = run[0].kind
        if len(run) > 1 and kind in LISTED:
            units.append(_Unit(Form.LIST, tuple(run)))
        elif len(run) > 1 and kind in LIKEWISE:
            units += [_Unit(Form.ONE, (run[0],)), _Unit(Form.LIKEWISE, tuple(run[1:]))]
        else:
            units += [_Unit(Form.ONE, (claim,)) for claim in run]
    return units


def _runs(held: Sequence[Held]) -> list[list[Held]]:
    """Returns neighbours of one kind together, as long as they are only strung together."""
    runs: list[list[Held]] = []
    for claim in held:
        strung = claim.connective in (Connective.NONE, Connective.ALSO)
        if runs and strung and runs[-1][0].kind == claim.kind:
            runs[-1].append(claim)
        else:
            runs.append([claim])
    return runs


def _joined(first: _Unit, second: _Unit) -> str:
    """Returns the word that makes one sentence of two clauses; "" where they stay apart."""
    if second.form is Form.LIKEWISE or (first.kind, second.kind) not in JOINED:
        return ""
    if first.identifiers != second.identifiers and second.identifiers:
        return ""
    word = second.held[0].connective
    return {Connective.NONE: "and", Connective.ALSO: "and", Connective.BUT: "but"}.get(word, "")


def _said(unit: _Unit, place: tuple[str, int], speaker: Speaker, before: _Unit | None = None) -> str:
    if unit.form is Form.LIKEWISE:
        return LIKEWISE[unit.kind].format(list=_with_sizes(unit.held, speaker))
    if unit.form is Form.ONE:
        return speaker.clause(unit.held[0], place, within=before is not None)
    if unit.kind == "shared-by":
        shared = shared_in_all(speaker)
        return speaker.choose(SHARED if len(unit.held) == shared else SHARED_AMONG, *place).format(
            list=_with_sizes(unit.held, speaker)
        )
    which = "either" if len(unit.held) == 2 else "any"
    names = "them" if before is not None else listed(unit.identifiers, len(unit.held))
    return f"nobody outside the {speaker.ring} uses {which} of {names}"


def _with_sizes(group: Sequence[Held], speaker: Speaker) -> str:
    """Returns `device D1 (5 accounts), device D2 (4) and cards C1, C2 and C3 (2 each)`."""
    rows = [(str(h.items[0].fields["identifier"]), speaker.size(h.items[0])) for h in group]
    said: list[str] = []
    for (noun, n), run in groupby(rows, key=lambda row: (noun_of(row[0]), row[1])):
        names = [name for name, _ in run]
        speaker.things(names)
        size = ("both" if n == 2 else f"all {n:,}") if n == speaker.whole else f"{n:,}"
        size += "" if said else f" {plural(n, 'account')}"
        each = " each" if len(names) > 1 else ""
        said.append(f"{plural(len(names), noun)} {listed(names, len(names))} ({size}{each})")
    return listed(said, len(said))


def _sentence(text: str, claims: Sequence[Held], section: str, speaker: Speaker) -> Sentence:
    word = claims[0].connective
    lead = speaker.choose(CONNECTIVES[word.value], section, text) if word.value in CONNECTIVES else ""
    evidence = tuple(dict.fromkeys(item.id for held in claims for item in held.items))
    return Sentence(f"{sentence(lead + text)}.", evidence, tuple(held.kind for held in claims))


def _parts(sizes: Sequence[int]) -> str:
    return parts(sizes) if max(sizes, default=0) > 1 else "accounts"


def shared_in_all(speaker: Speaker) -> int:
    """Returns how many identifiers the ring shares that may tie it."""
    ring = speaker.evidence.items["R"].fields
    return sum(int(str(n)) for name, n in ring.items() if name.startswith("shared_"))


def explained(explanation: Explanation) -> Sentence:
    """Returns an innocent explanation with what contradicts it."""
    return Sentence(against(explanation), explanation.evidence, (explanation.name,))


def against(explanation: Explanation) -> str:
    """Returns an innocent explanation in words, with what contradicts it."""
    if explanation.strong:
        return explanation.text
    verb = "stands" if len(explanation.contradicted) == 1 else "stand"
    return f"{explanation.text} Against this {verb} {listed(explanation.contradicted, 4)}."


def proposed(action: Action) -> Sentence:
    """Returns an action with its reason."""
    return Sentence(f"{action.text} Why: {action.reason}.", action.evidence, (action.name,))


def asked(held: Held, evidence: Evidence, speaker: Speaker) -> Sentence:
    """Returns an open question."""
    item = held.items[0]
    name = str(item.fields.get("identifier", ""))
    values = {
        "name": name,
        "names": speaker.names(item),
        "outside": count(number(item, "outside") or 0, "account"),
        "outside_s": "s" if number(item, "outside") == 1 else "",
        "past": evidence.names.get(str(item.fields.get("past", "")), ""),
    }
    if held.kind == "really-one-ring":
        fact = next(f for f in evidence.facts if f.id == item.id)
        sizes = fact.fields["parts"]
        values["parts"] = _parts([int(n) for n in sizes] if isinstance(sizes, tuple) else [])
        values["name"] = name or speaker.joint(item)
    return Sentence(QUESTIONS_ASKED[held.kind].format_map(values), (item.id,), (held.kind,))
