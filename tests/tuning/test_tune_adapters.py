"""What Tune hears of a study, asked as Tune asks, without Ray."""

from collections.abc import Callable

from ray.tune.search import Searcher
from studies import searching

from tuning.run_folder import RunFolder
from tuning.tune_adapters import NUMBER, Loan, StudySearcher


def test_the_last_trial_may_come_back_before_tune_is_told_that_there_are_no_more(
    make_run: Callable[..., RunFolder],
) -> None:
    run = make_run()
    loan = Loan(searching(run, trials=1), slots=2, common={}, max_failures=1)
    searcher = StudySearcher(loan)
    first = searcher.suggest("a")
    assert first is not None
    assert searcher.suggest("b") is None  # a slot is free, but no trial is left, as yet

    loan.unbegun[first[NUMBER]] += 1  # its worker died while it was given the trial
    searcher.on_trial_complete("a", error=True)
    assert searcher.suggest("c") == first

    loan.unbegun[first[NUMBER]] += 1
    searcher.on_trial_complete("c", error=True)
    assert searcher.suggest("d") == Searcher.FINISHED
    (trial,) = run.study().trials
    assert trial.state.name == "FAIL"
