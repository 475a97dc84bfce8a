"""True claims about a ring, and false ones made from them: what a verifier must pass, and what it must not."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Final

import msgspec

from fraudgraph.durations import DAY_MS, HOUR_MS, MINUTE_MS
from fraudgraph.narrative.catalogue import CLAIM_KINDS, ClaimKind
from fraudgraph.narrative.claims import Claim, Slot
from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.pack import UNITS, PackFact, Unit, written
from fraudgraph.rings.facts_words import currency_code, major, minute
from fraudgraph.testing.narrative_checker import Checker
from fraudgraph.testing.narrative_said import SAID, Item

MAX_PAIRS: Final = 12
_OPPOSITE: Final = {
    "before": "after",
    "after": "before",
    "shared-only-here": "shared-outside",
    "shared-outside": "shared-only-here",
    "ties-nobody": "shared-only-here",
    "same-accounts": "no-common-accounts",
    "among-accounts": "no-common-accounts",
    "no-common-accounts": "among-accounts",
    "earliest": "latest",
    "latest": "earliest",
    "as-many": "more-than",
    "more-than": "as-many",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A false claim; `how` says what was done to a true one."""

    how: str
    claim: Claim


class Claims:
    """Claims about one ring, and whether they are so, by `narrative_truth` alone."""

    def __init__(self, evidence: Evidence, checker: Checker) -> None:
        self.evidence = evidence
        self.checker = checker

    def true_claims(self) -> Iterator[Claim]:
        """Yields true claims: what each fact says with everything quoted, and relations between pairs of facts."""
        for item in (*self.evidence.pack.facts, *self.evidence.pack.rows):
            for kind in CLAIM_KINDS.values():
                if kind.least == 1 and (item.kind in kind.cites or (not kind.cites and item.id.startswith("E"))):
                    claim = self._stated(kind, item)
                    if self.so(claim):
                        yield claim
        facts = self.evidence.pack.facts[: 2 * MAX_PAIRS]
        for kind in CLAIM_KINDS.values():
            pairs = list(combinations(facts, 2)) if kind.least == 2 or kind.name in ("more-than", "as-many") else []
            held = 0
            for one, other in (*pairs, *((b, a) for a, b in pairs)):
                pair = self._related(kind.name, one, other)
                if held < MAX_PAIRS and pair is not None and self.so(pair):
                    held += 1
                    yield pair

    def mutants(self, claim: Claim, rng: random.Random) -> Iterator[Mutant]:
        """Yields false claims made from a true one."""
        for how, changed in (
            ("plus-minus-one", self._number(claim, rng)),
            ("swapped-entity", self._entity(claim, rng)),
            ("negated", self._negated(claim)),
            ("rearranged", self._rearranged(claim, rng)),
            ("unit", self._unit(claim, rng)),
            ("date", self._date(claim, rng)),
            ("comparison", self._swapped(claim)),
        ):
            if changed is not None and changed != claim and not self.so(changed):
                yield Mutant(how, changed)

    def so(self, claim: Claim) -> bool:
        """Returns whether a claim is true: its relation holds, and each slot is so of what it cites."""
        items = [self._item(name) for name in claim.evidence]
        kind = CLAIM_KINDS[claim.kind]
        if any(item is None for item in items) or not kind.least <= len(items) <= kind.most:
            return False
        known = [item for item in items if item is not None]
        if kind.cites and any(item.kind not in kind.cites for item in known):
            return False
        if not all(self._slot_so(claim, slot, known) for slot in claim.slots):
            return False
        if claim.kind == "role":
            return True
        return self._relation_so(claim, known)

    def _relation_so(self, claim: Claim, known: Sequence[Item]) -> bool:
        if claim.kind in ("more-than", "as-many"):
            return self._comparison_so(claim, known)
        if claim.kind in ("before", "after", "earliest", "latest") and any("first" not in x.numbers for x in known):
            return False
        if claim.kind in ("earliest", "latest") and not known[0].id.startswith("E"):
            return False
        if claim.kind == "together-cover" and any(x.numbers["hub"] for x in known):
            return False
        if claim.kind in ("at-stake", "sent"):
            return bool(known[0].numbers["at_risk" if claim.kind == "at-stake" else "sent"][0])
        if claim.kind == "ties-nobody":
            return bool(known[0].numbers["hub"])
        if claim.kind == "shared-outside" and known[0].numbers["hub"]:
            return False
        return SAID[claim.kind](self.checker.ring, known) is not None

    def _comparison_so(self, claim: Claim, known: Sequence[Item]) -> bool:
        sides = [re.fullmatch(r"(\w+)\.(\w+)(?:=.*)?", claim.slot(name) or "") for name in ("more", "less")]
        if sides[0] is None or sides[1] is None or sides[0][2] != sides[1][2] or sides[0][1] == sides[1][1]:
            return False
        by_id = {x.id: x.numbers for x in known}
        a, b = (by_id[side[1]].get(side[2]) if side is not None else None for side in sides)
        if a is None or b is None or known[0].kind != known[1].kind:
            return False
        return bool(a == b) if claim.kind == "as-many" else bool(a > b)

    def _slot_so(self, claim: Claim, slot: Slot, known: Sequence[Item]) -> bool:
        kind = CLAIM_KINDS[claim.kind]
        found = re.fullmatch(r"(\w+)\.(\w+)(?:=(.*))?", slot.value)
        if slot.name not in kind.slots:
            return False
        if found is None:
            return self._entity_so(slot, known)
        item = next((x for x in known if x.id == found[1]), self._item("R") if found[1] == "R" else None)
        if item is None or (item.id == "R" and "R" not in claim.evidence and slot.name != "whole"):
            return False
        relation = slot.name in ("earlier", "later", "more", "less", "part", "whole", "total")
        if not relation and found[2] != slot.name:
            return False
        if slot.name in ("earlier", "later"):
            place = known[0 if (slot.name == "earlier") == (claim.kind == "before") else 1]
            if item.id != place.id:
                return False
        said = self._written(item, found[2])
        return said is not None and (found[3] is None or found[3] in said)

    def _entity_so(self, slot: Slot, known: Sequence[Item]) -> bool:
        if slot.name == "identifier":
            return any(x.subject == slot.value for x in known)
        account = self.evidence.names.get(slot.value)
        return account is not None and any(account in x.numbers["accounts"] for x in known)

    def _item(self, name: str) -> Item | None:
        if name not in self.evidence.items:
            return None
        if self.evidence.items[name].kind == "explanation":
            return None
        return self.checker.item(name, self.evidence.names.get(name, ""))

    def _written(self, item: Item, field: str) -> set[str] | None:
        """Returns the ways in which a value may be quoted, derived anew; words and names are the pack's."""
        value = item.numbers.get(field)
        unit = UNITS.get(field, Unit.COUNT)
        pack = self.evidence.items[item.id]
        if unit in (Unit.NAME, Unit.WORD, Unit.SHARE, Unit.CURRENCY) or value is None:
            return {written(pack, field)} if field in pack.fields else None
        if isinstance(value, tuple) and unit is Unit.MONEY:
            return {f"{major(*value):f}{currency_code(value[1]) or ''}"}
        if unit is Unit.TIME:
            said = f"{minute(value).replace(' ', 'T')}Z"
            return {said, said.partition("T")[0]}
        if unit is Unit.SPAN:
            minutes, hours, days = (round(value / ms) for ms in (MINUTE_MS, HOUR_MS, DAY_MS))
            return {f"{minutes}min" if minutes < 120 else f"{hours}h" if hours < 48 else f"{days}d"}
        return {written(pack, field)} if isinstance(value, tuple | set | bool) else {str(value)}

    def _slots(self, item: PackFact, names: Sequence[str]) -> tuple[Slot, ...]:
        return tuple(Slot(n, f"{item.id}.{n}={written(item, n)}") for n in names if n in item.fields)

    def _stated(self, kind: ClaimKind, item: PackFact) -> Claim:
        if kind.name == "membership":
            accounts = item.fields.get("accounts")
            one = accounts[0] if isinstance(accounts, tuple) else "U1"
            return Claim(kind.name, (item.id,), (Slot("account", str(one)),))
        if kind.name == "rate" and "members" in item.fields and item.id.startswith("E"):
            said = written(self.evidence.items["R"], "members")
            part = Slot("part", f"{item.id}.members={written(item, 'members')}")
            return Claim(kind.name, (item.id,), (part, Slot("whole", f"R.members={said}")))
        names = () if kind.name in ("rate", "sum", "more-than", "as-many") else kind.slots
        return Claim(kind.name, (item.id,), self._slots(item, names))

    def _related(self, kind: str, one: PackFact, other: PackFact) -> Claim | None:
        if kind in ("before", "after"):
            names = ("earlier", "later") if kind == "before" else ("later", "earlier")
            if "first" not in one.fields or "first" not in other.fields:
                return None
            slots = tuple(
                Slot(n, f"{x.id}.first={written(x, 'first')}") for n, x in zip(names, (one, other), strict=True)
            )
            return Claim(kind, (one.id, other.id), slots)
        if kind in ("more-than", "as-many"):
            fit = all("identifier" in x.fields and "members" in x.fields for x in (one, other))
            if one.kind != other.kind or not fit:
                return None
            refs = [f"{x.id}.members={written(x, 'members')}" for x in (one, other)]
            return Claim(kind, (one.id, other.id), (Slot("more", refs[0]), Slot("less", refs[1])))
        return Claim(kind, (one.id, other.id))

    # Mutations

    def _with(self, claim: Claim, place: int, value: str) -> Claim:
        slots = list(claim.slots)
        slots[place] = Slot(slots[place].name, value)
        return msgspec.structs.replace(claim, slots=tuple(slots))

    def _quoted(self, claim: Claim, units: Sequence[Unit], rng: random.Random) -> tuple[int, str, str] | None:
        """Returns (place, reference, quotation) of a slot whose field has one of these units."""
        rows = []
        for place, slot in enumerate(claim.slots):
            reference, found, quote = slot.value.partition("=")
            field = reference.partition(".")[2]
            if found and UNITS.get(field, Unit.COUNT) in units:
                rows.append((place, reference, quote))
        return rng.choice(rows) if rows else None

    def _number(self, claim: Claim, rng: random.Random) -> Claim | None:
        slot = self._quoted(claim, (Unit.COUNT, Unit.MONEY, Unit.SPAN, Unit.SHARE), rng)
        if slot is None:
            return None
        digits = list(re.finditer(r"\d+", slot[2]))
        if not digits:
            return None
        found = digits[0]
        changed = str(int(found[0]) + rng.choice((-1, 1)))
        return self._with(claim, slot[0], f"{slot[1]}={slot[2][: found.start()]}{changed}{slot[2][found.end() :]}")

    def _entity(self, claim: Claim, rng: random.Random) -> Claim | None:
        kind = CLAIM_KINDS[claim.kind]
        if "account" in kind.slots and claim.kind != "bridge":
            others = [x for x in self.evidence.names if x.startswith("U") and x != claim.slot("account")]
            return msgspec.structs.replace(claim, slots=(Slot("account", rng.choice(others)),)) if others else None
        if "identifier" not in kind.slots or len(claim.evidence) != 1:
            return None
        mine = str(self.evidence.items[claim.evidence[0]].fields.get("identifier", ""))
        others = [x for x in self.evidence.names if x[0] in "DCMPAI" and x != mine]
        if not mine or not others:
            return None
        rest = tuple(s for s in claim.slots if s.name != "identifier")
        return msgspec.structs.replace(claim, slots=(Slot("identifier", rng.choice(others)), *rest))

    def _negated(self, claim: Claim) -> Claim | None:
        other = _OPPOSITE.get(claim.kind)
        if other is None:
            return None
        return Claim(other, claim.evidence, claim.slots if other in ("more-than", "as-many") else ())

    def _rearranged(self, claim: Claim, rng: random.Random) -> Claim | None:
        """Puts another fact in the place of the one that is cited, with the quotations of the first."""
        mine = self.evidence.items[claim.evidence[0]]
        others = [x for x in self.evidence.pack.facts if x.id not in claim.evidence]
        alike = [x for x in others if x.kind == mine.kind] or others
        if not alike:
            return None
        other = rng.choice(alike)
        if rng.random() < 0.5 and claim.slots:
            place = rng.randrange(len(claim.slots))
            return self._with(claim, place, claim.slots[place].value.replace(f"{mine.id}.", f"{other.id}."))
        slots = tuple(Slot(s.name, s.value.replace(f"{mine.id}.", f"{other.id}.")) for s in claim.slots)
        return Claim(claim.kind, (other.id, *claim.evidence[1:]), slots)

    def _unit(self, claim: Claim, rng: random.Random) -> Claim | None:
        slot = self._quoted(claim, (Unit.SPAN, Unit.MONEY), rng)
        if slot is None:
            return None
        place, reference, quote = slot
        for unit, wrong in (("min", "h"), ("h", "d"), ("d", "min"), ("EUR", "USD"), ("USD", "EUR"), ("JPY", "EUR")):
            if quote.endswith(unit):
                return self._with(claim, place, f"{reference}={quote.removesuffix(unit)}{wrong}")
        return None

    def _date(self, claim: Claim, rng: random.Random) -> Claim | None:
        slot = self._quoted(claim, (Unit.TIME,), rng)
        if slot is None:
            return None
        place, reference, quote = slot
        then = datetime.strptime(quote, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
        moved = then + rng.choice((timedelta(days=1), timedelta(days=-1), timedelta(minutes=1), timedelta(days=30)))
        if rng.random() < 0.5:
            return self._with(claim, place, f"{reference}={moved:%Y-%m-%d}")
        return self._with(claim, place, f"{reference}={moved:%Y-%m-%dT%H:%MZ}")

    def _swapped(self, claim: Claim) -> Claim | None:
        """Turns a comparison round, or an order in time."""
        if claim.kind == "more-than":
            more, less = (claim.slot(name) or "" for name in ("more", "less"))
            return Claim(claim.kind, claim.evidence, (Slot("more", less), Slot("less", more)))
        if claim.kind in ("before", "after", "among-accounts"):
            return Claim(claim.kind, claim.evidence[::-1])
        return None
