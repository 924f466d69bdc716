"""A trial run again alone, for real."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import optuna
import pytest
import torch
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from results.run_folder import SEARCH, SEED, RunFolder
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.training import EpochResult, Training, train_fn
from tuning.retraining.score_check import ScoreCheck, check_score

SEARCHED = {"learning_rate": FloatDistribution(1e-5, 1e-2), "hops": IntDistribution(1, 3)}
PARAMS = {"learning_rate": 3e-3, "hops": 1}
TRAINING_SEED = 4_000_000_000


@pytest.fixture
def run(make_run: Callable[..., RunFolder], tiny_config: TrainingConfig, tiny_data: PreparedData) -> RunFolder:
    fixed = {name: value for name, value in tiny_config.to_dict().items() if name not in {*SEARCHED, "seed"}}
    return make_run(data=str(tiny_data.folder), fixed=fixed, metric="accuracy", cpus_per_trial=1)


@pytest.fixture(scope="module")
def scores(tiny_config: TrainingConfig, tiny_data: PreparedData) -> dict[int, float]:
    """By epoch, of a training with what the trial had."""
    found: dict[int, float] = {}

    def keep(result: EpochResult) -> bool:
        found[result.epoch] = result.score or 0.0
        return True

    train_fn(TrainingConfig.from_dict({**tiny_config.to_dict(), **PARAMS, "seed": TRAINING_SEED}), tiny_data, keep)
    return found


def _trial(run: RunFolder, scores: Mapping[int, float], **changes: Any) -> FrozenTrial:  # noqa: ANN401
    """The only trial of the run's search."""
    study = optuna.create_study(study_name=SEARCH, storage=run.storage(), direction="maximize")
    told = {
        "value": max(scores.values()),
        "params": PARAMS,
        "distributions": SEARCHED,
        "user_attrs": {SEED: TRAINING_SEED},
        "intermediate_values": dict(scores),
    }
    study.add_trial(create_trial(**{**told, **changes}))
    return run.study().trials[0]


def test_the_same_machine_gives_the_same_scores(
    run: RunFolder, scores: dict[int, float], tiny_data: PreparedData, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = check_score(run, _trial(run, scores), tiny_data)
    assert checked == ScoreCheck(0, scores, scores, len(tiny_data.questions_of("validation")))
    assert checked.reached
    best = f"{max(scores.values()):.2%}"
    assert checked.describe() == f"trial 0: recorded {best}, run again {best}: the same in every epoch, to the last bit"
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["epoch 1", "epoch 2", "epoch 3"]


def test_a_pruned_trial_is_run_for_as_many_epochs_as_it_had(
    run: RunFolder, scores: dict[int, float], tiny_data: PreparedData
) -> None:
    two = {2: scores[2], 1: scores[1]}
    checked = check_score(run, _trial(run, two, state=TrialState.PRUNED, value=None), tiny_data)
    assert checked.found == {1: scores[1], 2: scores[2]}
    assert list(checked.recorded) == [1, 2]
    assert checked.reached


def test_a_trial_that_recorded_more_than_its_training_gives_is_not_reached(
    run: RunFolder, scores: dict[int, float], tiny_data: PreparedData
) -> None:
    assert max(scores.values()) < 1
    checked = check_score(run, _trial(run, {**scores, 2: 1.0}), tiny_data)
    assert checked.found == scores
    assert not checked.reached
    assert "recorded 100.00%" in checked.describe()
    assert "NOT reached (-" in checked.describe()


def test_another_seed_or_parameter_is_another_training(
    run: RunFolder, scores: dict[int, float], tiny_data: PreparedData
) -> None:
    trial = _trial(run, scores)
    trial.user_attrs = {SEED: TRAINING_SEED + 1}
    assert check_score(run, trial, tiny_data).found != scores
    trial.user_attrs, trial.params = {SEED: TRAINING_SEED}, {**PARAMS, "learning_rate": 1e-5}
    assert check_score(run, trial, tiny_data).found != scores


def test_a_trial_that_diverged_diverges_again(
    run: RunFolder, tiny_config: TrainingConfig, tiny_data: PreparedData
) -> None:
    """A search records a diverged epoch as 0, whatever its score."""
    wild = {"learning_rate": 9.9, "hops": 3, "momentum": 0.0}

    def results(seed: int) -> list[EpochResult]:
        training = Training(TrainingConfig.from_dict({**tiny_config.to_dict(), **wild, "seed": seed}), tiny_data)
        return [training.run_epoch() for _ in range(2)]

    seed, (first, _) = next((seed, found) for seed in range(50) if (found := results(seed))[1].diverged)
    recorded = {1: first.score or 0.0, 2: 0.0}
    trial = _trial(run, recorded)
    trial.params, trial.user_attrs = wild, {SEED: seed}
    assert check_score(run, trial, tiny_data).found == recorded


def test_the_trial_gets_its_threads_and_the_process_its_own_back(
    run: RunFolder, scores: dict[int, float], tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = _trial(run, scores)
    before = torch.get_num_threads()
    seen: list[int] = []

    def interrupted(*_: object, **__: object) -> None:
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    monkeypatch.setattr(type(run), "settings", property(lambda _: {**settings, "cpus_per_trial": before + 1}))
    settings = {"fixed": {}, "metric": "accuracy"}
    monkeypatch.setattr("tuning.retraining.score_check.new_training", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_score(run, trial, tiny_data)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("found", "reached", "words"),
    [
        (0.4501, True, "recorded 50.00%, run again 45.01%: reached (-4.99 points, within chance on 400 questions)"),
        (0.4499, False, "run again 44.99%: NOT reached (-5.01 points, more than chance on 400 questions)"),
        (0.5499, True, "run again 54.99%: reached (+4.99 points, within chance on 400 questions)"),
        (0.56, True, "run again 56.00%: surpassed (+6.00 points, more than chance on 400 questions)"),
        (0.50, True, "run again 50.00%: reached (+0.00 points, within chance on 400 questions)"),
    ],
)
def test_two_standard_errors_are_within_chance(found: float, reached: bool, words: str) -> None:
    """sqrt(0.5 * 0.5 / 400) = 0.025."""
    checked = ScoreCheck(5, {1: 0.2, 2: 0.5, 3: 0.4}, {1: 0.1, 2: 0.3, 3: found}, 400)
    assert checked.reached is reached
    assert checked.describe().startswith("trial 5: recorded 50.00%, run again ")
    assert checked.describe().endswith(words)


def test_more_questions_leave_less_to_chance() -> None:
    few = ScoreCheck(5, {1: 0.5}, {1: 0.46}, 400)
    assert few.reached
    many = replace(few, questions=40_000)
    assert not many.reached
    assert many.describe().endswith("(-4.00 points, more than chance on 40,000 questions)")
