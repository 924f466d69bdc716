"""Whatever has its name when the power fails is whole."""

import fcntl
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from results.report.files import write_report
from results.run_folder import RunFolder
from results.snapshot import load_snapshot
from san_core.checkpoint import save_model
from san_core.config import TrainingConfig
from san_core.data.preparation import Options, prepare
from san_core.data.prepared import PreparedData
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError
from san_core.models.san import SAN
from san_core.training import EpochResult, Training
from tests.power_cut import disk_below, files_below
from tests.results import journals
from tests.tuning.studies import EPOCHS, ask, searching
from tuning import attention_examples
from tuning.execution.checkpoints import Checkpoints
from tuning.retraining.held_out_guard import record_test
from tuning.retraining.model_folder import folder_when_whole
from tuning.study.live_trial import Epoch

SETTINGS = {**journals.SETTINGS, "seed": 3, "sampler": "random", "pruner": "none", "fixed": {"epochs": EPOCHS}}
FS_IOC_SHUTDOWN, WITHOUT_JOURNAL = 0x8004587D, 2

Write = Callable[[Path], None]


@pytest.fixture
def write(
    tiny_network: SAN,
    tiny_data: PreparedData,
    tiny_config: TrainingConfig,
    tiny_dataset: RawDataset,
    register: Callable[[RawDataset], None],
) -> Write:
    """Writes below a folder, with the project's own code, every kind of file that matters."""
    register(tiny_dataset)

    def write(place: Path) -> None:
        run = RunFolder.create(place / "runs" / "run", SETTINGS, {"cores": 2})
        study = searching(run, trials=1)
        number = ask(study).trial.number
        for epoch in range(1, EPOCHS + 1):
            study.report(number, Epoch(epoch, 0.1 * epoch, 1.0))
        study.finish(number)
        run.change_settings({**run.settings, "trials": 9})
        training = Training(tiny_config, tiny_data)
        Checkpoints(str(run.checkpoints / "search")).save(0, training, [EpochResult(1, 1.5, 0.5, 0.1, "")])
        for name in ("one", "other"):
            attention_examples._write(run.attention_examples, [], name)
        write_report(load_snapshot(run))
        record_test(run, run.retrained / "best", networks="0", before=[])
        with folder_when_whole(run.retrained / "best", owner="run") as partial:
            save_model(partial, tiny_network, tiny_config, tiny_data, {})
            (partial / "any.parquet").write_bytes(b"rows")
        prepare("tiny", place / "data" / "tiny", Options(encoder="small-cnn"))

    return write


WRITTEN = {
    *(f"runs/run/{name}" for name in ("settings.json", "environment.json", "journal.log", "trials.csv", "report.md")),
    *(f"runs/run/{name}" for name in ("trials.parquet", "comparison.csv", "report.html", "gallery/gallery.json")),
    *(f"runs/run/{name}" for name in ("tested.json", "checkpoints/search/trial-0000.pt")),
    *(f"runs/run/retrained/best/{name}" for name in ("model.json", "model.safetensors", "any.parquet")),
    *(f"data/tiny/{name}" for name in ("manifest.json", "pixels.npy", "questions.npy", "train.npz", "train.parquet")),
}


def _difference(expected: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    """Files whose content is not the expected one. Of the journal, which ends with the search, all states must be."""
    return [
        name
        for name, content in expected.items()
        if found.get(name) != content
        and not name.endswith(".lock")
        and not (content.startswith(rest := found.get(name, b"?")) and b'"state"' not in content[len(rest) :])
    ]


def test_every_file_is_on_the_disk_before_it_has_its_name(write: Write, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with disk_below(place) as disk:
        write(place)
    expected = files_below(place)
    assert expected.keys() >= WRITTEN
    assert _difference(expected, disk.files()) == []


def test_what_is_not_synced_is_gone_in_the_simulation(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("old")
    with disk_below(tmp_path) as disk:
        (tmp_path / "new").write_text("new")
        (tmp_path / "kept").write_text("changed")
        assert disk.files() == {"kept": b""}


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder with an image of an ext4 file system that is mounted on `mounted`."""
    if not all(map(shutil.which, ("mkfs.ext4", "mount", "umount"))):
        pytest.skip("ext4 file systems cannot be made here")
    with tempfile.TemporaryDirectory() as folder:
        image, mounted = Path(folder, "image"), Path(folder, "mounted")
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(2**28)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        if not _mount(Path(folder)):
            pytest.skip("a file system cannot be mounted here")
        yield Path(folder)
        subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def _mount(folder: Path) -> bool:
    command = ["mount", "-o", "loop", str(folder / "image"), str(folder / "mounted")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _cut_power(folder: Path) -> None:
    """Shuts the file system down as a power cut does, and mounts it again."""
    with (folder / "mounted" / "power").open("w") as file:
        fcntl.ioctl(file, FS_IOC_SHUTDOWN, struct.pack("I", WITHOUT_JOURNAL))
    subprocess.run(["umount", str(folder / "mounted")], check=True)
    assert _mount(folder)


def test_every_file_survives_a_shutdown_of_its_file_system(write: Write, disk: Path) -> None:
    place = disk / "mounted"
    write(place)
    expected = files_below(place)
    _cut_power(disk)
    assert _difference(expected, files_below(place)) == []
    assert load_snapshot(RunFolder.open(place / "runs" / "run")).best_number == 0


@pytest.mark.parametrize("content", [b"", b"\0" * 64])
def test_settings_that_a_power_cut_emptied_are_named_in_one_line(content: bytes, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", SETTINGS, {})
    run.settings_file.write_bytes(content)
    with pytest.raises(InputError, match=r"settings\.json: it is empty, as a power cut may leave a file; accepted: a"):
        _ = run.settings


def test_an_emptied_environment_keeps_nobody_from_the_results(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", SETTINGS, {"cores": 2})
    searching(run, trials=1)
    run.environment_file.write_bytes(b"")
    assert load_snapshot(run).environment == {}
