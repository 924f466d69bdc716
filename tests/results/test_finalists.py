import math

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState

from results.finalists import finalists, fresh_scores
from results.race import DIVERGED
from results.run_folder import BY_QUESTION, CONFIRMS, SEED
from san_core.question_scores import QuestionScores
from tests.results.journals import MakeSnapshot, complete, diverged, failed, fresh, pruned, trial

RIGHT = np.arange(1000) % 5 > 0  # 80 % of 1,000 questions


def numbered(*trials: FrozenTrial) -> list[FrozenTrial]:
    for number, each in enumerate(trials):
        each.number = number
    return list(trials)


def by_question(score: float, epoch: int, right: np.ndarray) -> FrozenTrial:
    return complete(score, **{f"{BY_QUESTION}{epoch}": QuestionScores.of(right.astype(float)).to_text()})


def test_the_finalists_are_the_best_and_two_that_chance_may_have_put_behind_it() -> None:
    # Two standard errors of the difference to 0.8 on 1000 questions: 0.0363 (0.77), 0.0368 (0.76)
    search = numbered(complete(0.77), complete(0.8), pruned(0.9), complete(0.764), complete(0.78), failed(why="x"))
    assert finalists(search, 1000) == [1, 4, 0]
    assert finalists(search, 10_000) == [1]
    assert finalists(search, None) == [1]


def test_there_is_no_race_where_chance_explains_less_than_half_a_point() -> None:
    search = numbered(complete(0.996), complete(0.996))  # two standard errors: 0.0022 on 6,000 questions, 0.013 on 200
    assert finalists(search, 6000) == [0]
    assert finalists(search, 200) == [0, 1]


def test_equal_scores_are_finalists_by_number() -> None:
    assert finalists(numbered(*(complete(0.8) for _ in range(4))), 1000) == [0, 1, 2]


def test_a_search_without_a_complete_trial_has_no_finalist() -> None:
    assert finalists(numbered(pruned(0.5), diverged(0.9, 0.0)), 1000) == []


def test_trials_are_compared_question_by_question_where_the_journal_can() -> None:
    close, apart = RIGHT.copy(), np.roll(RIGHT, 2)
    close[np.flatnonzero(RIGHT)[:14]], close[np.flatnonzero(~RIGHT)[:16]] = False, True
    best = by_question(0.802, 4, close)  # 30 of 1000 are answered differently: error sqrt(0.03 / 1000) = 0.0055
    assert finalists(numbered(best, by_question(0.792, 4, RIGHT)), 1000) == [0, 1]
    assert finalists(numbered(best, by_question(0.790, 4, RIGHT)), 1000) == [0]  # within chance were they independent
    # 400 of 1000 are answered differently: error sqrt(0.4 / 1000) = 0.02
    assert finalists(numbered(best, by_question(0.765, 4, apart)), 1000) == [0, 1]


def test_the_last_epoch_that_both_have_counts() -> None:
    best, other = by_question(0.802, 2, RIGHT), by_question(0.799, 2, np.roll(RIGHT, 2))
    assert finalists(numbered(best, other), 1000) == [0, 1]
    for each in (best, other):
        each.user_attrs[f"{BY_QUESTION}10"] = QuestionScores.of(RIGHT.astype(float)).to_text()
    assert finalists(numbered(best, other), 1000) == [0]  # no question differs after epoch 10


@pytest.mark.parametrize("text", ["", "x", "7:eJw=", 5, None, QuestionScores.of(np.ones(3)).to_text()])
def test_damaged_scores_of_questions_are_passed_over(text: object) -> None:
    best, other = by_question(0.802, 4, RIGHT), by_question(0.80, 4, RIGHT)
    other.user_attrs[f"{BY_QUESTION}4"] = text
    best.user_attrs[f"{BY_QUESTION}²"] = other.user_attrs[f"{BY_QUESTION}²"] = "?"
    assert finalists(numbered(best, other), 1000) == [0, 1]


def test_scores_under_fresh_seeds_are_told_apart_by_round() -> None:
    again = [fresh(2, 0.7, seed=8), fresh(0, 0.5, seed=8), fresh(0, 0.51, seed=3), fresh(2, 0.72, seed=3)]
    assert fresh_scores(again) == {2: {0: 0.7, 1: 0.72}, 0: {0: 0.5, 1: 0.51}}
    assert fresh_scores(again[:3] + [fresh(5, 0.6, seed=3)])[5] == {1: 0.6}


def test_runs_without_a_score_are_told_apart() -> None:
    lost, wild = failed(why="x"), diverged(0.3, 0.0)
    for each in (lost, wild):
        each.user_attrs |= {CONFIRMS: 1, SEED: 3}
    running = trial(0.1, state=TrialState.RUNNING, **{CONFIRMS: 2, SEED: 3})
    unknown = trial(0.1, state=TrialState.RUNNING)
    assert math.isnan(fresh_scores([lost])[1][0])
    assert fresh_scores([lost, wild]) == {1: {0: DIVERGED}}
    assert fresh_scores([running, unknown]) == {2: {}}
    assert fresh_scores([lost, fresh(1, 0.5, seed=3)]) == {1: {0: 0.5}}
    waiting = trial(state=TrialState.WAITING, **{CONFIRMS: 1, SEED: 3})
    assert fresh_scores([lost, waiting]) == {1: {}}  # it is being run again


def test_the_winner_of_the_race_is_the_best(make_snapshot: MakeSnapshot) -> None:
    search = [complete(0.5), complete(0.62), complete(0.60), complete(0.61), pruned(0.7)]
    again = [fresh(1, 0.58, seed=1), fresh(2, 0.61, seed=1), fresh(3, 0.60, seed=1)]
    snapshot = make_snapshot(search, again)

    assert snapshot.race.finalists == [1, 3, 2]
    assert snapshot.best_number == 2
    assert [each.number for each in snapshot.ranked] == [2, 1, 3, 0]


@pytest.mark.parametrize("again", [None, [fresh(1, 0.3, seed=1), fresh(0, 0.5, seed=1)]])
def test_without_a_race_the_best_score_of_the_search_is_the_best(
    make_snapshot: MakeSnapshot, again: list[FrozenTrial] | None
) -> None:
    snapshot = make_snapshot([complete(0.5), complete(0.62), complete(0.60)], again)

    assert snapshot.race.finalists == [1, 2]
    assert snapshot.best_number == 1
    assert not snapshot.race.was_run
