"""What an evaluation is made of, as its TOML file says."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from fraudgraph.errors import ConfigurationError
from training.evaluation.compare import BUDGETS
from training.evaluation.learn import MODELS, TREES_C_RINGS

Count = Annotated[int, Meta(ge=1)]
Seeds = Annotated[tuple[int, Annotated[int, Meta(ge=0)]], Meta(description="First seed, and how many from it on.")]


class Simulated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Simulated shops to measure on.

    Attributes:
        users, days: of each. first_day: of the first reading; every_days: between two.
        seeds: of no world that anything was learnt, calibrated or chosen on.
    """

    seeds: Seeds = (70_001, 10)
    users: Count = 8_000
    days: Count = 60
    first_day: Count = 30
    every_days: Count = 3

    @property
    def range(self) -> range:
        """The seeds, one by one."""
        return range(self.seeds[0], self.seeds[0] + self.seeds[1])


class Planted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rings planted into the real payments, where that data is.

    Attributes:
        members: accounts in rings, by seed. first_day: of the planted days, of the first reading; every_days: between.
    """

    seeds: Seeds = (71_001, 10)
    members: Count = 350
    first_day: Count = 60
    every_days: Count = 30

    @property
    def range(self) -> range:
        """The seeds, one by one."""
        return range(self.seeds[0], self.seeds[0] + self.seeds[1])


class Absent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Models that are also trained without one typology at a time, and measured on it in the simulated shops."""

    models: tuple[str, ...] = (TREES_C_RINGS,)


class Origins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a stream from files: a back-test from several origins, each trained on its past only.

    Attributes:
        count: of origins. readings: cuts that are judged, between the first origin and the end.
        horizon_days: acts so long after a reading still count as the account's.
        disjoint: leave out of each test whoever shares a component with an account that was learnt from.
        network: also train the network at each origin.
        resamples: of the bootstrap; there are as many units as accounts, so each takes long.
    """

    count: Count = 3
    readings: Count = 6
    fit_cuts: Count = 4
    horizon_days: Annotated[int, Meta(ge=0)] = 7
    disjoint: bool = False
    network: bool = True
    resamples: Count = 200


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An evaluation: `configs/training/evaluation.toml` explains each part.

    Attributes:
        recipe: of the bundle, beside this file: by it, and on its worlds, the rivals are trained.
        bundle: folder of the network, or the name of one that ships.
        quick: the worlds to learn from are few and small, too, and the figures say nothing.
    """

    recipe: str = "default.toml"
    bundle: str = "default"
    models: tuple[str, ...] = tuple(MODELS)
    budgets: tuple[Count, ...] = BUDGETS
    resamples: Count = 1_000
    simulated: Simulated = msgspec.field(default_factory=Simulated)
    planted: Planted = msgspec.field(default_factory=Planted)
    absent: Absent = msgspec.field(default_factory=Absent)
    origins: Origins = msgspec.field(default_factory=Origins)
    quick: bool = False

    def __post_init__(self) -> None:
        for name in (*self.models, *self.absent.models):
            if name not in MODELS:
                raise ConfigurationError(f"there is no model {name!r}", do=f"Choose from {', '.join(MODELS)}.")


def read_plan(path: Path) -> Plan:
    """Returns the plan in a TOML file.

    Raises:
        ConfigurationError: it cannot be read, or a value in it does not fit.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Plan)
    except OSError as error:
        raise ConfigurationError(
            f"the evaluation's file {path} cannot be read ({error.strerror})",
            do="Give one as configs/training/evaluation.toml.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(
            f"the evaluation's file {path} does not fit: {error}", do="configs/training/evaluation.toml explains it."
        ) from error
