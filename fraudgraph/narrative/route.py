"""From a question in words to one of the closed queries, by rules: the default without a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec

from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.queries import KINDS, Question

MAX_QUESTION: Final = 500

_ORDINALS: Final[Mapping[str, int]] = MappingProxyType(
    {
        name: number
        for number, name in enumerate(
            ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"), 1
        )
    }
)
_KIND_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {**{kind: kind for kind in KINDS}, "network": "ip", "e-mail": "email", "mail": "email", "handset": "device"}
)
_WORD = re.compile(r"[\w.@+:-]*\w")
_ORDINAL = re.compile(r"(\d{1,3})(?:st|nd|rd|th)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[tT][\d:.]+(?:[zZ]|[+-]\d{2}:\d{2})?)?")
_OPENING = re.compile(
    r"who|whose|what|which|when|where|how|why|is|are|was|were|did|does|do|has|have|had|can|could|since|show|list|the"
    r"|after|before|in|for"
)
"""Words that may begin a question, and so have a capital letter, as names have."""

_NUMBERED = re.compile(
    r"\b(device|card|phone|address|network|e-?mail|ip)(?: (?:address|number|no\.?|#)){0,2} ?#?([1-9]\d{0,3})\b", re.I
)
_LETTERS: Final[Mapping[str, str]] = MappingProxyType(
    {"device": "D", "card": "C", "phone": "P", "address": "A", "network": "IP", "email": "M", "ip": "IP"}
)
"""`card 1` is C1, as people say it."""

_PSEUDONYM = re.compile(r"(?:U|D|IP|C|M|P|A)\d{1,6}")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a question names: accounts as `U3`, identifiers as `D2`, a kind, a place in a row, a time; and its words."""

    accounts: tuple[str, ...]
    identifiers: tuple[str, ...]
    kind: str
    nth: int
    after: str
    words: frozenset[str]

    def any(self, *stems: str) -> bool:
        """Returns whether a word begins so."""
        return any(word.startswith(stems) for word in self.words)


def heard(text: str, evidence: Evidence) -> Heard:
    """Returns what a question names; user ids of members become pseudonyms."""
    short = {name: pseudonym for pseudonym, name in evidence.names.items() if name in evidence.view.users}
    known = {i.name for i in evidence.view.identifiers}
    accounts: list[str] = []
    identifiers: list[str] = []
    kind, nth, after, words = "", 0, "", set()
    said = _NUMBERED.sub(lambda m: f"{_LETTERS[m[1].lower().replace('-', '')]}{m[2]}", text[:MAX_QUESTION])
    for token in _WORD.findall(said):
        word, upper = token.lower(), token.upper()
        singular = word.removesuffix("s") if word not in _KIND_WORDS else word
        if token in short:
            accounts.append(short[token])
        elif upper in known:
            identifiers.append(upper)
        elif upper in evidence.names and upper.startswith("U"):
            accounts.append(upper)
        elif singular in _KIND_WORDS:
            kind = kind or _KIND_WORDS[singular]
        elif word in _ORDINALS or _ORDINAL.fullmatch(word):
            nth = nth or _ORDINALS.get(word) or int(word[:-2])
            words.add(word)
        elif _DATE.fullmatch(word):
            after = after or token
        else:
            words.add(word)
    return Heard(tuple(dict.fromkeys(accounts)), tuple(dict.fromkeys(identifiers)), kind, nth, after, frozenset(words))


def route(text: str, evidence: Evidence) -> Question | None:
    """Returns the query that a question asks for by its words, or None where no rule knows it."""
    said = heard(text, evidence)
    for fits, make in _RULES:
        if fits(said):
            return make(said)
    return None


def question_of(query: str, words: Sequence[str], evidence: Evidence) -> Question:
    """Returns a query with arguments told apart by their form: `D2`, `device`, `2`, `2026-03-01`, else an account."""
    values: dict[str, str | int] = {}
    for word in words:
        name = _field(word, evidence)
        if name == "account" and name in values:
            name = "other"
        values[name] = int(word) if name == "nth" else word
    return msgspec.convert({"query": query, **values}, Question)


def _field(word: str, evidence: Evidence) -> str:
    if any(i.name == word.upper() for i in evidence.view.identifiers):
        return "identifier"
    if word in evidence.view.users:
        return "account"
    if word in KINDS:
        return "kind"
    if _DATE.fullmatch(word):
        return "after"
    return "nth" if word.isdecimal() and len(word) < 4 else "account"


def neutral(text: str, evidence: Evidence) -> str:
    """Returns a question without anything that could name a person: user ids of members as pseudonyms, and of the rest
    only lower-case words, pseudonyms, dates, and places in a row; everything else is an ellipsis. A name in lower case
    cannot be told from another word."""
    short = {name: pseudonym for pseudonym, name in evidence.names.items() if name in evidence.view.users}
    out = []
    for token in _WORD.findall(text[:MAX_QUESTION]):
        if token in short:
            out.append(short[token])
        elif _PSEUDONYM.fullmatch(token.upper()) and token.upper() in evidence.names:
            out.append(token.upper())
        elif _DATE.fullmatch(token) or _ORDINAL.fullmatch(token.lower()):
            out.append(token)
        elif (
            token.isascii()
            and token.replace("-", "").isalpha()
            and (token.islower() or _OPENING.fullmatch(token.lower()))
        ):
            out.append(token.lower())
        else:
            out.append("…")
    return " ".join(out)


def _rule(query: str, *fields: str) -> Callable[[Heard], Question]:
    def make(said: Heard) -> Question:
        values = {
            "account": said.accounts[0] if said.accounts else "",
            "other": said.accounts[1] if len(said.accounts) > 1 else "",
            "identifier": said.identifiers[0] if said.identifiers else "",
            "kind": said.kind,
            "after": said.after,
        }
        chosen = {name: values[name] for name in fields if name != "nth"}
        return Question(query, **chosen, nth=max(1, said.nth) if "nth" in fields else 0)

    return make


_BEGIN: Final = ("first", "brought", "bring", "introduc", "beg", "start", "open")
_RULES: Final[Sequence[tuple[Callable[[Heard], bool], Callable[[Heard], Question]]]] = (
    (
        lambda s: s.any("without", "apart", "remov") and bool(s.identifiers or s.accounts),
        _rule("without", "account", "identifier"),
    ),
    (lambda s: len(s.accounts) == 2, _rule("what-links", "account", "other")),
    (lambda s: bool(s.identifiers) and s.any(*_BEGIN), _rule("first-use", "identifier")),
    (lambda s: bool(s.identifiers), _rule("users-of", "identifier")),
    (
        lambda s: bool(s.kind) and not s.accounts and s.any(*_BEGIN, *_ORDINALS),
        _rule("brought-in", "kind", "nth"),
    ),
    (lambda s: s.any("chargeback", "declin", "refund", "disput"), _rule("outcomes", "account")),
    (lambda s: s.any("sent", "send", "transfer", "refer", "invit", "recruit"), _rule("sent", "account")),
    (lambda s: s.any("order", "bought", "buy", "purchas"), _rule("orders", "account", "after")),
    (
        lambda s: s.any("money", "stake", "risk", "worth", "lose", "loss", "cost", "spen", "paid"),
        _rule("money-by-member"),
    ),
    (lambda s: bool(s.accounts) and s.any("role", "core", "victim", "bridge"), _rule("role-of", "account")),
    (lambda s: bool(s.accounts) and s.any("since", "join", "long", "when", "came"), _rule("member-since", "account")),
    (
        lambda s: bool(s.after) and s.any("came", "join", "new", "account", "member", "since"),
        _rule("came-after", "after"),
    ),
    (lambda s: s.any("first", "earliest", "oldest") and s.any("account", "member", "came", "who"), _rule("came-first")),
    (lambda s: len(s.accounts) == 1, _rule("identifiers-of", "account")),
)
"""Tried in order: what names more comes before what names less."""
