"""Networks of torchvision and timm with random weights, in the places where the libraries look for pretrained ones."""

from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

BACKBONES = (
    "torchvision:resnet50",
    "torchvision:convnext_tiny",
    "torchvision:efficientnet_b0",
    "torchvision:vit_b_16",
    "torchvision:swin_t",
    "timm:vit_small_patch14_dinov2",
)

Save = Callable[[str], Path]


def library_caches(folder: Path, patch: pytest.MonkeyPatch) -> Save:
    """Empty caches of both libraries in a folder; the function puts random weights of a network there."""
    patch.setattr(torch.hub, "_hub_dir", None)
    patch.setenv("TORCH_HOME", str(folder / "torch"))
    patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))

    def save(name: str) -> Path:
        library, _, network = name.partition(":")
        torch.manual_seed(4)
        return (_save_torchvision if library == "torchvision" else _save_timm)(network, folder)

    return save


def _save_torchvision(name: str, folder: Path) -> Path:
    return save_in_torchs_folder(f"torchvision:{name}", folder / "torch" / "hub" / "checkpoints")


def _save_timm(name: str, folder: Path) -> Path:
    """As a download from the hub lies in its cache."""
    repository = folder / "hub" / f"models--{timm.get_pretrained_cfg(name).hf_hub_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    return random_weights(f"timm:{name}", repository / "snapshots" / ("0" * 40) / "model.safetensors")


def save_in_torchs_folder(name: str, checkpoints: Path) -> Path:
    """Puts random weights of a network where torch keeps those that it has downloaded."""
    library, _, network = name.partition(":")
    if library == "timm":
        return random_weights(name, checkpoints / f"{network}.{timm.get_pretrained_cfg(network).tag}.safetensors")
    url = torchvision.models.get_model_weights(network).DEFAULT.url
    return random_weights(name, checkpoints / url.rpartition("/")[2])


def random_weights(name: str, path: Path) -> Path:
    """Writes random weights of a network to a file of either kind."""
    library, _, network = name.partition(":")
    built = torchvision.models.get_model(network) if library == "torchvision" else timm.create_model(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    (save_file if path.suffix == ".safetensors" else torch.save)(unlike_fresh(built).state_dict(), path)
    return path


def unlike_fresh(network: nn.Module) -> nn.Module:
    """The network with statistics and scales as far from those of a fresh network as training brings them."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.8, 1.25)  # type: ignore[arg-type]
    for name, value in network.named_parameters():
        if name.endswith(("gamma", "layer_scale", "pos_embed", "pos_embedding", "cls_token", "class_token")):
            nn.init.normal_(value, std=0.5)
    return network
