import re
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from san_core.errors import InputError
from san_core.models import timm_networks
from san_core.models.encoders import find_encoder
from san_core.models.image_encoder import build_image_encoder
from san_core.models.regions import Regions, find_regions
from tests.san_core.models.random_weights import BACKBONES, Save, library_caches, unlike_fresh


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Save:
    """Puts random weights of a network where its library looks for pretrained ones. There is no network."""

    def fail(*_arguments: Any, **_options: Any) -> None:  # noqa: ANN401 - whatever they are called with
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    monkeypatch.setattr(timm_networks, "urlopen", fail)
    return library_caches(tmp_path, monkeypatch)


def _pixels(size: int) -> Tensor:
    return torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def _normalised(pixels: Tensor, mean: Any, std: Any) -> Tensor:  # noqa: ANN401 - lists or tuples
    return torchvision.transforms.functional.normalize(pixels.permute(0, 3, 1, 2) / 255, mean, std)


def _of_torchvision(name: str, layer: str, pixels: Tensor) -> Tensor:
    """What torchvision itself computes with its own loading, transforms and feature extraction: [B, C, H, W]."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    network = torchvision.models.get_model(name, weights=weights).eval()
    settings = weights.transforms()
    found: Tensor = create_feature_extractor(network, {layer: "x"})(_normalised(pixels, settings.mean, settings.std))[
        "x"
    ]
    if found.ndim == 3:  # tokens, the class first
        edge = int((found.shape[1] - 1) ** 0.5)
        return found[:, 1:].transpose(1, 2).reshape(len(found), -1, edge, edge)
    return found if found.shape[2] == found.shape[3] else found.permute(0, 3, 1, 2)


def _of_timm(name: str, layer: str, pixels: Tensor) -> Tensor:
    """What timm itself computes: [B, C, H, W]."""
    network = timm.create_model(name, pretrained=True, img_size=pixels.shape[1]).eval()
    settings = timm.data.resolve_data_config(model=network)
    images = _normalised(pixels, settings["mean"], settings["std"])
    block = layer.removeprefix("blocks.")
    indices = [int(block)] if block.isdigit() else 1
    maps: list[Tensor] = network.forward_intermediates(
        images, indices=indices, norm=layer == "norm", intermediates_only=True
    )
    if layer == "norm":
        whole = network.forward_features(images)[:, network.num_prefix_tokens :]
        torch.testing.assert_close(maps[-1].flatten(2).transpose(1, 2), whole)
    return maps[-1]


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [
        ("torchvision:resnet50", "layer3.5.add", 64),
        ("timm:vit_small_patch14_dinov2", "blocks.5", 56),
        *(
            pytest.param(*arguments, marks=pytest.mark.long)
            for arguments in (
                ("torchvision:resnet50", "layer4", 64),
                ("torchvision:convnext_tiny", "features", 64),
                ("torchvision:convnext_tiny", "features.5", 64),
                ("torchvision:efficientnet_b0", "features", 64),
                ("torchvision:vit_b_16", "encoder", 224),
                ("torchvision:vit_b_16", "encoder.layers.encoder_layer_5", 224),
                ("torchvision:swin_t", "permute", 64),
                ("torchvision:swin_t", "features.5", 64),
                ("timm:vit_small_patch14_dinov2", "norm", 56),
                ("timm:vit_small_patch14_reg4_dinov2", "norm", 56),
            )
        ),
    ],
)
@torch.inference_mode()
def test_regions_are_what_the_library_itself_computes(name: str, layer: str, size: int, save: Save) -> None:
    save(name)
    library, _, network = name.partition(":")
    pixels = _pixels(size)
    expected = (_of_torchvision if library == "torchvision" else _of_timm)(network, layer, pixels)
    found = build_image_encoder(name, layer=layer, image_size=size)(pixels)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected.flatten(2).transpose(1, 2), rtol=1e-3, atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("torchvision:resnet50", "layer4"),
        ("torchvision:convnext_tiny", "features"),
        ("torchvision:efficientnet_b0", "features"),
        ("torchvision:vgg19", "features"),
        ("torchvision:vit_b_16", "encoder"),
        ("torchvision:swin_t", "permute"),
        ("torchvision:inception_v3", "Mixed_7c"),
        ("timm:resnet18", "layer4"),
        ("timm:vit_small_patch14_dinov2", "norm"),
        ("timm:vit_base_patch16_siglip_224", "norm"),
        ("timm:convnext_tiny", "stages"),
    ],
)
def test_the_default_layer_is_the_last_before_pooling(name: str, layer: str) -> None:
    assert find_encoder(name).regions(None, None).layer == layer


@pytest.mark.parametrize(
    "name",
    [
        *("test_vit", "test_resnet", "test_convnext", "test_efficientnet"),
        pytest.param("swin_s3_tiny_224", marks=pytest.mark.long),
    ],
)
@torch.inference_mode()
def test_the_default_layer_of_timm_is_what_forward_features_gives(name: str) -> None:
    encoder = build_image_encoder(f"timm:{name}", pretrained=False)
    network = timm.create_model(name, num_classes=0).eval()
    network.load_state_dict(encoder.layers.state_dict(), strict=False)
    pixels = _pixels(find_encoder(f"timm:{name}").image_size or 0)
    expected = network.forward_features(
        (pixels.permute(0, 3, 1, 2) / 255 - encoder.mean.view(3, 1, 1)) / encoder.std.view(3, 1, 1)
    )
    if expected.ndim == 3:
        expected = expected[:, network.num_prefix_tokens :]
    elif expected.shape[1] != expected.shape[2]:
        expected = expected.flatten(2).transpose(1, 2)
    else:
        expected = expected.flatten(1, 2)
    torch.testing.assert_close(encoder(pixels), expected, rtol=1e-3, atol=1e-4)


def _one_of_each_family() -> list[str]:
    """`resnet101` of the ResNets, and so on; all others differ from it in size only."""
    names = torchvision.models.list_models(module=torchvision.models)
    return list({re.split(r"[_\d]", name)[0]: name for name in reversed(names)}.values())


@pytest.mark.rare
@pytest.mark.long
@pytest.mark.parametrize("name", _one_of_each_family())
def test_every_family_of_torchvision_has_regions(name: str) -> None:
    found = find_encoder(f"torchvision:{name}").regions(None, None)
    assert 4 <= found.edge <= 40
    assert found.channels >= 64


@pytest.mark.parametrize("name", BACKBONES)
def test_normalisation_and_size_are_those_of_the_weights(name: str) -> None:
    library, _, network = name.partition(":")
    found = find_encoder(name)
    if library == "timm":
        assert (found.name, found.image_size) == ("timm:vit_small_patch14_dinov2.lvd142m", 518)
        assert (found.mean, found.std) == (timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD)
        return
    weights = torchvision.models.get_model_weights(network).DEFAULT
    settings = weights.transforms()
    assert found.name == f"{name}.{weights.name}"
    assert (list(found.mean), list(found.std)) == (settings.mean, settings.std)
    assert found.image_size == settings.crop_size[0]


def test_weights_are_chosen_by_name() -> None:
    swag = find_encoder("torchvision:vit_b_16.IMAGENET1K_SWAG_E2E_V1")
    assert (swag.image_size, swag.weights, swag.regions(None, None).edge) == (384, "vit_b_16_swag-9ac1b537", 24)
    assert find_encoder("timm:vit_base_patch16_siglip_224").mean == (0.5,) * 3


@pytest.mark.parametrize(
    ("shape", "special", "expected"),
    [
        ((1, 512, 7, 7), 0, Regions("x", 512, 7)),
        ((1, 7, 7, 768), 0, Regions("x", 768, 7, "channels last")),
        ((1, 197, 768), 1, Regions("x", 768, 14, "tokens", 1)),
        ((1, 1374, 384), 5, Regions("x", 384, 37, "tokens", 5)),
        ((1, 196, 768), 1, Regions("x", 768, 14, "tokens", 0)),  # before the class token is put there
        ((1, 197, 768), 0, Regions("x", 768, 14, "tokens", 1)),
        ((1, 2048, 1, 1), 0, Regions("x", 2048, 1)),
        ((1, 12, 197, 64), 0, None),
        ((1, 195, 768), 1, None),
        ((1, 1000), 0, None),
        ((1,), 0, None),
    ],
)
def test_grids_and_tokens_are_told_by_their_shape(
    shape: tuple[int, ...], special: int, expected: Regions | None
) -> None:
    assert find_regions("x", shape, special) == expected


def test_axes_are_told_apart_where_there_are_as_many_channels_as_regions() -> None:
    assert find_encoder("torchvision:swin_t").regions("features.1", 384) == Regions(
        "features.1", 96, 96, "channels last"
    )
    assert find_encoder("torchvision:convnext_tiny").regions("features.1", 384) == Regions("features.1", 96, 96)


def test_tokens_become_the_grid_row_by_row() -> None:
    output = torch.arange(2 * 11 * 3).view(2, 11, 3).float()  # two special tokens, then 3 x 3 patches
    found = Regions("x", 3, 3, "tokens", 2).to_grid(output)
    assert found.shape == (2, 3, 3, 3)
    assert torch.equal(found[1, :, 2, 1], output[1, 2 + 3 * 2 + 1])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "torchvision:resnet5",
            "unknown image encoder torchvision:resnet5; near: resnet50, .*; python -m san_core.encoders tor",
        ),
        ("torchvision:rasnet18", "unknown image encoder torchvision:rasnet18; near: resnet18, "),
        (
            "timm:dinov3",
            "unknown image encoder timm:dinov3; near: .*_dinov3, .*; python -m san_core.encoders timm: lists",
        ),
        ("timm:vit_small_patch14_dinov9", "near: .*vit_small_patch14_dinov2"),
        ("torchvision:resnet50.V3", "resnet50 has no weights V3; accepted: IMAGENET1K_V1, IMAGENET1K_V2$"),
        ("timm:vit_small_patch14_dinov2.x", "vit_small_patch14_dinov2 has no weights x; accepted: lvd142m$"),
        ("timm:hiera_tiny_224", "its tokens are not in the order of their places"),
        (
            "tim:resnet18",
            "unknown image encoder 'tim:resnet18'; near: resnet50; accepted: .*, torchvision:NAME, timm:NAME",
        ),
    ],
)
def test_wrong_name_is_one_line_with_what_is_near(name: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as raised:
        find_encoder(name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "layer", "size", "told"),
    [
        (
            "torchvision:resnet50",
            "layer5",
            None,
            "has no layer 'layer5'; near: layer4, .*encoders torchvision:resnet50.I",
        ),
        ("torchvision:resnet50", "blocks", None, "has no layer 'blocks'; it has .*fc; python"),
        ("timm:vit_small_patch14_dinov2", "blocks.12", None, "no layer 'blocks.12'; near: blocks.2, blocks.1, "),
        ("torchvision:resnet50", "flatten", None, "layer flatten of .* gives neither a square grid nor tokens"),
        ("torchvision:vit_b_16", "encoder", 100, "cannot be used with images of 100 pixels: Input shape indivisible"),
        ("timm:test_vit", None, 3, "cannot be used with images of 3 pixels: "),
    ],
)
def test_wrong_layer_or_size_is_one_line(name: str, layer: str | None, size: int | None, told: str) -> None:
    with pytest.raises(InputError, match=told) as raised:
        find_encoder(name).regions(layer, size)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("torchvision:resnet18", r"resnet18-f37072fd.pth on another .* into {folder} as resnet18-f37072fd.pth, or"),
        (
            "timm:test_vit",
            r"timm/test_vit.r160_in1k/resolve/\S+ on another .* into {folder} as test_vit.r160_in1k.safetensors, or",
        ),
    ],
)
def test_missing_weights_without_network_are_one_line(name: str, pattern: str, tmp_path: Path, save: Save) -> None:
    del save
    folder = re.escape(str(tmp_path / "torch" / "hub" / "checkpoints"))
    told = rf"image encoder {name}.* \(.*no network.*\); download .*{pattern.format(folder=folder)}"
    with pytest.raises(InputError, match=told) as raised:
        build_image_encoder(name)
    assert "\n" not in str(raised.value)


def test_weights_of_timm_are_found_in_the_folder_that_the_error_names(tmp_path: Path, save: Save) -> None:
    downloaded = save("timm:test_vit")
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    from_hub = build_image_encoder("timm:test_vit").state_dict()
    downloaded.rename(folder / "test_vit.r160_in1k.safetensors")
    from_folder = build_image_encoder("timm:test_vit").state_dict()
    assert all(torch.equal(value, from_folder[name]) for name, value in from_hub.items())


def _nested(state: dict[str, Tensor]) -> object:
    return {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}


@pytest.mark.parametrize("kind", [".safetensors", ".pth", "nested.pth"])
def test_weights_of_a_file_of_ones_own(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = unlike_fresh(torchvision.models.resnet18(num_classes=7)).state_dict()
    path = tmp_path / f"own{kind}"
    if kind == ".safetensors":
        save_file(state, path)
    else:
        torch.save(_nested(state) if kind == "nested.pth" else state, path)
    found = build_image_encoder("torchvision:resnet18", layer="layer3", weights=path).layers.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in found.items())
    assert not [name for name in found if name.startswith(("layer4", "fc"))]


@pytest.mark.long
def test_old_files_have_no_counts_of_batches_and_old_names(tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = torchvision.models.densenet121().state_dict()
    old = {
        re.sub(r"(norm|conv)([12])\.", r"\1.\2.", name) if "denselayer" in name else name: v
        for name, v in state.items()
    }
    path = tmp_path / "densenet121.pth"
    torch.save({name: value for name, value in old.items() if "num_batches" not in name}, path)
    found = build_image_encoder("torchvision:densenet121", weights=path).layers.state_dict()
    assert "features.denseblock1.denselayer1.norm1.weight" in found
    assert all(torch.equal(value, state[name]) for name, value in found.items())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    torch.save(torchvision.models.resnet18().state_dict(), path)
    for name in ("torchvision:resnet34", "timm:test_vit", "torchvision:mobilenet_v2"):
        with pytest.raises(InputError, match=f"{path} does not hold the weights of {name}"):
            build_image_encoder(name, weights=path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(InputError, match="holds no weights by name; accepted"):
        build_image_encoder("torchvision:resnet18", weights=path)
    with pytest.raises(InputError, match="none.pth does not exist"):
        build_image_encoder("torchvision:resnet18", weights=tmp_path / "none.pth")


@pytest.mark.long
@torch.inference_mode()
def test_position_embeddings_are_fitted_to_the_image_size(tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = unlike_fresh(torchvision.models.vit_b_32()).state_dict()
    save_file(state, tmp_path / "vit.safetensors")
    encoder = build_image_encoder("torchvision:vit_b_32", image_size=96, weights=tmp_path / "vit.safetensors")
    assert encoder(_pixels(96)).shape == (2, 9, 768)
    fitted = torchvision.models.vision_transformer.interpolate_embeddings(
        96, 32, load_file(tmp_path / "vit.safetensors")
    )
    network: nn.Module = torchvision.models.vit_b_32(image_size=96).eval()
    network.load_state_dict(fitted)
    expected = create_feature_extractor(network, {"encoder": "x"})(_normalised(_pixels(96), encoder.mean, encoder.std))[
        "x"
    ]
    torch.testing.assert_close(encoder(_pixels(96)), expected[:, 1:], rtol=1e-3, atol=1e-4)
