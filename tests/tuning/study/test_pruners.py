import optuna
import pytest

from results.run_folder import DIVERGED
from tuning.study.pruners import SuccessiveHalving, bracket_of


def _study(pruner: optuna.pruners.BasePruner) -> optuna.Study:
    return optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))


@pytest.mark.parametrize("brackets", [0, -1])
def test_fewer_than_one_bracket_is_refused(brackets: int) -> None:
    with pytest.raises(ValueError, match=f"brackets must be >= 1, but got {brackets}"):
        SuccessiveHalving(brackets=brackets)


def test_the_decision_follows_from_the_journal_and_not_from_what_was_asked_before() -> None:
    study = _study(SuccessiveHalving())
    asked = []
    for score in (0.5, 0.7, 0.6, 0.4):
        trial = study.ask()
        trial.report(score, 1)
        asked.append(trial.should_prune())
    assert asked == [False, False, True, True]
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
