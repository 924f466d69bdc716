import math
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from search_spaces import load
from tuning.pruning import SuccessiveHalving
from tuning.run_folder import CONFIRMS, REASON, SECONDS, SEED, RunFolder
from tuning.study import (
    CONFIRMATION_SEEDS,
    SEARCH_SEEDS,
    Study,
    best_trial,
    open_confirmation,
    open_search,
    training_seed,
)

EPOCHS = 4


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {}, {})


@pytest.fixture
def study(run: RunFolder) -> Study:
    return open_search(run, load("san"), trials=6, epochs=EPOCHS, seed=3)


def run_trial(study: Study, accuracy: float, *, loss: float = 1.0) -> int:
    """Asks for a trial and reports the same accuracy until it ends."""
    number = study.ask().trial.number
    for epoch in range(1, EPOCHS + 1):
        if not study.report(number, epoch, accuracy, loss, seconds=2.0 * epoch):
            break
    study.finish(number)
    return number


def test_the_first_trial_is_the_baseline(study: Study) -> None:
    assert study.ask().trial.params == {
        "learning_rate": 4e-4,
        "momentum": 0.9,
        "dropout": 0.5,
        "embedding_size": 1000,
    }


def test_later_trials_lie_inside_the_space(study: Study) -> None:
    study.ask()
    params = study.ask().trial.params
    assert 1e-5 <= params["learning_rate"] <= 1e-2
    assert 32 <= params["embedding_size"] <= 1024
    assert isinstance(params["embedding_size"], int)


def test_a_full_trial_is_complete_with_its_best_epoch(study: Study, run: RunFolder) -> None:
    number = study.ask().trial.number
    for epoch, accuracy in enumerate([0.5, 0.8, 0.7, 0.6], start=1):
        assert study.report(number, epoch, accuracy, 1.0, seconds=2.0 * epoch) == (epoch < EPOCHS)
    study.finish(number)

    told = run.study().trials[0]
    assert told.state == TrialState.COMPLETE
    assert told.value == 0.8
    assert told.intermediate_values == {1: 0.5, 2: 0.8, 3: 0.7, 4: 0.6}
    assert told.user_attrs[SECONDS] == 8.0
    assert told.user_attrs[REASON] == ""


def test_a_bad_trial_is_told_as_pruned_with_every_epoch(study: Study, run: RunFolder) -> None:
    for accuracy in (0.9, 0.8):
        run_trial(study, accuracy)
    number = run_trial(study, 0.1)

    told = run.study().trials[number]
    assert told.state == TrialState.PRUNED
    assert told.intermediate_values == {1: 0.1}
    assert told.user_attrs[REASON] == "pruned after epoch 1"


def test_a_trial_worse_than_the_baseline_is_stopped_early(study: Study) -> None:
    baseline = study.ask().trial.number
    study.report(baseline, 1, 0.9, 1.0, seconds=1.0)
    other = study.ask().trial.number
    assert not study.report(other, 1, 0.1, 1.0, seconds=1.0)


def test_an_interruption_does_not_lose_a_trial_that_had_all_its_epochs(study: Study, run: RunFolder) -> None:
    number = study.ask().trial.number
    for epoch in range(1, EPOCHS + 1):
        study.report(number, epoch, 0.7, 1.0, seconds=1.0)
    study.interrupt()
    assert run.study().trials[number].state == TrialState.COMPLETE


def test_the_baseline_is_never_stopped_early(study: Study, run: RunFolder) -> None:
    baseline = study.ask().trial.number
    other = study.ask().trial.number
    for epoch in range(1, EPOCHS + 1):
        study.report(other, epoch, 0.9, 1.0, seconds=1.0)
        assert study.report(baseline, epoch, 0.1, 1.0, seconds=1.0) == (epoch < EPOCHS)
    study.finish(baseline)
    assert run.study().trials[baseline].state == TrialState.COMPLETE


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_diverged_trial_is_a_bad_point_with_a_reason(study: Study, run: RunFolder, loss: float) -> None:
    run_trial(study, 0.9)
    number = run_trial(study, 0.6, loss=loss)

    told = run.study().trials[number]
    assert told.state == TrialState.PRUNED
    assert told.value == 0.0
    assert told.user_attrs[REASON] == "diverged in epoch 1"


def test_a_failed_trial_keeps_its_reason(study: Study, run: RunFolder) -> None:
    number = study.ask().trial.number
    study.report(number, 1, 0.5, 1.0, seconds=1.0)
    study.finish(number, "the worker died")

    told = run.study().trials[number]
    assert told.state == TrialState.FAIL
    assert told.user_attrs[REASON] == "the worker died"
    assert told.intermediate_values == {1: 0.5}


def reopen(run: RunFolder, trials: int = 6) -> Study:
    """The study as a resumed search finds it."""
    return open_search(run, load("san"), trials=trials, epochs=EPOCHS, seed=3)


def test_an_interrupted_trial_is_handed_out_again_with_its_scores_before_a_new_one(
    study: Study, run: RunFolder
) -> None:
    run_trial(study, 0.5)
    first, second = study.ask(), study.ask()
    study.report(second.trial.number, 1, 0.6, 1.0, seconds=1.0)
    study.interrupt()
    assert [trial.state.name for trial in run.study().trials] == ["COMPLETE", "RUNNING", "RUNNING"]

    again = reopen(run)
    taken = [again.ask() for _ in range(3)]
    assert [live.trial.number for live in taken] == [1, 2, 3]
    assert [live.settings for live in taken[:2]] == [first.settings, second.settings]
    assert taken[1].scores == {1: 0.6}
    assert len(run.study().trials) == 4


def test_a_trial_interrupted_while_it_was_asked_for_gets_the_parameters_it_would_have_had(tmp_path: Path) -> None:
    whole, cut = (RunFolder.create(tmp_path / name, {}, {}) for name in ("whole", "cut"))
    expected = reopen(whole)
    run_trial(expected, 0.5)
    asked = expected.ask().settings

    study = reopen(cut)
    run_trial(study, 0.5)
    study.optuna.sampler = study._sampler_of(1)
    study.optuna.ask()  # killed before the first parameter was drawn
    assert reopen(cut).ask().settings == asked


def test_a_resumed_search_has_the_number_of_trials_that_was_asked_for(study: Study, run: RunFolder) -> None:
    for _ in range(2):
        run_trial(study, 0.5)
    study.ask()
    again = reopen(run)
    while not again.exhausted:
        run_trial(again, 0.5)
    assert len(run.study().trials) == 6
    assert reopen(run).exhausted
    assert not reopen(run, trials=7).exhausted


def test_epochs_reported_again_change_nothing_and_only_the_last_is_decided_on(study: Study, run: RunFolder) -> None:
    run_trial(study, 0.1)
    number = study.ask().trial.number
    for epoch in (1, 2):
        assert study.report(number, epoch, 0.5, 1.0, seconds=epoch)
    study.live.clear()
    again = reopen(run)
    assert again.ask().trial.number == number
    for _ in range(2):  # meanwhile two better ones
        better = again.ask().trial.number
        for epoch in (1, 2):
            again.report(better, epoch, 0.9, 1.0, seconds=epoch)
    assert again.report(number, 1, 0.5, 1.0, seconds=1.0)
    assert not again.report(number, 2, 0.5, 1.0, seconds=2.0)
    again.finish(number)
    assert run.study().trials[number].intermediate_values == {1: 0.5, 2: 0.5}
    assert run.study().trials[number].state == TrialState.PRUNED


def test_the_pruner_decides_as_optunas_does() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((40, 16))
    stopped = []
    for pruner in (SuccessiveHalving(), optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)):
        study = optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
        lengths = []
        for row in scores:
            trial, epoch = study.ask(), 0
            for epoch, score in enumerate(row, start=1):
                trial.report(score, epoch)
                if trial.should_prune():
                    break
            lengths.append(epoch)
            study.tell(trial, state=TrialState.PRUNED)
        stopped.append(lengths)
    assert stopped[0] == stopped[1]
    assert len(set(stopped[0])) > 2


def test_every_use_of_a_seed_gets_another_one() -> None:
    seeds = {training_seed(study, series, number) for study in range(3) for series in range(3) for number in range(50)}
    assert len(seeds) == 3 * 3 * 50
    assert training_seed(1, SEARCH_SEEDS, 2) == training_seed(1, SEARCH_SEEDS, 2)


def test_the_confirmation_repeats_best_and_baseline_under_the_same_fresh_seeds(study: Study, run: RunFolder) -> None:
    for accuracy in (0.5, 0.7, 0.9):
        run_trial(study, accuracy)
    best = best_trial(run.study())
    assert best is not None
    assert best.number == 2

    again = open_confirmation(run, load("san"), best, seeds=2, epochs=EPOCHS, seed=3)
    assert again.total == 4
    lives = [again.ask() for _ in range(again.total)]
    assert again.exhausted
    assert [live.trial.user_attrs[CONFIRMS] for live in lives] == [0, 2, 0, 2]
    assert [live.seed for live in lives] == [training_seed(3, CONFIRMATION_SEEDS, repeat) for repeat in (0, 0, 1, 1)]
    assert lives[1].trial.params == best.params
    assert not {live.seed for live in lives} & {trial.user_attrs[SEED] for trial in run.study().trials}


def test_a_confirmation_of_the_baseline_repeats_it_alone(study: Study, run: RunFolder) -> None:
    run_trial(study, 0.5)
    best = best_trial(run.study())
    assert best is not None
    again = open_confirmation(run, load("san"), best, seeds=3, epochs=EPOCHS, seed=3)
    assert again.total == 3


def test_a_study_without_a_complete_trial_has_no_best(study: Study, run: RunFolder) -> None:
    study.ask()
    assert best_trial(run.study()) is None


def test_the_same_seed_asks_for_the_same_trials(tmp_path: Path) -> None:
    asked = []
    for name in ("a", "b"):
        run = RunFolder.create(tmp_path / name, {}, {})
        study = open_search(run, load("san"), trials=5, epochs=EPOCHS, seed=7)
        asked.append([study.ask().settings for _ in range(5)])
    assert asked[0] == asked[1]
