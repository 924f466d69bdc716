"""The steps of W members: one step of training (forward pass, gradients, update) and one of evaluation.

Every tensor has a fixed shape and address, every hyperparameter is on the device, and no value is read back to the
host. So a step can be captured as a CUDA graph (`san_core.cohort.graph`) and replayed. The same code runs without a
graph on any device.

Shapes: W members, I images, Q questions about each, S = I Q slots, T steps of an epoch, A answers, P people who
answered.
"""

import torch
from torch import Tensor

from san_core.cohort.batches import Batch, BatchBuffers, Features
from san_core.cohort.data import Questions
from san_core.cohort.network import Network
from san_core.cohort.optimizer import CohortRMSprop
from san_core.data.targets import SOFT
from san_core.models.dropout import draw_bytes


def answer_shares(people: Tensor, answers: int) -> Tensor:
    """Soft targets [S, A] from people's answers [S, P], as in `san_core.data.targets.draw_targets`."""
    counts = (people.unsqueeze(2) == torch.arange(answers, device=people.device)).sum(dim=1)
    scores = torch.where(counts > 3, 1.0, counts * 0.3).double()
    return scores / scores.sum(dim=1, keepdim=True)


class TrainStep:
    """One step of training.

    Args:
        network: network of the members.
        optimizer: optimizer of the network's weights.
        buffers: batches of the epoch.
        features, questions: features and questions of the data set.
        regions: number of regions of an image.

    Attributes:
        losses: of each member, summed over the questions of the epoch [W].
    """

    def __init__(  # noqa: PLR0913 - a step's parts
        self,
        network: Network,
        optimizer: CohortRMSprop,
        buffers: BatchBuffers,
        features: Features,
        questions: Questions,
        *,
        regions: int,
    ) -> None:
        self.network, self.optimizer, self.buffers = network, optimizer, buffers
        self.features, self._questions = features, questions
        self.losses = torch.zeros(len(network.weights), dtype=torch.float64, device=network.weights.device)
        self.grads = torch.zeros_like(network.working)
        self._grad_views = list(network.layout.views(self.grads).values())
        self._byte_counts = network.random_bytes(buffers.slots, regions) if network.has_dropout else None

    @property
    def state(self) -> list[Tensor]:
        """Every tensor that the step changes."""
        network, optimizer = self.network, self.optimizer
        kept = [network.weights, optimizer.square_avg, optimizer.momentum_buffer]
        working = [] if network.working is network.weights else [network.working]
        return [*kept, *working, network.active, self.losses, self.buffers.step]

    def run(self, generator: torch.Generator | None) -> None:
        """Trains on the next batch of the buffers.

        Args:
            generator: generator of dropout's random bytes, on the device; None for PyTorch's default.
        """
        self.train(self.buffers.batch(self.features), self.draw(generator))
        self.buffers.advance()

    def draw(self, generator: torch.Generator | None) -> tuple[Tensor, Tensor] | None:
        """Draws dropout's random bytes for a step, the same for all members; None if no member has dropout."""
        if self._byte_counts is None:
            return None
        count = sum(self._byte_counts)
        random = draw_bytes(count, self.grads.device, generator)
        return random[: self._byte_counts[0]], random[self._byte_counts[0] :]

    def train(self, batch: Batch, random: tuple[Tensor, Tensor] | None) -> None:
        """Trains on a batch, given dropout's random bytes."""
        network = self.network
        losses = self._losses(network.logits(batch, self._questions, random, batch.channels), batch)
        grads = torch.autograd.grad(losses.sum(), list(network.blocks.values()))
        torch._foreach_copy_(self._grad_views, grads)
        losses = losses.detach()
        active = network.active.logical_and_(losses.isfinite().unsqueeze(1))
        self.losses.add_(losses.where(active[:, 0], 0) * batch.filled.sum())
        self.optimizer.step(self.grads, active)

    def _losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean cross entropy of each member over the batch's questions [W]."""
        log_probabilities = logits.log_softmax(dim=2)
        if self.network.config.answer_target == SOFT:
            shares = answer_shares(batch.targets, logits.shape[2]).to(logits.dtype)
            question_losses = -(log_probabilities * shares).sum(dim=2)
        else:
            targets = batch.targets.expand(len(logits), -1).unsqueeze(2)
            question_losses = -log_probabilities.gather(2, targets).squeeze(2)
        filled = batch.filled.to(question_losses.dtype)
        return (question_losses * (filled / filled.sum())).sum(dim=1)


class PredictStep:
    """One step of evaluation: each member's most likely answer to the questions of a batch.

    Args:
        network: network of the members.
        buffers: batches of the split.
        features, questions: features and questions of the data set.

    Attributes:
        answers: number of each member's most likely answer in each slot [T, W, S].
    """

    def __init__(self, network: Network, buffers: BatchBuffers, features: Features, questions: Questions) -> None:
        self._network, self.buffers, self.features, self._questions = network, buffers, features, questions
        shape = buffers.steps, len(network.weights), buffers.questions.shape[1]
        self.answers = torch.zeros(shape, dtype=torch.int32, device=network.weights.device)

    @torch.no_grad()
    def run(self, generator: torch.Generator | None = None) -> None:
        """Answers the next batch of the buffers."""
        del generator
        logits = self._network.logits(self.buffers.batch(self.features), self._questions)
        self.answers.index_copy_(0, self.buffers.step, logits.argmax(dim=2).to(torch.int32).unsqueeze(0))
        self.buffers.advance()

    @property
    def state(self) -> list[Tensor]:
        """Every tensor that the step changes."""
        return [self.answers, self.buffers.step]
