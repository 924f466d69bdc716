from datetime import timedelta
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from results.jobs import Job
from results.plots.timeline import slot_names, timeline_table
from results.run_folder import RESUMED, SECONDS, WORKER
from results.tables.costs import _file_size, disk_sizes, seconds_saved, time_spent
from results.tables.formatting import show_bytes
from results.tables.slots import assign_slots, busy_seconds, spans
from tests.results.cohorts import two_workers, while_it_runs
from tests.results.journals import START, MakeRun, MakeSnapshot, complete, diverged, job, pruned, stopped, trial


def test_a_trial_lies_in_its_workers_slot() -> None:
    def on(worker: str, start: float, end: float) -> FrozenTrial:
        return complete(0.5, minutes=(start, end), **{WORKER: worker})

    placed = assign_slots(spans([on("b", 0, 2), on("a", 1, 3), on("a", 2, 4), on("b", 2, 3)]))

    assert [slot for _, slot in placed] == [("b", 0), ("a", 0), ("a", 1), ("b", 0)]
    assert list(slot_names([slot for _, slot in placed]).values()) == ["a (1)", "a (2)", "b"]


def test_time_is_split_into_useful_and_wasted(make_snapshot: MakeSnapshot) -> None:
    trials = [
        complete(0.5, seconds=500, minutes=(0, 10)),
        pruned(0.4, minutes=(0, 1)),
        trial(0.3, state=TrialState.FAIL, minutes=(1, 3), **{SECONDS: 60.0}),
        diverged(0.9, 0.0, minutes=(3, 4)),
        stopped(0.3, minutes=(4, 5)),
    ]
    spent = {cost.name: (cost.seconds, cost.useful) for cost in time_spent(make_snapshot(trials))}

    # Two places for 600 s; the trials held them for 600 + 60 + 120 + 60 + 60 s, and trained for 500 + 10 + 60 + 30.
    assert spent == {
        "trained to the end": (500, True),
        "stopped early": (20, True),
        "diverged": (20, True),
        "fresh seeds": (0, True),
        "not finished": (0, True),
        "failed": (60, False),
        "starting, saving, waiting": (300, False),
        "idle": (300, False),
    }


def test_of_a_cohorts_time_each_trial_has_its_share(make_snapshot: MakeSnapshot) -> None:
    trials, jobs = two_workers()
    spent = {cost.name: cost.seconds for cost in time_spent(make_snapshot(trials, jobs=jobs))}

    # Two workers for 7 of 8 minutes, since no job ran in the fifth; jobs of 240, 120 and 180 s, of which 220, 100 and
    # 160 s were trained. Trials that wait for the last job hold no slot.
    assert spent == {
        "trained to the end": 320,
        "stopped early": 160,
        "diverged": 0,
        "fresh seeds": 0,
        "not finished": 0,
        "failed": 0,
        "starting, saving, waiting": 60,
        "idle": 2 * 420 - 540,
    }


def test_a_share_of_what_ended_jobs_took_is_that_of_trials_that_go_on(make_snapshot: MakeSnapshot) -> None:
    trials, jobs = while_it_runs()
    spent = {cost.name: cost.seconds for cost in time_spent(make_snapshot(trials, jobs=jobs))}

    assert (spent["stopped early"], spent["not finished"]) == (160, 120 + 60)  # half of each job's trials go on
    assert (spent["starting, saving, waiting"], spent["idle"]) == (10 + 10, 120)


def test_a_trial_that_went_on_without_cohorts_holds_a_slot_of_its_own() -> None:
    def resumed(number: int, epochs: int) -> FrozenTrial:
        made = complete(*[0.5] * epochs, minutes=(0, 30), **{WORKER: "b"})
        made.user_attrs[RESUMED], made.number = (START + timedelta(minutes=20)).isoformat(), number
        return made

    first, planned = job(0, (0, 1), (0, 1), (0, 10), "a"), Job(1, (0,), 1, 2, due=2)
    found = spans([resumed(0, 4), resumed(1, 1)], [first, planned])

    assert [(span.job, span.worker, len(span.trials), span.seconds) for span in found] == [
        (first, "a", 2, 600),
        (None, "b", 1, 600),
    ]


def test_the_pause_before_a_search_was_resumed_is_no_time_of_its_trials(make_snapshot: MakeSnapshot) -> None:
    resumed = complete(0.5, seconds=100, minutes=(0, 720))
    resumed.user_attrs[RESUMED] = (START + timedelta(minutes=718)).isoformat()
    snapshot = make_snapshot([complete(0.5, seconds=240, minutes=(0, 4)), resumed])
    spent = {cost.name: cost.seconds for cost in time_spent(snapshot)}

    assert busy_seconds(spans(snapshot.search)) == 360
    assert (spent["trained to the end"], spent["starting, saving, waiting"], spent["idle"]) == (340, 20, 0)
    assert timeline_table(snapshot)["start"].tolist() == [START, START + timedelta(minutes=718)]


def test_stopping_early_saves_the_epochs_that_were_left(make_snapshot: MakeSnapshot) -> None:
    trials = [complete(*[0.5] * 4), pruned(0.4), pruned(0.4, 0.5, 0.5)]  # 4 epochs; 10 s for 1, 10 s for 3

    assert seconds_saved(make_snapshot(trials)) == pytest.approx(30 + 10 / 3)


def test_the_disk_is_told_by_file_and_folder(make_run: MakeRun) -> None:
    run = make_run([])
    (run.path / "ray" / "deep").mkdir(parents=True)
    (run.path / "ray" / "deep" / "log").write_bytes(b"x" * 5000)

    sizes = disk_sizes(run)

    assert next(iter(sizes.items())) == ("ray", 5000)
    assert sizes["settings.json"] == Path(run.settings_file).stat().st_size
    assert _file_size(run.path / "gone meanwhile") == 0


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (4_891_937, "4.89 MB")])
def test_sizes_read_naturally(size: int, text: str) -> None:
    assert show_bytes(size) == text
