"""The whole evaluation on tiny streams: one command's way from worlds, or a shop's events, to report, JSON, note."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.errors import ConfigurationError, UsageError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.structural import StructuralScorer
from training.evaluation.command import CONFIG, OWN, evaluate, plan_of
from training.evaluation.figures import ACCOUNTS
from training.evaluation.learn import MODELS
from training.evaluation.origins import origin_of, origins_of
from training.evaluation.plan import Plan, read_plan
from training.evaluation.run import SIMULATED, Evaluation, refuse_learnt_seeds
from training.gnn.recipe import read_recipe
from training.labels import Label, LabelLog
from training.replay import passing_decoder

START = np.datetime64("2026-01-01T00:00:00", "ms")
DAYS = 110


def make_engine() -> Engine:
    return Engine(LinkPolicy(), EngineRules(), StructuralScorer())


def quiet(title: str) -> Callable[[int, int | None, str], None]:
    return lambda done, total, words: None


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Path]:
    """Evaluates on worlds, quickly."""
    out = tmp_path_factory.mktemp("worlds")
    names = ("structural", "network", "trees (a)", "trees (c)", "trees (c) with ring head", "dense blocks", "chance")
    plan, beside = plan_of(None, ",".join(names), quick=True)
    found = evaluate(
        plan,
        beside,
        None,
        out / "report",
        make_engine=make_engine,
        decoder=None,
        progress=quiet,
        say=lambda words: None,
        note=out / "models.md",
    )
    return found, out


def test_report_and_json_and_note_say_the_same(worlds: tuple[Evaluation, Path]) -> None:
    found, out = worlds
    html = (out / "report" / "evaluation.html").read_text(encoding="utf-8")
    data = json.loads((out / "report" / "evaluation.json").read_text(encoding="utf-8"))
    note = (out / "models.md").read_text(encoding="utf-8")
    part = found.parts[SIMULATED]
    for model in part.models:
        figure = part.of("average precision", model)
        shown = f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
        assert shown in html and shown in note
        (told,) = (
            each
            for each in data["parts"][SIMULATED]["figures"]
            if (each["level"], each["name"], each["model"], each["part"]) == (ACCOUNTS, figure.name, model, "")
        )
        assert told["value"] == pytest.approx(figure.value, abs=1e-6)
    assert data["gate"]["words"] in html.replace("&#39;", "'")
    assert "a quick run" in " ".join(note.lower().split())
    assert max(len(line) for line in note.splitlines() if not line.startswith("|")) <= 120


def test_the_report_is_one_file_with_its_plots_and_fetches_nothing(worlds: tuple[Evaluation, Path]) -> None:
    html = (worlds[1] / "report" / "evaluation.html").read_text(encoding="utf-8")
    assert html.count("<svg") >= 5
    assert "<script" not in html and "<link" not in html and "src=" not in html and "url(http" not in html


def test_the_gate_says_no_where_planted_rings_were_not_measured(worlds: tuple[Evaluation, Path]) -> None:
    data = json.loads((worlds[1] / "report" / "evaluation.json").read_text(encoding="utf-8"))
    assert data["gate"]["passed"] is False
    assert "planted into real payments was not measured" in data["gate"]["words"]


def test_chance_ranks_as_chance_does_and_learning_beats_it(worlds: tuple[Evaluation, Path]) -> None:
    part = worlds[0].parts[SIMULATED]
    assert part.of("ROC-AUC (for comparison only)", "chance").value == pytest.approx(0.5, abs=0.1)
    best, chance = part.of("average precision", "trees (c) with ring head"), part.of("average precision", "chance")
    assert best.value > 3 * chance.value


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes a shop: honest accounts with a device each, and every third day four that share one, and order.

    Their orders come back from the bank within 2 to 5 days.
    """
    rng = np.random.default_rng(6)
    rows: list[tuple[float, dict[str, str]]] = []

    def add(ms: float, kind: str, user: str, **fields: str) -> None:
        rows.append((ms, {"type": kind, "user_id": user, **fields}))

    for person in range(250):
        at, user = rng.uniform(0, DAYS - 5) * DAY_MS, f"h{person}"
        add(at, "signup", user, device_id=f"d{person}")
        add(at + DAY_MS, "order", user, device_id=f"d{person}", order_id=user, amount="20.00")
    for gang in range(0, DAYS, 3):
        for member in range(4):
            at, user = (gang + rng.uniform(0, 1)) * DAY_MS, f"f{gang}-{member}"
            add(at, "signup", user, device_id=f"gang{gang}")
            add(at + DAY_MS, "order", user, device_id=f"gang{gang}", order_id=user, amount="400.00")
            add(at + rng.uniform(3, 6) * DAY_MS, "chargeback", user, order_id=user)
    path = tmp_path_factory.mktemp("shop") / "events.jsonl"
    kept = sorted((row for row in rows if row[0] < DAYS * DAY_MS), key=lambda row: row[0])
    with path.open("w", encoding="utf-8") as file:
        for number, (ms, row) in enumerate(kept):
            stamp = f"{START + np.timedelta64(int(ms), 'ms')}Z"
            currency = {"currency": "EUR"} if "amount" in row else {}
            file.write(json.dumps({**row, **currency, "event_id": str(number), "ts": stamp}) + "\n")
    return path


def test_a_shops_own_events_are_judged_by_models_of_their_past(shop: Path, tmp_path: Path) -> None:
    plan = read_plan(CONFIG)
    plan = msgspec.structs.replace(
        plan,
        models=("structural", "trees (a)", "trees (b)", "trees (c) with ring head", "Isolation Forest"),
        budgets=(1, 5),
        origins=msgspec.structs.replace(plan.origins, count=2, horizon_days=2, network=False, resamples=50),
    )
    found = evaluate(
        plan,
        CONFIG.parent,
        shop,
        tmp_path / "report",
        make_engine=make_engine,
        decoder=passing_decoder(),
        progress=quiet,
        say=lambda words: None,
    )
    part = found.parts[OWN]
    assert part.models == ("structural", "trees (a)", "trees (b)", "Isolation Forest"), "nobody knows the rings"
    assert part.counts.resampled == "components" and part.counts.readings > 2
    assert part.of("average precision", "trees (b)").value > 0.5
    assert part.of("money stopped at 5 a day", "trees (b)").value > 0
    assert "2 origins" in found.notes[OWN] and "Left out: trees (c) with ring head" in found.notes[OWN]
    assert (tmp_path / "report" / "evaluation.html").exists()


def test_an_origin_learns_only_from_what_had_arrived() -> None:
    day = DAY_MS
    labels = {
        f"{n}".encode(): Label(f"u{n}", True, n * day, (n + 3) * day, "chargeback", f"{n}".encode()) for n in range(90)
    }
    plan = Plan().origins
    origins = origins_of(LabelLog(labels), 0, 100 * day, 3 * day, plan)
    assert len(origins) == plan.count
    for origin in origins:
        assert origin.split.calibrate.label_cut_ms == origin.at_ms
        assert max(cut.label_cut_ms for cut in (*origin.split.fit, origin.split.stop)) < origin.at_ms
    assert origins[-1].at_ms <= (100 - 3 - plan.horizon_days) * day, "what follows can be judged by the end"
    assert [origin_of(origins, each.at_ms + 1) for each in origins] == [0, 1, 2]
    with pytest.raises(UsageError, match="too short"):
        origins_of(LabelLog(labels), 0, 40 * day, 3 * day, plan)


def test_the_shipped_plan_is_the_defaults_and_names_every_model(tmp_path: Path) -> None:
    assert read_plan(CONFIG) == Plan()
    assert set(Plan().models) == set(MODELS)
    wrong = tmp_path / "plan.toml"
    wrong.write_text('models = ["crystal ball"]', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="crystal ball"):
        read_plan(wrong)
    with pytest.raises(ConfigurationError, match="tea leaves"):
        plan_of(None, "chance,tea leaves", quick=False)


def test_a_world_that_is_learnt_from_is_never_measured_on() -> None:
    recipe = read_recipe(CONFIG.parent / Plan().recipe)
    refuse_learnt_seeds(Plan(), recipe)
    learnt = recipe.worlds.fit[0] + 1
    plan = msgspec.structs.replace(Plan(), simulated=msgspec.structs.replace(Plan().simulated, seeds=(learnt, 1)))
    with pytest.raises(ConfigurationError, match=str(learnt)):
        refuse_learnt_seeds(plan, recipe)
