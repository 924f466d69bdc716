"""The training step of W members: batch, forward pass, gradients and update, without a value read back.

Every tensor has a fixed shape and place, every hyperparameter lies on the device: so a step can be captured as a CUDA
graph (`san_core.cohort.graph`) and replayed. The same code runs without a graph on any device.

Shapes: W members, I images, Q questions about each, S = I Q slots, T steps of an epoch, A answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from san_core.cohort.attention import HopMasks, HopWeights, attend
from san_core.cohort.batches import Slots
from san_core.cohort.data import PrefetchedFeatures, Questions, ResidentFeatures
from san_core.cohort.layout import Layout, Sizes
from san_core.cohort.optimizer import CohortRMSprop
from san_core.cohort.questions import cnn, lstm
from san_core.config import TrainingConfig
from san_core.errors import InputError
from san_core.targets import SOFT

SHARED_FIELDS = (
    "batch_size",
    "questions_per_image",
    "hops",
    "question_encoder",
    "attention",
    "answer_target",
    "clip_by",
    "precision",
    "embedding_init",
)
"""Settings that all members of a cohort have alike."""

HOP_BLOCKS = ("hop_image", "hop_query", "hop_query_bias", "hop_score", "hop_score_bias")
"""Names of the blocks that `HopWeights` holds, in its order."""

LEVELS = 256
"""Dropout compares a random byte with the member's level."""


def check_alike(configs: Sequence[TrainingConfig]) -> None:
    """Refuses members that cannot share a step.

    Raises:
        InputError: naming the first setting that differs.
    """
    for name in SHARED_FIELDS:
        if len(found := {getattr(config, name) for config in configs}) > 1:
            raise InputError(f"{name} must be the same for all members of a cohort, but got {sorted(found, key=str)}")


def answer_shares(people: Tensor, answers: int) -> Tensor:
    """Soft targets [S, A] of people's answers [S, P]: shares by VQA accuracy, see `san_core.targets.draw_targets`."""
    counts = (people.unsqueeze(2) == torch.arange(answers, device=people.device)).sum(dim=1)
    scores = torch.where(counts > 3, 1.0, counts * 0.3).double()
    return scores / scores.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class Batch:
    """What a step works on.

    Attributes:
        features: of the images, with the channel for the bias [I, R, C].
        questions: number of each slot's question among the distinct ones [S].
        targets: right answers [S], or the answers of P people [S, P], -1 where there is none.
        filled: whether a slot holds a question [S].
    """

    features: Tensor
    questions: Tensor
    targets: Tensor
    filled: Tensor


class Plan:
    """An epoch's batches in buffers on the device, filled anew for each epoch.

    Args:
        steps: T.
        slots: sizes of a batch.
        people: P, width of the targets; None where a slot has one.
        device: where they lie.

    Attributes:
        step: number of the next batch [1]; each step counts it up.
    """

    def __init__(self, steps: int, slots: Slots, people: int | None, device: torch.device) -> None:
        target = (slots.rows,) if people is None else (slots.rows, people)
        self.steps = steps
        self.images = torch.zeros(steps, slots.images, dtype=torch.int64, device=device)
        self.questions = torch.zeros(steps, slots.rows, dtype=torch.int64, device=device)
        self.targets = torch.zeros(steps, *target, dtype=torch.int64, device=device)
        self.filled = torch.zeros(steps, slots.rows, dtype=torch.bool, device=device)
        self.step = torch.zeros(1, dtype=torch.int64, device=device)

    def advance(self) -> None:
        """Goes to the next batch; after the last comes the first."""
        self.step.add_(1).remainder_(self.steps)

    def batch(self, features: ResidentFeatures | PrefetchedFeatures) -> Batch:
        """The batch of the step."""
        images = self.images.index_select(0, self.step)[0]
        columns = (self.questions, self.targets, self.filled)
        return Batch(features.of(images), *(column.index_select(0, self.step)[0] for column in columns))


class Network:
    """Weights of W members, and the logits they give.

    Args:
        configs: of the members.
        sizes: shared by them.
        device: where the weights lie.
        dtype: of the weights and their updates: float32, or float64 in tests.
        working: of the products: bfloat16, or `dtype`.

    Attributes:
        weights: [W, P], of `dtype`.
        working: the same in the type of the products; the same tensor where the types are equal.
        blocks: views [W, ...] of `working` that gradients are taken of, by name.
        levels: dropout's levels [W] (int32).
        keeps: what dropout multiplies the activations kept by [W].
    """

    def __init__(
        self,
        configs: Sequence[TrainingConfig],
        sizes: Sizes,
        device: torch.device,
        *,
        dtype: torch.dtype = torch.float32,
        working: torch.dtype | None = None,
    ) -> None:
        check_alike(configs)
        self.config = configs[0]
        self.layout = Layout(configs, sizes)
        shape = (len(configs), self.layout.numbers)
        self.weights = torch.zeros(shape, dtype=dtype, device=device)
        self.working = self.weights if working in {None, dtype} else torch.zeros(shape, dtype=working, device=device)
        self.blocks = {name: view.detach().requires_grad_() for name, view in self.layout.views(self.working).items()}
        self.levels = torch.zeros(len(configs), dtype=torch.int32, device=device)
        self.keeps = torch.ones(len(configs), dtype=dtype, device=device)
        self.drops = any(config.dropout > 0 for config in configs)
        self.set_dropout([config.dropout for config in configs])

    def set_dropout(self, shares: Sequence[float]) -> None:
        """Gives each member its share of dropped activations, in [0, 1)."""
        levels = torch.tensor([min(round(share * LEVELS), LEVELS - 1) for share in shares], dtype=torch.int32)
        self.levels.copy_(levels)
        self.keeps.copy_(LEVELS / (LEVELS - levels.to(self.keeps.dtype)))

    def random_bytes(self, slots: Slots, regions: int) -> tuple[int, int]:
        """How many random bytes dropout takes in a step: for h of all hops, and for u."""
        size, hidden = self.layout.shapes["hop_image"][1:]
        return self.config.hops * slots.rows * regions * size, slots.rows * hidden

    def logits(self, batch: Batch, questions: Questions, random: tuple[Tensor, Tensor] | None) -> Tensor:
        """Logits [W, S, A].

        Args:
            batch: features and questions.
            questions: the distinct questions of the data set.
            random: bytes (uint8) of dropout for h and u, see `random_bytes`; None in evaluation.
        """
        blocks, masks = self.blocks, None
        images, count = batch.features.shape[:2]
        weights = HopWeights(*(blocks[name] for name in HOP_BLOCKS))
        if random is not None:
            hops, size = weights.w_score.shape[1:]
            masks = HopMasks(random[0].view(hops, images, -1, count, size), self.levels)
            scaled = weights.w_score * self.keeps.view(-1, 1, 1)
            weights = weights._replace(w_score=scaled.to(weights.w_score.dtype))
        query = self._encode(batch, questions)
        bounded = self.config.attention == "bounded"
        last = attend(batch.features, query, blocks["image"], weights, masks=masks, bounded=bounded)
        if random is not None:
            kept = random[1].view(1, *last.shape[1:]) >= self.levels.view(-1, 1, 1)
            last = (last * kept * self.keeps.view(-1, 1, 1)).to(last.dtype)
        logits = torch.baddbmm(blocks["classify_bias"].unsqueeze(1), last, blocks["classify"].transpose(1, 2))
        return logits[:, :, : self.layout.sizes.answers].to(self.weights.dtype)

    def _encode(self, batch: Batch, questions: Questions) -> Tensor:
        words = questions.words.index_select(0, batch.questions)
        if self.config.question_encoder == "cnn":
            return cnn(self.blocks, words, questions.lengths.index_select(0, batch.questions))
        real = questions.real.index_select(0, batch.questions)
        return lstm(self.blocks, words.t().contiguous(), real.t().contiguous())


class TrainStep:
    """One step of training.

    Args:
        network: of the members.
        optimizer: of its weights.
        plan: batches of the epoch.
        features, questions: of the data set.
        slots: sizes of a batch.
        regions: R.

    Attributes:
        active: members that are trained [W, 1] (bool); one whose loss is no number is frozen.
        losses: of each member, summed over the questions of the epoch [W].
    """

    def __init__(  # noqa: PLR0913 - a step's parts
        self,
        network: Network,
        optimizer: CohortRMSprop,
        plan: Plan,
        features: ResidentFeatures | PrefetchedFeatures,
        questions: Questions,
        *,
        slots: Slots,
        regions: int,
    ) -> None:
        self.network, self.optimizer, self.plan = network, optimizer, plan
        self._features, self._questions = features, questions
        members, device = len(network.weights), network.weights.device
        self.active = torch.ones(members, 1, dtype=torch.bool, device=device)
        self.losses = torch.zeros(members, dtype=torch.float64, device=device)
        self.grads = torch.zeros_like(network.working)
        self._grad_views = list(network.layout.views(self.grads).values())
        self._lengths = network.random_bytes(slots, regions) if network.drops else None

    @property
    def state(self) -> list[Tensor]:
        """Every tensor that a step changes."""
        network, optimizer = self.network, self.optimizer
        kept = [network.weights, optimizer.square_avg, optimizer.momentum_buffer]
        working = [] if network.working is network.weights else [network.working]
        return [*kept, *working, self.active, self.losses, self.plan.step]

    def run(self, generator: torch.Generator | None) -> None:
        """Trains on the next batch of the plan.

        Args:
            generator: of dropout's random bytes, on the device.
        """
        self.train(self.plan.batch(self._features), self.draw(generator))
        self.plan.advance()

    def draw(self, generator: torch.Generator | None) -> tuple[Tensor, Tensor] | None:
        """Dropout's random bytes for a step, the same for all members."""
        if self._lengths is None:
            return None
        count = sum(self._lengths)
        words = torch.empty(-(-count // 8), dtype=torch.int64, device=self.grads.device)
        words.random_(-(2**63), None, generator=generator)  # all 64 bits
        random = words.view(torch.uint8)
        return random[: self._lengths[0]], random[self._lengths[0] : count]

    def train(self, batch: Batch, random: tuple[Tensor, Tensor] | None) -> None:
        """Trains on a batch with the given random bytes."""
        network = self.network
        losses = self._losses(network.logits(batch, self._questions, random), batch)
        grads = torch.autograd.grad(losses.sum(), list(network.blocks.values()))
        torch._foreach_copy_(self._grad_views, grads)
        losses = losses.detach()
        self.active.logical_and_(losses.isfinite().unsqueeze(1))
        self.losses.add_(losses.where(self.active[:, 0], 0) * batch.filled.sum())
        self.optimizer.step(self.grads, self.active)

    def _losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean cross entropy of each member over the batch's questions [W]."""
        log_probabilities = logits.log_softmax(dim=2)
        if self.network.config.answer_target == SOFT:
            shares = answer_shares(batch.targets, logits.shape[2]).to(logits.dtype)
            each = -(log_probabilities * shares).sum(dim=2)
        else:
            each = -log_probabilities.gather(2, batch.targets.expand(len(logits), -1).unsqueeze(2)).squeeze(2)
        filled = batch.filled.to(each.dtype)
        return (each * (filled / filled.sum())).sum(dim=1)


class PredictStep:
    """One step of evaluation: the likeliest answers to a batch's questions.

    Args:
        network: of the members.
        plan: batches of the split.
        features, questions: of the data set.

    Attributes:
        answers: number of each member's likeliest answer [T, W, S].
    """

    def __init__(
        self, network: Network, plan: Plan, features: ResidentFeatures | PrefetchedFeatures, questions: Questions
    ) -> None:
        self._network, self.plan, self._features, self._questions = network, plan, features, questions
        shape = plan.steps, len(network.weights), plan.questions.shape[1]
        self.answers = torch.zeros(shape, dtype=torch.int32, device=network.weights.device)

    @torch.no_grad()
    def run(self, generator: torch.Generator | None = None) -> None:
        """Answers the next batch of the plan."""
        del generator
        logits = self._network.logits(self.plan.batch(self._features), self._questions, None)
        self.answers.index_copy_(0, self.plan.step, logits.argmax(dim=2).to(torch.int32).unsqueeze(0))
        self.plan.advance()

    @property
    def state(self) -> list[Tensor]:
        """Every tensor that a step changes."""
        return [self.answers, self.plan.step]
