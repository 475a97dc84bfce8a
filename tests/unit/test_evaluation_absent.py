"""A typology that is absent teaches nothing: not by its accounts, not by its rings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fraudgraph.durations import DAY_MS
from tests.support.slices import slice_of
from training.evaluation.absent import some_rings, without
from training.evaluation.learn import Teaching, alone, still_unknown
from training.labels import NEGATIVE, POSITIVE, UNKNOWN, Targets
from training.ring_truth import TrueRing, Truth

TRUTH = Truth(
    [
        TrueRing("fake_accounts", frozenset({"u0", "u1"}), frozenset({"u2"}), DAY_MS),
        TrueRing("return_scam", frozenset({"u3", "u4"}), frozenset(), DAY_MS),
    ],
    6,
)
FRAUD = [POSITIVE, POSITIVE, UNKNOWN, POSITIVE, POSITIVE, NEGATIVE]
PIECE = replace(
    slice_of(1, FRAUD, teams=([0, 1], [3, 4, 5]), known=[POSITIVE, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, NEGATIVE]),
    targets=Targets(np.array(FRAUD, np.int8), np.ones(6)),
    is_ring=np.array([True, True]),
)
TEACHING = Teaching([PIECE], [PIECE], [PIECE], [PIECE], 0.2, None, 1, "platt")


def test_its_members_and_victims_and_rings_are_left_out_and_nobody_else() -> None:
    left = without(TEACHING, "fake_accounts", {0: TRUTH})
    for (piece,) in (left.fit, left.stop, left.calibrate):
        assert piece.targets is not None
        assert piece.targets.target.tolist() == [UNKNOWN, UNKNOWN, UNKNOWN, POSITIVE, POSITIVE, NEGATIVE]
        assert piece.targets.weight.tolist() == [0, 0, 0, 1, 1, 1]
    (piece,) = left.rings
    assert [team.tolist() for team in piece.rings.teams()] == [[3, 4, 5]]
    assert piece.is_ring is not None and piece.is_ring.tolist() == [True]
    assert PIECE.targets is not None and PIECE.targets.target.tolist() == FRAUD, "what others learn from stays"


def test_honest_groups_in_which_somebody_of_it_is_stay() -> None:
    piece = replace(PIECE, is_ring=np.array([False, True]))
    left = without(replace(TEACHING, rings=[piece]), "fake_accounts", {0: TRUTH})
    assert len(left.rings[0].rings) == 2


def test_no_ring_at_all_is_still_a_slice() -> None:
    rings = some_rings(PIECE.rings, np.zeros(2, np.bool_))
    assert len(rings) == 0 and rings.teams() == [] and rings.starts.tolist() == [0]


def test_who_was_known_is_not_calibrated_on() -> None:
    (piece,) = still_unknown([PIECE])
    assert piece.targets is not None
    assert piece.targets.target.tolist() == [UNKNOWN, POSITIVE, UNKNOWN, POSITIVE, POSITIVE, NEGATIVE]


def test_a_ring_of_a_model_of_accounts_is_worth_the_mean_of_its_members() -> None:
    class Same:
        def apply(self, logit: np.ndarray) -> np.ndarray:
            return logit

    users = np.arange(6.0)
    said = alone(lambda piece: (users, users[piece.rings.member]), Same())(PIECE)  # type: ignore[arg-type]  # a fake
    assert said.rings.tolist() == [0.5, 4.0]
    assert said.users.tolist() == users.tolist()
    empty = replace(PIECE, rings=some_rings(PIECE.rings, np.zeros(2, np.bool_)))
    assert alone(lambda piece: (users, np.empty(0)), Same())(empty).rings.tolist() == []  # type: ignore[arg-type]
