import pytest
import torch
from torch import Tensor, nn

from san_core.models.batch_norm_fusion import fuse_batch_norm
from san_core.models.encoders import NAMES
from san_core.models.image_encoder import ImageEncoder, build_image_encoder


def _encoder(name: str) -> ImageEncoder:
    """With weights and statistics as far from those of a fresh network as training brings them."""
    torch.manual_seed(1)
    encoder = build_image_encoder(name, pretrained=False)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return encoder


def _pixels() -> Tensor:
    return torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", [*NAMES, "torchvision:densenet121", "timm:efficientnet_b0", "timm:resnetv2_50"])
def test_folded_encoder_gives_the_same_regions(name: str) -> None:
    encoder = _encoder(name)
    with torch.inference_mode():
        expected, found = encoder(_pixels()), fuse_batch_norm(encoder)(_pixels())
    assert (found - expected).norm() < 1e-4 * expected.norm()
    assert expected.std() > 0


def test_nothing_is_left_to_normalise_and_the_encoder_is_left_as_it_was() -> None:
    encoder = _encoder("efficientnet-lite0")
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    without = fuse_batch_norm(encoder)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in without.modules())
    after = encoder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())
    assert all(weight.requires_grad for weight in encoder.parameters())


def test_batch_normalisation_elsewhere_stays() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    assert [type(module) for module in fuse_batch_norm(network)] == [nn.BatchNorm2d, nn.Conv2d, nn.ReLU, nn.BatchNorm2d]
