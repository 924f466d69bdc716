"""timm's networks as image encoders, `timm:NAME`. The package timm is an extra, and imported only when one is used."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from torch import nn

from san_core.errors import InputError
from san_core.models.library_network import LISTS, LibraryNetwork, near
from san_core.models.weights_files import Weights, cannot_get, one_line, torchs_file, torchs_folder

PREFIX = "timm:"

_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of the files of weights in a repository of the Hugging Face hub, in the order in which timm looks for them."""

_POOLS_ALWAYS = (AssertionError, ValueError, TypeError, RuntimeError)
"""What networks raise that cannot be built without pooling; the layers before it are the same."""

_SECONDS_TO_ANSWER = 10


def names() -> list[str]:
    """The names of all networks with weights, without prefix; each with each of its weights: `resnet50.a1_in1k`."""
    return list(_timm().list_models(pretrained=True))


def find(name: str) -> LibraryNetwork:
    """Returns the network of a name, without the prefix; where no weights are named, with timm's default ones.

    Raises:
        InputError: if there is none of that name, or timm is not installed.
    """
    timm = _timm()
    network, _, version = name.partition(".")
    if network.startswith("hiera"):
        raise InputError(f"{PREFIX}{name} cannot be used: its tokens are not in the order of their places in the image")
    if not timm.is_model(network):
        known = near(name, timm.list_models())
        raise InputError(f"unknown image encoder {PREFIX}{name}; {known}{LISTS} {PREFIX} lists them")
    versions = [full.partition(".")[2] for full in timm.list_models(network, include_tags=True)]
    if version and version not in versions:
        raise InputError(f"{PREFIX}{network} has no weights {version}; accepted: {', '.join(versions)}")
    settings = timm.get_pretrained_cfg(name)
    full = ".".join(filter(None, (network, settings.tag)))
    data = timm.data.resolve_data_config(pretrained_cfg=settings.to_dict())
    return LibraryNetwork(
        name=f"{PREFIX}{full}",
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
        image_size=data["input_size"][-1],
        build=partial(_build, full, fixed_size=settings.fixed_input_size),
        find_weights=partial(_find_weights, full, settings.hf_hub_id, settings.url),
        weights=full,
        convert=_convert,
        tracing=_tracing,
        head=(*_parts(settings.classifier), "fc_norm"),
    )


def _timm() -> ModuleType:
    try:
        import timm
        import timm.data
        import timm.layers
    except ImportError as error:
        raise InputError(f"image encoders {PREFIX}NAME need the package timm ({error}); pip install timm") from error
    found: ModuleType = timm
    return found


def _parts(classifier: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The outermost parts of a network in which its classifiers are."""
    names = (classifier,) if isinstance(classifier, str) else classifier or ()
    return tuple(name.partition(".")[0] for name in names)


def _build(name: str, image_size: int, *, fixed_size: bool) -> nn.Module:
    """The network without a classifier; `fixed_size`: it must be built for images of one size."""
    size: Mapping[str, Any] = {"img_size": image_size} if fixed_size else {}
    create: Callable[..., nn.Module] = partial(_timm().create_model, name, num_classes=0, **size)
    try:
        return create(global_pool="")
    except _POOLS_ALWAYS:
        return create()


def _convert(network: nn.Module, weights: Weights) -> Weights:
    """Gives weights timm's names and sizes of today, by the function that timm's module of the network has for it."""
    convert: Callable[[Weights, nn.Module], Weights] | None
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    return convert(weights, network) if convert else weights


def _tracing() -> Mapping[str, Any]:
    layers = _timm().layers
    return {
        "leaf_modules": list(layers.get_notrace_modules()),
        "autowrap_functions": list(layers.get_notrace_functions()),
    }


def _find_weights(network: str, repository: str | None, url: str | None, name: str, download: bool) -> Path:
    """The file of weights: in torch's folder under the network's name, or in the cache of the Hugging Face hub.

    It is downloaded to the latter if it is in neither.
    """
    own = torchs_folder() / f"{network}.safetensors"
    if own.is_file():
        return own
    if repository is None:
        if url is None:
            raise InputError(f"timm has no pretrained weights of {name}; accepted: your own, by --weights FILE")
        return torchs_file(url, name, download)
    from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache

    for file in _FILES:
        cached = try_to_load_from_cache(repository, file)
        if isinstance(cached, str):
            return Path(cached)
    address = hf_hub_url(repository, _FILES[0])
    try:
        if not download:
            raise URLError("not downloaded yet")
        _check_network(address)
        return Path(hf_hub_download(repository, _FILES[0]))
    except (OSError, ValueError) as error:
        reason = one_line(getattr(error, "reason", None) or error)
        raise InputError(cannot_get(name, reason, address, own)) from error


def _check_network(address: str) -> None:
    """Fails at once where there is no network; the hub's own function tries for half a minute.

    Raises:
        OSError: if the server cannot be reached.
    """
    try:
        with urlopen(Request(address, method="HEAD"), timeout=_SECONDS_TO_ANSWER):
            pass
    except HTTPError:  # it answers: the hub's own function may have a key, or knows what is wrong
        return
