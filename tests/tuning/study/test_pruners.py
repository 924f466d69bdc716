from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from results.run_folder import BY_QUESTION, DIVERGED, RunFolder
from san_core.question_scores import QuestionScores
from tests.tuning.studies import EPOCHS, ask, searching
from tuning.study.lengths import first_rung
from tuning.study.live_trial import Epoch
from tuning.study.pruners import SuccessiveHalving, bracket_of, next_decision


def _study(pruner: optuna.pruners.BasePruner) -> optuna.Study:
    return optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))


@pytest.mark.parametrize("brackets", [0, -1])
def test_fewer_than_one_bracket_is_refused(brackets: int) -> None:
    with pytest.raises(ValueError, match=f"brackets must be >= 1, but got {brackets}"):
        SuccessiveHalving(brackets=brackets)


def test_a_study_that_minimizes_is_refused() -> None:
    study = optuna.create_study(pruner=SuccessiveHalving(), sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    trial.report(0.5, 1)
    with pytest.raises(ValueError, match="the study's direction must be maximize, but got minimize"):
        trial.should_prune()


def test_the_decision_follows_from_the_journal_and_not_from_what_was_asked_before() -> None:
    study = _study(SuccessiveHalving())
    decisions = []
    for score in (0.5, 0.7, 0.6, 0.4):
        trial = study.ask()
        trial.report(score, 1)
        decisions.append(trial.should_prune())
    assert decisions == [False, False, True, True]
    study.pruner = SuccessiveHalving()  # has not been asked about any trial
    assert trial.should_prune()


def test_an_epoch_that_diverged_is_not_compared_with() -> None:
    study = _study(SuccessiveHalving())
    for score, diverged in ((0.9, False), (0.0, True), (0.0, True), (0.0, True)):
        trial = study.ask()
        trial.report(score, 1)
        if diverged:
            trial.set_user_attr(DIVERGED, True)
        study.tell(trial, score)
    trial = study.ask()
    trial.report(0.7, 1)
    assert trial.should_prune()  # the worse of two; second of five, it would go on


def test_a_round_of_brackets_has_the_sizes_that_hyperband_gives_them() -> None:
    sizes = [8, 6, 4, 4]  # of 4 brackets: ceil(4 * 2^s / (s + 1)) for s = 3, 2, 1, 0
    brackets = [bracket_of(number, 4) for number in range(2 * sum(sizes))]
    assert [brackets[: sum(sizes)].count(bracket) for bracket in range(4)] == sizes
    assert brackets[: sum(sizes)] == brackets[sum(sizes) :]


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


def test_trials_of_a_hyperband_bracket_are_not_pruned_before_its_first_rung(make_run: Callable[..., RunFolder]) -> None:
    brackets = [bracket_of(number, 3) for number in range(1000)]
    assert {bracket: brackets.count(bracket) > 0 for bracket in range(3)} == dict.fromkeys(range(3), True)
    assert brackets.count(0) > brackets.count(1) >= brackets.count(2)
    study = searching(make_run(pruner="hyperband"), trials=60)
    for number in range(60):
        live = ask(study)
        assert live.trial.number == number
        for epoch in range(1, EPOCHS + 1):
            if not study.report(number, Epoch(epoch, 1.0 - number / 100, 1.0)):
                break
        study.finish(number)
    ended_after = {trial.number: len(trial.intermediate_values) for trial in study.optuna_study.trials}
    for number, epochs in list(ended_after.items())[20:]:
        assert epochs == 2 ** bracket_of(number, 3)  # ever worse: stopped as soon as the bracket judges


def _answers(right: int, questions: int = 100) -> str:
    """Of these questions the first are answered right."""
    return QuestionScores.of((np.arange(questions) < right).astype(float)).to_text()


def _tolerant_decisions(answers: list[int], pruner: SuccessiveHalving, epoch: int = 1) -> list[bool]:
    """Whether each trial with so many right answers of 100 is stopped, told as a study tells it."""
    study, decisions = _study(pruner), []
    for right in answers:
        trial = study.ask()
        trial.set_user_attr(f"{BY_QUESTION}{epoch}", _answers(right))
        trial.report(right / 100, epoch)
        decisions.append(trial.should_prune())
    return decisions


def test_a_trial_that_is_behind_by_chance_goes_on() -> None:
    # 51 and 50 right answers differ in one question: a difference of 0.01 with a standard error of 0.00995.
    assert _tolerant_decisions([51, 50], SuccessiveHalving(tolerance=1.0)) == [False, True]
    assert _tolerant_decisions([51, 50], SuccessiveHalving(tolerance=1.1)) == [False, False]
    assert _tolerant_decisions([51, 50], SuccessiveHalving(tolerance=0.0)) == [False, True]
    assert _tolerant_decisions([51, 40, 50], SuccessiveHalving(tolerance=1.1)) == [False, True, False]


def test_without_scores_on_single_questions_the_worse_half_stops() -> None:
    study = _study(SuccessiveHalving(tolerance=100.0))
    decisions = []
    for score in (0.51, 0.5):
        trial = study.ask()
        trial.report(score, 1)
        decisions.append(trial.should_prune())
    assert decisions == [False, True]


def test_no_trial_is_stopped_before_the_first_rung() -> None:
    rungs = [epoch for epoch in range(1, 14) if SuccessiveHalving(first=3).is_rung(epoch, 0)]
    assert rungs == [3, 6, 12]
    assert [next_decision(SuccessiveHalving(first=3), epoch, 10) for epoch in (0, 3, 5, 6)] == [3, 6, 6, 10]
    assert _tolerant_decisions([51, 10], SuccessiveHalving(first=3), epoch=2) == [False, False]
    assert _tolerant_decisions([51, 10], SuccessiveHalving(first=3), epoch=3) == [False, True]
    with pytest.raises(ValueError, match="first must be >= 1, but got 0"):
        SuccessiveHalving(first=0)


@pytest.mark.parametrize(("steps", "epochs", "rung"), [(380, 12, 1), (100, 12, 1), (31, 10, 4), (15, 10, 7), (5, 4, 4)])
def test_the_first_rung_comes_after_enough_steps(steps: int, epochs: int, rung: int) -> None:
    assert first_rung(steps, epochs) == rung


def test_with_folds_trials_are_compared_on_the_first_and_at_the_end_of_each() -> None:
    pruner = SuccessiveHalving(fold_epochs=5)
    assert [epoch for epoch in range(1, 21) if pruner.is_rung(epoch, 0)] == [1, 2, 4, 5, 10, 15, 20]
    assert [next_decision(pruner, epoch, 20) for epoch in (0, 1, 2, 4, 5, 9, 10, 15, 19)] == [
        *(1, 2, 4, 5),
        *(10, 10, 15, 20, 20),
    ]
