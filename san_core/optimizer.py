"""RMSprop, the learning rate schedule, and gradient clipping."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.rmsprop import rmsprop

from san_core.config import TrainingConfig
from san_core.models.san import SAN


class RMSprop:
    """RMSprop with momentum. Its steps are those of `torch.optim.RMSprop`, to the bit.

    An instance of torch's own class imports torch's compiler, which costs every worker 100 MB and a second.

    Args:
        groups: parameters (`params`) that share a `weight_decay`.
        config: configuration with the learning rate, alpha, eps and momentum.

    Attributes:
        param_groups: the groups with their learning rate (`lr`), which may be changed between steps.
        square_avg, momentum_buffer: the state of each parameter.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], config: TrainingConfig) -> None:
        self.param_groups = [{"lr": config.learning_rate, **group} for group in groups]
        self._alpha, self._eps, self._momentum = config.alpha, config.eps, config.momentum
        params = [param for group in self.param_groups for param in group["params"]]
        self.square_avg = {param: torch.zeros_like(param) for param in params}
        self.momentum_buffer = {param: torch.zeros_like(param) for param in params}
        self._step = torch.zeros(())  # torch increments it and does not use it

    def zero_grad(self) -> None:
        """Sets all gradients to None."""
        for param in self.square_avg:
            param.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Updates the parameters that have a gradient."""
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            rmsprop(
                params,
                [param.grad for param in params],
                [self.square_avg[param] for param in params],
                [],  # grad_avgs, which only centered RMSprop has
                [self.momentum_buffer[param] for param in params],
                [self._step] * len(params),
                lr=group["lr"],
                alpha=self._alpha,
                eps=self._eps,
                weight_decay=group["weight_decay"],
                momentum=self._momentum,
                centered=False,
            )

    def state_dict(self) -> dict[str, list[Tensor]]:
        """The state for `load_state_dict`; it has no learning rates, since they follow from the epoch."""
        return {
            "square_avg": list(self.square_avg.values()),
            "momentum_buffer": list(self.momentum_buffer.values()),
        }

    def load_state_dict(self, state: dict[str, Sequence[Tensor]]) -> None:
        """Restores a state that `state_dict` returned."""
        for name, own in (("square_avg", self.square_avg), ("momentum_buffer", self.momentum_buffer)):
            for tensor, value in zip(own.values(), state[name], strict=True):
                tensor.copy_(value)


EMBEDDING = "question_encoder.embedding.weight"
"""Name of the word embedding's weight."""


def optimizer_order(names: Iterable[str]) -> list[str]:
    """Names of a network's parameters, in its own order, as `build_optimizer` keeps them: the word embedding last."""
    return sorted(names, key=lambda name: name == EMBEDDING)


def build_optimizer(model: SAN, config: TrainingConfig) -> RMSprop:
    """RMSprop over all parameters of the model; the word embedding has no weight decay, as in the authors' code."""
    embedding = model.question_encoder.embedding.weight
    others = [param for param in model.parameters() if param is not embedding]
    groups = [{"params": others, "weight_decay": config.weight_decay}, {"params": [embedding], "weight_decay": 0.0}]
    return RMSprop(groups, config)


def learning_rate_factor(config: TrainingConfig, epoch: int) -> float:
    """The factor of the learning rate in an epoch (1 to `epochs`), in (0, 1]; it is 1 in the first epoch.

    It depends on the configuration and the epoch's number alone, so interrupted training continues as if it had not
    been interrupted.
    """
    done = epoch - 1
    if config.schedule == "step":
        return config.step_factor ** (done // config.step_epochs)
    if config.schedule == "cosine":
        return (1 + math.cos(math.pi * done / config.epochs)) / 2
    return 1.0


def set_learning_rate(optimizer: RMSprop | torch.optim.Optimizer, config: TrainingConfig, epoch: int) -> None:
    """Sets the learning rate of the optimizer to that of an epoch (1 to `epochs`)."""
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * learning_rate_factor(config, epoch)


def clip_gradients(model: nn.Module, config: TrainingConfig) -> None:
    """Clips gradients to the norm `clip_norm`: all together as one vector, or those of each parameter on their own."""
    if config.clip_norm == 0:
        return
    params = list(model.parameters())
    for group in [params] if config.clip_by == "global" else [[param] for param in params]:
        clip_grad_norm_(group, config.clip_norm)
