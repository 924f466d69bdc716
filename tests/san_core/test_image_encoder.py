import re
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.models.image_encoder import ARCHITECTURES, ImageEncoder, architecture_of, build_image_encoder
from san_core.training import Training


@pytest.fixture(scope="module")
def lite0() -> ImageEncoder:
    return build_image_encoder("efficientnet-lite0")


def _pixels(size: int, images: int = 1) -> Tensor:
    rng = np.random.default_rng(3)
    return torch.from_numpy(rng.integers(0, 256, (images, size, size, 3), dtype=np.uint8))


def _batch_norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


def test_regions_are_patches_row_by_row_normalised_as_imagenet_training_did() -> None:
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    encoder = ImageEncoder(nn.AvgPool2d(4), mean=mean, std=std)
    pixels = _pixels(12, images=2)
    found = encoder(pixels).numpy()
    assert found.shape == (2, 9, 3)
    for b in range(2):
        for row in range(3):
            for column in range(3):
                patch = pixels.numpy()[b, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] / 255
                expected = (patch.mean(axis=(0, 1)) - mean) / std
                np.testing.assert_allclose(found[b, 3 * row + column], expected, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_regions_are_the_places_of_the_feature_map_in_reading_order(lite0: ImageEncoder) -> None:
    pixels = _pixels(96, images=2)
    regions = lite0(pixels)
    normalised = (pixels.numpy().transpose(0, 3, 1, 2) / 255 - 127 / 255) / (128 / 255)
    feature_map = lite0.layers(torch.from_numpy(normalised).float())
    assert feature_map.shape == (2, 1280, 3, 3)
    assert not torch.allclose(feature_map, feature_map.transpose(2, 3), atol=0.1)  # else the order would not show
    for b in range(2):
        for row in range(3):
            for column in range(3):
                expected = feature_map[b, :, row, column]
                torch.testing.assert_close(regions[b, 3 * row + column], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "size", "regions", "channels"),
    [
        ("vgg16", 448, 14 * 14, 512),  # the paper's regions
        ("vgg19", 448, 14 * 14, 512),
        ("vgg16", 64, 4, 512),
        ("vgg19", 100, 9, 512),
        ("efficientnet-lite0", 64, 4, 1280),
        ("efficientnet-lite0", 128, 16, 1280),
        ("efficientnet-lite0", 100, 9, 1280),
        ("efficientnet-lite0", 127, 9, 1280),
    ],
)
def test_encoder_gives_as_many_regions_as_its_stride_says(name: str, size: int, regions: int, channels: int) -> None:
    with torch.device("meta"):  # shapes without numbers: nothing is computed
        found = build_image_encoder(name, pretrained=False)(torch.zeros(2, size, size, 3, dtype=torch.uint8))
    assert found.shape == (2, regions, channels)
    architecture = architecture_of(name)
    assert (architecture.channels, (size // architecture.stride) ** 2) == (channels, regions)


def test_encoder_stays_in_evaluation_mode(lite0: ImageEncoder) -> None:
    whole = nn.Sequential(lite0, nn.Linear(1280, 2)).train()
    lite0.train()
    assert whole.training
    assert not any(part.training for part in lite0.modules())


def test_same_weights_every_time(lite0: ImageEncoder) -> None:
    again = build_image_encoder("efficientnet-lite0").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in lite0.state_dict().items())
    untrained = build_image_encoder("efficientnet-lite0", pretrained=False).state_dict()
    assert not all(torch.equal(value, untrained[name]) for name, value in lite0.state_dict().items())


def test_fine_tuning_changes_weights_but_no_batch_statistics(
    lite0: ImageEncoder, tiny_pixels: PreparedData, tiny_config: TrainingConfig
) -> None:
    config = TrainingConfig.from_dict(tiny_config.to_dict() | {"questions_per_image": 4, "batch_size": 64})
    training = Training(config, tiny_pixels, score_on=None)
    result = training.run_epoch()
    assert not result.diverged
    tuned = training.model.image_encoder
    assert tuned is not None

    before, after = dict(lite0.named_parameters()), dict(tuned.named_parameters())
    unchanged = [name for name, weight in before.items() if torch.equal(weight, after[name].cpu())]
    assert unchanged == []
    assert len(_batch_norms(tuned)) == len(_batch_norms(lite0)) > 20
    for ours, theirs in zip(_batch_norms(tuned), _batch_norms(lite0), strict=True):
        assert ours.running_mean is not None
        assert theirs.running_mean is not None
        assert ours.running_var is not None
        assert theirs.running_var is not None
        assert torch.equal(ours.running_mean.cpu(), theirs.running_mean)
        assert torch.equal(ours.running_var.cpu(), theirs.running_var)


def test_training_on_prepared_features_leaves_them_and_the_encoder_alone(
    tiny_data: PreparedData, tiny_config: TrainingConfig
) -> None:
    before = tiny_data.images.clone()
    training = Training(tiny_config, tiny_data)
    training.run_epoch()
    assert training.model.image_encoder is None
    assert torch.equal(tiny_data.images, before)


def test_unknown_encoder_names_the_known_ones() -> None:
    expected = "unknown image encoder 'resnet'; accepted: efficientnet-lite0, vgg16, vgg19"
    with pytest.raises(InputError, match=expected):
        build_image_encoder("resnet")
    assert list(ARCHITECTURES) == ["efficientnet-lite0", "vgg16", "vgg19"]


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch folder on a machine without network."""

    def fail(*_arguments: Any, **_options: Any) -> None:  # noqa: ANN401 - whatever torch passes
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    return tmp_path / "hub" / "checkpoints"


VGG_FILES = {"vgg16": "vgg16-397923af.pth", "vgg19": "vgg19-dcbb9e9d.pth"}


@pytest.mark.parametrize("name", VGG_FILES)
def test_weights_that_cannot_be_downloaded_say_which_file_goes_where(name: str, torch_home: Path) -> None:
    pattern = f"image encoder {name} .*no network.*put the file {VGG_FILES[name]} into {re.escape(str(torch_home))}"
    with torch.device("meta"), pytest.raises(InputError, match=pattern):
        build_image_encoder(name)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"], ids=["empty", "text", "cut"])
def test_damaged_weights_file_says_which_file_goes_where(content: bytes, torch_home: Path) -> None:
    torch_home.mkdir(parents=True)
    (torch_home / VGG_FILES["vgg16"]).write_bytes(content)
    with torch.device("meta"), pytest.raises(InputError, match=VGG_FILES["vgg16"]) as raised:
        build_image_encoder("vgg16")
    assert "\n" not in str(raised.value)


def test_weights_file_in_torchs_folder_is_used(torch_home: Path) -> None:
    layers = build_image_encoder("vgg16", pretrained=False).layers.state_dict()
    torch_home.mkdir(parents=True)
    saved = {f"features.{name}": value for name, value in layers.items()} | {"classifier.0.bias": torch.zeros(3)}
    torch.save(saved, torch_home / VGG_FILES["vgg16"])
    loaded = architecture_of("vgg16").load_weights()
    assert loaded.keys() == layers.keys()
    assert all(torch.equal(value, layers[name]) for name, value in loaded.items())
