"""Whole searches with cohorts: real workers, a real Ray."""

import time
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial

from results.run_folder import RunFolder
from results.snapshot import FAILED, RunSnapshot, load_snapshot, state_of
from san_core.data.prepared import PreparedData
from tests.tuning.commands import Project
from tuning import retrain
from tuning.retraining.score_check import check_score
from tuning.search import search
from tuning.study.live_trial import LiveTrial

pytestmark = pytest.mark.long

SIZES = {"hidden_size": 64, "attention_size": 32, "batch_size": 8}


@pytest.fixture(scope="module")
def options(tiny_data: PreparedData) -> dict[str, Any]:
    return {
        "data": str(tiny_data.folder),
        "trials": 8,
        "epochs": 2,
        "folds": 2,
        "cohort": 4,
        "concurrent": 1,
        "confirm": 1,
        "seed": 2,
        "set": SIZES,
        "no_dashboard": True,
    }


@pytest.fixture(scope="module")
def run(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return search(run=str(tmp_path_factory.mktemp("cohorts") / "run"), **options)


@pytest.fixture(scope="module")
def snapshot(run: RunFolder) -> RunSnapshot:
    return load_snapshot(run)


def test_trials_are_trained_together_and_recorded_one_by_one(snapshot: RunSnapshot) -> None:
    assert [job.trials for job in snapshot.jobs[:2]] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert all(job.ended and job.worker for job in snapshot.jobs)
    assert {trial.state.is_finished() for trial in snapshot.search} == {True}
    assert [set(trial.intermediate_values) for trial in snapshot.search if trial.number == 0] == [{1, 2, 3, 4}]  # folds
    assert len({trial.user_attrs["seed"] for trial in snapshot.search}) == 8


def test_the_finalists_and_the_baseline_run_together_under_a_fresh_seed(snapshot: RunSnapshot) -> None:
    repeated = {trial.user_attrs["confirms"] for trial in snapshot.confirmations}
    assert repeated == {0, *snapshot.race.finalists}
    assert [job.trials for job in snapshot.confirmation_jobs] == [tuple(range(len(repeated)))]


def test_a_trial_is_repeated_to_the_last_bit(run: RunFolder, snapshot: RunSnapshot, tiny_data: PreparedData) -> None:
    assert snapshot.best
    for trial in (snapshot.best, snapshot.search[5]):
        checked = check_score(run, trial, tiny_data)
        assert checked.found == checked.recorded


def test_the_best_configuration_and_the_baseline_are_retrained_together(run: RunFolder) -> None:
    done = retrain.retrain(run, seeds=2)
    assert (done.folder / "README.md").is_file()
    assert set(done.scores["seeds"]) == {2}


@pytest.mark.rare
def test_a_trial_that_breaks_its_cohort_on_ray_fails_alone(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trial 2 raises when a worker sets it up, as a configuration that a step cannot train would."""

    def broken_settings(live: LiveTrial) -> dict[str, Any]:
        wrong = {"alpha": 2.0} if live.trial.number == 2 else {}
        return {**live.trial.params, "seed": live.seed, **wrong}

    monkeypatch.setattr(LiveTrial, "settings", property(broken_settings))
    changed = {"trials": 4, "epochs": 1, "confirm": 0, "max_failures": 0}
    found = load_snapshot(search(run=str(tmp_path / "run"), **{**options, **changed})).search
    assert [trial.number for trial in found if state_of(trial) == FAILED] == [2]
    assert "alpha must be" in found[2].user_attrs["reason"]
    assert all(trial.intermediate_values for trial in found if trial.number != 2)


@pytest.mark.rare
def test_a_killed_search_ends_with_the_same_trials(
    options: dict[str, Any], snapshot: RunSnapshot, tmp_path: Path
) -> None:
    """It is killed in its third job. tests/tuning/study/test_cohorts.py kills at every moment, without Ray."""
    project = Project.in_folder(tmp_path)
    arguments = [part for name, value in SIZES.items() for part in ("--set", f"{name}={value}")]
    for name in ("data", "trials", "epochs", "folds", "cohort", "concurrent", "seed"):
        arguments += [f"--{name}", str(options[name])]
    place = project.folder / "runs" / "killed"
    process = project.start("tuning.search", *arguments, "--confirm", "0", "--no-dashboard", "--run", "killed")
    wait_for_jobs(place, 3)
    process.kill()
    process.communicate()
    finished = project.run("tuning.search", "--resume", "killed", "--no-dashboard")
    assert finished.returncode == 0, finished.stderr
    assert facts(load_snapshot(RunFolder(place)).search) == facts(snapshot.search)


def facts(trials: Any) -> list[tuple[object, ...]]:  # noqa: ANN401 - a sequence of trials
    return [_facts(trial) for trial in trials]


def _facts(trial: FrozenTrial) -> tuple[object, ...]:
    return trial.number, trial.params, trial.state, trial.intermediate_values, trial.user_attrs["reason"]


def wait_for_jobs(place: Path, count: int) -> None:
    """Until the journal of a run has so many jobs."""
    deadline = time.monotonic() + 600
    journal = place / "journal.log"
    while not (journal.is_file() and f'"job-{count - 1}"' in journal.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
