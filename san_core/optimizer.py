"""How weights move: RMSprop, its learning rate over the epochs, clipped gradients."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from san_core.config import TrainingConfig
from san_core.models.san import SAN


def build_optimizer(model: SAN, config: TrainingConfig) -> torch.optim.RMSprop:
    """RMSprop over all of the model's weights; the word embedding has no weight decay (the authors' code)."""
    embedding = model.question_encoder.embedding.weight
    others = [weight for weight in model.parameters() if weight is not embedding]
    groups: list[dict[str, Any]] = [{"params": others, "weight_decay": config.weight_decay}, {"params": [embedding]}]
    return torch.optim.RMSprop(
        groups,
        lr=config.learning_rate,
        alpha=config.alpha,
        eps=config.eps,
        momentum=config.momentum,
    )


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


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, epoch: int) -> None:
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
