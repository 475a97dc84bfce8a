"""Narrators that nobody should trust: one that lies as well as it can, and one that writes random JSON."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from fraudgraph.narrative.catalogue import ACTIONS, CLAIM_KINDS, EXPLANATIONS, PATTERNS, QUESTIONS, SLOT_NAMES
from fraudgraph.narrative.claims import Claim, Connective, Plan, Slot, read_plan, write_plan
from fraudgraph.narrative.pack import EvidencePack, PackFact, written
from fraudgraph.narrative.port import Failure, PlanReply
from fraudgraph.narrative.template import make_plan

LIES: Final = 0.5
"""Part of the liar's claims that are made up."""


class Liar:
    """Knows the schema and the pack, tells the truth half of the time so as to pass, and lies otherwise.

    It makes up kinds for facts that do not bear them, misquotes, swaps entities and evidence, connects what does not
    hang together, names a wrong pattern, proposes every action and calls everything sufficient.
    """

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def plan(self, pack: EvidencePack) -> PlanReply:
        """Returns a plan in which about half of the claims are lies."""
        rng = self._rng
        honest = make_plan(pack)
        items = [*pack.facts, *(row for row in pack.rows if row.kind != "explanation")]

        def mixed(claims: Sequence[Claim], make: Callable[[], Claim]) -> tuple[Claim, ...]:
            told = [make() if rng.random() < LIES else self._connected(claim) for claim in claims]
            return tuple([*told, *(make() for _ in range(2))][:16])

        plan = Plan(
            pattern=rng.choice(sorted(PATTERNS)),
            summary=mixed(honest.summary, lambda: self._lie(items)),
            risk_reasons=mixed(honest.risk_reasons, lambda: self._lie(items)),
            innocent_explanations=tuple(Claim(rng.choice(sorted(EXPLANATIONS))) for _ in range(3)),
            next_actions=tuple(Claim(name) for name in rng.sample(sorted(ACTIONS), 4)),
            open_questions=tuple(Claim(rng.choice(sorted(QUESTIONS)), (rng.choice(items).id,)) for _ in range(3)),
            sufficient=True,
        )
        return PlanReply(plan, "liar", "1")

    def repair(self, pack: EvidencePack, reply: PlanReply, failures: tuple[Failure, ...]) -> PlanReply | None:
        """Returns other lies."""
        return self.plan(pack)

    def _connected(self, claim: Claim) -> Claim:
        return msgspec.structs.replace(claim, connective=self._rng.choice(list(Connective)).value)

    def _lie(self, items: Sequence[PackFact]) -> Claim:
        rng = self._rng
        kind = CLAIM_KINDS[rng.choice(sorted(CLAIM_KINDS))]
        fitting = [x for x in items if x.kind in kind.cites] if rng.random() < 0.7 else list(items)
        chosen = [rng.choice(fitting or items) for _ in range(rng.randint(kind.least, kind.most))]
        slots = [Slot(name, self._value(rng.choice(chosen), name)) for name in kind.slots if rng.random() < 0.5]
        return self._connected(Claim(kind.name, tuple(dict.fromkeys(x.id for x in chosen)), tuple(slots)))

    def _value(self, item: PackFact, name: str) -> str:
        rng = self._rng
        field = name if name in item.fields and rng.random() < 0.7 else rng.choice(sorted(item.fields))
        if rng.random() < 0.3:
            return rng.choice(("U1", "U2", "D1", "C1", "A1", "U999"))
        quote = written(item, field)
        if rng.random() < 0.5 and quote[:1].isdigit():
            quote = f"{(int(quote[0]) + 1) % 10}{quote[1:]}"
        return f"{item.id}.{field}" if rng.random() < 0.3 else f"{item.id}.{field}={quote}"


class RandomJson:
    """Writes plans of the right shape at random, and now and then something that is none."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def plan(self, pack: EvidencePack) -> PlanReply:
        """Returns random JSON, read as any model's answer is.

        Raises:
            PlanError: it is no plan.
        """
        rng = self._rng
        content = write_plan(self._plan(pack))
        if rng.random() < 0.2:
            place = rng.randrange(len(content))
            content = content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]
        return PlanReply(read_plan(content), "random", "1")

    def repair(self, pack: EvidencePack, reply: PlanReply, failures: tuple[Failure, ...]) -> PlanReply | None:
        """Returns None."""
        return None

    def _plan(self, pack: EvidencePack) -> Plan:
        def section(kinds: Sequence[str]) -> tuple[Claim, ...]:
            return tuple(self._claim(pack, kinds) for _ in range(self._rng.randrange(6)))

        return Plan(
            pattern=self._rng.choice([*PATTERNS, "murder", ""]),
            summary=section(sorted(CLAIM_KINDS)),
            risk_reasons=section(sorted(CLAIM_KINDS)),
            innocent_explanations=section(sorted(EXPLANATIONS)),
            next_actions=section(sorted(ACTIONS)),
            open_questions=section(sorted(QUESTIONS)),
            sufficient=self._rng.random() < 0.5,
        )

    def _claim(self, pack: EvidencePack, kinds: Sequence[str]) -> Claim:
        rng = self._rng
        ids = [x.id for x in (*pack.facts, *pack.rows)] + ["E999", "R", "", "drop table"]
        names = [*sorted(SLOT_NAMES), "text"]
        evidence = tuple(rng.choice(ids) for _ in range(rng.randrange(4)))
        slots = tuple(
            Slot(rng.choice(names), f"{rng.choice(ids)}.{rng.choice(names)}{rng.choice(('', '=1', '=all'))}")
            for _ in range(rng.randrange(3))
        )
        return Claim(rng.choice([*kinds, "guilt"]), evidence, slots, rng.choice([c.value for c in Connective]))
