"""A pickle in the place of a file is never loaded, because loading one can run any program."""

import io
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from results.report.attention_examples import load_attention_examples
from results.run_folder import RunFolder
from results.snapshot import load_snapshot
from san_core.checkpoint import load_model
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.data.problems import Problems
from san_core.data.word_vectors import read_word_vectors
from san_core.errors import InputError
from san_core.models.image_encoder import build_image_encoder
from san_core.training import Training
from tests.tuning.studies import searching
from tuning.execution.checkpoints import Checkpoints
from tuning.retraining.held_out_guard import models_tested
from tuning.study.first_trials import read_configurations


class Planted:
    """Runs a program when it is unpickled: it makes a file."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self._trace,)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The file that a planted pickle makes."""
    return tmp_path / "trace"


def _pickled(trace: Path) -> bytes:
    return pickle.dumps(Planted(trace), protocol=2)  # torch warns of others


def _array(trace: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Planted(trace)], dtype=object), allow_pickle=True)
    return file.getvalue()


def _archive(trace: Path) -> bytes:
    """Arrays of objects under the names of a split."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("images", "questions", "answers", "people"):
            archive.writestr(f"{name}.npy", _array(trace))
    return file.getvalue()


def _torch(trace: Path) -> bytes:
    file = io.BytesIO()
    torch.save({"training": Planted(trace), "result": Planted(trace)}, file)
    return file.getvalue()


PLANTS = [_pickled, _array, _archive, _torch]
Plant = Callable[[Path], bytes]


def _refused(use: Callable[[], object], trace: Path) -> str:
    """The one line that using a file ends in."""
    with pytest.raises(InputError) as refused:
        use()
    assert not trace.exists()
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("plant", PLANTS)
def test_a_plant_does_run_where_it_is_unpickled(plant: Plant, trace: Path) -> None:
    content = io.BytesIO(plant(trace))
    if plant in (_pickled,):
        pickle.load(content)
    elif plant is _torch:
        torch.load(content, weights_only=False)
    else:
        loaded = np.load(content, allow_pickle=True)
        _ = loaded["images"] if plant is _archive else loaded
    assert trace.exists()


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", ["train.npz", "questions.npy", "features.npy", "word_vectors.npy"])
def test_prepared_data(name: str, plant: Plant, tiny_data: PreparedData, tmp_path: Path, trace: Path) -> None:
    folder = Path(shutil.copytree(tiny_data.folder, tmp_path / "data"))
    (folder / name).write_bytes(plant(trace))
    told = _refused(PreparedData.open(folder).check, trace)
    assert told.startswith(f"{folder / name} is damaged (")
    assert told.endswith(f"; delete {folder} and prepare the data again")


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", ["manifest.json", "train.parquet", "image_files.json"])
def test_tables_of_prepared_data(name: str, plant: Plant, tiny_data: PreparedData, tmp_path: Path, trace: Path) -> None:
    folder = Path(shutil.copytree(tiny_data.folder, tmp_path / "data"))
    (folder / name).write_bytes(plant(trace))

    def use() -> None:
        data = PreparedData.open(folder)
        data.questions_of("train")
        _ = data.image_files

    assert f"{folder / name} is damaged" in _refused(use, trace)


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_models(name: str, plant: Plant, tiny_model: Path, tmp_path: Path, trace: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    (folder / name).write_bytes(plant(trace))
    assert f"model folder {folder} is damaged" in _refused(lambda: load_model(folder), trace)


@pytest.mark.parametrize("plant", PLANTS)
def test_weights_of_an_image_encoder(
    plant: Plant, tmp_path: Path, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's cache, which several users of a cluster may share."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "resnet50-11ad3fa6.pth").write_bytes(plant(trace))
    told = _refused(lambda: build_image_encoder("resnet50"), trace)
    assert told.startswith(f"{tmp_path / 'hub' / 'checkpoints' / 'resnet50-11ad3fa6.pth'} is damaged")


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_weights_that_an_option_names(plant: Plant, name: str, tmp_path: Path, trace: Path) -> None:
    (tmp_path / name).write_bytes(plant(trace))
    told = _refused(lambda: build_image_encoder("torchvision:resnet18", weights=tmp_path / name), trace)
    assert told.startswith(f"{tmp_path / name} is damaged")


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", ["settings.json", "journal.log"])
def test_run_folders(name: str, plant: Plant, make_run: Callable[..., RunFolder], trace: Path) -> None:
    run = make_run()
    searching(run)
    (run.path / name).write_bytes(plant(trace))
    assert f"cannot read {run.path / name}" in _refused(lambda: load_snapshot(RunFolder(run.path)), trace)


@pytest.mark.parametrize("plant", PLANTS)
def test_other_files_of_a_run_folder(plant: Plant, make_run: Callable[..., RunFolder], trace: Path) -> None:
    run = make_run()
    searching(run)
    run.attention_examples.mkdir()
    for path in (run.environment_file, run.test_split_uses, run.attention_examples_file):
        path.write_bytes(plant(trace))
    assert load_snapshot(run).environment == {}
    assert load_attention_examples(run).note.startswith("The gallery cannot be read: ")
    assert "tested.json" in _refused(lambda: models_tested(run), trace)


@pytest.mark.parametrize("plant", PLANTS)
def test_checkpoints_of_trials(
    plant: Plant, tiny_config: TrainingConfig, tiny_data: PreparedData, tmp_path: Path, trace: Path
) -> None:
    (tmp_path / "trial-0000.pt").write_bytes(plant(trace))
    with pytest.raises(Exception, match="."):  # who reads a checkpoint handles it
        Checkpoints(str(tmp_path)).load(0, Training(tiny_config, tiny_data))
    assert not trace.exists()


@pytest.mark.parametrize("plant", PLANTS)
def test_what_options_name(plant: Plant, tmp_path: Path, trace: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(plant(trace))
    _refused(lambda: read_word_vectors(file, ["word"], Problems()), trace)
    _refused(lambda: read_configurations(file, None), trace)  # type: ignore[arg-type]
