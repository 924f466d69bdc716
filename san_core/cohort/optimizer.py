"""RMSprop and gradient clipping for W members in flat buffers [W, P], by the formulas of `torch.optim.RMSprop`.

Every hyperparameter is a tensor on the device, so that each replay of a captured step reads its current value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from san_core.cohort import pointwise
from san_core.cohort.layout import Layout
from san_core.config import TrainingConfig

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
        """Takes them from the members' configurations [W]."""
        columns = {each.name: [[getattr(config, each.name)] for config in configs] for each in fields(cls)}
        return cls(**{name: torch.tensor(column, dtype=dtype, device=device) for name, column in columns.items()})


class CohortRMSprop:
    """RMSprop with momentum for flat weights. The word embedding, the first block of a row, has no weight decay.

    Args:
        layout: layout of a row: where each weight is stored.
        weights: weights of the members, float32 or float64 [W, P].
        working: weights in the type of the matrix products [W, P]: the same tensor as `weights`, or a bfloat16 copy
            that every step updates.
        hyperparameters: hyperparameters of the members.
        clips: whether any member clips its gradients; otherwise no norm is computed.
        clip_by: see `TrainingConfig`.

    Attributes:
        square_avg, momentum_buffer: state of the optimizer for each weight [W, P].
    """

    def __init__(  # noqa: PLR0913 - what an update needs
        self,
        layout: Layout,
        weights: Tensor,
        working: Tensor,
        hyperparameters: Hyperparameters,
        *,
        clips: bool,
        clip_by: str,
    ) -> None:
        self.square_avg, self.momentum_buffer = torch.zeros_like(weights), torch.zeros_like(weights)
        self._layout, self._weights, self._working = layout, weights, working
        self._hyperparameters = hyperparameters
        self._clips, self._clip_by = clips, clip_by

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
        hyper = self._hyperparameters
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
        """What the fused update needs: weights, working copy, hyperparameters, and where weight decay begins."""
        return self._weights, self._working, self._hyperparameters, self._layout.decayed_from

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
        clip_norm = self._hyperparameters.clip_norm
        return torch.where(clip_norm > 0, (clip_norm / (norms + _TINY)).clamp(max=1), 1)
