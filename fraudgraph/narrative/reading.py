"""A model's own sentences: shown apart, marked as not verified, and only where nothing in them can pass for a fact.

What is let through is a closed alphabet, no figure, no name, no accusation, no advice. Numbers, times and names stand
in a sentence by reference only, to what the verified claims rest on that it names. A sentence that breaks a rule is
dropped as a whole: mending it would put words into the model's mouth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from fraudgraph.narrative.claims import Plan, Reading
from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.pack import UNITS, PackFact, Unit
from fraudgraph.narrative.slots import Reference, read_slot
from fraudgraph.narrative.verifier import Verified
from fraudgraph.rings.facts_words import duration, listed, minute, money

MAX_SENTENCES: Final = 3
MAX_SHOWN: Final = 280
"""Characters of a sentence, references filled in."""

_SLOT: Final = re.compile(r"\{([^{}]*)\}")
_PLAIN: Final = re.compile(r"(?:[A-Z]?[a-z]*|\0)(?:[ ,;'-]+(?:[a-z]+|\0))+ ?[.]")
"""One sentence of lower-case ASCII words and references (NUL, which no reply can hold)."""

_OPENING: Final = re.compile(
    r"(?:The|This|These|That|Those|It|They|Its|Their|What|Such|Taken|Together|Overall|As|While|Although|Though|Since|When"
    r"|Here|With|Without|In|On|At|From|A|An|Each|Several|Some|Many|Few|Nothing|Little|Still|Yet|But|And|So|Also|\0)\b|\0"
)
"""How a sentence may begin: its first word has a capital letter, and a name has one too."""

_BARRED: Final = re.compile(
    r"""\b(?:
    # numbers and dates in words
    (?: zero | one | two | three | four | five | six | seven | eight | nine | ten | eleven | twelve | thir\w+ | fourteen
      | fif\w+ | sixteen | seventeen | eighteen | nineteen | twent\w+ | fort\w+ | sixty | seventy | eighty | ninety
      | hundreds? | thousands? | millions? | dozens? | half | quarter | twice | thrice | double | triple | once | both
      | pair | couple | single | none | percent | majority | most | all | every | everyone
      | (?: mon | tues | wednes | thurs | fri | satur | sun ) day | january | february | april | june | july | august
      | september | october | november | december | today | yesterday | tomorrow
    # persons
      | i | you | yours? | we | our | us | me | my | he | she | him | her | his | hers | mr | mrs | ms ) \b
    # accusations, and certainty
    | fraud | guilt | crim | thie | theft | steal | stole | scam | swindl | crook | culprit | launder | perpetrat
    | offend | illegal | illicit | mule | conspir | liar | lying | lies? \b | terror | blame | cheat | decei
    | decep | dishonest | malicious | bogus | gang | mafia | hack | attack | abus | exploit | innocen | certain
    | proof | prove | undoubt | obvious | clearly | definit
    # advice and orders
    | must | should | shall | need | ought | block | ban (?: s | ned )? \b | ignor | click | visit | call | e?mail
    | send | delet | clos (?: e | ing ) \b | confirm | approv | report | arrest | freez | refund | contact
    | please | recommend | suggest | advis | requir | urg | alert | escalat | suspend | cancel | reject | tell
    | ask | investigat | verif
    | forget | disregard | instruct | prompt | system | assistant | password | token | http | www )""",
    re.X,
)
"""Words and beginnings of words that keep a sentence from being shown."""


def read_aloud(plan: Plan, checked: Verified, evidence: Evidence) -> tuple[str, ...]:
    """Returns the sentences of a plan's reading that may be shown, references filled in; at most three."""
    failed = {failure.place for failure in checked.failures if failure.section == "summary"}
    found = (_shown(reading, plan, failed, evidence) for reading in plan.reading)
    return tuple(text for text in found if text)[:MAX_SENTENCES]


def _shown(reading: Reading, plan: Plan, failed: Iterable[int], evidence: Evidence) -> str:
    """Returns a sentence with its references filled in, "" where it may not be shown."""
    places = set(reading.claims)
    if not places or not places <= set(range(len(plan.summary))) - set(failed):
        return ""
    if "\0" in reading.text:
        return ""
    anchored = {name for place in places for name in plan.summary[place].evidence}
    items = {name: evidence.items[name] for name in anchored if name in evidence.items}
    bare = _SLOT.sub("\0", reading.text).strip()
    if not _PLAIN.fullmatch(bare) or not _OPENING.match(bare) or _BARRED.search(bare.lower()):
        return ""
    values = [_value(slot, items, evidence) for slot in _SLOT.findall(reading.text)]
    if not all(values):
        return ""
    text = bare
    for value in values:
        text = text.replace("\0", value, 1)
    return text if len(text) <= MAX_SHOWN else ""


def _value(slot: str, items: Mapping[str, PackFact], evidence: Evidence) -> str:
    """Returns what a reference stands for, in words; "" where the anchored claims do not rest on it."""
    read = read_slot(slot)
    if isinstance(read, str):
        named = any(read in _names(item.fields.get(field)) for item in items.values() for field in item.fields)
        return evidence.names.get(read, "") if named or read in items else ""
    if not isinstance(read, Reference) or read.quote is not None or read.item not in items:
        return ""
    return _words(items[read.item], read.field, evidence)


def _names(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _words(item: PackFact, field: str, evidence: Evidence) -> str:
    value = item.fields.get(field)
    unit = UNITS.get(field, Unit.COUNT)
    if unit is Unit.NAME:
        names = [evidence.names.get(str(name), "") for name in _names(value)]
        return listed(names) if names and all(names) else ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if unit is Unit.TIME:
        return f"{minute(int(value))} UTC"
    if unit is Unit.SPAN:
        return duration(int(value))
    if unit is Unit.SHARE:
        return f"{value:.0%}".replace("%", " %")
    if unit is Unit.MONEY:
        currency = item.fields.get("currency", 0)
        return money(int(value), currency if isinstance(currency, int) else 0)
    return f"{int(value):,}" if unit is Unit.COUNT else ""
