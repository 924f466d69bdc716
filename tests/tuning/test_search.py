"""The whole way on real easy-VQA data: search, report, retrain, predict; real Ray, real processes."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import easy_vqa
import pandas as pd
import pytest
import torch
from optuna.trial import FrozenTrial, TrialState

from results.run_folder import CONFIRMS, SEED, RunFolder
from results.snapshot import load_snapshot
from san_core import predict
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.training import EpochResult, train_fn
from tests.docs.stand_ins import EASY_VQA
from tests.tuning.commands import PATIENCE, SMALL, Project
from tests.tuning.monitoring.test_trackers import TensorBoard
from tuning import retrain
from tuning import search as command

pytestmark = pytest.mark.long

PICTURES = {"train": 600, "test": 120}
"""How many of easy-VQA's 4,000 and 1,000 pictures the search has."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Where Python finds a package easy_vqa with some of the real one's pictures."""
    folder = tmp_path_factory.mktemp("small")
    package = folder / "packages" / "easy_vqa"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(EASY_VQA)
    _write_split(package, "train", easy_vqa.get_train_questions(), easy_vqa.get_train_image_paths())
    _write_split(package, "test", easy_vqa.get_test_questions(), easy_vqa.get_test_image_paths())
    return Project.in_folder(folder, PYTHONPATH=os.pathsep.join([str(package.parent), str(Path(__file__).parents[2])]))


def _write_split(package: Path, split: str, questions: Sequence[Sequence[Any]], paths: Mapping[int, str]) -> None:
    """Writes the questions about the first pictures in the layout of `EASY_VQA`."""
    rows = [row for row in zip(*questions, strict=True) if row[2] < PICTURES[split]]
    (package / f"{split}.json").write_text(json.dumps(list(zip(*rows, strict=True))))
    (package / split).symlink_to(Path(paths[0]).parent)


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def here(run_here: Command, project: Project, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command in the project's folder, but in this process."""
    monkeypatch.chdir(project.folder)
    return run_here


@dataclass
class Search:
    """A search that Ctrl-C stopped when a trial had ended, and that was resumed to its end.

    Attributes:
        run: its folder.
        stdout: of the resumed search.
        stderr: of the resumed search.
        stopped: exit code of the first part.
        last_words: what the first part said after Ctrl-C.
        ended: trials that had ended when it was stopped.
        had_report: whether there was a report then.
    """

    run: RunFolder
    stdout: str
    stderr: str
    stopped: int
    last_words: str
    ended: list[FrozenTrial]
    had_report: bool


@pytest.fixture(scope="module")
def search(project: Project) -> Search:
    better = project.folder.with_name("better.json")
    better.write_text('[{"learning_rate": 0.002, "momentum": 0.8, "dropout": 0.1, "embedding_size": 64}]')
    options = ["--trials", "4", "--try", str(better), "--track", "tensorboard", "--no-dashboard", *SMALL]
    process = project.start("tuning.search", "--run", "small", *options)
    assert process.stderr is not None
    for line in process.stderr:
        if " ended" in line:
            process.send_signal(signal.SIGINT)
            break
    _, last_words = process.communicate(timeout=PATIENCE)
    run = RunFolder(project.folder / "runs" / "small")
    assert run.path.is_dir(), last_words
    ended = [trial for trial in run.study().trials if trial.state.is_finished()]
    had_report = run.report.is_file()
    resumed = project.run("tuning.search", "--resume", "runs/small", "--no-dashboard")
    assert resumed.returncode == 0, resumed.stderr
    return Search(run, resumed.stdout, resumed.stderr, process.returncode, last_words, ended, had_report)


def test_ctrl_c_keeps_what_had_finished_and_the_search_goes_on(search: Search) -> None:
    assert search.stopped == 130, search.last_words
    assert "-m tuning.search --resume runs/small" in search.last_words
    assert "Traceback" not in search.last_words
    assert search.had_report
    assert search.ended
    assert not any(trial.state == TrialState.FAIL for trial in search.ended)
    trials = search.run.study().trials
    for trial in search.ended:
        assert trials[trial.number].intermediate_values == trial.intermediate_values


def test_every_trial_is_in_the_journal(search: Search) -> None:
    trials = search.run.study().trials
    assert len(trials) == 4
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
    assert trials[0].params["learning_rate"] == 4e-4
    assert all(trial.intermediate_values for trial in trials)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert all(set(trial.intermediate_values) == {1, 2} for trial in complete)


def test_the_confirmation_repeats_under_two_fresh_seeds(search: Search) -> None:
    again = search.run.study("confirmation").trials
    assert all(trial.state == TrialState.COMPLETE for trial in again)
    assert all(set(trial.intermediate_values) == {1, 2} for trial in again)
    assert len({trial.user_attrs[SEED] for trial in again}) == 2


def test_every_epoch_is_tracked_once_under_the_name_of_its_trial(search: Search) -> None:
    for study in ("search", "confirmation"):
        for trial in search.run.study(study).trials:
            written = TensorBoard(search.run.tracking / "tensorboard" / f"{study}-{trial.number:04d}")
            scores = {epoch: pytest.approx(score, abs=1e-4) for epoch, score in trial.intermediate_values.items()}
            assert dict(written.points["accuracy"]) == scores
            assert len(written.points["loss"]) == len(written.points["examples_per_second"]) == len(scores)
            assert written.hyperparameters["learning_rate"] == trial.params["learning_rate"]


def test_the_token_is_private(search: Search, project: Project) -> None:
    del search
    assert (Path(project.environment["HOME"]) / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600


def test_the_search_writes_its_run_folder_and_nothing_else(search: Search, project: Project) -> None:
    assert {path.name for path in project.folder.iterdir()} == {"runs", "data"}
    assert {path.name for path in (project.folder / "runs").iterdir()} >= {"small"}
    names = {path.name for path in search.run.path.iterdir()}
    assert names >= {"journal.log", "settings.json", "environment.json", "trials.csv", "trials.parquet", "best.json"}
    assert names >= {"report.md", "report.html", "gallery"}


def test_the_search_prints_the_comparison_and_the_next_steps(search: Search) -> None:
    assert "baseline" in search.stdout
    assert "-m tuning.retrain runs/small" in search.stdout
    assert "-m san_core.predict runs/small/retrained/best" in search.stdout
    assert "Traceback" not in search.stderr


def test_the_table_holds_every_trial(search: Search) -> None:
    table = pd.read_parquet(search.run.trials_parquet)
    assert sorted(table["trial"]) == [0, 1, 2, 3]
    scores = {trial.number: max(trial.intermediate_values.values()) for trial in search.run.study().trials}
    assert dict(zip(table["trial"], table["score"], strict=True)) == pytest.approx(scores)


def test_a_trial_trained_alone_reaches_the_score_it_had_in_the_search(search: Search) -> None:
    trial = search.run.study().trials[1]
    data = PreparedData.open(Path(search.run.settings["data"]))
    config = TrainingConfig.from_dict({**search.run.settings["fixed"], **trial.params, "seed": trial.user_attrs[SEED]})
    scores = {}

    def keep(result: EpochResult) -> bool:
        scores[result.epoch] = result.score
        return result.epoch < len(trial.intermediate_values)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train_fn(config, data, keep)
    finally:
        torch.set_num_threads(threads)
    assert scores == trial.intermediate_values


def test_retraining_tests_both_configurations_and_the_model_answers(
    search: Search, project: Project, here: Command
) -> None:
    retrained = here(retrain.main, "runs/small", "--seeds", "2", "--again", "--json")
    assert retrained.returncode == 0, retrained.stderr
    result = json.loads(retrained.stdout)
    configurations = {row["configuration"]: row for row in result["scores"] if row["kind"] == "all"}
    assert configurations["baseline"]["seeds"] == 2
    assert all(0.5 < row["mean"] <= 1 for row in configurations.values())
    assert here(retrain.main, "runs/small", "--again").returncode == 2  # the model folder exists
    predictions = pd.read_parquet(Path(project.folder, result["model"], "predictions-test.parquet"))
    assert len(predictions) == sum(image < PICTURES["test"] for image in easy_vqa.get_test_questions()[2])
    right = (predictions["answer"] == predictions["predicted"]).mean()
    assert right == pytest.approx(configurations["best"]["values"][0])

    image = easy_vqa.get_test_image_paths()[0]
    answers = here(predict.main, result["model"], image, "what shape is in the image?")
    assert answers.returncode == 0, answers.stderr
    lines = answers.stdout.splitlines()
    assert len(lines) == 5
    assert lines[0].split()[1] in {"circle", "rectangle", "triangle"}
    probabilities = [float(line.split("%")[0]) for line in lines]
    assert probabilities == sorted(probabilities, reverse=True)
    assert search.run.retrained.is_dir()


def test_the_test_split_is_not_used_a_second_time_unasked(search: Search, project: Project, here: Command) -> None:
    if not search.run.test_split_uses.exists():  # tests run in any order
        search.run.test_split_uses.write_text('{"models": ["runs/small/retrained/best"]}')
    refused = here(retrain.main, "small", "--out", "other")
    assert refused.returncode == 2
    assert "runs/small has used its test split before (runs/small/retrained/best): who chooses" in refused.stderr
    assert not (project.folder / "other").exists()


def test_the_best_trials_are_run_again_on_validation_under_fresh_seeds(search: Search, here: Command) -> None:
    before = {trial.number: trial.values for trial in search.run.study("confirmation").trials}
    done = here(retrain.main, "small", "--on", "validation", "--top", "1", "--seeds", "3")
    assert done.returncode == 0, done.stderr
    again = search.run.study("confirmation").trials
    assert all(trial.state == TrialState.COMPLETE for trial in again)
    assert {number: again[number].values for number in before} == before
    for number in {0, load_snapshot(search.run).best_number}:
        assert len({trial.user_attrs[SEED] for trial in again if trial.user_attrs[CONFIRMS] == number}) == 3
    assert "baseline" in done.stdout
    assert "report: runs/small/report.html" in done.stdout


def test_a_trial_that_does_not_exist_cannot_be_retrained(search: Search, here: Command) -> None:
    del search
    refused = here(retrain.main, "runs/small", "--trial", "99")
    assert refused.returncode == 2
    assert refused.stderr == "error: trial 99 does not exist in runs/small; accepted: 0 to 3\n"


def test_a_trial_run_again_alone_reaches_its_recorded_score(search: Search, here: Command) -> None:
    del search
    checked = here(retrain.main, "runs/small", "--trial", "1", "--check")
    assert checked.returncode == 0, checked.stderr
    assert re.fullmatch(
        r"trial 1: recorded (.+), run again \1: the same in every epoch, to the last bit\n", checked.stdout
    )


def test_a_resumed_search_refuses_what_would_mix_trials(search: Search, here: Command) -> None:
    del search
    for arguments, message in (
        (["--metric", "wups@0.9"], "--metric cannot change when a search is resumed: runs/small was started with "),
        (["--seed", "5"], "--seed cannot change when a search is resumed: runs/small was started with 0, but got 5"),
        (["--set", "hops=1"], "--set cannot change when a search is resumed"),
    ):
        refused = here(command.main, "--resume", "small", *arguments)
        assert refused.returncode == 2
        assert message in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1, refused.stderr
