"""The report model: everything that a report says, in the order in which it says it; renderers only lay it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.narrative.actions import Action
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.headline import percent
from fraudgraph.narrative.innocent import Explanation
from fraudgraph.narrative.narrate import narrate, refreshed
from fraudgraph.narrative.pattern import Pattern, named
from fraudgraph.narrative.port import Narrative, Sentence
from fraudgraph.reports.timeline import Happening, timeline
from fraudgraph.rings.facts_kinds import Fact
from fraudgraph.rings.facts_view import Identifier, RingView
from fraudgraph.rings.facts_words import count, duration, listed, minute, money, money_list
from fraudgraph.rings.money import RingMoney, ring_money, user_money
from fraudgraph.rings.roles import Role, RoleName
from fraudgraph.rings.snapshot import RingSnapshot, SnapshotUser
from fraudgraph.rings.stress import Cut, SoftTie, soft_ties, stress_test

_ROLE_ORDER = (RoleName.CORE, RoleName.BRIDGE, RoleName.PERIPHERY, RoleName.LIKELY_VICTIM)


@dataclass(frozen=True, slots=True)
class Tie:
    """One identifier that at least two members share; `evidence` is the fact that says so."""

    identifier: Identifier
    how_rare: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the report shows them; `money` in words, `reasons` their own."""

    user: SnapshotUser
    role: Role
    age: str
    money: str
    reasons: tuple[str, ...]
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Factor:
    """One of the three factors of the priority, in words."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class RingReport:
    """One ring's report.

    Attributes:
        narrative: what is said of it: headline, what ties them, what speaks for it and against it, what to do.
        money_lines: money per currency, and what is said separately.
        ties, soft: what ties the members, strongest first, and pairs tied by weak identifiers together.
        cuts: what it falls apart without.
        members: core first, then bridges, periphery, likely victims; within a role by money and activity.
        happenings: what happened when.
        innocent: innocent explanations, those that nothing contradicts first.
        actions: the steps that the facts call for.
        factors: value at risk, probability, recency; their product orders the queue.
        contributions: (reason, log-odds), strongest first.
        computed: (name, value): versions, positions, time.
    """

    snapshot: RingSnapshot
    view: RingView
    facts: tuple[Fact, ...]
    pattern: Pattern
    narrative: Narrative
    money: RingMoney
    money_lines: tuple[str, ...]
    ties: tuple[Tie, ...]
    soft: tuple[SoftTie, ...]
    cuts: tuple[Cut, ...]
    members: tuple[Member, ...]
    happenings: tuple[Happening, ...]
    innocent: tuple[Explanation, ...]
    actions: tuple[Action, ...]
    factors: tuple[Factor, ...]
    contributions: tuple[tuple[str, float], ...]
    computed: tuple[tuple[str, str], ...]

    @property
    def headline(self) -> str:
        """One sentence: what it looks like, how sure, how much money."""
        return self.narrative.headline

    def told(self) -> tuple[tuple[str, tuple[Sentence, ...]], ...]:
        """Returns (title, sentences) of what is said for and against it; what may be innocent comes first where the
        evidence does not suffice."""
        pro = "What speaks for a ring", self.narrative.risk_reasons
        con = "What speaks against it", self.narrative.innocent_explanations
        return (pro, con) if self.narrative.sufficient else (con, pro)


def build_report(
    snapshot: RingSnapshot, policy: LinkPolicy | None = None, narrative: Narrative | None = None
) -> RingReport:
    """Returns the report of one ring; a pure function of its arguments.

    Args:
        policy: the link policy that the snapshot was read under; the default one where it is None.
        narrative: told before, by a model; the template's words where it is None or about other evidence.
    """
    evidence = make_evidence(snapshot, policy)
    view, found = evidence.view, evidence.facts
    told = (refreshed(narrative, evidence) if narrative is not None else None) or narrate(evidence)
    cash = ring_money(snapshot)
    return RingReport(
        snapshot=snapshot,
        view=view,
        facts=found,
        pattern=named(told.pattern, found),
        narrative=told,
        money=cash,
        money_lines=_money_lines(snapshot, cash, found),
        ties=_ties(found, view),
        soft=soft_ties(view),
        cuts=stress_test(view),
        members=_members(view, evidence.roles, found),
        happenings=timeline(view),
        innocent=evidence.explanations,
        actions=evidence.actions,
        factors=_factors(snapshot, cash),
        contributions=tuple(sorted(snapshot.contributions.items(), key=lambda c: (-c[1], c[0]))),
        computed=_computed(snapshot, told),
    )


def nothing_against(report: RingReport) -> str:
    """Returns what a report says where it has no innocent explanation, with what lowers the score all the same."""
    lowers = [f"{name.replace('-', ' ')} ({value:+.2f})" for name, value in report.contributions if value < 0.0]
    text = "No innocent explanation that we know fits the facts."
    if not lowers:
        return text
    return f"{text} What lowers the score, in log-odds: {listed(lowers)}."


def _money_lines(snapshot: RingSnapshot, cash: RingMoney, found: tuple[Fact, ...]) -> tuple[str, ...]:
    lines = []
    looped = any(f.kind == "refund-loop" for f in found)
    for m in cash.by_currency:
        if m.orders or m.at_risk_minor or m.refunded_minor:
            parts = [f"{money(m.exposed_minor, m.currency)} can still be lost"]
            if m.charged_back_minor:
                parts.append(f"{money(m.charged_back_minor, m.currency)} lost to chargebacks")
            if m.refunded_minor:
                loop = ", by the loop of refunds" if looped else ""
                parts.append(f"{money(m.refunded_minor, m.currency)} refunded{loop}")
            ordered = f"{count(m.orders, 'order')} worth {money(m.ordered_minor, m.currency)}"
            lines.append(f"{ordered}: {listed(parts)}; at stake {money(m.at_risk_minor, m.currency)}.")
        if m.transferred_minor:
            outside = sum(sent.amount_minor for sent in snapshot.sent_outside if sent.currency == m.currency)
            rest = f", {money(outside, m.currency)} of it to accounts outside the ring" if outside else ""
            lines.append(f"{money(m.transferred_minor, m.currency)} sent by members{rest}.")
    declined = sum(o.declined for o in snapshot.orders)
    if declined:
        lines.append(f"{count(declined, 'order')} declined or cancelled: not counted.")
    return tuple(lines) or ("No money is known.",)


def _ties(found: tuple[Fact, ...], view: RingView) -> tuple[Tie, ...]:
    by_name = {i.name: i for i in view.shared}
    return tuple(
        Tie(by_name[str(f.fields["identifier"])], _how_rare(by_name[str(f.fields["identifier"])]), f.id)
        for f in found
        if f.kind == "shared-identifier"
    )


def _how_rare(i: Identifier) -> str:
    outside = i.users_total - len(i.links)
    if i.benign:
        return f"{count(i.users_total, 'user')}: harmless by {i.benign}"
    if i.hub:
        return f"{count(i.users_total, 'user')}: ties nobody"
    if not outside:
        return "nobody else"
    return f"{count(i.users_total, 'user')}, {outside:,} outside"


def _members(view: RingView, by_user: Mapping[str, Role], found: tuple[Fact, ...]) -> tuple[Member, ...]:
    amounts = user_money(view.snapshot)
    rows = []
    for user_id, user in view.users.items():
        role = by_user[user_id]
        cited = tuple(f.id for f in found if _names(f, user_id) and f.weight != 0.0)
        at_risk = amounts.get(user_id, {})
        own = (*_own_reasons(user), *role.reasons)
        order = (_ROLE_ORDER.index(role.name), -sum(at_risk.values()), -user.declined, user_id)
        age = duration(view.age_ms(user_id, view.snapshot.as_of_ms))
        rows.append((order, Member(user, role, age, money_list(at_risk), own, cited)))
    return tuple(member for _, member in sorted(rows, key=lambda row: row[0]))


def _names(fact: Fact, user_id: str) -> bool:
    named = fact.fields.get("user_ids")
    return isinstance(named, tuple) and user_id in named


def _own_reasons(user: SnapshotUser) -> tuple[str, ...]:
    counted = (
        (user.chargebacks, "chargeback"),
        (user.declined, "declined attempt"),
        (user.refunds, "refund"),
        (user.referrals, "referral"),
    )
    reasons = [count(n, noun) for n, noun in counted if n]
    if user.label:
        reasons.insert(0, "labelled fraud" if user.label > 0 else "labelled legitimate")
    return tuple(reasons)


def _factors(s: RingSnapshot, cash: RingMoney) -> tuple[Factor, ...]:
    at_stake = money(s.value_at_risk_minor, s.currency)
    last = max((u.last_ms for u in s.users), default=s.as_of_ms)
    stake = "what can still be lost, and what banks took back"
    return (
        Factor("value at risk", at_stake, "what members sent" if cash.from_transfers else stake),
        Factor("probability", percent(s.probability), "that this is a fraud ring"),
        Factor("recency", f"{s.recency:.2f}", f"last active {minute(last)} UTC"),
    )


def cited(evidence: Iterable[str]) -> tuple[str, ...]:
    """Returns the facts among what a sentence rests on; rows of the pack have no place in a report."""
    return tuple(name for name in evidence if name.startswith("E"))


def narrator_line(narrative: Narrative) -> str:
    """Returns who told it and how much of it was verified: `Told by template: 25 of 25 claims verified.`"""
    cost = ""
    if narrative.cost_micros:
        cost = f" Cost: {narrative.cost_micros / 1_000_000:.4f} {narrative.cost_currency}."
    instead = f" It speaks for another narrator: {narrative.fallback}." if narrative.fallback else ""
    return f"Told by {narrative.narrator}: {narrative.count_words}.{instead}{cost}"


def _computed(s: RingSnapshot, told: Narrative) -> tuple[tuple[str, str], ...]:
    rows = [("as of", f"{minute(s.as_of_ms)} UTC (event time)")]
    narrator = " ".join(filter(None, (told.narrator, told.version, told.model)))
    rows.append(("told by", f"{narrator}, verifier {told.verifier}, from {told.coverage}"))
    rows += sorted(s.versions.items())
    rows += [(f"position of {name}", f"{offset:,}") for name, offset in sorted(s.positions.items())]
    return tuple(rows)
