"""What an engine sees now, as samples to hold against a model's reference (`scoring.drift`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from fraudgraph.cases.reasons import Verdict
from fraudgraph.engine import Engine
from fraudgraph.errors import ConfigurationError
from fraudgraph.events.kinds import IDENTIFIER_KINDS
from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.types import F64, I32
from fraudgraph.rings.features import RING_FEATURES
from fraudgraph.rings.identity import ring_serial
from fraudgraph.scoring.drift import (
    DriftReport,
    DriftRules,
    Kind,
    Outcome,
    Reference,
    Sample,
    compare,
    make_reference,
    months,
)

if TYPE_CHECKING:
    from fraudgraph.events.batch import LabelRow
    from fraudgraph.stores.port import AlertRow

RINGS: Final = 4_096
"""The latest rings of a sample: a look must not cost more than some commits."""
LOOKED_AT: Final = 20_000
"""Accounts and identifiers of a sample, evenly chosen."""
_SURE: Final = 1e-6

References = Callable[[str], Reference | None]
"""From a model's name to its reference, None where it has none.

Raises:
    ConfigurationError: it is damaged.
"""


class DriftWatch:
    """Looks at an engine between two commits; reads, and changes nothing.

    Args:
        references: a damaged one is reported, and stops nobody.
        alerts: issued so far, with the probability that each had.
    """

    def __init__(
        self, engine: Engine, references: References, rules: DriftRules, alerts: Callable[[], Iterable[AlertRow]]
    ) -> None:
        self._engine = engine
        self._references = references
        self._rules = rules
        self._alerts = alerts

    def __call__(self) -> DriftReport:
        """Returns what is there now against the reference of the model in force."""
        engine, name = self._engine, self._engine.serving.name
        try:
            reference = self._references(name)
            why_not = _unfit(reference, engine)
        except ConfigurationError as error:
            reference, why_not = None, error.what
        if reference is None or why_not:
            settled = tuple(months(outcomes(engine, self._alerts()), self._rules))
            return DriftReport(name, why_not, (), settled)
        return compare(sample_of(engine, self._alerts()), reference, self._rules, model=name)


def reference_of(engine: Engine, source: str) -> Reference:
    """Returns what an engine sees now as the reference of the model in force.

    Args:
        source: what its graph was made of, in words.
    """
    live = engine.serving.live
    return make_reference(
        sample_of(engine),
        model=engine.serving.name,
        digest="" if live is None else live.bundle.manifest.digest,
        policy_hash=engine.policy.hash,
        source=source,
        until_ms=engine.watermark_ms,
    )


def sample_of(engine: Engine, alerts: Iterable[AlertRow] = ()) -> Sample:
    """Returns features and scores of the latest rings, scores of accounts, the graph's shape, and verdicts."""
    serials = sorted(engine.rows)[-RINGS:]
    features = engine.records.features(serials, engine.watch)
    values: dict[str, tuple[Kind, F64]] = {
        name: ("features", features[:, place]) for place, name in enumerate(RING_FEATURES)
    }
    said = np.array([engine.rows[serial].probability for serial in serials])
    values["ring_log_odds"] = "scores", _log_odds(said)
    users = _every(np.flatnonzero(engine.graph.users.last_ms >= 0).astype(np.int32))
    if engine.serving.live is not None:
        values["account_log_odds"] = "scores", engine.serving.live.log_odds(engine.graph, users, engine.watermark_ms)
    values |= {name: ("graph", column) for name, column in _shape(engine.graph, users, engine).items()}
    return Sample(values, tuple(outcomes(engine, alerts)))


def outcomes(engine: Engine, alerts: Iterable[AlertRow]) -> list[Outcome]:
    """Returns the model's alerts of which somebody has said since what they were; those below the line are a rule's.

    A standing decision about the ring counts before labels of its members; of those, the ones that arrived after the
    alert, by their majority. What arrived before was known when the ring was scored, and proves nothing.
    """
    decided = {
        each.ring_id: each
        for each in engine.cases.decisions.values()
        if each.stands and each.verdict in (Verdict.CONFIRMED, Verdict.FALSE_POSITIVE)
    }
    by_user: dict[str, list[LabelRow]] = {}
    for row in engine.graph.labels.rows():
        if row.about_user is not None:
            by_user.setdefault(row.about_user, []).append(row)
    found = []
    line = engine.rules.alerts.min_probability
    for alert in alerts:
        if alert.probability < line:
            continue
        decision = decided.get(alert.ring_id)
        if decision is not None and decision.at_ms >= alert.at_ms:
            found.append(Outcome(alert.at_ms, alert.probability, decision.verdict is Verdict.CONFIRMED))
            continue
        team = engine.register.members.get(ring_serial(alert.ring_id))
        if team is None:
            continue
        names = [engine.graph.user_table.key_of[user] or "" for user in team.tolist()]
        words = [_word(by_user.get(name, ()), alert.at_ms) for name in names]
        if any(words):
            found.append(Outcome(alert.at_ms, alert.probability, sum(words) > 0))
    return found


def _unfit(reference: Reference | None, engine: Engine) -> str:
    if reference is None:
        return "the model in force has no reference"
    live = engine.serving.live
    if live is not None and reference.digest != live.bundle.manifest.digest:
        return f"the reference is of another bundle ({reference.digest or reference.model})"
    if reference.policy_hash != engine.policy.hash:
        return f"the reference was made under another link policy ({reference.policy_hash})"
    return ""


def _word(rows: Iterable[LabelRow], since_ms: int) -> int:
    """Returns 1 where the latest label that arrived since says fraud, -1 where legitimate, 0 where there is none."""
    late = [row for row in rows if row.arrived_ms > since_ms]
    if not late:
        return 0
    return 1 if max(late, key=lambda row: (row.arrived_ms, row.key)).fraud else -1


def _log_odds(probability: F64) -> F64:
    bounded = np.clip(probability, _SURE, 1.0 - _SURE)
    return np.asarray(np.log(bounded / (1.0 - bounded)))


def _every(ids: I32) -> I32:
    return ids[:: max(1, -(-len(ids) // LOOKED_AT))]


def _shape(graph: HotGraph, users: I32, engine: Engine) -> Mapping[str, F64]:
    """Returns links of an account and the part of them on hubs, users of an identifier by kind, sizes of groups."""
    top = int(graph.links.state[1])
    live = np.flatnonzero(graph.links.user[:top] >= 0)
    ends, of = graph.links.user[live], graph.links.ident[live]
    limits = engine.ties.tables.limit
    hubs = graph.idents.degree[of] > limits[graph.idents.kind[of]]
    capacity = len(graph.users.last_ms)
    links = np.bincount(ends, minlength=capacity)[users].astype(np.float64)
    on_hubs = np.bincount(ends[hubs], minlength=capacity)[users]
    shape = {"links_per_account": links, "links_on_hubs": on_hubs / np.maximum(links, 1.0)}
    for kind in IDENTIFIER_KINDS:
        idents = np.flatnonzero((graph.idents.kind == int(kind)) & (graph.idents.degree > 0)).astype(np.int32)
        shape[f"accounts_per_{kind.label}"] = graph.idents.degree[_every(idents)].astype(np.float64)
    shape["accounts_per_group"] = np.array([len(team) for team in engine.register.members.values()], np.float64)
    return shape
