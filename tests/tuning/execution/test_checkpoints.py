import resource
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from results.run_folder import CONFIRMATION, SEARCH, RunFolder
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.training import EpochResult, Training
from tuning.execution import checkpoints as module
from tuning.execution.checkpoint_files import CheckpointFiles
from tuning.execution.checkpoints import Checkpoints, CheckpointTimer, check_storage, checkpoint_folder

ODD = ("my run", "run#1", "50% off", "größer", "a?b")


@pytest.fixture
def training(tiny_config: TrainingConfig, tiny_data: PreparedData) -> Training:
    return Training(tiny_config, tiny_data)


@pytest.fixture(params=["path", "URI"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder that does not exist yet."""
    folder = tmp_path / "checkpoints" / "search"
    return str(folder) if request.param == "path" else f"file://{folder}"


def _result(epoch: int = 1, score: float | None = 0.25, diverged: str = "") -> EpochResult:
    return EpochResult(epoch, 1.5, score, 0.125, diverged)


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _same(left: Any, right: Any) -> bool:  # noqa: ANN401 - a nest of dicts, tensors and numbers
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return torch.equal(left, right) if isinstance(left, torch.Tensor) else bool(left == right)


def test_a_trial_goes_on_exactly_as_if_it_had_not_been_interrupted(
    tiny_config: TrainingConfig, tiny_data: PreparedData, place: str
) -> None:
    whole, interrupted, resumed = (Training(tiny_config, tiny_data) for _ in range(3))
    expected = [whole.run_epoch() for _ in range(3)]
    saved = interrupted.run_epoch()
    Checkpoints(place).save(7, interrupted, [saved])

    torch.manual_seed(99)  # a new process is in another random state
    assert Checkpoints(place).load(7, resumed) == [saved]
    assert (resumed.epoch, resumed.seconds, resumed.finished) == (1, interrupted.seconds, False)
    found = [saved, *(resumed.run_epoch() for _ in range(2))]
    assert [(r.epoch, r.loss, r.score) for r in found] == [(r.epoch, r.loss, r.score) for r in expected]
    assert resumed.finished
    assert _same(resumed.model.state_dict(), whole.model.state_dict())
    assert _same(resumed.optimizer.state_dict(), whole.optimizer.state_dict())


def test_the_results_come_back_as_they_were(training: Training, place: str) -> None:
    results = [_result(), _result(2, None), _result(3, 0.0, "the loss is nan")]
    checkpoints = Checkpoints(place)
    checkpoints.save(0, training, results)
    assert checkpoints.load(0, training) == results


def test_a_checkpoint_of_an_earlier_version_has_the_result_of_its_last_epoch(
    training: Training, place: str, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(place)
    checkpoints.save(0, training, [_result(3)])
    (file,) = (tmp_path / "checkpoints").rglob("*.pt")
    state = torch.load(file, weights_only=True)
    torch.save({"training": state["training"], "result": state["results"][0]}, file)
    assert checkpoints.load(0, training) == [_result(3)]


def test_a_trial_without_a_checkpoint_starts_from_the_beginning(training: Training, place: str, tmp_path: Path) -> None:
    checkpoints = Checkpoints(place)
    assert checkpoints.load(0, training) == []  # the folder is not there
    checkpoints.save(1, training, [_result()])
    assert checkpoints.load(0, training) == []
    assert _files(tmp_path) == ["checkpoints/search/trial-0001.pt"]


def test_a_new_checkpoint_replaces_the_one_before(training: Training, place: str, tmp_path: Path) -> None:
    checkpoints = Checkpoints(place)
    for epoch in (1, 2):
        checkpoints.save(12345, training, [_result(epoch)])
    assert checkpoints.load(12345, training) == [_result(2)]
    assert _files(tmp_path) == ["checkpoints/search/trial-12345.pt"]


def test_a_partial_checkpoint_is_never_loaded(training: Training, place: str, tmp_path: Path) -> None:
    checkpoints = Checkpoints(place)
    checkpoints.save(4, training, [_result()])
    file = tmp_path / "checkpoints" / "search" / "trial-0004.pt"
    file.rename(f"{file}.partial")
    assert checkpoints.load(4, training) == []
    checkpoints.save(4, training, [_result(2)])
    Path(f"{file}.partial").write_bytes(b"begun")
    assert checkpoints.load(4, training) == [_result(2)]


def test_a_full_disk_leaves_the_last_checkpoint_and_no_partial_file(
    training: Training, place: str, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(place)
    checkpoints.save(4, training, [_result(1)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="(?i)file too large"):
            checkpoints.save(4, training, [_result(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert checkpoints.load(4, training) == [_result(1)]
    assert _files(tmp_path) == ["checkpoints/search/trial-0004.pt"]


def test_deleting_removes_whole_and_partial_checkpoints_of_these_trials_only(
    training: Training, place: str, tmp_path: Path
) -> None:
    files = CheckpointFiles(place)
    files.delete([0])  # the folder is not there
    for number in (1, 2, 3):
        Checkpoints(place).save(number, training, [_result()])
    folder = tmp_path / "checkpoints" / "search"
    for number in (2, 3, 4):
        (folder / f"trial-{number:04d}.pt.partial").touch()
    files.delete([0, 1, 2, 4])
    assert _files(folder) == ["trial-0003.pt", "trial-0003.pt.partial"]


def test_checkpoints_are_in_the_run_folder_unless_a_storage_is_given(make_run: Callable[..., RunFolder]) -> None:
    run = make_run("here")
    assert checkpoint_folder(run, SEARCH) == str(run.path.resolve() / "checkpoints" / "search")
    assert checkpoint_folder(make_run("null", storage=None), SEARCH).endswith("/null/checkpoints/search")


@pytest.mark.parametrize("storage", ["/nfs/states", "/nfs/states/", "s3://bucket/states", "s3://bucket/states/"])
def test_runs_and_studies_have_separate_folders_in_a_storage(storage: str, make_run: Callable[..., RunFolder]) -> None:
    runs = [make_run(name, storage=storage) for name in ("a", "b")]
    places = {checkpoint_folder(run, study) for run in runs for study in (SEARCH, CONFIRMATION)}
    assert len(places) == 4
    assert all(place.startswith(f"{storage.rstrip('/')}/") for place in places)
    assert not any("//" in place.removeprefix("s3://") for place in places)


def test_runs_with_the_same_name_have_separate_folders_in_a_storage(
    make_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "yours").mkdir()
    runs = [make_run(f"{folder}/run", storage="/nfs/states") for folder in ("mine", "yours")]
    assert checkpoint_folder(runs[0], SEARCH) != checkpoint_folder(runs[1], SEARCH)


@pytest.mark.parametrize(
    ("scheme", "name"),
    [
        *(("", name) for name in ("run", *ODD)),
        ("file://", "run"),
        *(pytest.param("file://", name) for name in ODD),
    ],
)
def test_checkpoints_of_a_run_of_any_name_go_to_a_folder_of_their_own(
    scheme: str, name: str, make_run: Callable[..., RunFolder], training: Training, tmp_path: Path
) -> None:
    storage = tmp_path / "storage"
    run = make_run(name, storage=f"{scheme}{storage}")
    for epoch, study in enumerate((SEARCH, CONFIRMATION), start=1):
        Checkpoints(checkpoint_folder(run, study)).save(0, training, [_result(epoch)])
    assert Checkpoints(checkpoint_folder(run, SEARCH)).load(0, training) == [_result(1)]
    assert len(_files(storage)) == 2


@pytest.mark.parametrize("place", ["gopher://there/x", "file://relative"])
def test_a_file_system_that_does_not_exist_is_refused(place: str) -> None:
    with pytest.raises(InputError, match=f"checkpoints cannot go to '{place}': .*; accepted: a folder, or a URI$"):
        Checkpoints(place)
    with pytest.raises(InputError, match=f"checkpoints cannot go to '{place}'"):
        check_storage(place)


@pytest.mark.parametrize("place", ["states", "./states", "../states", "", "~/states"])
def test_a_storage_with_a_relative_path_is_refused(place: str) -> None:
    with pytest.raises(InputError, match=f"--storage must be an absolute path or a URI .*, but got '{place}'"):
        check_storage(place)


def test_without_a_storage_there_is_nothing_to_check() -> None:
    check_storage(None)


def test_the_folder_of_a_storage_is_created(tmp_path: Path) -> None:
    check_storage(str(tmp_path / "a" / "b"))
    check_storage(f"file://{tmp_path}/c/d")
    check_storage(str(tmp_path / "a" / "b"))  # and may be there
    assert (tmp_path / "a" / "b").is_dir()
    assert (tmp_path / "c" / "d").is_dir()
    assert _files(tmp_path) == []


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("below", ["", "/states"])
def test_a_storage_that_cannot_be_a_folder_is_refused(scheme: str, below: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="^--storage .*file.* cannot be written: "):
        check_storage(f"{scheme}{tmp_path}/file{below}")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that even root cannot write to")
def test_a_folder_that_nobody_can_write_to_is_refused() -> None:
    with pytest.raises(InputError, match="^--storage /proc cannot be written: "):
        check_storage("/proc")


def test_the_timer_is_due_once_each_time_enough_seconds_have_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 10)
    clock = CheckpointTimer()
    due = []
    for now in (100, 109.9, 110, 111, 119.9, 125, 134.9, 135):  # noqa: B007 - the clock reads it
        due.append(clock.is_due())
    assert due == [False, False, True, False, False, True, False, True]
