"""Data and checkpoints between a node and the driver's, through a real Ray; both are this machine."""

import filecmp
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from results.preparations import Preparation
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.training import EpochResult, Training
from tuning.execution import node_data
from tuning.execution.checkpoints import Checkpoints
from tuning.execution.data_cache import cache_folder
from tuning.execution.driver_files import DriverFiles, News, RelayedCheckpoints, driver_files
from tuning.execution.node_data import NodeUnusableError, data_on_this_node
from tuning.execution.placement import Placement
from tuning.execution.ray_session import ray_session
from tuning.execution.trial_setup import TrialSetup
from tuning.execution.worker import files_of
from tuning.study.tune_interface import CHECKPOINT_FOLDER, DRIVER_FILES, TRIAL_SETUP

pytestmark = pytest.mark.long

ELSEWHERE = Path("/nowhere/on/this/node")


@pytest.fixture(scope="module")
def _ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with ray_session(tmp_path_factory.mktemp("ray") / "ray.log", cpus=2):
        yield


@pytest.fixture
def files(
    _ray: None, tiny_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DriverFiles]:
    """Those of a driver on another node. Pieces are small, and copies go to a folder of the test's own."""
    monkeypatch.setenv("SAN_DATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(node_data, "PIECE", 1000)
    with driver_files({tiny_data.fingerprint: tiny_data.folder}, str(tmp_path / "checkpoints")) as found:
        yield replace(found, node_id="another")


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_node_without_the_data_copies_them_once(files: DriverFiles, tiny_data: PreparedData) -> None:
    copy = data_on_this_node(ELSEWHERE, files).folder
    assert copy == cache_folder() / tiny_data.fingerprint
    names = _names(tiny_data.folder)
    assert max((tiny_data.folder / name).stat().st_size for name in names) > 10 * node_data.PIECE
    assert _names(copy) == names
    assert filecmp.cmpfiles(tiny_data.folder, copy, names, shallow=False) == (names, [], [])
    made = copy.stat().st_ino
    assert data_on_this_node(ELSEWHERE, files).folder == copy
    assert copy.stat().st_ino == made
    news: News = files.ask("news")
    total = sum((copy / name).stat().st_size for name in names)
    assert list(news.copied.values()) == [(total, total)]


def test_a_node_that_has_the_same_data_at_the_same_path_copies_nothing(
    files: DriverFiles, tiny_data: PreparedData
) -> None:
    assert data_on_this_node(tiny_data.folder, files).folder == tiny_data.folder
    assert not cache_folder().joinpath(tiny_data.fingerprint).exists()


def test_other_data_at_the_same_path_are_not_used(
    files: DriverFiles, tiny_data: PreparedData, tiny_pixels: PreparedData
) -> None:
    found = data_on_this_node(tiny_pixels.folder, files)
    assert found.fingerprint == tiny_data.fingerprint
    assert tiny_pixels.fingerprint != tiny_data.fingerprint


def test_several_workers_at_once_make_one_copy(files: DriverFiles) -> None:
    @ray.remote(num_cpus=0)
    def made() -> tuple[str, int]:
        folder = data_on_this_node(ELSEWHERE, files).folder
        return str(folder), folder.stat().st_ino

    here = {"env_vars": {"SAN_DATA_CACHE": str(cache_folder())}}
    found = ray.get([made.options(runtime_env=here).remote() for _ in range(3)])
    assert len(set(found)) == 1
    assert [path.name for path in cache_folder().iterdir()] == [files.fingerprint]


def test_what_a_worker_that_died_has_left_is_copied_anew(files: DriverFiles) -> None:
    partial, broken = (cache_folder() / name for name in (f".{files.fingerprint}.partial", files.fingerprint))
    for folder in (partial, broken):
        folder.mkdir()
        (folder / "features.npy").write_bytes(b"half")
    data_on_this_node(ELSEWHERE, files).check()
    assert not partial.exists()


def _news_of_copies(files: DriverFiles) -> News:
    """What the driver has heard once it knows of a whole copy: nobody waits for these messages."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        news: News = files.ask("news")
        if any(copied == total for copied, total in news.copied.values()):
            return news
        time.sleep(0.05)
    pytest.fail("no copy was told of")


def test_a_node_that_can_read_the_uri_of_the_data_does_not_ask_the_driver_for_them(
    files: DriverFiles, tiny_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_data, "_copy", None)
    copy = data_on_this_node(ELSEWHERE, replace(files, data_uris={files.fingerprint: tiny_data.folder.as_uri()})).folder
    assert copy == cache_folder() / tiny_data.fingerprint
    ((copied, total),) = _news_of_copies(files).copied.values()
    assert copied == total > 0


@pytest.mark.parametrize("uri", ["gopher://there/x", "file:///nothing/there"])
def test_a_node_that_cannot_read_the_uri_takes_the_data_from_the_driver(files: DriverFiles, uri: str) -> None:
    data_on_this_node(ELSEWHERE, replace(files, data_uris={files.fingerprint: uri})).check()


def test_a_node_without_room_is_told_of_and_keeps_nothing(files: DriverFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(NodeUnusableError, match=r"they have \d+ MiB, but .* has 0 MiB free; accepted: more room"):
        data_on_this_node(ELSEWHERE, files)
    news: News = files.ask("news")
    ((node, reason),) = news.unusable.items()
    assert node == ray.get_runtime_context().get_node_id()
    assert reason.startswith("the data cannot be copied to node ")
    assert [path.suffix for path in cache_folder().iterdir()] == [".lock"]


@pytest.mark.usefixtures("_ray")
def test_a_worker_on_another_node_has_every_preparation(
    tiny_data: PreparedData,
    tiny_whole: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAN_DATA_CACHE", str(tmp_path / "cache"))
    both = {"2x2": tiny_data, "1x1": tiny_whole}
    setup = TrialSetup(
        str(ELSEWHERE / "2x2"),
        "accuracy",
        {},
        Placement(1, 0, 1),
        show_in_dashboard=False,
        preparations={name: Preparation(str(ELSEWHERE / name), each.fingerprint, "") for name, each in both.items()},
    )
    with driver_files({each.fingerprint: each.folder for each in both.values()}, str(tmp_path / "c")) as found:
        config = {TRIAL_SETUP: setup, CHECKPOINT_FOLDER: "", DRIVER_FILES: replace(found, node_id="another")}
        data, _ = files_of(config)
        news: News = found.ask("news")
    assert {name: each.grid for name, each in data.items()} == {"2x2": 2, "1x1": 1}
    assert {each.folder for each in data.values()} == {cache_folder() / each.fingerprint for each in both.values()}
    assert {fingerprint for _, fingerprint in news.copied} == {each.fingerprint for each in both.values()}


def test_checkpoints_come_and_go_through_the_driver(
    files: DriverFiles, tiny_data: PreparedData, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    training = Training(tiny_config, tiny_data)
    results = [training.run_epoch()]
    checkpoints = Checkpoints(RelayedCheckpoints(files))
    assert checkpoints.load(3, training) == []
    checkpoints.save(3, training, results)
    assert _names(tmp_path / "checkpoints") == ["trial-0003.pt"]
    assert checkpoints.load(3, Training(tiny_config, tiny_data)) == results
    assert Checkpoints(str(tmp_path / "checkpoints")).load(3, Training(tiny_config, tiny_data)) == results


def test_a_checkpoint_that_the_driver_cannot_write_is_an_error_of_the_disk(
    files: DriverFiles, tiny_data: PreparedData, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(FileExistsError):
        Checkpoints(RelayedCheckpoints(files)).save(
            3, Training(tiny_config, tiny_data), [EpochResult(1, 1.5, 0.5, 0.1, "")]
        )
