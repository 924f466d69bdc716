import json
from collections.abc import Sequence

import pytest
from optuna.trial import FrozenTrial

from results.jobs import Job
from results.run_folder import CONFIRMATION, CONFIRMS, RunFolder
from results.snapshot import best_length, load_snapshot
from results.tables import trial_table
from san_core.errors import InputError
from tests.results.cohorts import two_workers
from tests.results.journals import SETTINGS, WUPS, MakeRun, MakeSnapshot, complete, diverged, failed, fresh, pruned


def test_a_line_that_a_kill_cut_short_is_passed_over(make_run: MakeRun) -> None:
    run = make_run([complete(0.5)])
    with run.journal.open("a") as journal:
        journal.write('{"op_code": 4, "worker')

    assert trial_table(load_snapshot(run))["state"].tolist() == ["complete"]


def test_a_damaged_journal_is_named(make_run: MakeRun) -> None:
    run = make_run([complete(0.5)])
    lines = run.journal.read_text().splitlines(keepends=True)
    run.journal.write_text("".join([lines[0], "gibberish\n", *lines[1:]]))

    with pytest.raises(InputError, match=r"cannot read .*journal\.log: "):
        load_snapshot(run)


def test_a_journal_without_a_search_is_an_error(make_run: MakeRun) -> None:
    run = make_run([])
    run.journal.write_text("")

    with pytest.raises(InputError, match="holds no study called 'search'"):
        load_snapshot(run)


def test_a_snapshot_does_not_change_while_the_search_goes_on(make_run: MakeRun) -> None:
    run = make_run([complete(0.5)])
    snapshot = load_snapshot(run)
    run.study().add_trial(complete(0.9))

    assert len(trial_table(snapshot)) == 1
    assert len(trial_table(load_snapshot(run))) == 2


def test_a_run_without_environment_can_be_read(make_run: MakeRun) -> None:
    run = make_run([])
    run.environment_file.unlink()

    snapshot = load_snapshot(RunFolder.open(run.path))

    assert snapshot.environment == {}
    assert snapshot.settings == SETTINGS
    assert snapshot.confirmations == []
    assert CONFIRMATION not in run.journal.read_text()


def test_a_snapshot_names_the_metric_of_its_search(make_snapshot: MakeSnapshot) -> None:
    snapshot = make_snapshot([], **WUPS)

    assert (snapshot.metric, snapshot.metric_title) == ("wups@0.9", "WUPS@0.9")


def test_a_run_whose_settings_name_no_metric_was_scored_by_accuracy(make_run: MakeRun) -> None:
    run = make_run([])
    assert run.setting("metric") == "accuracy"
    run.settings_file.write_text(json.dumps({"space": "san"}))
    snapshot = load_snapshot(run)  # reads the file anew

    assert (snapshot.metric, snapshot.metric_title) == ("accuracy", "accuracy")


def test_a_snapshot_has_the_jobs_of_both_studies_by_number(make_snapshot: MakeSnapshot) -> None:
    trials, jobs = two_workers()
    repeats = [Job(0, (0, 1), 0, 2, due=2)]
    snapshot = make_snapshot(trials, [fresh(1, 0.6), fresh(1, 0.7)], jobs[::-1], repeats)

    assert (snapshot.jobs, snapshot.confirmation_jobs) == (jobs, repeats)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((3,), "cohort 7: trial 3"),
        (range(12, 28), "cohort 7: trials 12-27"),
        ((9, 1, 2, 5, 7), "cohort 7: trials 1-2, 5, 7, 9"),
        ((1, 3, 5, 7, 9), "cohort 7: 5 trials from 1 to 9"),
    ],
)
def test_a_job_is_told_in_words(numbers: Sequence[int], words: str) -> None:
    assert Job(7, tuple(numbers), 0, 1, due=1).title() == words


def test_a_configuration_is_as_long_as_the_best_epoch_of_its_mean_curve(make_snapshot: MakeSnapshot) -> None:
    def again(number: int, *scores: float, **rest: object) -> FrozenTrial:
        return complete(*scores, **{"seed": 100, CONFIRMS: number, **rest})

    search = [complete(0.5, 0.9, 0.6), complete(0.5, 0.9, 0.6), pruned(0.4, 0.3), complete(0.5, 0.7, 0.6)]
    repeats = [
        again(0, 0.5, 0.5, 0.8),
        again(0, 0.7, 0.5, 0.8),
        again(1, 0.9, 0.1),  # it has not all epochs
        diverged(0.9, 0.1, 0.1, **{CONFIRMS: 1}),
        again(3, 0.5, 0.6, 0.7),
    ]
    snapshot = make_snapshot(search, repeats)
    assert [best_length(snapshot, trial) for trial in snapshot.search] == [3, 2, 1, 2]  # of equal means the first
    assert best_length(snapshot, failed(why="")) == 0
