"""Trials that are trained on several folds, driven by hand: what the study and the snapshot make of their scores."""

from collections.abc import Callable

import numpy as np
import pytest
from optuna.trial import TrialState

from results.run_folder import BY_QUESTION, CONFIRMATION, RunFolder
from results.snapshot import best_epoch, best_score, curve_over_folds, fold_scores, load_snapshot
from san_core.question_scores import QuestionScores
from search_spaces import load
from tests.tuning.studies import EPOCHS, ask, searching
from tuning.study.live_trial import Epoch
from tuning.study.open_study import open_confirmation
from tuning.study.study import Study

FOLDS = 3


@pytest.fixture
def run(make_run: Callable[..., RunFolder]) -> RunFolder:
    return make_run(folds=FOLDS, pruner="tolerant")


def _train(study: Study, means: list[float], right: int = 50) -> int:
    """Reports these scores, the last one again and again; returns after how many epochs the trial ended."""
    number, epoch = ask(study).trial.number, 0
    answers = QuestionScores.of((np.arange(100) < right).astype(float)).to_text()
    for epoch in range(1, FOLDS * EPOCHS + 1):
        score = means[min(epoch, len(means)) - 1]
        if not study.report(number, Epoch(epoch, score, 1.0 * epoch, by_question=answers)):
            break
    study.finish(number)
    return epoch


def test_the_score_of_a_trial_is_the_best_of_the_mean_curve_over_all_folds(run: RunFolder) -> None:
    curves = [[0.1, 0.9, 0.1, 0.1], [0.2, 0.5, 0.6, 0.3], [0.2, 0.3, 0.4, 0.5]]
    assert _train(searching(run), [score for curve in curves for score in curve]) == FOLDS * EPOCHS
    (trial,) = load_snapshot(run).search
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.5)
    assert (best_score(trial), best_epoch(trial)) == (0.5, 4)
    found = fold_scores(trial, [10, 30, 20])
    # means over 10, 40 and 60 questions: 0.1, 0.3 and 0.5
    assert found == pytest.approx([0.1, (0.3 * 40 - 0.1 * 10) / 30, (0.5 * 60 - 0.3 * 40) / 20])
    assert np.average(found, weights=[10, 30, 20]) == pytest.approx(best_score(trial))


def test_a_trial_that_is_behind_at_the_end_of_a_fold_is_stopped_there(run: RunFolder) -> None:
    study = searching(run)
    _train(study, [0.5])
    assert _train(study, [0.5] * EPOCHS + [0.3]) == 2 * EPOCHS
    trial = load_snapshot(run).search[1]
    assert trial.state == TrialState.PRUNED
    assert best_score(trial) == 0.3
    assert {name for name in trial.user_attrs if name.startswith(BY_QUESTION)} == {
        f"{BY_QUESTION}{epoch}" for epoch in (1, 2, 4, 8)
    }
    assert fold_scores(trial, [10, 10, 10]) == []


def test_a_trial_that_is_behind_by_chance_goes_on_to_the_next_fold(run: RunFolder) -> None:
    study = searching(run)
    _train(study, [0.5], right=50)
    assert _train(study, [0.495], right=49) == FOLDS * EPOCHS


@pytest.mark.parametrize(
    ("scores", "curve"),
    [
        ({}, {}),
        ({1: 0.1, 2: 0.2}, {1: 0.1, 2: 0.2}),
        ({1: 0.1, 2: 0.2, 3: 0.3}, {1: 0.1, 2: 0.2, 3: 0.3}),
        ({1: 0.1, 2: 0.2, 3: 0.3, 4: 0.9, 5: 0.9}, {1: 0.1, 2: 0.2, 3: 0.3}),
        ({1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5, 6: 0.6, 7: 0.9}, {1: 0.4, 2: 0.5, 3: 0.6}),
    ],
)
def test_the_curve_is_that_of_the_last_fold_with_all_epochs(scores: dict[int, float], curve: dict[int, float]) -> None:
    assert curve_over_folds(scores, 3) == curve
    assert curve_over_folds(scores, None) == scores


def test_fresh_seeds_are_trained_on_folds_too(run: RunFolder) -> None:
    _train(searching(run), [0.5])
    study = open_confirmation(run, load("san"), [0], 1)
    assert study.epochs == FOLDS * EPOCHS
    assert _train(study, [0.9] * EPOCHS + [0.4]) == FOLDS * EPOCHS
    (trial,) = run.study(CONFIRMATION).trials
    assert (trial.value, best_score(trial)) == (0.4, 0.4)
