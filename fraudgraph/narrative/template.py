"""The template narrator: a plan by fixed rules over the pack. Speaks without a key, and where a model fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from fraudgraph.narrative.claims import Claim, Connective, Plan
from fraudgraph.narrative.innocent import GENERAL, harsh
from fraudgraph.narrative.pack import EvidencePack, PackFact, Side
from fraudgraph.narrative.pattern import UNCLEAR, pattern
from fraudgraph.narrative.port import Failure, PlanReply
from fraudgraph.narrative.relations import open_question

TEMPLATE: Final = "template"
TEMPLATE_VERSION: Final = "2"

MAX_TIES: Final = 4
MAX_ALIKE: Final = 4
"""So many shared identifiers the summary names, and so many facts of one kind the reasons."""

TOP: Final = 5
MAX_REASONS: Final = 8
MAX_QUESTIONS: Final = 3

STATEMENT: Final[dict[str, str]] = {
    "shared-identifier": "shared-by",
    "labels": "labelled",
    "similar-past-ring": "similar-past",
}
"""Kind of fact -> kind of the claim that states it, where the two differ."""

_KINDS: Final = ("D", "C", "M", "P", "A", "IP")
_QUESTIONS: Final = (
    ("owners-know-of-orders", "takeover"),
    ("owners-know-of-orders", "brief-visits"),
    ("goods-came-back", "refund-loop"),
    ("what-money-was-for", "transfer-cycle"),
    ("whose-card", "shared-identifier"),
    ("know-each-other", "referral-chain"),
    ("who-lives-there", "drop-address"),
    ("whose-device", "device-farm"),
    ("who-lives-there", "shared-identifier"),
    ("whose-device", "shared-identifier"),
    ("who-else-uses-it", "shared-identifier"),
    ("really-one-ring", "bridge"),
    ("same-people-as-before", "similar-past-ring"),
)
"""What is worth asking, the most telling first."""


class TemplatePlanner:
    """Plans by rules: who and since when, what they share, what they did, what speaks against it, what to ask."""

    def plan(self, pack: EvidencePack) -> PlanReply:
        """Returns the plan of a pack; the same for the same pack."""
        return PlanReply(make_plan(pack), TEMPLATE, TEMPLATE_VERSION)

    def repair(self, pack: EvidencePack, reply: PlanReply, failures: tuple[Failure, ...]) -> PlanReply | None:
        """Returns None: nothing that the template says fails."""
        return None


def make_plan(pack: EvidencePack) -> Plan:
    """Returns what the template says of a ring."""
    summary = [*_opening(pack), *_ties(pack), *_stake(pack)]
    reasons = _reasons(pack, summary)
    explanations = [row for row in pack.rows if row.kind == "explanation"]
    looks = pattern((*pack.rows, *pack.facts))
    open_case = [r for r in explanations if "contradicted_by" not in r.fields and r.fields["name"] not in GENERAL]
    return Plan(
        pattern=looks.name,
        summary=tuple(summary),
        risk_reasons=tuple(reasons),
        innocent_explanations=tuple(Claim(str(row.fields["name"]), (row.id,)) for row in explanations),
        next_actions=tuple(Claim(name) for name in _actions(pack, open_case)),
        open_questions=tuple(_asked(pack)),
        sufficient=(looks.name != UNCLEAR or any(map(harsh, pack.facts))) and not open_case,
    )


def _state(fact: PackFact, connective: Connective = Connective.NONE) -> Claim:
    return Claim(STATEMENT.get(fact.kind, fact.kind), (fact.id,), (), connective)


def _opening(pack: EvidencePack) -> list[Claim]:
    burst = [_state(f) for f in pack.facts if f.kind == "burst"]
    return burst or [Claim("ring-size", ("R",)), Claim("active-between", ("R",))]


def _ties(pack: EvidencePack) -> list[Claim]:
    shared = [f for f in pack.facts if f.kind == "shared-identifier" and not f.fields.get("hub")]
    shown = sorted(shared[:MAX_TIES], key=_kind_order)
    alone = [f for f in shown if not f.fields.get("outside")]
    claims = [_state(f) for f in shown]
    if len(alone) == len(shown):
        claims += [Claim("shared-only-here", (f.id,)) for f in shown]
    else:
        wide = max(shown, key=lambda f: int(str(f.fields.get("outside", 0))))
        claims.append(Claim("shared-outside", (wide.id,), (), Connective.BUT))
    hubs = [f for f in pack.facts if f.kind == "shared-identifier" and f.fields.get("hub")]
    return claims + [Claim("ties-nobody", (f.id,)) for f in hubs[:1]]


def _kind_order(fact: PackFact) -> tuple[int, int, int]:
    kind = str(fact.fields["identifier"]).rstrip("0123456789")
    return _KINDS.index(kind), -int(str(fact.fields["members"])), int(str(fact.fields["identifier"])[len(kind) :])


def _stake(pack: EvidencePack) -> list[Claim]:
    rows = [row for row in pack.rows if row.kind == "money"]
    claims = [Claim("at-stake", (row.id,)) for row in rows if row.fields.get("at_risk")]
    return claims or [Claim("sent", (row.id,)) for row in rows if row.fields.get("sent")][:1]


def _reasons(pack: EvidencePack, said: Sequence[Claim]) -> list[Claim]:
    """Returns what speaks for a ring and was not said yet, strongest first, facts of one kind together.

    The strongest `TOP` facts are always told, in the summary or here.
    """
    pro = [f for f in pack.facts if f.side is Side.FOR]
    strong = [f for f in pro if f.kind not in ("shared-identifier", "bridge")]
    alike = [[f for f in strong if f.kind == kind][:MAX_ALIKE] for kind in dict.fromkeys(f.kind for f in strong)]
    reasons = [claim for group in alike for f in group if (claim := _state(f)) not in said][:MAX_REASONS]
    told = {name for claim in (*said, *reasons) for name in claim.evidence}
    reasons += [_state(f) for f in pro[:TOP] if f.id not in told and f.kind != "bridge"]
    bridges = [f for f in pro if f.kind == "bridge"]
    return reasons + [_state(f) for n, f in enumerate(bridges) if n == 0 or f in pro[:TOP]]


def _actions(pack: EvidencePack, open_case: Sequence[PackFact]) -> Iterable[str]:
    kinds = {f.kind for f in pack.facts}
    ring = next(row for row in pack.rows if row.id == "R").fields
    if any(row.fields.get("open") for row in pack.rows if row.kind == "money"):
        yield "review-open-orders"
    if ring.get("likely_victim"):
        yield "contact-likely-victims"
    if ring.get("core") or ring.get("bridge"):
        yield "step-up-verification"
    if "refund-loop" in kinds:
        yield "hold-refunds"
    worse = kinds & {"card-testing", "chargeback", "refund-loop"}
    if "referral-chain" in kinds or ("one-order-accounts" in kinds and not worse):
        yield "pause-promotions"
    if any(
        f.fields.get("ties") and str(f.fields["identifier"])[0] in "DC"
        for f in pack.facts
        if f.kind == "shared-identifier"
    ):
        yield "block-identifier-after-confirmation"
    if open_case:
        yield "request-information"


def _asked(pack: EvidencePack) -> list[Claim]:
    found: list[Claim] = []
    for name, kind in _QUESTIONS:
        if any(claim.kind == name for claim in found):
            continue
        fact = next((f for f in pack.facts if f.kind == kind and open_question(name, f)), None)
        if fact is not None:
            found.append(Claim(name, (fact.id,)))
    return found[:MAX_QUESTIONS]
