"""How weights move: RMSprop, its learning rate over the epochs, clipped gradients."""

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
    """RMSprop with momentum, in the arithmetic of `torch.optim.RMSprop`.

    torch's class loads torch's compiler as soon as there is one: 100 MB and a second of every worker, for nothing.

    Args:
        groups: weights (`params`) that share a `weight_decay`.
        config: tells the learning rate, alpha, eps and momentum.

    Attributes:
        param_groups: the groups, with their learning rate (`lr`), which may be changed between steps.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], config: TrainingConfig) -> None:
        self.param_groups = [{"lr": config.learning_rate, **group} for group in groups]
        self._alpha, self._eps, self._momentum = config.alpha, config.eps, config.momentum
        weights = [weight for group in self.param_groups for weight in group["params"]]
        self._squares = {weight: torch.zeros_like(weight) for weight in weights}
        self._moves = {weight: torch.zeros_like(weight) for weight in weights}
        self._steps = torch.zeros(())  # which torch counts and does not use

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for weight in self._squares:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Moves the weights that have a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            rmsprop(
                weights,
                [weight.grad for weight in weights],
                [self._squares[weight] for weight in weights],
                [],  # means of the gradients, of the centred kind
                [self._moves[weight] for weight in weights],
                [self._steps] * len(weights),
                lr=group["lr"],
                alpha=self._alpha,
                eps=self._eps,
                weight_decay=group["weight_decay"],
                momentum=self._momentum,
                centered=False,
            )

    def state_dict(self) -> dict[str, list[Tensor]]:
        """What `load_state_dict` needs; learning rates follow from the epoch."""
        return {"squares": list(self._squares.values()), "moves": list(self._moves.values())}

    def load_state_dict(self, state: dict[str, Sequence[Tensor]]) -> None:
        """Goes back to where `state_dict` was called."""
        for own, kept in ((self._squares, state["squares"]), (self._moves, state["moves"])):
            for tensor, value in zip(own.values(), kept, strict=True):
                tensor.copy_(value)


def build_optimizer(model: SAN, config: TrainingConfig) -> RMSprop:
    """RMSprop over all of the model's weights; the word embedding has no weight decay (the authors' code)."""
    embedding = model.question_encoder.embedding.weight
    others = [weight for weight in model.parameters() if weight is not embedding]
    groups = [{"params": others, "weight_decay": config.weight_decay}, {"params": [embedding], "weight_decay": 0.0}]
    return RMSprop(groups, config)


def learning_rate_factor(config: TrainingConfig, epoch: int) -> float:
    """What the schedule multiplies the learning rate by in an epoch (1 to `epochs`), in (0, 1]; 1 in the first.

    It follows from the configuration and the epoch's number alone, so training that was put aside goes on as if
    it had not been.
    """
    done = epoch - 1
    if config.schedule == "step":
        return config.step_factor ** (done // config.step_epochs)
    if config.schedule == "cosine":
        return (1 + math.cos(math.pi * done / config.epochs)) / 2
    return 1.0


def set_learning_rate(optimizer: RMSprop | torch.optim.Optimizer, config: TrainingConfig, epoch: int) -> None:
    """Gives the optimizer the learning rate of an epoch (1 to `epochs`)."""
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * learning_rate_factor(config, epoch)


def clip_gradients(model: nn.Module, config: TrainingConfig) -> None:
    """Shortens gradients longer than `clip_norm`, all as one vector or each parameter's on its own."""
    if config.clip_norm == 0:
        return
    weights = list(model.parameters())
    for clipped in [weights] if config.clip_by == "global" else [[weight] for weight in weights]:
        clip_grad_norm_(clipped, config.clip_norm)
