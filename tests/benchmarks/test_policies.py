import json
import multiprocessing
import re
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.policies import __main__ as policies
from benchmarks.policies import record
from benchmarks.policies.choices import SCORES, Choice, Pick
from benchmarks.policies.curves import Curves
from benchmarks.policies.outcomes import outcome_of
from benchmarks.policies.processes import results_as_done
from benchmarks.policies.recorded_runs import RecordedRun, read_file
from benchmarks.policies.replay import Replayed, drawn, make_pruner, replay
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.question_scores import QuestionScores
from san_core.training import train_fn
from search_spaces import SearchSpace, load
from tuning.study.lengths import Lengths
from tuning.study.seeds import CONFIRMATION_SEEDS, derive_seed


def curves_of(scores: Sequence[Sequence[Sequence[float]]], questions: Sequence[Sequence[int]] | None = None) -> Curves:
    """Curves [C, S, epochs]; each answer is right or wrong in all runs of a configuration alike [C, Q]."""
    texts = [QuestionScores.of(np.array(row, dtype=float)).to_text() for row in questions or []]
    runs = [
        [
            RecordedRun(number, seed, {}, seed, curve, [texts[number] if texts else ""] * len(curve), 1.0)
            for seed, curve in enumerate(seeds)
        ]
        for number, seeds in enumerate(scores)
    ]
    return Curves(runs, Lengths(len(scores[0][0]), first_rung=1))


def searched(curves: Curves, pruner: str, *, epochs: int, at_once: int = 1) -> list[tuple[int, int, float, bool]]:
    """Start, epochs, end and completeness of each trial, if configurations are tried in order under seed 0."""
    order = ((number % len(curves.runs), 0) for number in count())
    trials = replay(curves, make_pruner(pruner, curves.lengths), order, epochs=epochs, at_once=at_once)
    return [(trial.started, trial.epochs, trial.ended, trial.complete) for trial in trials]


def test_the_truth_is_the_best_epoch_of_the_mean_curve() -> None:
    curves = curves_of([[[0.2, 0.6], [0.4, 0.2]], [[0.1, 0.1], [0.3, 0.1]]])
    assert curves.truth == pytest.approx([0.4, 0.2])


@pytest.mark.parametrize(("score", "expected"), [("best", 0.9), ("mean-of-3", 0.5), ("last", 0.4)])
def test_the_score_of_a_trial(score: str, expected: float) -> None:
    assert SCORES[score](np.array([[0.0, 0.9, 0.0, 0.5, 0.6, 0.4]])) == pytest.approx([expected])
    assert SCORES["mean-of-3"](np.array([0.2, 0.4])) == pytest.approx(0.3)


def test_trials_that_run_at_once_take_turns() -> None:
    found = searched(curves_of([[[0.5, 0.5, 0.5]]]), "none", epochs=8, at_once=2)
    assert found == [(0, 3, 5, True), (1, 3, 6, True), (6, 1, np.inf, False), (7, 1, np.inf, False)]


def test_halving_stops_the_worse_half_at_a_rung() -> None:
    curves = curves_of([[[0.5] * 4], [[0.3] * 4], [[0.6] * 4]])
    assert searched(curves, "halving", epochs=9) == [(0, 4, 4, True), (4, 1, 5, False), (5, 4, 9, True)]


def test_trials_that_are_stopped_at_once_take_no_turn_of_others() -> None:
    found = searched(curves_of([[[0.5] * 4], [[0.3] * 4], [[0.2] * 4], [[0.1] * 4]]), "halving", epochs=7, at_once=2)
    assert found == [(0, 4, 7, True), (1, 1, 2, False), (3, 1, 4, False), (5, 1, 6, False)]


@pytest.mark.parametrize(("pruner", "epochs"), [("tolerant-1", 1), ("tolerant-1.5", 4)])
def test_a_tolerant_pruner_is_told_of_single_questions(pruner: str, epochs: int) -> None:
    """The second is behind by a quarter of the questions, 1.155 standard errors: 0.25 / (sqrt(3 / 16) / 2)."""
    curves = curves_of([[[0.5] * 4], [[0.25] * 4]], questions=[[1, 1, 0, 0], [1, 0, 0, 0]])
    assert searched(curves, pruner, epochs=8)[1][1] == epochs


def test_a_run_that_diverges_is_a_complete_trial_with_score_0() -> None:
    good = RecordedRun(0, 0, {}, 0, [0.5, 0.6], ["", ""], 1.0)
    curves = Curves([[good], [RecordedRun(1, 0, {}, 0, [0.7], [""], 1.0, "loss is nan")]], Lengths(2))
    assert searched(curves, "none", epochs=3) == [(0, 2, 2, True), (2, 1, 3, True)]
    assert curves.scores.tolist() == [[[0.5, 0.6]], [[0.0, 0.0]]]


def test_an_unknown_pruner_is_refused() -> None:
    for name in ("tolerant-x", "tolerant--1", "half"):
        with pytest.raises(InputError, match=re.escape(f"unknown pruner '{name}'; accepted: halving, ")):
            make_pruner(name, Lengths(2))


def test_configurations_come_in_random_order_and_again_under_other_seeds() -> None:
    order = drawn(np.random.default_rng(0), 3, [4, 7])
    found = [next(order) for _ in range(6)]
    assert sorted(found) == [(number, seed) for number in range(3) for seed in (4, 7)]
    assert {number for number, _ in found[:3]} == {0, 1, 2}


SCORED = [[[0.7], [0.2], [0.9]], [[0.6], [0.5], [0.8]], [[1.0], [1.0], [0.1]]]
"""True scores 0.6, 0.6333 and 0.7."""


@pytest.mark.parametrize(
    ("choice", "epochs", "picked", "claimed"),
    [
        ("best", 2, 0, 0.9),
        ("best", 3, 0, 0.9),
        ("top-2x2", 2, 1, 0.55),
        ("top-2x1", 3, 0, 0.7),
        ("top-3x2", 3, 2, 1.0),
        ("top-3x2", 1, 0, 0.45),  # only one trial is complete
    ],
)
def test_a_search_picks_from_the_trials_that_its_budget_allows(
    choice: str, epochs: int, picked: int, claimed: float
) -> None:
    curves, truth = curves_of(SCORED), (0.6, 1.9 / 3, 0.7)
    trials = [Replayed(number, number, 2, number, 1, ended=number + 1, complete=True) for number in range(3)]
    found = outcome_of(curves, trials, curves.scores[:, :, 0], Choice.of(choice), epochs, fresh=[0, 1])
    assert found.regret == pytest.approx(0.7 - truth[picked])
    assert found.optimism == pytest.approx(claimed - truth[picked])
    assert found.trials == epochs
    assert found.confirmation == (0 if choice == "best" else min(epochs, int(choice[4])) * int(choice[-1]))


def test_a_race_spends_no_runs_on_those_that_are_behind() -> None:
    fresh = np.array([[0.50, 0.51, 0.52], [0.30, 0.31, 0.33], [0.20, 0.21, 0.22], [0.9, 0.9, 0.9]])
    found = Choice.of("race-3x3").pick([1, 2, 0], 0.6, fresh)
    assert found == Pick(0, pytest.approx(0.51), runs=7)  # two rounds of all three, a third of the winner alone


def test_a_race_ends_when_there_are_no_more_fresh_seeds() -> None:
    fresh = np.array([[0.50, 0.52], [0.51, 0.50], [0.0, 0.4]])  # the last has diverged
    assert Choice.of("race-3x3").pick([0, 1, 2], 0.6, fresh) == Pick(0, pytest.approx(0.51), runs=6)


@pytest.mark.parametrize("name", ["top", "top-3", "top-0x3", "race-ax2", "first"])
def test_an_unknown_choice_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"unknown choice '{name}'"):
        Choice.of(name)


def test_configurations_are_those_of_a_search_and_respect_conditions() -> None:
    space = SearchSpace(
        parameters={
            "schedule": CategoricalDistribution(["constant", "step"]),
            "step_epochs": IntDistribution(1, 9),
            "dropout": FloatDistribution(0.0, 0.9),
        },
        baseline={"schedule": "constant", "step_epochs": 5, "dropout": 0.5},
        only_if={"step_epochs": {"schedule": ["step"]}},
    )
    found = record.draw_configurations(space, {}, seed=0, configurations=12)
    assert len(found) == 12
    assert found[0] == {"schedule": "constant", "dropout": 0.5}
    assert {"step_epochs" in params for params in found} == {True, False}
    assert all(("step_epochs" in params) == (params["schedule"] == "step") for params in found)
    assert record.draw_configurations(space, {}, seed=0, configurations=5) == found[:5]


SMALL = ("hidden_size=16", "attention_size=8", "embedding_size=8", "precision=float32")


@pytest.fixture(scope="module")
def recorded(tiny_data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two configurations under two seeds; the recording was killed once, while it wrote the second run."""
    file = tmp_path_factory.mktemp("recorded") / "runs.jsonl"
    call(file, tiny_data, seeds=1)
    file.write_bytes(file.read_bytes()[:-40])
    call(file, tiny_data, seeds=2)
    return file


def call(file: Path, data: PreparedData, *, seeds: int, epochs: int = 2) -> None:
    fixed = [word for text in SMALL for word in ("--set", text)]
    arguments = ["record", "--data", data.folder, "--epochs", epochs, "--configurations", 2, "--seeds", seeds]
    assert policies.main([str(word) for word in (*arguments, *fixed, "--processes", 1, "--save", file)]) == 0


def test_each_run_is_recorded_once_with_the_scores_of_its_training(recorded: Path, tiny_data: PreparedData) -> None:
    head, runs = read_file(recorded)
    assert sorted((run.configuration, run.seed) for run in runs) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert (head["epochs"], head["first_rung"]) == (2, 2)
    last = runs[-1]
    seed = derive_seed(0, CONFIRMATION_SEEDS, last.seed)
    small = {name: value for name, _, value in (text.partition("=") for text in SMALL)}
    sizes = {name: int(value) for name, value in small.items() if name != "precision"}
    baseline = {name: value for name, value in load("daquar").baseline.items() if name not in sizes}
    assert {**baseline, **last.params} == last.params != baseline
    settings = {**sizes, **last.params, "epochs": 2, "precision": "float32", "seed": seed, "order_seed": seed}
    results = []
    train_fn(TrainingConfig.from_dict(settings), tiny_data, lambda result: results.append(result) is None)
    assert last.scores == [result.score for result in results]
    assert last.by_question == [result.by_question for result in results]


def test_a_file_of_other_runs_is_kept(recorded: Path, tiny_data: PreparedData) -> None:
    before = recorded.read_bytes()
    with pytest.raises(InputError, match="has runs of another settings"):
        call(recorded, tiny_data, seeds=2, epochs=1)
    assert recorded.read_bytes() == before


def simulated(file: Path, *options: object) -> int:
    small = ["--budgets", 2, "--choices", "best", "top-1x1", "--fresh", 1, "--repetitions", 4, "--processes", 1]
    return policies.main([str(word) for word in ("simulate", file, *small, *options)])


def test_policies_are_compared(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulated(recorded, "--at-once", 1, "--pruners", "none", "halving", "--scores", "last", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["pruner"], row["choice"], row["confirmation"]) for row in rows] == [
        (pruner, *choice) for pruner in ("none", "halving") for choice in (("best", 0), ("top-1x1", 2))
    ]
    assert [row["trials"] for row in rows[:2]] == [2, 1]
    truth = Curves.read(recorded).truth
    assert 0 <= rows[0]["regret"] <= 100 * (truth.max() - truth.min()) + 1e-9
    simulated(recorded)
    assert "Searches of 2 full trainings" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--fresh", 2), "--fresh must be at least 1"),
        (("--pruners", "half"), "unknown pruner 'half'"),
        (("--budgets", 1), "--budgets 1 is too small"),
    ],
)
def test_what_cannot_be_simulated_is_told(recorded: Path, options: Iterable[object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        simulated(recorded, *options)


def test_too_few_seeds_are_told(recorded: Path, tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text("".join(recorded.read_text().splitlines(keepends=True)[:4]))
    with pytest.raises(InputError, match="only 1 seeds"):
        simulated(file)
    file.write_text("notes\n")
    with pytest.raises(InputError, match="is no file of recorded runs"):
        simulated(file)


def test_results_come_from_processes_that_end_with_the_block() -> None:
    with results_as_done(abs, [-1, 2, -3], 2) as results:
        assert sorted(results) == [1, 2, 3]
    with pytest.raises(KeyboardInterrupt):
        _interrupted()
    assert multiprocessing.active_children() == []


def _interrupted() -> None:
    with results_as_done(abs, [-1] * 50, 2) as results:
        assert next(results) == 1
        raise KeyboardInterrupt
