"""What decisions make of rings and accounts, without an engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudgraph.cases.decisions import SECOND_READER, Decision, label_key, label_of, status_of
from fraudgraph.cases.orders import Constrain, Decide, Remove, Undo, read_order, write_order
from fraudgraph.cases.reasons import CONSTRAINT_REASONS, VERDICT_REASONS, ConstraintKind, Verdict
from fraudgraph.events.kinds import EntityKind, RejectReason
from fraudgraph.events.rejected import Rejected
from fraudgraph.events.schema import Command

SIX = ("u1", "u2", "u3", "u4", "u5", "u6")
users = st.sets(st.sampled_from([f"u{i}" for i in range(12)]), min_size=1)


def decision(number: int, verdict: Verdict, members: tuple[str, ...] = SIX, **changes: object) -> Decision:
    made = Decision(
        decision_id=f"D{number:06d}",
        ring_id="R000001",
        verdict=verdict,
        members=members,
        others=(),
        ts_ms=1,
        at_ms=1,
        author="ann",
        reason="other",
        note="",
        key=f"{number:032x}",
        source="commands@1",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields by name


def status(members: tuple[str, ...], *decisions: Decision, second_reader: bool = False) -> str:
    return status_of(members, decisions, second_reader=second_reader).status


def test_a_verdict_follows_its_accounts_to_the_children_of_a_split() -> None:
    said = decision(1, Verdict.CONFIRMED)
    assert status(("u1", "u2", "u3"), said) == status(("u4", "u5", "u6"), said) == "confirmed"


def test_half_of_a_ring_is_enough_and_less_is_not() -> None:
    said = decision(1, Verdict.FALSE_POSITIVE, ("u1", "u2", "u3"), others=("u4", "u5", "u6", "u7"))
    assert status(("u1", "u2", "u3", "u4", "u5", "u6"), said) == "false-positive"
    assert status(("u1", "u2", "u3", "u4", "u5", "u6", "u7"), said) == "open"


def test_the_latest_that_stands_speaks() -> None:
    first, second = decision(1, Verdict.CONFIRMED), decision(2, Verdict.NEEDS_INFO)
    assert status(SIX, first, second) == "needs-info"
    assert status(SIX, first, replace(second, undone_by="bob")) == "confirmed"


@pytest.mark.parametrize(("joined", "expected"), [(1, "confirmed"), (2, "open"), (5, "open")])
def test_a_ring_that_grew_by_a_third_is_open_again_and_says_since_when(joined: int, expected: str) -> None:
    members = (*SIX, *(f"new{i}" for i in range(joined)))
    found = status_of(members, [decision(4, Verdict.CONFIRMED)], second_reader=False)
    assert found.status == expected
    assert (found.grown, found.because) == (0 if expected == "confirmed" else joined, "D000004")


def test_others_of_the_time_are_no_growth() -> None:
    said = decision(1, Verdict.CONFIRMED, ("u1", "u2", "u3"), others=("u4", "u5"))
    assert status(("u1", "u2", "u3", "u4", "u5"), said) == "confirmed"


def test_a_confirmation_waits_for_a_second_author_where_two_are_wanted() -> None:
    ann, again = decision(1, Verdict.CONFIRMED), decision(2, Verdict.CONFIRMED)
    bob = decision(3, Verdict.CONFIRMED, author="bob")
    for said, expected, fraud in (((ann,), SECOND_READER, None), ((ann, again), SECOND_READER, None)):
        assert status(SIX, *said, second_reader=True) == expected
        assert label_of(said, second_reader=True) is fraud
    assert status(SIX, ann, bob, second_reader=True) == "confirmed"
    assert label_of((ann, bob), second_reader=True) is True
    assert label_of((ann, decision(2, Verdict.NEEDS_INFO), bob), second_reader=True) is None
    assert label_of((ann, replace(bob, undone_by="bob")), second_reader=True) is None


def test_labels_follow_the_last_word() -> None:
    fraud, fine, unclear = (decision(i, verdict) for i, verdict in enumerate(Verdict, 1))
    assert label_of((fraud,), second_reader=False) is True
    assert label_of((fraud, fine), second_reader=False) is False
    assert label_of((fraud, fine, unclear), second_reader=False) is None
    assert label_of((), second_reader=False) is None


@given(users, users)
def test_status_is_a_function_of_who_is_there(members: set[str], decided: set[str]) -> None:
    said = decision(1, Verdict.CONFIRMED, tuple(sorted(decided)))
    covered, joined = len(members & decided), len(members - decided)
    expected = "confirmed" if 2 * covered >= len(members) and 3 * joined < covered else "open"
    assert status(tuple(sorted(members)), said) == expected


def test_each_account_has_a_label_of_its_own_per_command() -> None:
    keys = {label_key(command, user) for command in ("00" * 16, "01" * 16) for user in SIX}
    assert len(keys) == 12
    assert {len(key) for key in keys} == {16}


def command(name: str, arguments: dict[str, str]) -> Command:
    return Command(event_id="c1", ts=datetime(2026, 1, 1, tzinfo=UTC), name=name, author="ann", arguments=arguments)


ORDERS = (
    Decide("R000001", Verdict.CONFIRMED, "chargebacks", 'a, "b"\nc', ("u1", "u,2")),
    Undo("D000001"),
    Constrain(ConstraintKind.BENIGN_HUB, EntityKind.IP, "0" * 32, "", "shared-network", until_ms=7),
    Constrain(ConstraintKind.CANNOT_LINK, EntityKind.USER, "u1", "u2", "different-people"),
    Remove("C000001"),
)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)
def test_orders_survive_the_journal(order: object) -> None:
    assert read_order(command(*write_order(order))) == order  # type: ignore[arg-type]  # one of the union


GOOD = write_order(ORDERS[0])[1]
HUB = write_order(ORDERS[2])[1]
PAIR = write_order(ORDERS[3])[1]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("promote", {}, "command: promote is not known"),
        ("decide", {}, "decide: verdict is missing"),
        ("decide", GOOD | {"ring_id": "R-1"}, "decide: ring_id is no ring's id"),
        ("decide", GOOD | {"verdict": "guilty"}, "decide: verdict is none of"),
        ("decide", GOOD | {"reason": "household"}, "decide: reason is none of"),
        ("decide", GOOD | {"members": "u1"}, "decide: members is no list"),
        ("decide", GOOD | {"members": '["" ]'}, "decide: members are more than"),
        ("decide", GOOD | {"note": "x" * 2001}, "decide: note is longer"),
        ("undo", {"decision_id": ""}, "undo: decision_id is missing"),
        ("constrain", HUB | {"entity": "user"}, "constrain: entity is none of"),
        ("constrain", HUB | {"first": "203.0.113.7"}, "constrain: first is no pseudonym"),
        ("constrain", HUB | {"until_ms": "soon"}, "constrain: until_ms is no number"),
        ("constrain", PAIR | {"second": "u1"}, "constrain: second is not another account"),
        ("release", {}, "release: constraint_id is missing"),
    ],
)
def test_orders_that_make_no_sense_are_refused_without_their_values(
    name: str, arguments: dict[str, str], said: str
) -> None:
    with pytest.raises(Rejected) as refused:
        read_order(command(name, arguments))
    assert refused.value.refusal.detail.startswith(said)
    expected = RejectReason.UNKNOWN_COMMAND if name == "promote" else RejectReason.INVALID_FIELD
    assert refused.value.refusal.reason is expected
    assert "203.0.113.7" not in refused.value.refusal.detail


def test_every_verdict_and_constraint_has_reasons() -> None:
    assert set(VERDICT_REASONS) == set(Verdict)
    assert set(CONSTRAINT_REASONS) == set(ConstraintKind)
    assert all("other" in reasons for reasons in (*VERDICT_REASONS.values(), *CONSTRAINT_REASONS.values()))
