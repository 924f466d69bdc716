"""Every mistake a user can make ends in one line and exit code 2, with nothing written."""

import sys
from pathlib import Path

import pytest
import torch

from san_core.command_line import run_command
from tuning import retrain, search


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nothing"], "unknown data set 'nothing'; accepted: easy-vqa, a folder written by"),
        (["--data", "vqa-v2"], "data set vqa-v2 is not prepared; first: python -m san_core.prepare vqa-v2 --root"),
        (["--metric", "nothing"], "unknown metric 'nothing'; accepted: accuracy, vqa, wups@0.9, wups@0.0"),
        (["--preset", "nothing"], "unknown preset 'nothing'; accepted: SAN(1,LSTM), "),
        (
            ["--space", "nothing"],
            "unknown search space 'nothing'; accepted: daquar, san, wide, or the path of a Python file",
        ),
        (["--trials", "0"], "argument --trials: must be a whole number >= 1, but got '0'"),
        (["--trials", "many"], "argument --trials: must be a whole number >= 1, but got 'many'"),
        (["--epochs", "0"], "argument --epochs: must be a whole number >= 1, but got '0'"),
        (["--seed", "-1"], "argument --seed: must be a whole number >= 0 and < 4294967296, but got '-1'"),
        (["--seed", "4294967296"], "but got '4294967296'"),
        (["--run", "x" * 300], "is too long; accepted: up to 200 bytes"),
        (["--run", "."], "'.' is not a run's name"),
        (["--gpus-per-trial", "nan"], "argument --gpus-per-trial: must be a number >= 0, but got 'nan'"),
        (["--cpus-per-trial", "4096"], "--cpus-per-trial must be <= "),
        (["--set", "hops"], "--set takes SETTING=VALUE, but got 'hops'"),
        (["--set", "hops=0"], "hops must be a whole number >= 1, but got 0"),
        (["--set", "hopps=2"], "unknown training setting hopps; accepted: learning_rate, "),
        (["--set", "seed=1"], "--set cannot fix seed: each trial has its own, which follows from --seed"),
        (["--set", "order_seed=1"], "--set cannot fix order_seed: it follows from --seed"),
        (
            [f"--set={name}=0.5" for name in ("learning_rate", "momentum", "dropout")] + ["--set", "embedding_size=9"],
            "--set and --preset fix everything that san searches: nothing is left to search",
        ),
        (["--sampler", "grid"], "--sampler grid needs every parameter to be a choice or a number with a step, which "),
        (["--sampler", "cmaes", "--space", "wide"], "--sampler cmaes needs every parameter to be a number, which "),
        (["--sampler", "best"], "argument --sampler: invalid choice: 'best' (choose from "),
        (["--budget", "30"], "argument --budget: must be a time such as 90s, 30m or 2h, but got '30'"),
        (["--budget", "+30m"], "--budget +30m adds to a search that is resumed; accepted here: without +"),
        (["--trials", "+3"], "--trials +3 adds to a search that is resumed; accepted here: without +"),
        (["--patience", "0"], "argument --patience: must be a whole number >= 1, but got '0'"),
        (["--data", "gopher://x/y"], "the data at gopher://x/y cannot be used: Unrecognized filesystem type in URI: "),
        (["--data", "s3://me:secret@x/y"], "--data s3://... has a password, which would be recorded"),
        (["--storage", "here"], "--storage must be an absolute path or a URI that all nodes reach, but got 'here'"),
        (["--storage", "gopher://x/y"], "checkpoints cannot go to 'gopher://x/y': "),
        (["--address", "127.0.0.1:1"], "no Ray cluster can be joined at '127.0.0.1:1': [Errno 111] Connection refused"),
        (["--address", "ray://here"], "--address must be HOST:PORT of a Ray cluster, or auto, but got 'ray://here'"),
        (["--resume", "nothing"], "runs/nothing is not a run folder: it has no settings.json"),
        (["--try", "nothing.json"], "nothing.json does not exist"),
        (["--space", "nothing.py"], "search space nothing.py does not exist"),
        (["--prior", "nothing"], "runs/nothing is not a run folder: it has no settings.json"),
        (["--run", "taken/run"], "run folder taken/run exists already"),
        (["--run", "file/run"], "is not a folder that can be written"),
        (["--track", "excel"], "argument --track: invalid choice: 'excel' (choose from "),
        (
            ["--notify", "ftp://me:pw@host"],
            "argument --notify: must be a URL such as https://HOST/PATH, without spaces; ",
        ),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--tri", "3"], "unrecognized arguments: --tri 3"),
    ],
)
def test_the_search_refuses(
    arguments: list[str],
    message: str,
    empty_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (empty_folder / "taken" / "run").mkdir(parents=True)
    (empty_folder / "file").touch()
    before = sorted(empty_folder.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["search", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        run_command(search.main)
    assert exit_info.value.code == 2
    assert message in refused(capsys)
    assert sorted(empty_folder.rglob("*")) == before


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_refused(
    tracker: str, empty_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty_folder / tracker).mkdir()  # what a tracker left behind is no package
    monkeypatch.setattr(sys, "path", [str(empty_folder)])
    monkeypatch.delitem(sys.modules, tracker, raising=False)
    monkeypatch.setattr(sys, "argv", ["search", "--track", tracker])
    with pytest.raises(SystemExit, match="2"):
        run_command(search.main)
    assert refused(capsys) == (
        f"error: --track {tracker} needs a package that is not installed; first: pip install '.[{tracker}]'"
    )
    assert list(empty_folder.iterdir()) == [empty_folder / tracker]


def test_a_fraction_of_a_gpu_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(sys, "argv", ["search", "--gpus-per-trial", "0.5"])
    with pytest.raises(SystemExit, match="2"):
        run_command(search.main)
    assert "--gpus-per-trial must be <= 0, the GPUs there are, but got 0.5" in refused(capsys)


@pytest.mark.parametrize("folder", ["missing/run", "runs/" + "x" * 300])
def test_retraining_refuses_what_is_not_a_run(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["retrain", folder])
    with pytest.raises(SystemExit, match="2"):
        run_command(retrain.main)
    assert f"{Path(folder)} is not a run folder: it has no settings.json" in refused(capsys)
