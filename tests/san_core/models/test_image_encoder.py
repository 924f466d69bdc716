import numpy as np
import pytest
import torch
from torch import Tensor, nn

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.models.image_encoder import (
    ImageEncoder,
    build_image_encoder,
    regions,
)
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
    ("size", "grid", "bins"),
    [
        (16, 2, [(0, 8), (8, 16)]),
        (16, 1, [(0, 16)]),
        (12, 2, [(0, 8), (4, 12)]),  # 3 regions in 2: the middle one counts twice
        (12, 3, [(0, 4), (4, 8), (8, 12)]),
        (16, None, [(0, 4), (4, 8), (8, 12), (12, 16)]),
    ],
)
def test_grid_averages_regions(size: int, grid: int | None, bins: list[tuple[int, int]]) -> None:
    encoder = ImageEncoder(nn.AvgPool2d(4), mean=(0.0,) * 3, std=(1.0,) * 3, grid=grid)
    pixels = _pixels(size)
    found = encoder(pixels)[0].numpy()
    expected = [pixels.numpy()[0, t:b, le:r].mean(axis=(0, 1)) / 255 for t, b in bins for le, r in bins]
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-5)


def test_a_grid_asked_for_by_name_of_encoder_is_the_mean_of_its_regions(lite0: ImageEncoder) -> None:
    pixels = _pixels(96, images=2)
    with torch.inference_mode():
        pooled = build_image_encoder("efficientnet-lite0", grid=1)(pixels)
        torch.testing.assert_close(pooled, lite0(pixels).mean(dim=1, keepdim=True), rtol=1e-4, atol=1e-5)
    assert regions("efficientnet-lite0", None, 1, 96) == 1
    assert regions("efficientnet-lite0", None, 3, 96) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vgg16", None, None, 31), "image encoder vgg16 cannot be used with images of 31 pixels: .* too small"),
        (("efficientnet-lite0", None, None, 31), "image size 31 is too small for layer features of .* >= 32 pixels"),
        (("vgg16", None, 15, 448), "grid 15 is not .* layer pool5 of vgg16 .* image size 448; accepted: 1 to 14"),
        (("resnet50", None, 5, 100), "grid 5 is not .* accepted: 1 to 4"),
        (("vgg19", None, 4, 100), "grid 4 is not .* accepted: 1 to 3"),
        (("small-cnn", None, 0, 64), "grid 0 is not .* accepted: 1 to 4"),
        (("vgg16", "layer4", 1, 64), "image encoder vgg16 has no layer 'layer4'; accepted: pool4, conv5, pool5"),
        (("vgg11", None, 1, 64), "unknown image encoder 'vgg11'"),
    ],
)
def test_regions_that_an_encoder_cannot_give_are_an_error(
    arguments: tuple[str, str | None, int | None, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        regions(*arguments)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("efficientnet-lite0", "reduction_3, reduction_4, reduction_5, features"),
        ("resnet50", "layer3, layer4"),
        ("vgg19", "pool4, conv5, pool5"),
        ("small-cnn", "features"),
    ],
)
def test_unknown_layer_names_the_encoders_layers(name: str, known: str) -> None:
    with pytest.raises(InputError, match=f"image encoder {name} has no layer 'pool9'; accepted: {known}$"):
        build_image_encoder(name, layer="pool9")


def test_encoder_stays_in_evaluation_mode(lite0: ImageEncoder) -> None:
    whole = nn.Sequential(lite0, nn.Linear(1280, 2)).train()
    lite0.train()
    assert whole.training
    assert not any(part.training for part in lite0.modules())


@pytest.mark.parametrize("trained", [False, True])
def test_batch_statistics_move_only_when_asked_to(trained: bool) -> None:
    encoder = build_image_encoder("efficientnet-lite0", layer="reduction_3")
    encoder.train_batch_norm = trained
    before = [part.running_mean.clone() for part in _batch_norms(encoder) if part.running_mean is not None]
    encoder.train()
    encoder(_pixels(32, images=4))
    encoder.eval()
    encoder(_pixels(32, images=4))
    assert not encoder.training
    after = [part.running_mean for part in _batch_norms(encoder) if part.running_mean is not None]
    assert [not torch.equal(ours, theirs) for ours, theirs in zip(before, after, strict=True)] == [trained] * len(after)


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
    known = "efficientnet-lite0, efficientnet-lite1, efficientnet-lite2, small-cnn, resnet50, vgg16, vgg19"
    expected = f"unknown image encoder 'resnet'; near: resnet50; accepted: {known}, torchvision:NAME, timm:NAME; python"
    with pytest.raises(InputError, match=expected):
        build_image_encoder("resnet")
