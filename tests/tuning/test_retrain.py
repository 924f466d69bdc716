"""A model folder made for real, and a test split that is used once."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from optuna.trial import TrialState

import san_core
from results.run_folder import RETRAINING, SEARCH, RunFolder
from results.snapshot import load_snapshot
from san_core.config import TrainingConfig
from san_core.data.preparation import Options, prepare
from san_core.data.prepared import PreparedData
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset
from san_core.data.readers import READERS
from san_core.errors import InputError
from san_core.evaluation import Score
from san_core.training import EpochResult, build_model, train_fn
from tests.docs.without_ray import replace_ray
from tests.tuning.commands import PATIENCE
from tests.tuning.finished import BASELINE, BEST, BEST_EPOCH, add_trial, finished_search, finished_search_of_features
from tuning import retrain as command
from tuning.options.search_options import SearchOptions
from tuning.planning.data import open_searched_data
from tuning.retrain import Retrained, retrain
from tuning.retraining import training
from tuning.retraining.held_out_guard import models_tested, record_test
from tuning.retraining.score_tables import spread
from tuning.retraining.training import _write_results
from tuning.study.seeds import RETRAINING_SEEDS, derive_seed

REPOSITORY = Path(san_core.__file__).parents[1]
SEEDS = [derive_seed(3, RETRAINING_SEEDS, repeat) for repeat in range(2)]

Environment = Mapping[str, str]


@pytest.fixture
def run(tmp_path: Path, tiny_data: PreparedData, tiny_config: TrainingConfig) -> RunFolder:
    return finished_search(tmp_path / "run", tiny_data, tiny_config)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """With an empty home, where Ray puts its token."""
    home = str(tmp_path_factory.mktemp("home"))
    return {**os.environ, "HOME": home, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "120"}


def _start(folder: Path, environment: Environment, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tuning.retrain", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _kill_after(word: str, process: subprocess.Popen[str], victim: str | None = None) -> str:
    """Kills a retraining when it says so, without a chance to tidy up, or a process that it has started.

    Returns:
        What it has said on stderr since.
    """
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if word in line:
            children = psutil.Process(process.pid).children(recursive=True)
            next((child for child in children if child.name() == victim), process).kill()
            return process.communicate(timeout=PATIENCE)[1]
    pytest.fail(f"{word!r} was never said:\n{''.join(seen)}")


@pytest.fixture(scope="module")
def retrained(
    tiny_data: PreparedData,
    tiny_config: TrainingConfig,
    tmp_path_factory: pytest.TempPathFactory,
    environment: Environment,
) -> Path:
    """The folder of a project in which `runs/small` was retrained."""
    project = tmp_path_factory.mktemp("project")
    (project / "runs").mkdir()
    finished_search(project / "runs" / "small", tiny_data, tiny_config)
    process = _start(project, environment, "small", "--seeds", "2", "--json")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    (project / "out.json").write_text(out)
    (project / "err.txt").write_text(err)
    return project


@pytest.fixture
def model(retrained: Path) -> Path:
    return retrained / "runs" / "small" / "retrained" / "best"


def test_the_last_line_is_the_command_of_the_page(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, run_here: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    scores = spread([("best", 1, 2, 1)], [[Score("accuracy", "all", "", 48, 0.75)]])
    done = Retrained(Path("runs/a b/retrained/best"), "test", scores)
    monkeypatch.setattr(command, "retrain", lambda *_, **__: done)
    printed = run_here(command.main, run.path).stdout
    assert printed.endswith("python -m san_core.demo 'runs/a b/retrained/best'\n")


def test_everything_in_the_folder_is_named_in_its_readme(model: Path) -> None:
    named = re.findall(r"^\| `(.+?)` \|", (model / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in model.iterdir())
    assert set(named) >= {"model.safetensors", "predictions-test.parquet", "learning_curves.png", "scores-test.json"}


def test_the_readme_tells_scores_origin_and_limits(model: Path, retrained: Path, tiny_data: PreparedData) -> None:
    text = re.sub(" +", " ", (model / "README.md").read_text())
    rows = json.loads((retrained / "out.json").read_text())["scores"]
    for row in (row for row in rows if row["kind"] == "all"):
        spread = 100 * np.std(row["values"], ddof=1)
        mean = f"accuracy **{100 * np.mean(row['values']):.2f} %** on the test split"
        assert f"- **{row['configuration']}**: {mean} (mean of 2 seeds, standard deviation {spread:.2f} points)" in text
    assert f"fingerprint `{tiny_data.fingerprint}`" in text
    assert "| learning_rate | 3.0e-03 | 1.0e-04 |" in text
    assert "| epochs trained | 2 | 3 |" in text
    assert "*best* is trial 1: validation accuracy 75.00 % in its best epoch, 2" in text
    assert "Run `small`: 2 trials." in text
    assert "4 of the 48 test questions have a right answer that is not in the list." in text
    assert "python -m tuning.retrain runs/small --trial 1 --seeds 2" in text
    assert "{{" not in text


def test_the_three_lines_of_the_readme_answer(model: Path, retrained: Path, environment: Environment) -> None:
    source = json.loads((PreparedData.open(_data_of(retrained)).folder / "image_files.json").read_text())
    (retrained / "picture.png").write_bytes(Path(next(iter(source.values()))).read_bytes())
    code = re.search(r"```python\n(.+?)```", (model / "README.md").read_text(), re.DOTALL)
    assert code is not None
    assert len(code[1].splitlines()) == 3
    done = subprocess.run(
        [sys.executable, "-c", code[1].replace("picture.png", str(retrained / "picture.png"))],
        cwd=model,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"( *\d+\.\d%  \w+\n){5}", done.stdout)


def _data_of(project: Path) -> Path:
    return Path(RunFolder(project / "runs" / "small").setting("data"))


def test_the_curves_are_those_of_the_trainings(
    model: Path, tiny_data: PreparedData, tiny_config: TrainingConfig
) -> None:
    curves = pd.read_csv(model / "learning_curves.csv")
    lengths = curves.groupby(["configuration", "trial", "seed"])["epoch"].max().to_dict()
    assert lengths == {
        **{("best", 1, seed): BEST_EPOCH for seed in SEEDS},
        **{("baseline", 0, seed): 3 for seed in SEEDS},
    }
    losses: list[float] = []

    def keep(result: EpochResult) -> bool:
        losses.append(result.loss)
        return result.epoch < BEST_EPOCH

    config = TrainingConfig.from_dict({**tiny_config.to_dict(), **BEST, "seed": SEEDS[0]})
    train_fn(config, tiny_data, keep, train_on=("train", "validation"), score_on=None)
    found = curves[(curves["configuration"] == "best") & (curves["seed"] == SEEDS[0])]["loss"]
    assert list(found) == pytest.approx(losses, rel=1e-4)  # the workers have their own number of threads


def test_the_saved_network_is_the_first_seeds(model: Path, retrained: Path) -> None:
    rows = json.loads((retrained / "out.json").read_text())["scores"]
    values = next(row["values"] for row in rows if (row["configuration"], row["kind"]) == ("best", "all"))
    predictions = pd.read_parquet(model / "predictions-test.parquet")
    assert (predictions["answer"] == predictions["predicted"]).mean() == pytest.approx(values[0])
    assert san_core.load(model).description["config"]["seed"] == SEEDS[0]


def test_every_network_is_trained_before_any_is_tested(retrained: Path) -> None:
    done = re.findall(
        r"^\d of 4 (trained|tested): (?:best|baseline)", (retrained / "err.txt").read_text(), re.MULTILINE
    )
    assert done == ["trained"] * 4 + ["tested"] * 4


def test_a_second_test_is_refused_wherever_it_would_go(retrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(retrained)
    small = RunFolder(Path("runs/small"))
    for choice in ({"out": Path("elsewhere")}, {"trial": 0}, {"trial": 1, "seeds": 1}):
        with pytest.raises(InputError) as refused:
            retrain(small, **choice)  # type: ignore[arg-type]
        assert str(refused.value).startswith(
            "runs/small has used its test split before (runs/small/retrained/best): who chooses among models"
        )
    assert not Path("elsewhere").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("option", "name"),
    [((), "best"), pytest.param(("--ensemble",), "best-ensemble", marks=pytest.mark.rare)],
    ids=["single networks", "ensemble"],
)
def test_killed_at_any_time_the_same_command_goes_on(
    option: tuple[str, ...], name: str, run: RunFolder, environment: Environment
) -> None:
    command = "./run", "--seeds", "2", *option
    _kill_after("2 of 4 trained: ", _start(run.path.parent, environment, *command))
    assert models_tested(run) == []
    _kill_after(" tested: ", _start(run.path.parent, environment, *command))
    assert not (run.retrained / name).exists()
    assert models_tested(run) == [str(run.retrained / name)]
    for other in ({}, {"trial": 0, "seeds": 2}):
        with pytest.raises(
            InputError, match=rf"used its test split before \(.*run/retrained/{name}, interrupted or gone\)"
        ):
            retrain(run, **other)
    process = _start(run.path.parent, environment, *command)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "4 of 4 networks are kept from an interrupted retraining" in err
    assert " trained: " not in err
    assert models_tested(run) == [str(run.retrained / name)]
    assert not run.retraining.exists()
    text = (run.retrained / name / "README.md").read_text()
    assert "It had been used before" not in text


@pytest.mark.long
def test_it_ends_in_one_line_when_ray_dies_and_the_same_command_goes_on(
    run: RunFolder, environment: Environment
) -> None:
    command = "./run", "--seeds", "2"
    process = _start(run.path.parent, environment, *command)
    said = _kill_after("1 of 4 trained: ", process, "gcs_server")
    assert "error: Ray's gcs_server process on this machine died; no model folder was written\n" in said
    assert "Traceback" not in said
    assert " of 4 networks are kept in " in said
    assert process.returncode == 2
    assert list(run.path.rglob("*.partial")) == []
    process = _start(run.path.parent, environment, *command)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err


KILLED_WHILE_TRAINING = """
import os, signal
import pytest
from san_core.command_line import run_command
from tests.docs import without_ray

without_ray.replace_ray(pytest.MonkeyPatch())
without_ray.training._train = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from tuning import retrain

run_command(retrain.main)
"""


@pytest.mark.long
def test_killed_while_training_it_does_not(run: RunFolder, environment: Environment) -> None:
    command = [sys.executable, "-c", KILLED_WHILE_TRAINING, "./run", "--seeds", "1"]
    done = subprocess.run(
        command, cwd=run.path.parent, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert models_tested(run) == []


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Networks are trained and tested one after the other in this process."""
    replace_ray(monkeypatch)
    monkeypatch.setattr(command, "run_jobs", training.run_jobs)
    return monkeypatch


TRAIN, TEST = training._train, training._test


def _end_after(calls: int, name: str, patch: pytest.MonkeyPatch, error: BaseException | None = None) -> list[int]:
    """Has training or testing raise an error after this number of calls; returns a list with an entry for each call."""
    real, made = {"_train": TRAIN, "_test": TEST}[name], []

    def call(*given: Any) -> list[Any]:  # noqa: ANN401
        if len(made) == calls:
            raise error or KeyboardInterrupt
        made.append(1)
        return real(*given)

    patch.setattr(training, name, call)
    return made


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InputError("cannot write model folder: No space left")])
def test_each_network_is_kept_and_the_same_call_goes_on(
    error: BaseException, run: RunFolder, without_ray: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _end_after(3, "_train", without_ray, error)
    with pytest.raises(type(error)):
        retrain(run, seeds=2)
    told = capsys.readouterr().err
    assert f"3 of 4 networks are kept in {run.retraining}/" in told
    assert "; the same command goes on" in told
    assert models_tested(run) == []

    trained = _end_after(9, "_train", without_ray)
    _end_after(0, "_test", without_ray, error)
    with pytest.raises(type(error)):
        retrain(run, seeds=2)
    assert (trained, models_tested(run)) == ([1], [])  # no score was seen


def test_a_test_that_was_interrupted_goes_on_but_no_other_is_made(
    run: RunFolder, without_ray: pytest.MonkeyPatch
) -> None:
    _end_after(1, "_test", without_ray)
    with pytest.raises(KeyboardInterrupt):
        retrain(run, seeds=2)
    assert models_tested(run) == [str(run.retrained / "best")]
    for other in (1, 3):
        with pytest.raises(InputError, match="has used its test split before"):
            retrain(run, seeds=other)

    trained, _ = _end_after(0, "_train", without_ray), _end_after(9, "_test", without_ray)
    done = retrain(run, seeds=2)
    assert (trained, models_tested(run)) == ([], [str(done.folder)])
    assert not run.retraining.exists()
    assert "It had been used before" not in (done.folder / "README.md").read_text()
    curves = pd.read_csv(done.folder / "learning_curves.csv")
    assert list(curves.groupby(["configuration", "seed"]).size()) == [3, 3, BEST_EPOCH, BEST_EPOCH]


def test_a_network_that_cannot_be_kept_is_told_in_one_line(run: RunFolder, without_ray: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    without_ray.setattr("tuning.retraining.kept_networks.torch.save", full)
    with pytest.raises(InputError, match=r"^cannot keep the network in .*: No space left on device$"):
        retrain(run, seeds=1)


def test_a_damaged_network_is_trained_again(
    run: RunFolder, without_ray: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _end_after(0, "_test", without_ray)
    with pytest.raises(KeyboardInterrupt):
        retrain(run, seeds=1)
    _end_after(9, "_test", without_ray)
    (damaged,) = run.retraining.glob("*/network-1.pt")
    damaged.write_bytes(damaged.read_bytes()[:1000])
    retrain(run, seeds=1)
    assert f"{damaged} is damaged and trained again: " in capsys.readouterr().err


def test_while_the_search_runs_it_asks_for_consent(run: RunFolder, without_ray: pytest.MonkeyPatch) -> None:
    def better_trial_ends(*given: Any) -> list[Any]:  # noqa: ANN401
        add_trial(run, [0.9, 0.95, 0.93])
        return TRAIN(*given)

    without_ray.setattr(training, "_train", better_trial_ends)
    with run.lock_for(SEARCH):
        with pytest.raises(
            InputError, match=r"^the search in .*/run is still running, .*; wait for it to end, or .*--so"
        ):
            retrain(run, seeds=1)
        assert not run.retraining.exists()
        done = retrain(run, seeds=1, so_far=True)
    text = (done.folder / "README.md").read_text()
    assert "*best* is trial 1: validation accuracy 75.00 % in its best epoch, 2" in text
    assert "beats the baseline by 35.00 points" in text
    assert "2 trials, and it was still running when this model was trained" in text


def test_data_that_were_moved_are_given_by_their_folder(
    run: RunFolder, without_ray: pytest.MonkeyPatch, tiny_data: PreparedData, tmp_path: Path
) -> None:
    del without_ray
    moved = shutil.copytree(tiny_data.folder, tmp_path / "moved")
    run.change_settings({**run.settings, "data": str(tmp_path / "gone")})
    with pytest.raises(InputError, match=r"no longer in .*/gone; accepted: their new folder, with --data FOLDER$"):
        retrain(run, seeds=1)
    done = retrain(run, seeds=1, data=moved)
    assert json.loads((done.folder / "model.json").read_text())["data_folder"] == str(moved)


@pytest.fixture
def sets(tiny_data: PreparedData, tiny_whole: PreparedData) -> Mapping[str, PreparedData]:
    return {"2x2": tiny_data, "1x1": tiny_whole}


@pytest.fixture
def of_features(tmp_path: Path, sets: Mapping[str, PreparedData], tiny_config: TrainingConfig) -> RunFolder:
    """A search among two preparations, whose best is on the second."""
    return finished_search_of_features(tmp_path / "run", sets, "1x1", tiny_config)


def test_each_configuration_is_trained_on_its_own_data(
    of_features: RunFolder,
    sets: Mapping[str, PreparedData],
    without_ray: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del without_ray
    done = retrain(of_features, seeds=1)
    told = capsys.readouterr().err.splitlines()
    for name, chosen in (("best", "1x1"), ("baseline", "2x2")):
        assert f"{name} is trained on {chosen}: {sets[chosen].described_images}" in told
    model = san_core.load(done.folder)
    assert model.ask(next(iter(sets["1x1"].image_files.values())), "is it red?").attention.shape[-2:] == (1, 1)
    text = (done.folder / "README.md").read_text()
    assert re.search(r"\| data +\| +1x1 +\| +2x2 +\|", text)
    assert f"fingerprint `{sets['1x1'].fingerprint}`" in text
    assert "1 x 1 regions of efficientnet-lite0" in text


def test_only_data_that_are_trained_on_need_to_be_there(
    of_features: RunFolder, sets: Mapping[str, PreparedData], without_ray: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del without_ray
    moved = shutil.copytree(sets["1x1"].folder, tmp_path / "moved")
    gone = {
        name: {**each, "folder": str(tmp_path / name)} for name, each in of_features.settings["preparations"].items()
    }
    of_features.change_settings({**of_features.settings, "preparations": gone})
    with pytest.raises(InputError, match=r"no longer in .*/1x1; accepted: their new folder, with --data FOLDER$"):
        open_searched_data(of_features, names={"1x1"})
    with pytest.raises(InputError, match=r"no longer in .*/2x2; accepted: their new folder, with --data FOLDER$"):
        retrain(of_features, seeds=1, data=moved)
    done = retrain(of_features, seeds=1, data=[moved, sets["2x2"].folder])
    assert json.loads((done.folder / "model.json").read_text())["data_folder"] == str(moved)


def test_data_of_another_trial_are_refused(of_features: RunFolder, sets: Mapping[str, PreparedData]) -> None:
    with pytest.raises(
        InputError,
        match=rf"has fingerprint {sets['1x1'].fingerprint}, but .* ran on "
        rf"{sets['2x2'].fingerprint}; give it the same data",
    ):
        retrain(of_features, 0, data=sets["1x1"].folder)


def test_data_at_a_uri_are_copied_again_if_the_copy_of_the_search_is_gone(
    run: RunFolder,
    without_ray: pytest.MonkeyPatch,
    tiny_data: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del without_ray
    monkeypatch.setenv("SAN_DATA_CACHE", str(tmp_path / "cache"))
    uris = {tiny_data.fingerprint: tiny_data.folder.as_uri()}
    run.change_settings({**run.settings, "data": str(tmp_path / "gone"), "data_uris": uris})
    done = retrain(run, seeds=1)
    copy = tmp_path / "cache" / tiny_data.fingerprint
    assert json.loads((done.folder / "model.json").read_text())["data_folder"] == str(copy)


def test_the_search_is_repeated_on_the_data_that_were_moved(
    run: RunFolder, run_here: Callable[..., "subprocess.CompletedProcess[str]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(options: SearchOptions) -> None:
        raise InputError(f"given: {dict(options.given_values)}")

    monkeypatch.setattr(command, "resumed_plan", plan)
    done = run_here(command.main, run.path, "--on", "validation", "--data", "moved/there")
    assert "'data': ('moved/there',)" in done.stderr


def test_every_file_has_the_mode_of_the_umask(run: RunFolder, without_ray: pytest.MonkeyPatch) -> None:
    del without_ray
    before = os.umask(0o002)
    try:
        done = retrain(run, seeds=1)
    finally:
        os.umask(before)
    paths = [done.folder, *done.folder.iterdir()]
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_file()} == {"0o664"}
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_dir()} == {"0o775"}


def test_a_model_noted_is_refused_a_second_time_until_told_again(run: RunFolder, tmp_path: Path) -> None:
    record_test(run, tmp_path, networks="0", before=[])
    record_test(run, Path("gone"), networks="1", before=models_tested(run))
    assert models_tested(run) == [str(tmp_path), "gone"]
    with pytest.raises(InputError, match=rf"\({re.escape(str(tmp_path))}, gone, interrupted or gone\): who chooses"):
        retrain(run, out=tmp_path / "other")


def test_what_cannot_be_noted_is_not_tested(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tuning.retraining.held_out_guard.write_json", full)
    with pytest.raises(InputError, match=r"tested.json, so no score is shown: No space left on device"):
        record_test(run, Path("model"), networks="0", before=[])


def test_a_damaged_record_of_tests_is_no_free_test(run: RunFolder) -> None:
    run.test_split_uses.write_text('{"model": "x"}')
    with pytest.raises(InputError, match=r"tested.json is damaged: it lacks 'models'"):
        retrain(run)


def test_two_retrainings_at_a_time_are_refused(run: RunFolder) -> None:
    with (
        run.lock_for(RETRAINING),
        pytest.raises(InputError, match=r"^another retraining is running in .*; wait for it"),
    ):
        retrain(run, again=True)


def test_a_failed_retraining_leaves_nothing(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_jobs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        retrain(run, out=tmp_path / "models" / "mine")
    assert list((tmp_path / "models").iterdir()) == []
    assert not run.test_split_uses.exists()


def test_the_folder_must_be_new_and_writable(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        InputError, match=r"^model folder .*file exists already; delete it or choose another with --out"
    ):
        retrain(run, out=tmp_path / "file")
    with pytest.raises(InputError, match=r"^cannot write model folder .*: Not a directory$"):
        retrain(run, out=tmp_path / "file" / "model")


def test_data_without_a_test_split_are_never_noted_as_tested(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(PreparedData, "splits", property(lambda _: ["train", "validation"]))
    called = []

    def stop_after_note(*given: Any) -> None:  # noqa: ANN401
        before_scores = given[-1]
        before_scores()
        called.append(True)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_jobs", stop_after_note)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            retrain(run, out=tmp_path / "model")
    assert called == [True, True]
    assert not run.test_split_uses.exists()


def test_questions_that_nobody_answered_are_answered_where_one_person_answered_the_others(
    tiny_dataset: RawDataset,
    tiny_config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unanswered = [Question("is it red?", "", "test/45", id=7), Question("is it a square?", "", "test/46", id=8)]
    source = replace(tiny_dataset, unanswered=unanswered)
    monkeypatch.setitem(READERS, "tiny", lambda *_: source)
    data = prepare("tiny", tmp_path / "data", Options(image_size=64, fine_tune=True))
    model = build_model(tiny_config, data)
    _write_results(model, tiny_config, data, "test", tmp_path)
    found = json.loads((tmp_path / "vqa-results-unanswered.json").read_text())
    assert [entry["question_id"] for entry in found] == [7, 8]
    assert {entry["answer"] for entry in found} <= set(data.answers)
    assert not (tmp_path / "vqa-results-test.json").exists()


def test_at_least_one_seed(run: RunFolder) -> None:
    with pytest.raises(InputError, match="^seeds must be >= 1, but got 0$"):
        retrain(run, seeds=0)


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        ({"seeds": 2.5}, "seeds is 2.5; accepted: a whole number"),
        ({"seeds": None}, "seeds is None; accepted: a whole number"),
        ({"trial": "1"}, "trial is '1'; accepted: a whole number"),
        ({"run": 3}, "run is 3; accepted: a run folder, its path, or the name of a run under runs/"),
        ({"run": "none"}, "runs/none is not a run folder: it has no settings.json; accepted: a folder that"),
        ({"run": Path("none")}, "none is not a run folder: it has no settings.json; accepted: a folder that tuning."),
    ],
)
def test_what_it_cannot_take_is_named(
    run: RunFolder, choice: dict[str, Any], problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^{re.escape(problem)}"):
        retrain(**{"run": run, **choice})


def test_a_run_may_be_its_path_and_folders_may_be_at_home(
    run: RunFolder, without_ray: pytest.MonkeyPatch, tiny_data: PreparedData, tmp_path: Path
) -> None:
    without_ray.setenv("HOME", str(tmp_path / "home"))
    shutil.copytree(tiny_data.folder, tmp_path / "home" / "data")
    done = retrain(str(run.path), seeds=1, out="~/model", data="~/data")
    assert done.folder == tmp_path / "home" / "model"
    assert (done.folder / "model.json").is_file()


def test_the_baseline_alone_is_one_configuration(run: RunFolder) -> None:
    record = load_snapshot(run)
    jobs = command.plan_jobs(record, "trial-0", command.chosen_trial(record, 0), 2)
    assert [(job.name, job.trial, job.config.seed, job.epochs) for job in jobs] == [
        ("baseline", 0, seed, 3) for seed in SEEDS
    ]
    assert all(job.config.learning_rate == BASELINE["learning_rate"] for job in jobs)


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.PRUNED])
def test_a_baseline_that_did_not_finish_does_not_keep_the_best_from_being_trained(
    state: TrialState,
    tmp_path: Path,
    tiny_data: PreparedData,
    tiny_config: TrainingConfig,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = finished_search(tmp_path / "run", tiny_data, tiny_config, baseline=(), baseline_state=state)
    record = load_snapshot(run)
    jobs = command.plan_jobs(record, "best", command.chosen_trial(record, None), 2)
    assert [job.name for job in jobs] == ["best", "best"]
    assert "the baseline is not trained beside it: it did not finish in the search" in capsys.readouterr().err
