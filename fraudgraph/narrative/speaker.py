"""The speaker: fills a clause with numbers, names and times of what it cites, and remembers what was just mentioned."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.pack import PackFact
from fraudgraph.narrative.phrases import PHRASES
from fraudgraph.narrative.said_facts import STATED
from fraudgraph.narrative.said_relations import RELATED
from fraudgraph.narrative.said_words import Values, identifier_of, noun_of
from fraudgraph.narrative.slots import number
from fraudgraph.narrative.verifier import Held
from fraudgraph.rings.facts_words import listed, of, plural

VALUES: Final = MappingProxyType({**STATED, **RELATED})
"""Kind of claim -> values of its phrases' places."""


class Speaker:
    """Says clauses of one ring, one after the other; the same pack and claims give the same words.

    `sentence_ends` is called after each sentence: `it` reaches within a sentence, `the same device` into the next one.
    Where the evidence does not suffice, it speaks of a group and not of a ring.
    """

    def __init__(self, evidence: Evidence, *, sufficient: bool = True) -> None:
        self.evidence = evidence
        self.ring = "ring" if sufficient else "group"
        self._hash = evidence.pack.hash
        self._named: set[str] = set()
        self._here: list[str] = []
        self._before: list[str] = []
        self._group: frozenset[str] = frozenset()
        self._listed: frozenset[str] = frozenset()
        self._within = False

    def sentence_ends(self) -> None:
        """Forgets what `it` may mean."""
        self._before, self._here = self._here, []

    def choose(self, options: Sequence[str], *place: object) -> str:
        """Returns one of several phrasings, by the pack's hash and the place."""
        digest = hashlib.blake2b(f"{self._hash}:{place}".encode(), digest_size=4).digest()
        return options[int.from_bytes(digest) % len(options)]

    def clause(self, held: Held, place: tuple[object, ...], *, within: bool = False) -> str:
        """Returns a claim in words, without a capital and a full stop; `within` says that a sentence has begun."""
        self._within = within
        values = VALUES[held.kind](self, held)
        phrase = self.choose(PHRASES[held.kind], *place)
        said = phrase.format_map(_Lazy(self, held, values))
        accounts = self._accounts(held.items[0])
        self._listed = accounts if "{named}" in phrase or "{names}" in phrase else frozenset()
        self._group = accounts or self._group
        return said

    def just_named(self, item: PackFact) -> bool:
        """Returns whether the last clause listed the very accounts of this fact."""
        return bool(self._listed) and self._listed == self._accounts(item)

    # What is mentioned

    def thing(self, name: str) -> str:
        """Returns `device D1` at first mention, then `it`, `the same device` or `D1`."""
        if self._here == [name]:
            return "it"
        recent = self._before == [name] and not self._here
        said = self.plainly(name)
        return f"the same {noun_of(name)}" if recent else said

    def plainly(self, name: str) -> str:
        """Returns `device D1` at first mention, then `D1`: never a reference."""
        first = name not in self._named
        self._named.add(name)
        self._here.append(name)
        return f"{noun_of(name)} {name}" if first else name

    def joint(self, item: PackFact) -> str:
        """Returns what holds parts together: an identifier, an account, or an analyst's word."""
        if "account" in item.fields:
            return f"account {self.evidence.names[str(item.fields['account'])]}"
        if "constraint" in item.fields:
            return f"the analyst's tie {self.evidence.names[str(item.fields['constraint'])]}"
        return self.plainly(identifier_of(item))

    def things(self, names: Sequence[str]) -> str:
        """Returns `devices D1 and D2 and card C1`."""
        groups: dict[str, list[str]] = {}
        for name in names:
            self._named.add(name)
            self._here.append(name)
            groups.setdefault(noun_of(name), []).append(name)
        return listed([f"{plural(len(of_kind), noun)} {listed(of_kind)}" for noun, of_kind in groups.items()])

    def who(self, item: PackFact) -> str:
        """Returns `all 8 accounts`, `5 of the 8 accounts`, or `the same 5 accounts` right after they were named."""
        n = self.size(item)
        accounts = self._accounts(item)
        if accounts and accounts == self._group and n > 1:
            if n < self.whole:
                return f"the same {n:,} accounts"
            if self._within:
                return "both of them" if n == 2 else "all of them"
        return of(n, self.whole, "account")

    def size(self, item: PackFact) -> int:
        """Returns how many accounts a fact is about."""
        return number(item, "members") or number(item, "victims") or len(self._accounts(item))

    @property
    def whole(self) -> int:
        """Members of the ring."""
        return self.evidence.view.size

    def names(self, item: PackFact) -> str:
        """Returns the accounts of a fact by the names that a report shows, the first few of them."""
        fact = next(f for f in self.evidence.facts if f.id == item.id)
        ids = fact.fields.get("user_ids")
        return listed([str(x) for x in ids]) if isinstance(ids, tuple) else ""

    def account(self, pseudonym: str) -> str:
        """Returns the account's own id."""
        return self.evidence.names[pseudonym]

    def _accounts(self, item: PackFact) -> frozenset[str]:
        return self.evidence.accounts.get(item.id, frozenset())


class _Lazy(dict[str, str]):
    """Values of a phrase; `{thing}` and `{who}` are made where the phrase has them, in its order."""

    def __init__(self, speaker: Speaker, held: Held, values: Values) -> None:
        super().__init__(values)
        self._speaker, self._held = speaker, held

    def __missing__(self, name: str) -> str:
        speaker, item = self._speaker, self._held.items[0]
        if name == "thing":
            return speaker.thing(identifier_of(item))
        if name == "who":
            return speaker.who(item)
        if name == "names":
            return speaker.names(item)
        if name == "named":
            return "" if speaker.just_named(item) else f" ({speaker.names(item)})"
        if name == "ring":
            return speaker.ring
        one = speaker.size(item) == 1
        return _AGREEMENT[name][not one]


_AGREEMENT: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "was": ("was", "were"),
        "has": ("has", "have"),
        "is": ("is", "are"),
        "s": ("s", ""),
        "their": ("its", "their"),
    }
)
"""Forms for one account and for several."""
