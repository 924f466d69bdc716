import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from san_core.checkpoint import load_model, save_model
from san_core.config import TrainingConfig
from san_core.data.preparation import Options, prepare
from san_core.data.prepared import PreparedData
from san_core.data.raw_dataset import RawDataset
from san_core.data.stored_encoder import load_encoder
from san_core.errors import InputError
from san_core.training import train_fn
from tests.san_core.models.random_weights import Save, library_caches

VIT = Options(encoder="timm:test_vit", image_size=64)


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Save:
    return library_caches(tmp_path / "caches", monkeypatch)


@pytest.fixture
def vit_data(
    tiny_dataset: RawDataset, register: Callable[[RawDataset], None], tmp_path: Path, save: Save
) -> PreparedData:
    """The squares as tokens of a small vision transformer; its weights are no longer on this machine."""
    register(tiny_dataset)
    save("timm:test_vit")
    data = prepare("tiny", tmp_path / "data", VIT)
    shutil.rmtree(tmp_path / "caches")
    return data


def test_manifest_says_which_network_layer_and_weights(vit_data: PreparedData) -> None:
    inputs = vit_data.manifest["inputs"]
    assert (inputs["encoder"], inputs["layer"]) == ("timm:test_vit.r160_in1k", "norm")
    assert (inputs["grid"], inputs["image_size"], inputs["fine_tune"]) == (4, 64, False)
    assert inputs["weights"].startswith("test_vit.r160_in1k-")
    assert len(inputs["weights"].rpartition("-")[2]) == 16
    assert vit_data.described_images == (
        f"4 x 4 regions of timm:test_vit.r160_in1k, layer norm, at 64 pixels, weights {inputs['weights']}"
    )


def test_features_are_those_of_the_network(vit_data: PreparedData, tiny_dataset: RawDataset) -> None:
    assert vit_data.images.shape == (52, 16, 64)
    key = tiny_dataset.test[0].image
    from PIL import Image

    with Image.open(tiny_dataset.images[key]) as image:
        pixels = torch.from_numpy(np.asarray(image)[None].copy())
    with torch.inference_mode():
        expected = load_encoder(vit_data)(pixels)[0]
    found = vit_data.images[vit_data.split("test").images[0]].float()
    assert torch.nn.functional.cosine_similarity(found, expected, dim=1).min() > 0.98


def test_prepared_data_need_no_weights_any_more(
    vit_data: PreparedData, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    assert prepare("tiny", vit_data.folder, VIT).fingerprint == vit_data.fingerprint
    network = train_fn(replace(tiny_config, epochs=1), vit_data)
    save_model(tmp_path / "model", network, tiny_config, vit_data, {})
    model = load_model(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "model.json").read_text())["weights"] == vit_data.weights
    reply = model.reply(np.zeros((64, 64, 3), np.uint8), "is it red?")
    assert reply.attention.shape == (tiny_config.hops, 4, 4)


def test_other_weights_are_other_data(vit_data: PreparedData, tmp_path: Path) -> None:
    weights = load_file(vit_data.folder / "encoder.safetensors")
    own = {name.removeprefix("layers."): value + 1 for name, value in weights.items()}
    save_file(own, tmp_path / "own.safetensors")
    with pytest.raises(InputError, match=r"weights 'test_vit.r160_in1k-\w{16}' instead of 'own-\w{16}'"):
        prepare("tiny", vit_data.folder, replace(VIT, weights=tmp_path / "own.safetensors"))
    other = prepare("tiny", tmp_path / "other", replace(VIT, weights=tmp_path / "own.safetensors"))
    assert other.fingerprint != vit_data.fingerprint
    assert not torch.equal(other.images, vit_data.images)


def test_fine_tuning_starts_from_the_stored_weights(
    tiny_dataset: RawDataset,
    register: Callable[[RawDataset], None],
    tiny_config: TrainingConfig,
    tmp_path: Path,
    save: Save,
) -> None:
    register(tiny_dataset)
    save("timm:test_resnet")
    data = prepare("tiny", tmp_path / "data", Options(encoder="timm:test_resnet", image_size=64, fine_tune=True))
    shutil.rmtree(tmp_path / "caches")
    before = load_encoder(data)
    tuned = train_fn(replace(tiny_config, epochs=1), data).image_encoder
    assert tuned is not None
    changed = [n for n, weight in tuned.named_parameters() if not torch.equal(weight.cpu(), before.get_parameter(n))]
    assert len(changed) == len(list(tuned.parameters()))


def test_damaged_stored_weights_are_one_line(vit_data: PreparedData, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(vit_data.folder, tmp_path / "copy"))
    for content in (b"", b"no weights"):
        (folder / "encoder.safetensors").write_bytes(content)
        with pytest.raises(InputError, match=r"encoder.safetensors is damaged \(.*prepare the data again"):
            load_encoder(PreparedData.open(folder))
    save_file({"other": torch.zeros(1)}, folder / "encoder.safetensors")
    with pytest.raises(InputError, match=r"encoder.safetensors is damaged \(.*prepare the data again"):
        load_encoder(PreparedData.open(folder))


def test_folders_without_stored_weights_take_those_of_the_library(vit_data: PreparedData, save: Save) -> None:
    """As earlier versions wrote them, for vgg19 and resnet50."""
    stored = load_encoder(vit_data).state_dict()
    (vit_data.folder / "encoder.safetensors").unlink()
    save("timm:test_vit")
    again = load_encoder(vit_data).state_dict()
    assert stored.keys() == again.keys()
    assert all(torch.equal(value, stored[name]) for name, value in again.items())


def test_weights_are_for_networks_of_libraries(
    tiny_dataset: RawDataset, register: Callable[[RawDataset], None], tmp_path: Path
) -> None:
    register(tiny_dataset)
    with pytest.raises(InputError, match="--weights is for the encoders of torchvision and timm, but got efficientnet"):
        prepare("tiny", tmp_path / "out", Options(weights=tmp_path / "w.pth"))
