"""Text that looks like Cypher stays text: a thousand payloads through every field of the store change nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from support.neo4j import Database

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cases.audit import AuditHead, append
from fraudgraph.events.batch import DeadLetter, LabelRow
from fraudgraph.events.kinds import EntityKind, RejectReason
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.neo4j.access import connect
from fraudgraph.stores.neo4j.store import Neo4jStore
from fraudgraph.stores.port import LINK_COLUMNS, AlertRow, CommitDelta, Entity, LineageRow, NarrativeRow
from fraudgraph.testing.store_cases import CONSTRAINT, DECISION
from fraudgraph.testing.store_journal import START_MS, as_columns, ring_row

_OPENINGS = (
    "",
    "'",
    '"',
    "`",
    "\\",
    "\\'",
    "')",
    '")',
    "'}",
    "})",
    "']",
    "\u2019",
    "\\u0027",
    "*/",
    "\n",
    "\x00",
    "$x",
)
_BODIES = (
    " OR 1=1",
    " RETURN 1 AS x //",
    " MATCH (n) DETACH DELETE n //",
    " DETACH DELETE n RETURN 1 UNION MATCH (n) RETURN n //",
    " CREATE (:Stolen) //",
    " WITH 1 AS a CALL dbms.listConfig() YIELD name RETURN name //",
    " LOAD CSV FROM 'http://127.0.0.1:1/' AS line CREATE (:Stolen) //",
    " CALL db.labels() YIELD label CREATE (:Stolen {name: label}) //",
    " SET s.epoch = 99 //",
    "; DROP CONSTRAINT user_number; //",
    "{space: 0}) DELETE s //",
    " /* comment */ ",
    " // comment",
    "$rows",
    "$space",
    "${jndi:ldap://127.0.0.1:1/}",
    "{{7*7}}",
    "%27%20OR%201=1",
    " RETURN apoc.load.json('file:///etc/passwd') //",
    "; UPDATE state SET epoch = 99; --",
)
_CLOSINGS = ("", "'", "`")
PAYLOADS = [a + b + c for a, b, c in itertools.product(_OPENINGS, _BODIES, _CLOSINGS)]
PER_COMMIT = 204
RULES = (LinkPolicy(), PriorityRules())


def _shape(store: Database) -> dict[str, int]:
    """Returns how many nodes of each label there are, and how many indexes and constraints."""
    with connect(store.fresh(), store.options) as driver, driver.session() as session:
        shape = {
            str(row["labels"]): int(row["n"])
            for row in session.run("MATCH (n) RETURN labels(n) AS labels, count(n) AS n")
        }
        for what, statement in (
            ("constraints", "SHOW CONSTRAINTS YIELD name RETURN count(*)"),
            ("indexes", "SHOW INDEXES YIELD name RETURN count(*)"),
            ("users", "SHOW USERS YIELD user RETURN count(*)"),
        ):
            (shape[what],) = session.run(statement).single(strict=True)  # type: ignore[arg-type]  # a constant
    return shape


def _commits() -> Iterator[tuple[CommitDelta, list[str]]]:
    """Yields commits that carry payloads in every field that is text or bytes, and the payloads."""
    head = AuditHead()
    for number, start in enumerate(range(0, len(PAYLOADS), PER_COMMIT), start=1):
        texts = PAYLOADS[start : start + PER_COMMIT]
        places = range(start, start + len(texts))
        audit = []
        for text in texts:
            row = append(head, ts_ms=1, author=text, what=text, subject=text, before=text, after=text, content=text)
            audit.append(row)
            head = AuditHead(row.number, row.hash)
        yield (
            CommitDelta(
                commit=number,
                watermark_ms=START_MS,
                positions=dict(zip(texts, places, strict=True)),
                clocks_ms=dict.fromkeys(texts, START_MS),
                entities=[
                    row
                    for text, place in zip(texts, places, strict=True)
                    for row in (
                        (EntityKind.USER, place, text, text),
                        (EntityKind.CARD, place, text.encode()[:16].ljust(16, b"'") + place.to_bytes(2), text),
                    )
                ],
                links=as_columns(
                    LINK_COLUMNS,
                    [(place, place, EntityKind.CARD, place, START_MS, START_MS, 1, 1, -1, -1, 0) for place in places],
                ),
                labels=[
                    LabelRow(-1, f"{place:016}".encode(), text, text.encode(), True, 1, 1, text, text.encode())
                    for text, place in zip(texts, places, strict=True)
                ],
                rings=[replace(ring_row(text), reason=text, scorer=text, contributions={text: 0.5}) for text in texts],
                members={text: [(place, 0.5)] for text, place in zip(texts, places, strict=True)},
                lineage=[LineageRow(text, text, 1, 1, 1, text, text) for text in texts],
                alerts=[AlertRow(text, text, 1, 0.5, 0.5, text) for text in texts],
                dead_letters=[DeadLetter(RejectReason.MALFORMED_JSON, text, text, 1, text.encode()) for text in texts],
                decisions=[
                    replace(DECISION, decision_id=text, ring_id=text, author=text, reason=text, note=text, key=text)
                    for text in texts
                ],
                constraints=[
                    replace(CONSTRAINT, constraint_id=text, author=text, reason=text, note=text) for text in texts
                ],
                audit=audit,
                scorer_state=texts[0].encode(),
            ),
            texts,
        )


def test_a_thousand_payloads_change_nothing_but_what_they_are_stored_in(neo4j_database: Database) -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 1_000
    witness, address = neo4j_database.fresh(), neo4j_database.fresh()
    options = neo4j_database.options
    with closing(Neo4jStore(witness, options, *RULES)) as other, closing(Neo4jStore(address, options, *RULES)) as store:
        untouched = dict(other.meta())
        store.claim()
        store.bind(key_id=PAYLOADS[1], policy_hash=RULES[0].hash, policy_version=PAYLOADS[2])
        before = _shape(neo4j_database)
        for delta, texts in _commits():
            store.commit(delta)
            store.mark_sent(texts[0], texts)
            store.save_narrative(NarrativeRow(texts[1], *texts[:4], 1, texts[5].encode()))
            store.record_command(texts[6].encode())
        for text in PAYLOADS[::41]:
            _ask(store, text)
        state = store.load()
        assert [key for kind, _, key in state.entities if kind == EntityKind.USER] == PAYLOADS
        assert set(state.positions) == set(PAYLOADS)
        assert {ring.reason for ring in state.rings} == set(PAYLOADS)
        assert [row.about_user for row in state.labels] == PAYLOADS
        assert [row.author for row in store.audit()] == PAYLOADS
        assert [letter.detail for letter in store.dead_letters()] == PAYLOADS
        assert dict(other.meta()) == untouched
        after = _shape(neo4j_database)
    assert {name for name in after if after[name] != before.get(name)} == {
        str([label])
        for label in (
            *("User", "Card", "Partition", "Label", "Ring", "Step", "Alert", "DeadLetter", "Decision", "Constraint"),
            *("Audit", "Scorer", "Narrative", "Command"),
        )
    }
    assert after["['User']"] - before.get("['User']", 0) == len(PAYLOADS)


def _ask(store: Neo4jStore, text: str) -> None:
    """Puts a payload into every argument of a reader that is text."""
    calls: list[Any] = [
        store.snapshot(text),
        store.resolve_ring(text),
        store.lineage(text),
        store.rings_of(text),
        store.identifiers_of(text),
        store.rings(statuses=[text]),
        store.narrative(text),
        store.frozen(text),
        store.outbox(text, limit=1),
        store.dead_letters(partition=text),
        store.find_order(text.encode()),
        store.users_of(Entity(EntityKind.CARD, 0, text, text, 1), 1),
    ]
    found = store.find(EntityKind.USER, text)
    assert found is not None
    assert found.key == text
    assert store.find(EntityKind.CARD, text) is None
    snapshot = calls[0]
    assert snapshot.ring_id == calls[1] == text
    assert [user.user_id for user in snapshot.users] == [text]


@pytest.mark.parametrize("text", PAYLOADS[::101])
def test_a_url_cannot_carry_one(text: str) -> None:
    from fraudgraph.errors import ConfigurationError
    from fraudgraph.stores.neo4j.access import parse_url

    try:
        address = parse_url(f"neo4j://db?space={text}")
    except ConfigurationError:
        return
    assert address.space == 0
