"""Fuses batch normalisation into convolutions: the same network, faster, where it is not trained."""

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Network = TypeVar("Network", bound=nn.Module)


def fuse_batch_norm(network: Network) -> Network:
    """Returns a copy in which each batch normalisation is part of the convolution before it, and ReLUs work in place.

    Up to rounding the copy computes what the network computes in evaluation mode. The network must call its modules in
    the order in which they are registered, and a ReLU's input must not be used again. The networks of
    `san_core.models.architectures` are like that.
    """
    network = copy.deepcopy(network).requires_grad_(False)
    for module in list(network.modules()):
        for (_, convolution), (name, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                _fuse(convolution, norm)
                setattr(module, name, nn.Identity())
        if isinstance(module, nn.ReLU | nn.ReLU6):
            module.inplace = True
    return network


def _fuse(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Gives the convolution weights with which it also normalises."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("batch normalisation without running statistics cannot be fused")
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
