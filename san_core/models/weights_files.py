"""Reads files of a network's weights, without ever running code that they may hold."""

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from san_core.errors import InputError
from san_core.files import read_start, sha256

Weights = dict[str, Tensor]

_NESTED = ("state_dict", "model", "model_state_dict", "teacher", "net")
"""Keys under which training scripts put a network's weights beside other things."""

_WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before the names of weights."""

_DAMAGE = (OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, SafetensorError)

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})$")


def read_weights(path: Path) -> Weights:
    """Reads a network's weights by name from a .safetensors file, or from one that `torch.save` wrote.

    Raises:
        InputError: if the file is missing, damaged, holds other Python objects than tensors, or holds no weights.
    """
    read_start(path, 1)  # tells of a missing file
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise InputError(
            f"{path} is damaged, or holds Python objects, which are never loaded: loading them could run any program"
        ) from error
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged: {one_line(error) or type(error).__name__}") from error
    return _state(path, content)


def _state(path: Path, content: object) -> Weights:
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    found = _tensors(content) if isinstance(content, Mapping) else {}
    if not found:
        raise InputError(
            f"{path} holds no weights by name; accepted: a .safetensors file, or what torch.save wrote of "
            "a network's state_dict()"
        )
    for prefix in _WRAPPERS:
        if all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def _tensors(content: Mapping[Any, Any]) -> Weights:
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def name_weights(stem: str, path: Path) -> str:
    """A name for the weights in a file that ends in a hash of its content.

    Args:
        stem: what to call them. If it ends in the start of the file's SHA-256 hash, as torchvision's files do, nothing
            is added.
        path: the file.

    Raises:
        InputError: if it cannot be read.
    """
    found, told = sha256(path), _HASH_IN_NAME.search(stem)
    return stem if told and found.startswith(told[1]) else f"{stem}-{found[:16]}"


def torchs_file(url: str, name: str, download: bool) -> Path:
    """The file of weights in torch's folder.

    Args:
        url: where the file comes from if it is not there.
        name: the image encoder, for the error.
        download: whether to get it from there.

    Raises:
        InputError: if it is not there, and cannot be downloaded.
    """
    path = torchs_folder() / url.rpartition("/")[2]
    if path.exists():
        return path
    try:
        if not download:
            raise OSError("not downloaded yet")
        path.parent.mkdir(parents=True, exist_ok=True)
        told = _HASH_IN_NAME.search(path.stem)
        torch.hub.download_url_to_file(url, str(path), told[1] if told else None)
    except (OSError, RuntimeError) as error:  # no network, or another hash than in the name
        raise InputError(cannot_get(name, one_line(error), url, path)) from error
    return path


def torchs_folder() -> Path:
    """Torch's folder of weights, below TORCH_HOME."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def cannot_get(name: str, reason: str, url: str, path: Path) -> str:
    """The message that weights are missing: which file goes where."""
    return (
        f"cannot get the weights of image encoder {name} ({reason}); download {url} on another machine and put it into "
        f"{path.parent} as {path.name}, or name the file by --weights FILE"
    )


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())
