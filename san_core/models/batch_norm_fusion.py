"""Fuses batch normalisation into convolutions: the same network, faster, where it is not trained."""

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Network = TypeVar("Network", bound=nn.Module)


def fuse_batch_norm(network: Network) -> Network:
    """Returns a copy in which each batch normalisation is part of the convolution before it.

    Up to rounding the copy computes what the network computes in evaluation mode. Where `torch.fx` has traced a part of
    it, as of torchvision's and timm's networks, the graph says what follows what. All other parts must call their
    modules in the order in which they are registered, and a ReLU's input, which is overwritten, must not be used again.
    The networks of `san_core.models.architectures` are like that.
    """
    training = network.training
    network = (
        copy.deepcopy(network).requires_grad_(False).train(training)
    )  # copies of traced parts are in training mode
    traced = [module for module in network.modules() if isinstance(module, fx.GraphModule)]
    for graph_module in traced:
        for convolution, norm in _pairs_in_graph(graph_module):
            _replace(graph_module, convolution, norm)
    if not traced:
        _fuse_in_order(network)
    return network


def _fuse_in_order(network: nn.Module) -> None:
    """Takes the order in which modules are registered for that in which they are called."""
    for module in list(network.modules()):
        for (first, convolution), (second, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                _replace(module, first, second)
        if isinstance(module, nn.ReLU | nn.ReLU6):
            module.inplace = True


def _pairs_in_graph(network: fx.GraphModule) -> Iterator[tuple[str, str]]:
    """Names of convolutions, each with the batch normalisation that alone uses its output."""
    modules = dict(network.named_modules())
    calls = [node.target for node in network.graph.nodes if node.op == "call_module"]
    for node in network.graph.nodes:
        before = node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        names = str(before.target), str(node.target)
        kinds = type(modules[names[0]]), type(modules[names[1]])
        called_once = calls.count(before.target) == calls.count(node.target) == 1
        if kinds == (nn.Conv2d, nn.BatchNorm2d) and len(before.users) == 1 and called_once:
            yield names


def _replace(network: nn.Module, convolution: str, norm: str) -> None:
    """Has the convolution of a name normalise as well, and puts nothing in the place of the normalisation."""
    before, after = network.get_submodule(convolution), network.get_submodule(norm)
    if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
        _fuse(before, after)
        parent, _, name = norm.rpartition(".")
        setattr(network.get_submodule(parent), name, nn.Identity())


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
