"""Reads a narrative back: each sentence is taken apart, and every number, name and relation in it is derived anew.

A sentence that no phrase of its claims makes, or in which one value is not what `narrative_truth` finds, is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from typing import Final

from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.narrative import phrases
from fraudgraph.narrative.catalogue import CLAIM_KINDS
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.port import Narrative, Sentence
from fraudgraph.rings.facts import facts
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.facts_words import count, listed, of, plural
from fraudgraph.rings.money import ring_money
from fraudgraph.rings.roles import roles
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.testing.narrative_rest import Rest
from fraudgraph.testing.narrative_said import SAID, Item, Options, Ring, noun, thing
from fraudgraph.testing.narrative_truth import Truth

_SUBJECT: Final = {
    "bridge": ("identifier", "user_id", "constraint"),
    "labels": ("value",),
    "transfer-cycle": ("first_user_id",),
    "transfers-inside": ("currency",),
    "similar-past-ring": ("decision_id",),
    "rule": ("rule",),
}
_PAIRS: Final = frozenset(kind.name for kind in CLAIM_KINDS.values() if kind.most > 1)
"""Kinds that cite several facts: such a claim is a sentence of its own."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A sentence that is not so, and where it stands."""

    section: str
    text: str
    claims: tuple[str, ...]


class Checker:
    """Checks narratives of one ring."""

    def __init__(self, snapshot: RingSnapshot, policy: LinkPolicy | None = None) -> None:
        self.truth = Truth(snapshot, policy)
        self._snapshot = snapshot
        self._view = RingView(snapshot, policy)
        self._subjects = dict(self._named_facts(policy))
        self.ring = Ring(self.truth, self._view, self._subjects)
        self._rest = Rest(self.ring)
        self._names_of = make_evidence(snapshot, policy).names
        self._currencies = [str(m.currency) for m in ring_money(snapshot).by_currency]

    def faults(self, told: Narrative) -> list[Fault]:
        """Returns what is not so in a narrative's summary, reasons, questions, explanations and actions."""
        found = [
            Fault(section, s.text, s.claims)
            for section in ("summary", "risk_reasons")
            for place, s in enumerate(getattr(told, section))
            if not (self.holds(s) and self._led(getattr(told, section), place))
        ]
        found += [
            Fault(section, s.text, s.claims)
            for section in ("innocent_explanations", "next_actions", "open_questions")
            for s in getattr(told, section)
            if not self._rest_holds(section, s)
        ]
        return found

    def _rest_holds(self, section: str, said: Sentence) -> bool:
        asks = section == "open_questions"
        item = self.item(said.evidence[0]) if asks and said.evidence else None
        return self._rest.holds(section, said, item, self._names(item) if item is not None else "")

    def item(self, name: str, account: str = "") -> Item:
        """Returns what an id of the pack stands for."""
        if name == "R":
            kind, subject = "ring", ""
        elif name.startswith("V"):
            kind, subject = "money", self._currencies[int(name[1:]) - 1]
        elif name.startswith("U"):
            kind, subject = "member", account
        else:
            kind, subject = self._subjects[name]
        return Item(name, kind, subject, self.truth.of(kind, subject))

    def _named_facts(self, policy: LinkPolicy | None) -> Iterator[tuple[str, tuple[str, str]]]:
        for fact in facts(self._snapshot, policy):
            fields = _SUBJECT.get(fact.kind, ("identifier",))
            value = next((fact.fields[f] for f in fields if fact.fields.get(f) is not None), "")
            yield fact.id, (fact.kind, str(value))

    def holds(self, sentence: Sentence) -> bool:
        """Returns whether a sentence is made of its claims' phrases, with right values in all their places."""
        if "role" in sentence.claims:
            return self._role_holds(sentence)
        items = [self.item(x, self._names_of.get(x, "")) for x in sentence.evidence]
        forms = self._forms(sentence.claims, items)
        leads = ["", *(lead for options in phrases.CONNECTIVES.values() for lead in options)]
        text = sentence.text
        return any(_matches(text, lead, clauses) for clauses in forms for lead in leads)

    def _forms(self, claims: Sequence[str], items: Sequence[Item]) -> Iterator[list[tuple[str, Options]]]:
        """Yields the ways in which claims make a sentence: one clause or two, each with its phrase and right values."""
        runs = _runs(claims, items)
        yield from (list(way) for way in product(*(self._clauses(kind, chosen) for kind, chosen in runs)))

    def _led(self, sentences: Sequence[Sentence], place: int) -> bool:
        """Returns whether the word that a sentence begins with holds: an order in time, a common time, a contrast."""
        text = sentences[place].text
        word = next((w for w, leads in phrases.CONNECTIVES.items() if text.startswith(leads)), "")
        if word in ("", "also"):
            return True
        kind, this = self._runs_of(sentences[place])[0]
        this = this if kind in _PAIRS else this[:1]
        begun = _begun(this)
        if word == "first":
            rest = [t for s in sentences[place + 1 :] for _, x in self._runs_of(s) if (t := _begun(x)) is not None]
            return place == 0 and begun is not None and all(begun <= t for t in rest)
        if place == 0:
            return False
        said, before = self._runs_of(sentences[place - 1])[-1]
        before = before if said in _PAIRS else before[-1:]
        earlier = _begun(before)
        if word == "then":
            return begun is not None and earlier is not None and earlier <= begun
        if word == "at-the-same-time":
            ends = [
                max((x.numbers["last"] for x in row if "last" in x.numbers), default=None) for row in (before, this)
            ]
            if None in (begun, earlier, *ends):
                return False
            return earlier <= ends[1] and begun <= ends[0]  # type: ignore[operator]  # none of them is None
        return {self._side(said, before), self._side(kind, this)} == {-1, 1}

    def _runs_of(self, sentence: Sentence) -> list[tuple[str, list[Item]]]:
        items = [self.item(x, self._names_of.get(x, "")) for x in sentence.evidence]
        return _runs(sentence.claims, items)

    def _side(self, kind: str, items: Sequence[Item]) -> int:
        """Returns 1 for what speaks for a ring, -1 against one, 0 where neither or both."""
        if kind in ("shared-outside", "ties-nobody"):
            return -1
        weights = {f.id: (f.weight > 0) - (f.weight < 0) for f in facts(self._snapshot, self.truth.policy)}
        sides = {weights.get(x.id, 0) for x in items}
        return sides.pop() if len(sides) == 1 else 0

    def _clauses(self, kind: str, items: Sequence[Item]) -> list[tuple[str, Options]]:
        if len(items) > 1 and kind == "shared-by":
            return [(p, {"list": self._sized(items)}) for p in (*phrases.SHARED, *phrases.SHARED_AMONG)]
        if len(items) > 1 and kind == "shared-only-here":
            if any(x.numbers["outside"] for x in items):
                return []
            names = listed([x.subject for x in items], len(items))
            which = "either" if len(items) == 2 else "any"
            ring = {"ring", "group"}
            return [
                (
                    "nobody outside the {ring} uses {which} of {names}",
                    {"ring": ring, "which": {which}, "names": {names, "them"}},
                )
            ]
        alike = [(phrases.LIKEWISE[kind], {"list": self._sized(items)})] if kind in phrases.LIKEWISE else []
        if len(items) > 1 and kind not in _PAIRS:
            return alike
        options = self._values(kind, items)
        return alike + ([] if options is None else [(p, options) for p in phrases.PHRASES[kind]])

    def _sized(self, items: Sequence[Item]) -> set[str]:
        """Returns the one way to list identifiers with how many accounts use them, as `realise` lists them."""
        rows = [(x.subject, int(x.numbers["members" if "members" in x.numbers else "victims"])) for x in items]
        out: list[str] = []
        for (what, n), run in groupby(rows, key=lambda row: (noun(row[0]), row[1])):
            names = [name for name, _ in run]
            size = ("both" if n == 2 else f"all {n:,}") if n == self.truth.whole else f"{n:,}"
            size += "" if out else f" {plural(n, 'account')}"
            out.append(
                f"{plural(len(names), what)} {listed(names, len(names))} ({size}{' each' if len(names) > 1 else ''})"
            )
        return {listed(out, len(out))}

    def _values(self, kind: str, items: Sequence[Item]) -> Options | None:
        """Returns the right values of a phrase's places; None where the claim does not hold at all."""
        say = SAID.get(kind)
        found = say(self.ring, items) if say is not None else None
        if found is None:
            return None
        item = items[0]
        n = int(item.numbers.get("members", item.numbers.get("victims", len(item.numbers["accounts"]))) or 0)
        options: Options = {
            "ring": {"ring", "group"},
            "was": {"was" if n == 1 else "were"},
            "has": {"has" if n == 1 else "have"},
            "is": {"is" if n == 1 else "are"},
            "s": {"s" if n == 1 else ""},
            "their": {"its" if n == 1 else "their"},
            "who": self._who(n),
            "thing": self._thing(item.subject),
            "names": {self._names(item)},
            "named": {"", f" ({self._names(item)})"},
            "members": {count(n, "account")},
        }
        return {**options, **{name: {v} if isinstance(v, str) else v for name, v in found.items()}}

    def _thing(self, subject: str) -> set[str]:
        tie = any(subject == constraint for _, _, constraint in self._snapshot.together)
        return {f"the analyst's tie {subject}"} if tie else thing(subject)

    def _who(self, n: int) -> set[str]:
        whole = self.truth.whole
        again = {f"the same {n:,} accounts"} if 1 < n < whole else set()
        every = {"both of them" if n == 2 else "all of them"} if n == whole and n > 1 else set()
        return {of(n, whole, "account")} | again | every

    def _names(self, item: Item) -> str:
        """Returns the accounts of a fact, in the order of its own; their set is what is derived anew."""
        fact = next((f for f in facts(self._snapshot, self.truth.policy) if f.id == item.id), None)
        ids = fact.fields.get("user_ids", ()) if fact is not None else ()
        names = [str(x) for x in ids] if isinstance(ids, tuple) else []
        return listed(names) if set(names) == item.numbers["accounts"] else "\0"

    def _role_holds(self, sentence: Sentence) -> bool:
        """Roles have an oracle of their own in the tests of `rings`; here the sentence is held against them."""
        for user_id, role in roles(self._view).items():
            shown = phrases.ROLES[role.name.value]
            reason = listed(list(role.reasons), 2)
            said = {f"Account {user_id} {verb} {shown}: {reason}." for verb in ("is", "looks like")}
            if any(sentence.text.endswith(x[1:]) for x in said):
                return True
        return False


def _runs(claims: Sequence[str], items: Sequence[Item]) -> list[tuple[str, list[Item]]]:
    """Returns (kind, what it cites) for each run of claims of one kind in a sentence."""
    if claims[0] in _PAIRS:
        return [(claims[0], list(items))]
    runs: list[tuple[str, list[Item]]] = []
    place = 0
    for kind, same in groupby(claims):
        n = len(list(same))
        runs.append((kind, list(items[place : place + n]) or list(items[:n])))
        place += n
    return runs


def _begun(items: Sequence[Item]) -> int | None:
    times = [int(x.numbers["first"]) for x in items if "first" in x.numbers]
    return min(times) if times else None


def _matches(text: str, lead: str, clauses: Sequence[tuple[str, Options]]) -> bool:
    """Returns whether a text is these clauses, each place filled with one of its right values."""
    pattern = re.escape(lead)
    for place, (phrase, options) in enumerate(clauses):
        pattern += ", (?:and|but) " if place else ""
        for literal, name in re.findall(r"([^{]*)(?:\{(\w+)\})?", phrase):
            pattern += re.escape(literal)
            if name:
                pattern += f"(?:{'|'.join(re.escape(v) for v in sorted(options[name], key=len, reverse=True))})"
    whole = re.compile(rf"{pattern}\.")
    return any(whole.fullmatch(start + text[1:]) for start in (text[0], text[0].lower()))
