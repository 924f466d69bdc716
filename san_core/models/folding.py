"""The same network with less to compute, for where it is not trained."""

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Network = TypeVar("Network", bound=nn.Module)


def folded(network: Network) -> Network:
    """A copy in which batch normalisation is part of the convolution before it, and rectifiers write in place.

    It gives what the network gives in evaluation mode, up to rounding. It is for networks that call their parts in the
    order in which they hold them, and rectify nothing but what was just computed, as those of
    `san_core.models.architectures` do.
    """
    network = copy.deepcopy(network).requires_grad_(False)
    for module in list(network.modules()):
        for (_, convolution), (name, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                _fold(convolution, norm)
                setattr(module, name, nn.Identity())
        if isinstance(module, nn.ReLU | nn.ReLU6):
            module.inplace = True
    return network


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Gives a convolution the weights with which it normalises, too."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("batch normalisation without statistics cannot be folded")
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
