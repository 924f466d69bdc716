"""RMSprop and gradient clipping for W members in flat buffers [W, P], by the formulas of `torch.optim.RMSprop`.

Every hyperparameter is a tensor on the device, so that each replay of a captured step reads its current value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from san_core.cohort import pointwise
from san_core.cohort.network import Network
from san_core.config import TrainingConfig
from san_core.optimizer import learning_rate_factor

_TINY = 1e-6
"""Added to a norm before dividing by it, as in `torch.nn.utils.clip_grad_norm_`."""


@dataclass(frozen=True)
class Hyperparameters:
    """The hyperparameters of each member, on the device [W, 1]; see `TrainingConfig`."""

    learning_rate: Tensor
    momentum: Tensor
    alpha: Tensor
    eps: Tensor
    weight_decay: Tensor
    clip_norm: Tensor

    @classmethod
    def of(cls, configs: Sequence[TrainingConfig], device: torch.device, dtype: torch.dtype) -> "Hyperparameters":
        """Those of the members' configurations in the first epoch."""
        made = cls(*(torch.empty(len(configs), 1, dtype=dtype, device=device) for _ in fields(cls)))
        made.fill(configs, 1)
        return made

    def fill(self, configs: Sequence[TrainingConfig], epoch: int) -> None:
        """Sets those of the members' configurations in an epoch; the tensors keep their place."""
        for each in fields(self):
            tensor: Tensor = getattr(self, each.name)
            values = [getattr(config, each.name) for config in configs]
            if each.name == "learning_rate":
                values = [config.learning_rate * learning_rate_factor(config, epoch) for config in configs]
            tensor.copy_(torch.tensor(values, dtype=tensor.dtype).unsqueeze(1))


class CohortRMSprop:
    """RMSprop with momentum for flat weights. The word embedding, the first block of a row, has no weight decay.

    Where the largest configuration does not clip, no member does, and the norm is not worked out.

    Args:
        network: of the members; a step renews its weights, and their working copy.
        hyperparameters: of the members.

    Attributes:
        hyperparameters: as given.
        square_avg, momentum_buffer: of each weight [W, P].
    """

    def __init__(self, network: Network, hyperparameters: Hyperparameters) -> None:
        weights = network.weights
        self.square_avg, self.momentum_buffer = torch.zeros_like(weights), torch.zeros_like(weights)
        self._layout, self._weights, self._working = network.layout, weights, network.working
        self.hyperparameters = hyperparameters
        self._clips, self._clip_by = network.config.clip_norm > 0, network.config.clip_by

    def step(self, grads: Tensor, active: Tensor) -> None:
        """Updates the weights of the active members, and may overwrite the gradients.

        Args:
            grads: gradients [W, P].
            active: whether a member is updated [W, 1] (bool).
        """
        scale = self._clip(grads)
        if pointwise.uses_triton(self._weights):
            from san_core.cohort import fused

            fused.rmsprop(self, grads, scale, active)
            return
        hyper = self.hyperparameters
        grads = grads.to(self._weights.dtype)
        grads = grads if scale is None else grads * scale
        decayed = self._layout.decayed_from
        grads = torch.cat(
            [grads[:, :decayed], torch.addcmul(grads[:, decayed:], self._weights[:, decayed:], hyper.weight_decay)],
            dim=1,
        )
        square_avg = self.square_avg * hyper.alpha + grads * grads * (1 - hyper.alpha)
        momentum_buffer = self.momentum_buffer * hyper.momentum + grads / (square_avg.sqrt() + hyper.eps)
        weights = self._weights - hyper.learning_rate * momentum_buffer
        for kept, value in (
            (self.square_avg, square_avg),
            (self.momentum_buffer, momentum_buffer),
            (self._weights, weights),
        ):
            torch.where(active, value, kept, out=kept)
        if self._working is not self._weights:
            self._working.copy_(self._weights)

    @property
    def operands(self) -> tuple[Tensor, Tensor, Hyperparameters, int]:
        """What the fused update needs: weights, working copy, hyperparameters, where weight decay begins."""
        return self._weights, self._working, self.hyperparameters, self._layout.decayed_from

    def _clip(self, grads: Tensor) -> Tensor | None:
        """Clips the gradients to `clip_norm`, by the norm that `clip_by` names.

        Returns:
            The factor [W, 1] that the gradients are still to be multiplied by; None if no member clips, or if they were
            clipped in place, parameter by parameter.
        """
        if not self._clips:
            return None
        exact = self._weights.dtype
        if self._clip_by == "global":
            return self._clip_factor(torch.linalg.vector_norm(grads, dim=1, keepdim=True, dtype=exact))
        for view in self._layout.tensors(grads):
            norms = torch.linalg.vector_norm(view.reshape(len(view), -1), dim=1, keepdim=True, dtype=exact)
            view.mul_(self._clip_factor(norms).view(-1, *[1] * (view.dim() - 1)))
        return None

    def _clip_factor(self, norms: Tensor) -> Tensor:
        clip_norm = self.hyperparameters.clip_norm
        return torch.where(clip_norm > 0, (clip_norm / (norms + _TINY)).clamp(max=1), 1)
