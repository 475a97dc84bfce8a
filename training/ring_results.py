"""The note of an evaluation, in Markdown: every figure with its interval, the rivals beside."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

import fraudgraph
from fraudgraph.engine import EngineRules
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.evidence import EvidenceRules
from fraudgraph.simulate.spec import TYPOLOGIES
from training.real_rings import LISTED, Farms, Lift
from training.ring_comparison import LINE, Comparison, Level
from training.ring_figures import Estimate

WIDTH = 120

if TYPE_CHECKING:
    from training.evaluate_rings import Scale


@dataclass(frozen=True, slots=True)
class HostileFigures:
    """A world without and with hostile events; pairs are (without, with).

    Attributes:
        share: of all events that is hostile.
        rate_ratio: how many times slower an event is.
        largest: most users of any ring at any time.
        honest: honest users ever in a ring at the alert line.
        honest_by_structure: of those in the hostile world, the ones that each structure touches.
        found: true rings alerted.
    """

    share: float
    rate_ratio: float
    largest: tuple[int, int]
    honest: tuple[int, int]
    honest_by_structure: dict[str, int]
    found: tuple[int, int]
    rings: int


@dataclass(frozen=True, slots=True)
class Results:
    """All parts of an evaluation; those of real data are None where it was absent."""

    scale: Scale
    calibration_seeds: str
    simulated: Comparison
    planted: Comparison | None
    lift: Lift | None
    farms: Farms | None
    hostile: list[HostileFigures]


def document(results: Results) -> str:
    """Returns the note."""
    parts = [_preface(results), _short(results), _simulated(results), _planted(results.planted, results.scale)]
    parts += [_lift(results.lift), _farms(results.farms), _hostile(results.hostile)]
    paragraphs = [paragraph for part in parts for paragraph in part.strip().split("\n\n")]
    return "\n\n".join(_wrapped(paragraph.strip()) for paragraph in paragraphs) + "\n"


def _wrapped(paragraph: str) -> str:
    """Returns a paragraph in lines of at most `WIDTH`; headings and tables as they are, list items each by itself."""
    if paragraph[0] in "#|":
        return paragraph
    first, *items = [" ".join(item.split()) for item in paragraph.split("\n- ")]
    lines = [fill(first, WIDTH, subsequent_indent="  " if first.startswith("- ") else "")]
    lines += [fill(f"- {item}", WIDTH, subsequent_indent="  ") for item in items]
    return "\n".join(lines)


def _preface(results: Results) -> str:
    simulated, planted, hostile = results.scale.seeds
    return f"""
# What the detector finds, ring by ring

Written by `python -m training.evaluate_rings --out docs/results.md`; do not edit. Version {fraudgraph.__version__},
link policy `{LinkPolicy().hash}`, evidence rules `{EvidenceRules().hash}`, alert line {LINE}. Nothing was tuned on
these worlds: seeds {_span(simulated)} (simulated), {_span(planted)} (planted), {_span(hostile)} (hostile); of the
calibration {results.calibration_seeds}. The weights of the evidence are judgement, made after reading the calibration's
worlds and, without their labels, candidates of the real data. No label is in any stream that is measured here,
but for the simulated worlds' chargebacks, which reach a shop in their time.

A group **is** a ring where the Jaccard overlap of their members is at least 0.5. Accounts that were taken over are
victims: they count neither for nor against a group. **Precision**: groups that are a ring, of all called. **Purity**:
people in called groups who belong to the ring that the group overlaps most. **False ring**: most of a called group
belongs to no one ring. **Delay**: median days from a ring's third linked account to its first alert, over the rings
found. Brackets hold 95 % bootstrap intervals over worlds.

An alert is judged by who is in it at that moment against all who ever join: an early one is often a part of a ring.

Rivals see the links that are alive in the engine at the end: connected components over identifiers of at most 10 users,
and Louvain (igraph) over users and identifiers of at most 10 or 256. Each had 3 sets of kinds (all; without IP; device,
card, e-mail, phone), and takes groups of k or more users. Set and k are those with the best F1 **in these very
worlds**, which no user could know: the rivals are flattered. They are batch methods, run every day (every week on the
real data).
"""


def _short(results: Results) -> str:
    """Returns the main figures, good and bad."""
    items = []
    for name, compared in (
        ("Simulated shops", results.simulated),
        ("Rings planted into real payments", results.planted),
    ):
        if compared is not None:
            line, level = compared.standing.point, compared.levels[0]
            items.append(
                f"{name}: alerts found {_percent(compared.online.point.recall)} of the rings while the stream ran. At"
                f" its end {_percent(line.precision)} of the groups at the alert line are rings. Precision over the"
                f" better rival at that recall: {_points(level.gain)} points."
            )
    if results.lift is not None:
        lift = results.lift.deciles[0].lift
        items.append(
            f"Real payments: members of the first tenth of the queue have known fraud {_number(lift)} times as often as"
            " all users."
        )
    if results.farms is not None:
        farms = results.farms
        items.append(f"E-commerce: {farms.found} of {farms.farms} device farms alerted, {farms.outside} other groups.")
    drawn = sum(f.honest[1] - f.honest[0] for f in results.hostile) / len(results.hostile)
    slower = max(f.rate_ratio for f in results.hostile)
    items.append(
        f"Hostile worlds: {drawn:.0f} more honest users per world in alerted rings at some time; an event takes at most"
        f" {slower:.2f} times as long."
    )
    return "## In short\n\n" + "\n".join(f"- {item}" for item in items)


def _simulated(results: Results) -> str:
    scale, compared = results.scale, results.simulated
    return f"""
## Simulated shops

{compared.worlds} worlds of {scale.users:,} users and {scale.days} days (default spec), {sum(compared.rings.values())}
rings, of which {compared.linked} ever show three linked accounts; commits every 6 hours of event time.

{_compared(compared)}
"""


def _planted(compared: Comparison | None, scale: Scale) -> str:
    title = "## Rings planted into real payments"
    if compared is None:
        return f"{title}\n\nNot measured: the data is not there."
    return f"""
{title}

The peer-to-peer data (33,315 users; anonymised sample published with Neo4j's fraud-detection demo, ODC-BY) with
chargebacks taken out, and {compared.worlds} times rings of about {scale.members} accounts planted into its last 180
days: {sum(compared.rings.values())} rings, of which {compared.linked} ever show three linked accounts. Alerts count
from the first of these days. `training/planted.py` says how. The platform records cards and devices by the day, and
transfers: most of what gives a ring away in a shop (declines, refunds, signups) is not there.
Real fraud in the background counts as honest. All seeds share that one background: no interval speaks for another one.

{_compared(compared)}
"""


def _compared(compared: Comparison) -> str:
    named = {
        "fraudgraph, alerts while the stream ran": compared.online,
        "fraudgraph, rings at the alert line at the end": compared.standing,
        compared.components.name: compared.components,
        compared.louvain.name: compared.louvain,
    }
    rows = [
        [
            name,
            _percent(d.point.recall),
            _percent(d.point.precision),
            _percent(d.point.purity),
            _number(d.point.false_rings),
            _number(d.delays[""]),
        ]
        for name, d in named.items()
    ]
    overall = _table(["", "recall", "precision", "purity", "false rings / 10,000 honest", "delay, days"], rows)
    levels = [
        [f"{level.name}{'' if level.name[0].isdigit() else f' ({level.recall:.0%})'}"]
        + [_percent(x) for x in (level.ours, level.components, level.louvain)]
        + [_points(level.gain)]
        for level in compared.levels
    ]
    equal = _table(["recall", "fraudgraph", "components", "Louvain", "gain over the better, points"], levels)
    f1 = ", ".join(
        f"{name} {value:.2f}"
        for name, value in zip(("fraudgraph", "components", "Louvain"), compared.best_f1, strict=True)
    )
    return f"""{overall}

Living rings at any probability and any time were {_percent(compared.candidates)} of all rings: no scorer could find
more.

Precision at equal recall, at the end, each at its best threshold in hindsight (rivals: the best of all their settings):

{equal}

Best F1 in hindsight: {f1}. {_verdict(compared)}

Recall by typology, each at its setting of the first table (alerts while the stream ran), and delay in days:

{_typologies(compared)}"""


def _verdict(compared: Comparison) -> str:
    """Says at which recalls somebody wins beyond the interval."""
    levels = [level for level in compared.levels if level.name[0].isdigit()]
    won = [level.name for level in levels if level.gain.low > 0]
    lost = [level.name for level in levels if level.gain.high < 0]
    unreached = [level.name for level in levels if math.isnan(level.ours.value) and not _none_reach(level)]
    told = [f"fraudgraph is the more precise at {', '.join(won)} recall" if won else "fraudgraph wins at no recall"]
    if lost:
        told.append(f"a rival is at {', '.join(lost)}")
    if unreached:
        told.append(f"only a rival reaches {', '.join(unreached)}")
    weakest = min(TYPOLOGIES, key=lambda kind: compared.online.found[kind].value)
    return f"Beyond the interval, {'; '.join(told)}. It finds {weakest.replace('_', ' ')} worst."


def _none_reach(level: Level) -> bool:
    return math.isnan(level.components.value) and math.isnan(level.louvain.value)


def _typologies(compared: Comparison) -> str:
    rows = [
        [
            kind.replace("_", " "),
            str(compared.rings[kind]),
            *(_percent(d.found[kind]) for d in (compared.online, compared.components, compared.louvain)),
            *(_number(d.delays[kind]) for d in (compared.online, compared.components, compared.louvain)),
        ]
        for kind in TYPOLOGIES
    ]
    with_victims = [d.with_victims for d in (compared.standing, compared.components, compared.louvain)]
    table = _table(
        ["", "rings", "fraudgraph", "components", "Louvain", "delay", "delay, components", "delay, Louvain"], rows
    )
    said = ", ".join(_percent(x) for x in with_victims if x is not None)
    return f"{table}\n\nAccount takeovers at the end where victims count as members: {said} (in the order above)."


def _lift(lift: Lift | None) -> str:
    title = "## Real payments as they are"
    if lift is None:
        return f"{title}\n\nNot measured: the data is not there."
    rows = [
        [str(number), str(d.rings), str(d.users), str(d.fraud), f"{d.least_probability:.4f}", _number(d.lift)]
        for number, d in enumerate(lift.deciles, 1)
    ]
    table = _table(["tenth of the queue", "rings", "users", "known fraud", "least probability", "lift"], rows)
    components = " ".join(
        f"The largest component of shared {c.kind}s ({c.users} users, {c.fraud} with known fraud):"
        f" {_place(c.place, c.probability, lift.rings)}; {c.alerted} of its users were ever in an alerted ring."
        for c in lift.components
    )
    return f"""
{title}

Nothing planted. Chargebacks are labels for this table only and not in the stream. Of {lift.users:,} users
{lift.fraud} have one by the end of the data, {lift.fraud / lift.users:.2%}. Lift: known fraud among the members of a
tenth of the rings, by priority at the end, over that part; intervals over rings.

{table}

All living rings: lift {_number(lift.all_rings)}. The tenth of highest probability: {_number(lift.surest_tenth)};
of highest priority were every ring just seen: {_number(lift.without_recency)}. Accounts with known fraud fall
silent, and priority counts recency: rings with known fraud were
quiet for a median of {lift.quiet_days[0]:.0f} days at the end, the
others for {lift.quiet_days[1]:.0f}. The
{lift.listed.rings} rings of at least {LISTED}, which the queue shows unless asked for all, hold
{lift.listed.users} users, {lift.listed.fraud} of them known fraud: {_number(lift.listed.lift)}. While
the stream ran {lift.alerts} rings were alerted, with {lift.alerted_users} users, {lift.alerted_fraud} of them known
fraud. {components}
"""


def _place(place: int | None, probability: float, rings: int) -> str:
    if place is None:
        return "no living ring lies in it"
    shown = "shown" if probability >= LISTED else "not shown unless asked for all"
    return f"place {place} of {rings} in the queue, probability {probability:.4f}, {shown}"


def _farms(farms: Farms | None) -> str:
    title = "## E-commerce signups"
    if farms is None:
        return f"{title}\n\nNot measured: the data is not there."
    groups, found, outside = farms.components
    return f"""
{title}

{farms.rows:,} accounts in the order of time, commits every hour; `class` is looked at afterwards only. The block of
1 to 13 January, purchases within a minute of signup, has {farms.block_users:,} accounts; {farms.farm_users:,} of them
are on {farms.farms} devices with three or more of them (farms).

- Farms found: {farms.found} of {farms.farms} ({_share(farms.found, farms.farms)}), a median of
  {_number(farms.delay_hours)} hours after their third account.
- Rings alerted in all the months: {farms.alerts}; {farms.right} are a farm, {farms.outside} lie mostly outside.
- Accounts ever in an alerted ring: {farms.called_users:,}, {_share(farms.called_fraud, farms.called_users)} fraud by
  `class` (of all accounts: {_share(farms.fraud, farms.rows)}), {_share(farms.called_farm, farms.called_users)} in a
  farm.
- Alerted after the block: {farms.after} accounts, {farms.after_fraud} of them fraud.
- Components with degree cap 10 on the links at the block's end: {groups} groups, {found} of {farms.farms} farms,
  {outside} mostly outside. On this set plain sharing finds nearly the same: the block is that easy.
"""


def _hostile(figures: list[HostileFigures]) -> str:
    limit = EngineRules().max_users
    rows = [
        [
            str(number),
            f"{f.share:.1%}",
            f"{f.largest[0]} → {f.largest[1]}",
            f"{f.honest[0]} → {f.honest[1]}",
            ", ".join(f"{name} {count}" for name, count in f.honest_by_structure.items()),
            f"{f.found[0]} → {f.found[1]} of {f.rings}",
            f"{f.rate_ratio:.2f} ×",
        ]
        for number, f in enumerate(figures, 1)
    ]
    head = ["world", "hostile events", "largest ring", "honest in alerted rings", "touched by", "rings alerted"]
    return f"""
## Hostile worlds

A kiosk that 5,000 people use, a carrier behind a /16, a device id that 800 browsers share, a ring that uses what
belongs to 1,000 honest users (`training/hostile.py`). Without → with the hostile events; a ring may have {limit} users.
Worlds of this kind, with other seeds, were read while the detector was made.

{_table([*head, "time per event"], rows)}
"""


def _span(seeds: range) -> str:
    return f"{seeds[0]:,} to {seeds[-1]:,}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _percent(x: Estimate) -> str:
    return "–" if math.isnan(x.value) else f"{100 * x.value:.0f} % [{100 * x.low:.0f}, {100 * x.high:.0f}]"


def _points(x: Estimate) -> str:
    return "–" if math.isnan(x.value) else f"{100 * x.value:+.0f} [{100 * x.low:+.0f}, {100 * x.high:+.0f}]"


def _number(x: Estimate) -> str:
    return "–" if math.isnan(x.value) else f"{x.value:.1f} [{x.low:.1f}, {x.high:.1f}]"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"
