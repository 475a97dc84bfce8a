"""How far a narrator can be trusted, in figures: what it publishes and leaves out, and what the verifier catches."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from fraudgraph.errors import DependencyError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.narrative.catalogue import PATTERNS
from fraudgraph.narrative.claims import PlanError
from fraudgraph.narrative.evidence import Evidence, make_evidence
from fraudgraph.narrative.narrate import narrate, realise
from fraudgraph.narrative.pack import CHARS_PER_TOKEN, Side
from fraudgraph.narrative.pattern import UNCLEAR
from fraudgraph.narrative.port import Narrative, Planner
from fraudgraph.narrative.verifier import check, verify
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.testing.narrative_checker import Checker, Fault
from fraudgraph.testing.narrative_mutants import Claims

NAMED_FROM: Final = 0.45
"""From this probability a headline says what a ring looks like."""

RIGHT: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "fake_accounts": frozenset({"fake-accounts"}),
        "payment_abuse": frozenset({"card-testing", "payment-abuse"}),
        "account_takeover": frozenset({"account-takeover"}),
        "return_scam": frozenset({"return-scam"}),
        "promo_abuse": frozenset({"promo-abuse"}),
    }
)
"""Kind of ring, as the simulator calls it -> names of it that are right."""

TOP: Final = 5
"""So many facts, the strongest for a ring, are its key facts."""


@dataclass(frozen=True, slots=True)
class JudgedRing:
    """A ring to be told; `truth` is a kind of fraud or of innocent group, "" where it is not known."""

    snapshot: RingSnapshot
    truth: str = ""
    innocent: bool = False


@dataclass(slots=True)
class NarratorFigures:
    """What a narrator did.

    Attributes:
        sentences, faults: published, and those that are not so, by `narrative_checker`.
        verified, removed: claims.
        fallbacks: rings for which the template had to speak; without a floor nothing is published for them.
        top_told, top: key facts cited by summary or reasons, of how many.
        calm, innocent: innocent groups of which it says that the evidence does not suffice, of how many.
        most_tokens: of the largest pack, by characters.
        named: (truth, pattern) of rings of a known kind that are about as likely as not, or likelier (`NAMED_FROM`).
    """

    rings: int = 0
    sentences: int = 0
    faults: list[Fault] = field(default_factory=list)
    verified: int = 0
    removed: int = 0
    fallbacks: int = 0
    top_told: int = 0
    top: int = 0
    calm: int = 0
    innocent: int = 0
    most_tokens: int = 0
    named: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(slots=True)
class VerifierFigures:
    """What the verifier did with true claims and with false ones, by what was done to them."""

    true: int = 0
    rejected: int = 0
    made: Counter[str] = field(default_factory=Counter)
    alive: Counter[str] = field(default_factory=Counter)

    @property
    def killed(self) -> float:
        """Part of all false claims that were caught."""
        made = self.made.total()
        return 1.0 - self.alive.total() / made if made else 1.0


def judge_narrator(
    rings: Iterable[JudgedRing],
    planner: Planner | None = None,
    policy: LinkPolicy | None = None,
    *,
    floor: bool = True,
) -> NarratorFigures:
    """Has every ring told, and returns the figures.

    Args:
        planner: the template where it is None.
        floor: whether the template speaks where little of a plan holds; without it whatever holds is published.
    """
    figures = NarratorFigures()
    for ring in rings:
        evidence = make_evidence(ring.snapshot, policy)
        told = narrate(evidence, planner) if floor or planner is None else _bare(evidence, planner)
        figures.rings += 1
        top = key_facts(evidence)
        figures.top += len(top)
        figures.most_tokens = max(figures.most_tokens, round(len(evidence.pack.text()) / CHARS_PER_TOKEN))
        if told is None:
            figures.fallbacks += 1
            continue
        figures.sentences += sum(len(rows) for rows in _sections(told))
        figures.faults += Checker(ring.snapshot, policy).faults(told)
        figures.verified += told.verified
        figures.removed += told.removed
        figures.fallbacks += bool(told.fallback)
        cited = {x for rows in (told.summary, told.risk_reasons) for s in rows for x in s.evidence}
        figures.top_told += len(cited & set(top))
        figures.innocent += ring.innocent
        figures.calm += ring.innocent and not told.sufficient
        if ring.truth in RIGHT and not ring.innocent and ring.snapshot.probability >= NAMED_FROM:
            figures.named[ring.truth, told.pattern] += 1
    return figures


def _bare(evidence: Evidence, planner: Planner) -> Narrative | None:
    """Returns what holds of a plan, however little; None where there is no plan at all."""
    try:
        reply = planner.plan(evidence.pack)
    except (PlanError, DependencyError):
        return None
    return realise(evidence, reply, verify(reply.plan, evidence))


def judge_verifier(
    rings: Iterable[JudgedRing], seed: int, policy: LinkPolicy | None = None, most: int = 10**9
) -> VerifierFigures:
    """Makes true claims and mutants of them from every ring, until there are enough, and verifies each."""
    figures, rng = VerifierFigures(), random.Random(seed)
    for ring in rings:
        evidence = make_evidence(ring.snapshot, policy)
        claims = Claims(evidence, Checker(ring.snapshot, policy))
        for claim in claims.true_claims():
            figures.true += 1
            figures.rejected += check("summary", claim, evidence) is not None
            for mutant in claims.mutants(claim, rng):
                figures.made[mutant.how] += 1
                figures.alive[mutant.how] += check("summary", mutant.claim, evidence) is None
        if figures.made.total() >= most:
            break
    return figures


def key_facts(evidence: Evidence) -> tuple[str, ...]:
    """Returns the ids of a ring's key facts."""
    return tuple(f.id for f in evidence.pack.facts if f.side is Side.FOR)[:TOP]


def table(figures: Sequence[tuple[str, NarratorFigures]], verifier: VerifierFigures) -> list[str]:
    """Returns the figures as Markdown."""
    lines = [
        "| narrator | rings | sentences | not so | claims held | removed | template had to speak | key facts told |"
        " innocent groups called insufficient |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {f.rings:,} | {f.sentences:,} | {len(f.faults):,} | {f.verified:,} | {f.removed:,} |"
        f" {f.fallbacks:,} | {_share(f.top_told, f.top)} | {_share(f.calm, f.innocent)} of {f.innocent:,} |"
        for name, f in figures
    ]
    lines += ["", "| false claims made by | made | caught |", "|---|---:|---:|"]
    lines += [f"| {how} | {n:,} | {_share(n - verifier.alive[how], n)} |" for how, n in sorted(verifier.made.items())]
    made = verifier.made.total()
    lines += [
        f"| all | {made:,} | {_share(made - verifier.alive.total(), made)} |",
        "",
        f"Of {verifier.true:,} true claims {verifier.rejected:,} were rejected.",
    ]
    return lines


def confusion(named: Counter[tuple[str, str]]) -> list[str]:
    """Returns what rings are by the simulator, and what they were called, as Markdown."""
    patterns = [name for name in PATTERNS if any(said == name for _, said in named)]
    lines = [f"| kind of ring | {' | '.join(patterns)} |", "|---|" + "---:|" * len(patterns)]
    for truth in sorted({truth for truth, _ in named}):
        lines.append(f"| {truth} | " + " | ".join(str(named[truth, said]) for said in patterns) + " |")
    right = sum(n for (truth, said), n in named.items() if said in RIGHT[truth])
    clear = sum(n for (_, said), n in named.items() if said != UNCLEAR)
    lines += ["", f"Named: {clear} of {named.total()} ({_share(clear, named.total())}); right: {right} of {clear}"]
    lines[-1] += f" ({_share(right, clear)})."
    return lines


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"


def _sections(told: Narrative) -> tuple[tuple[object, ...], ...]:
    return (
        told.summary,
        told.risk_reasons,
        told.innocent_explanations,
        told.next_actions,
        told.open_questions,
    )
