"""Failed trials are run again when their search is resumed; the same failure in a row ends it."""

from collections.abc import Callable

import pytest
from optuna.trial import TrialState

from results.report.facts import count_lines
from results.run_folder import IS_BASELINE, REPEATS, SEED, RunFolder
from results.snapshot import load_snapshot
from results.tables.trials import trial_table
from search_spaces import load
from tests.tuning.studies import EPOCHS, ask, searching
from tuning.study.cohorts import Cohorts, Failure
from tuning.study.failures import FailuresInARow
from tuning.study.first_trials import first_trials, read_priors
from tuning.study.live_trial import Epoch
from tuning.study.open_study import open_confirmation, open_search
from tuning.study.stop_rules import StopRules
from tuning.study.study import Study

MakeRun = Callable[..., RunFolder]


def train(study: Study) -> int:
    """Trains the next trial to its end."""
    number = ask(study).trial.number
    for epoch in range(1, EPOCHS + 1):
        study.report(number, Epoch(epoch, 0.5, float(epoch)))
    study.finish(number)
    return number


def fail(study: Study, reason: str = "disk gone") -> int:
    number = ask(study).trial.number
    study.finish(number, reason)
    return number


def test_a_resumed_search_runs_failed_trials_again_the_baseline_first(make_run: MakeRun) -> None:
    run = make_run(pruner="none")
    first = searching(run, trials=5)
    fail(first)  # the baseline
    train(first)
    fail(first)
    assert first.baseline == 0

    resumed = searching(run, trials=5)
    assert resumed.stop_reason == ""
    assert [train(resumed) for _ in range(4)] == [3, 4, 5, 6]  # two again, and the two that were left
    assert resumed.ask() is None
    assert resumed.stop_reason == "all 5 trials run"
    assert len(resumed.ended) == 5

    trials = run.study().trials
    assert [trial.user_attrs.get(REPEATS) for trial in trials] == [None, None, None, 0, 2, None, None]
    for again, failed in ((trials[3], trials[0]), (trials[4], trials[2])):
        assert again.params == failed.params
        assert again.user_attrs[SEED] == failed.user_attrs[SEED]
    assert [trial.number for trial in trials if IS_BASELINE in trial.user_attrs] == [0, 3]
    assert resumed.baseline == run.baseline_number == load_snapshot(run).baseline_number == 3


def test_a_trial_that_fails_again_is_run_again_once_per_resume(make_run: MakeRun) -> None:
    run = make_run(pruner="none")
    fail(searching(run, trials=2))
    fail(searching(run, trials=2))
    study = searching(run, trials=2)
    searching(run, trials=2)  # opened twice before anything ran
    assert [trial.user_attrs.get(REPEATS) for trial in run.study().trials] == [None, 0, 1]
    train(study)
    assert (study.baseline, run.baseline_number) == (2, 2)
    assert searching(run, trials=2).stop_reason == ""


def test_a_search_without_failures_is_resumed_as_it_was(make_run: MakeRun) -> None:
    run = make_run(pruner="none")
    train(searching(run, trials=1))
    assert searching(run, trials=1).exhausted
    assert len(run.study().trials) == 1


def test_an_interrupted_trial_that_runs_a_failed_one_again_goes_on_as_that(make_run: MakeRun) -> None:
    run = make_run(pruner="none")
    fail(searching(run, trials=1))
    study = searching(run, trials=1)
    number = ask(study).trial.number
    study.report(number, Epoch(1, 0.5, 1.0))
    resumed = searching(run, trials=1)
    live = ask(resumed)
    assert (live.trial.number, dict(live.scores)) == (number, {1: 0.5})
    assert resumed.ask() is None


def test_failed_members_of_a_cohort_are_trained_together_again(make_run: MakeRun) -> None:
    run = make_run(pruner="none")
    cohorts = Cohorts(searching(run, trials=2), width=2, workers=1, max_failures=0)
    while attempt := cohorts.next():
        cohorts.finish(attempt, Failure("out of luck"))
    assert cohorts.is_over

    cohorts = Cohorts(searching(run, trials=2), width=2, workers=1, max_failures=0)
    attempt = cohorts.next()
    assert attempt is not None
    assert attempt.trials == (2, 3)
    for epoch in range(1, EPOCHS + 1):
        cohorts.report(attempt, {number: Epoch(epoch, 0.5, float(epoch)) for number in attempt.trials})
    cohorts.finish(attempt)
    assert cohorts.is_over
    assert [trial.state.name for trial in run.study().trials] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]


def test_cohorts_that_were_put_back_go_on_at_half_the_width(make_run: MakeRun) -> None:
    """As when the machine's memory runs low: in the same program, with the same study."""
    run = make_run(pruner="none")
    study = searching(run, trials=4)
    cohorts = Cohorts(study, width=4, workers=1)
    attempt = cohorts.next()
    assert attempt is not None
    cohorts.report(attempt, {number: Epoch(1, 0.5, 1.0) for number in attempt.trials})
    study.finish_or_interrupt_trials()
    assert study.live == study.jobs == {}

    cohorts, done = Cohorts(study, width=2, workers=1), []
    while attempt := cohorts.next():
        for epoch in range(1, EPOCHS + 1):  # the first again, as from a checkpoint
            cohorts.report(attempt, {number: Epoch(epoch, 0.5, float(epoch)) for number in attempt.trials})
        cohorts.finish(attempt)
        done.append(attempt.trials)
    assert done == [(0, 1), (2, 3)]
    trials = run.study().trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4
    assert [trial.user_attrs["seconds"] for trial in trials] == [EPOCHS] * 4


def test_what_is_copied_from_an_earlier_search_repeats_nothing_here(make_run: MakeRun) -> None:
    same = {"pruner": "none", "data_fingerprint": "same", "metric": "accuracy"}
    earlier = make_run("earlier", **same)
    fail(searching(earlier, trials=1))
    train(searching(earlier, trials=1))
    space = load("san")
    run = make_run("later", **same)
    study = open_search(
        run,
        space,
        StopRules(trials=1),
        first_trials=lambda: [
            *first_trials(space.baseline, []),
            *read_priors([earlier], run.settings, space),
        ],
    )
    assert train(study) == study.baseline == run.baseline_number == 0
    assert study.exhausted


def test_the_table_and_the_report_say_which_trial_ran_a_failed_one_again(make_run: MakeRun) -> None:
    run = make_run(pruner="none", trials=2)
    fail(searching(run, trials=2), "the worker process died")
    resumed = searching(run, trials=2)
    train(resumed)
    fail(resumed, "no such luck")
    snapshot = load_snapshot(run)
    reasons = trial_table(snapshot).set_index("trial")["reason"].to_dict()
    assert reasons == {0: "the worker process died (run again: trial 1)", 1: "", 2: "no such luck"}
    lines = count_lines(snapshot)
    assert "3 trials run (1 complete, 0 pruned, 2 failed, 0 running)" in lines[0]
    assert lines[1] == "Run again, because they had failed and the search was resumed: 0 as 1."


def test_a_failed_run_under_a_fresh_seed_is_run_again(make_run: MakeRun) -> None:
    run = make_run(pruner="none")
    train(search := searching(run, trials=1))
    fail(open_confirmation(run, load("san"), [0], seeds=1))
    again = open_confirmation(run, load("san"), [0], seeds=1)
    assert train(again) == 1
    found = run.study("confirmation").trials
    assert [trial.state for trial in found] == [TrialState.FAIL, TrialState.COMPLETE]
    assert found[0].user_attrs[SEED] == found[1].user_attrs[SEED]
    assert open_confirmation(run, load("san"), [0], seeds=1).exhausted
    assert search.best is not None


@pytest.mark.parametrize(("at_once", "needed"), [(1, 3), (3, 3), (5, 5)])
def test_the_same_failure_in_a_row_is_told(at_once: int, needed: int) -> None:
    failures = FailuresInARow()
    for number in range(needed):
        assert failures.describe(at_once) == ""
        failures.add(f"cannot read /data/part-{number}")
    assert failures.describe(at_once) == f"{needed} trials in a row failed: cannot read /data/part-{needed - 1}"
    failures.clear()
    assert failures.describe(at_once) == ""


def test_different_failures_and_too_little_memory_of_a_gpu_are_no_reason_to_end(make_run: MakeRun) -> None:
    failures = FailuresInARow()
    for reason in ("a", "b", "a", "b"):
        failures.add(reason)
    for _ in range(5):
        failures.add("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB")
    assert failures.describe(1) == ""

    study = searching(make_run(pruner="none"))
    for step in (fail, fail, train, fail, fail):
        step(study)
    assert study.failing(1) == ""
    fail(study)
    assert study.failing(1) == "3 trials in a row failed: disk gone"
    assert study.failing(4) == ""


def test_trials_that_failed_before_do_not_end_the_search_again(make_run: MakeRun) -> None:
    run = make_run(pruner="none")
    study = searching(run)
    for _ in range(3):
        fail(study)
    resumed = searching(run)
    for _ in range(3):
        fail(resumed)
    assert resumed.failing(1) == ""
