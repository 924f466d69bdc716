"""Which trials are trained together and what becomes of them, with workers that a test plays."""

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from results.jobs import read_jobs
from results.run_folder import RunFolder
from results.snapshot import COMPLETE, PRUNED, STOPPED, reason, state_of
from search_spaces import SearchSpace
from tests.tuning.studies import EPOCHS, searching
from tuning.study.cohorts import Attempt, Cohorts, Failure
from tuning.study.live_trial import Epoch

MakeRun = Callable[..., RunFolder]


SMALL_SPACE = SearchSpace(
    {"dropout": FloatDistribution(0, 0.7, step=0.1), "hops": IntDistribution(1, 3)}, {"dropout": 0.5, "hops": 2}
)
"""24 configurations, of which samplers draw some again."""


class Killed(BaseException):
    """The driver is killed."""


def score(settings: dict[str, Any], epoch: int) -> float:
    """A score that follows from the settings: the closer dropout is to 0.3 the better."""
    return float(1 - abs(settings["dropout"] - 0.3) - 0.1 / epoch)


def run_all(
    cohorts: Cohorts,
    order: random.Random | None = None,
    fail: Callable[[Attempt], Failure | None] = lambda _: None,
) -> list[Attempt]:
    """Plays workers until all is over; `order` says which of those that run ends its epoch next.

    Returns:
        The attempts, in the order in which they were started.
    """
    started: list[Attempt] = []
    running: list[tuple[Attempt, dict[int, dict[str, Any]], int]] = []
    while True:
        while attempt := cohorts.next():
            started.append(attempt)
            running.append((attempt, cohorts.settings(attempt), attempt.job.first))
        if not running:
            assert cohorts.is_over
            return started
        attempt, settings, epoch = running.pop(order.randrange(len(running)) if order else 0)
        if failure := fail(attempt):
            cohorts.finish(attempt, failure)
            continue
        epochs = {number: Epoch(epoch + 1, score(each, epoch + 1), 1.0) for number, each in settings.items()}
        if cohorts.report(attempt, epochs):
            running.append((attempt, settings, epoch + 1))
        else:
            cohorts.finish(attempt)


def outcome(run: RunFolder) -> list[tuple[object, ...]]:
    """All that a search found: of each trial number, parameters, seed, scores, state and reason."""
    return [_facts(trial) for trial in run.study().trials]


def _facts(trial: FrozenTrial) -> tuple[object, ...]:
    attributes = {name: trial.user_attrs.get(name) for name in ("seed", "reason", "baseline", "diverged")}
    return trial.number, trial.params, trial.state, trial.intermediate_values, attributes


def test_jobs_go_from_rung_to_rung_and_are_filled_up(make_run: MakeRun) -> None:
    run = make_run(sampler="random")
    attempts = run_all(Cohorts(searching(run, trials=16), width=4, workers=1))
    jobs = [(attempt.job.first, attempt.job.last, len(attempt.trials)) for attempt in attempts]
    # Two trials of the four go on; when four have the same epoch they share a job, before new ones start.
    assert jobs[:3] == [(0, 1, 4), (0, 1, 4), (1, 2, 4)]
    assert all(first in (0, 1, 2) for first, _, _ in jobs)
    assert sum(width for first, _, width in jobs if first == 0) == 16
    assert [attempt.job for attempt in attempts] == sorted((a.job for a in attempts), key=lambda job: job.number)
    recorded = read_jobs(run.study().user_attrs)
    assert [(job.first, job.last, len(job.trials)) for job in recorded] == jobs
    assert all(job.ended and job.started and job.started <= job.ended for job in recorded)


def test_a_job_trains_on_one_preparation_of_the_data(make_run: MakeRun) -> None:
    space = SearchSpace(
        {**SMALL_SPACE.parameters, "data": CategoricalDistribution(["7x7", "14x14"])},
        {**SMALL_SPACE.baseline, "data": "7x7"},
    ).only(["dropout", "data"])
    run = make_run(sampler="random")
    attempts = run_all(Cohorts(searching(run, trials=12, space=space), width=4, workers=1))
    chosen = [trial.params["data"] for trial in run.study().trials]
    assert set(chosen) == {"7x7", "14x14"}
    assert all(len({chosen[number] for number in attempt.trials}) == 1 for attempt in attempts)


def test_a_rung_is_ranked_as_a_whole(make_run: MakeRun) -> None:
    """One after the other, the first trials of a rung would go on whatever comes after them."""
    run = make_run(sampler="random")
    attempts = run_all(Cohorts(searching(run, trials=4), width=4, workers=1))
    trials = run.study().trials
    first = attempts[0].trials
    ranked = sorted(first, key=lambda number: -trials[number].intermediate_values[1])
    stopped = {number for number in first if trials[number].user_attrs["reason"] == "pruned after epoch 1"}
    assert stopped == set(ranked[2:]) - {0}  # the baseline, trial 0, is never pruned


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_result_does_not_depend_on_which_worker_is_faster(make_run: MakeRun, sampler: str) -> None:
    found = []
    for seed in range(4):
        run = make_run(str(seed), sampler=sampler)
        run_all(Cohorts(searching(run, trials=24), width=4, workers=3), random.Random(seed))
        found.append(outcome(run))
    assert found[1:] == found[:-1]
    assert len(found[0]) == 24


@pytest.mark.parametrize(("workers", "space"), [(2, None), (1, SMALL_SPACE)])
def test_a_killed_search_ends_as_one_that_was_not(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, workers: int, space: SearchSpace | None
) -> None:
    """It is killed after 24 to 30 lines that it writes into the journal, again and again."""
    whole, run, left = make_run("whole"), make_run("killed"), 0
    run_all(Cohorts(searching(whole, trials=16, space=space), width=4, workers=workers))
    backend = type(run.storage()._backend)
    append = backend.append_logs

    def append_or_die(self: object, logs: list[dict[str, Any]]) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        append(self, logs)  # type: ignore[arg-type]

    monkeypatch.setattr(backend, "append_logs", append_or_die)
    kills = 0
    while True:
        left = 24 + kills % 7  # to resume takes up to 20 lines
        try:
            run_all(Cohorts(searching(run, trials=16, space=space), width=4, workers=workers))
        except Killed:
            kills += 1
            continue
        break
    assert kills > 10
    assert outcome(run) == outcome(whole)


def test_trials_that_cannot_share_a_step_are_in_jobs_of_their_own(make_run: MakeRun) -> None:
    run = make_run(sampler="random")
    space = SearchSpace(
        {"dropout": FloatDistribution(0, 0.7), "batch_size": CategoricalDistribution([50, 100])},
        {"dropout": 0.5, "batch_size": 100},
    )
    study = searching(run, trials=20, space=space)
    attempts = run_all(Cohorts(study, width=4, workers=1))
    trials = run.study().trials
    assert all(len({trials[number].params["batch_size"] for number in attempt.trials}) == 1 for attempt in attempts)
    assert {trial.state.is_finished() for trial in trials} == {True}
    assert max(len(attempt.trials) for attempt in attempts) == 4


def test_one_that_breaks_its_cohort_is_found_and_fails_alone(make_run: MakeRun) -> None:
    run = make_run(sampler="random")
    cohorts = Cohorts(searching(run, trials=8), width=8, workers=1, max_failures=1)
    attempts = run_all(cohorts, fail=lambda a: Failure("the loss is a text") if 5 in a.trials else None)
    failed = [trial for trial in run.study().trials if trial.state.name == "FAIL"]
    assert [(trial.number, trial.user_attrs["reason"]) for trial in failed] == [(5, "the loss is a text")]
    assert [len(attempt.trials) for attempt in attempts if 5 in attempt.trials] == [8, 4, 2, 1, 1]
    assert all(trial.intermediate_values for trial in run.study().trials if trial.number != 5)
    assert cohorts.width == 8


def test_a_worker_that_dies_is_replaced_before_its_trials_are_suspected(make_run: MakeRun) -> None:
    run, deaths = make_run(sampler="random"), iter([Failure("the worker process died", worker_died=True)] * 2)
    cohorts = Cohorts(searching(run, trials=8), width=8, workers=1, max_failures=2)
    attempts = run_all(cohorts, fail=lambda _: next(deaths, None))
    assert [len(attempt.trials) for attempt in attempts[:3]] == [8, 8, 8]
    assert all(trial.state.name != "FAIL" for trial in run.study().trials)


def test_too_little_memory_halves_the_width(make_run: MakeRun) -> None:
    run = make_run(sampler="random")
    cohorts = Cohorts(searching(run, trials=16), width=8, workers=1)
    full = Failure("CUDA out of memory", out_of_memory=True)
    attempts = run_all(cohorts, fail=lambda attempt: full if len(attempt.trials) > 2 else None)
    assert cohorts.width == 2
    assert all(trial.state.name != "FAIL" for trial in run.study().trials)
    assert [len(attempt.trials) for attempt in attempts[:7]] == [8, 4, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_search_that_is_given_more_time_ends_as_one_that_had_it(make_run: MakeRun, workers: int) -> None:
    short, whole = make_run("short", sampler="random"), make_run("whole", sampler="random")
    study = searching(short, trials=24, gpu_hours=10 / 3600, gpus=1)
    run_all(Cohorts(study, width=4, workers=workers))  # a trial takes 1 s here
    assert study.stop_reason.endswith("GPU hours used up")
    trials = short.study().trials
    assert {state_of(trial) for trial in trials} - {PRUNED, COMPLETE} == {STOPPED}
    assert any(re.fullmatch(r"stopped after epoch \d: .* GPU hours used up", reason(trial)) for trial in trials)

    for run in (short, whole):
        run_all(Cohorts(searching(run, trials=24), width=4, workers=workers))
    assert outcome(short) == outcome(whole)


def test_a_diverged_trial_ends_at_the_rung(make_run: MakeRun) -> None:
    run = make_run(sampler="random", pruner="none")
    cohorts = Cohorts(searching(run, trials=4), width=4, workers=1)
    attempt = cohorts.next()
    assert attempt
    assert attempt.job.last == EPOCHS
    for epoch in range(1, EPOCHS + 1):
        trials = [number for number in attempt.trials if number != 2 or epoch <= 2]
        diverged = {2: "the loss is nan"} if epoch == 2 else {}
        epochs = {number: Epoch(epoch, 0.5, 1.0, diverged.get(number, "")) for number in trials}
        assert cohorts.report(attempt, epochs) == (epoch < EPOCHS)
    cohorts.finish(attempt)
    assert cohorts.is_over
    trial = run.study().trials[2]
    assert trial.user_attrs["reason"] == "diverged in epoch 2: the loss is nan"
    assert trial.intermediate_values == {1: 0.5, 2: 0.0}


def test_a_search_without_cohorts_goes_on_with_them(make_run: MakeRun) -> None:
    run = make_run(sampler="random")
    study = searching(run, trials=9)
    for epochs in (1, 2, 0):
        live = study.ask()
        assert live
        for epoch in range(1, epochs + 1):
            study.report(live.trial.number, Epoch(epoch, 0.9, 1.0))
    attempts = run_all(Cohorts(searching(run, trials=9), width=4, workers=1))
    assert all(trial.state.is_finished() for trial in run.study().trials)
    assert len(run.study().trials) == 9
    assert [attempt.job.first for attempt in attempts if 0 in attempt.trials] == [1, 2]


def test_parts_of_a_job_are_trained_at_its_width(make_run: MakeRun) -> None:
    """A trial's bits depend on the width. Halves of a job that failed, and a resumed job, keep the job's."""
    run = make_run(sampler="random")
    cohorts = Cohorts(searching(run, trials=8), width=8, workers=1)
    whole = cohorts.next()
    assert whole
    cohorts.finish(whole, Failure("the loss is a text"))
    half = cohorts.next()
    assert half
    assert len(half.trials) == 4
    assert cohorts.widths(half) == {number: {1: 8} for number in half.trials}
    resumed = Cohorts(searching(run, trials=8), width=4, workers=1)
    part = resumed.next()
    assert part
    assert resumed.widths(part) == {
        number: {1: 4} for number in part.trials
    }  # --cohort 4 was given when it was resumed


def test_what_is_planned_when_time_is_up_is_not_started(make_run: MakeRun) -> None:
    run = make_run(sampler="random")
    cohorts = Cohorts(searching(run, trials=None, gpu_hours=1 / 3600, gpus=1), width=2, workers=2)
    first = cohorts.next()
    assert first
    cohorts.report(first, {number: Epoch(1, 0.5, 1.0) for number in first.trials})
    cohorts.finish(first)
    assert cohorts.next() is None
    assert cohorts.is_over
    reasons = {bool(trial.intermediate_values): reason(trial) for trial in run.study().trials}
    why = "0.000277778 GPU hours used up"
    assert reasons == {True: f"stopped after epoch 1: {why}", False: f"stopped before its first epoch: {why}"}


def test_an_attempt_on_a_node_that_cannot_run_trials_is_made_again_and_never_counts(make_run: MakeRun) -> None:
    run, misplaced = make_run(sampler="random"), iter([Failure("no room", misplaced=True)] * 9)
    undisturbed = make_run("undisturbed", sampler="random")
    run_all(Cohorts(searching(undisturbed, trials=8), width=4, workers=1))
    cohorts = Cohorts(searching(run, trials=8), width=4, workers=1, max_failures=0)
    attempts = run_all(cohorts, fail=lambda _: next(misplaced, None))
    assert [attempt.trials for attempt in attempts[:10]] == [attempts[0].trials] * 10
    assert outcome(run) == outcome(undisturbed)


def test_workers_that_join_get_jobs_at_once(make_run: MakeRun) -> None:
    cohorts = Cohorts(searching(make_run(sampler="random"), trials=16), width=4, workers=1)
    assert cohorts.next()
    assert cohorts.next() is None
    cohorts.use_workers(3)
    assert cohorts.next()
    cohorts.use_workers(1)  # those that run go on
    assert cohorts.next()
    assert cohorts.next() is None
