"""Training of a cohort: W configurations side by side, epoch by epoch, on one device.

`san_core.training.Training` trains one configuration with it on a GPU; a search trains many.
"""

import math
from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from san_core.cohort.batches import SPARE_IMAGES, EpochPlan, Slots, images_of_batches, plan_epoch, to_device
from san_core.cohort.data import PrefetchedFeatures, Questions, ResidentFeatures, column, fits
from san_core.cohort.graph import EagerStep, GraphedStep, Step
from san_core.cohort.layout import Sizes
from san_core.cohort.optimizer import CohortRMSprop, Hyperparameters
from san_core.cohort.step import Network, Plan, PredictStep, TrainStep
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData, Split
from san_core.hardware import fastest_precision
from san_core.models.san import SAN
from san_core.optimizer import learning_rate_factor
from san_core.targets import SAMPLED, SOFT, answerable, draw_targets

EVALUATED_SLOTS = 512
"""Slots of a batch of evaluation."""


class CohortTraining:
    """A training run of W members that advances epoch by epoch.

    All members see the same batches and the same random bytes of dropout, which follow from `order_seed` and the
    epoch's number alone. On a GPU a step is one CUDA graph, and nothing is read back before an epoch's end.

    Args:
        networks: of the members, in their initial state; only their weights are used.
        configs: of the members; `san_core.cohort.step.SHARED_FIELDS` must be alike.
        data: prepared features of images, not pixels.
        order_seed: of the batches and of dropout.
        train_on, score_on: splits, as for `train_fn`.
        device: where to train.
        dtype: of weights and updates.
        graphs: whether steps are captured; only on a GPU.

    Attributes:
        epoch: passes done.
    """

    def __init__(
        self,
        networks: Sequence[SAN],
        configs: Sequence[TrainingConfig],
        data: PreparedData,
        *,
        order_seed: int,
        device: torch.device,
        train_on: Sequence[str] = ("train",),
        score_on: str | None = "validation",
        dtype: torch.dtype = torch.float32,
        graphs: bool | None = None,
    ) -> None:
        self.configs, self.epoch = list(configs), 0
        self._config, self._seed, self._device = configs[0], order_seed, device
        self._graphs = device.type == "cuda" if graphs is None else graphs
        self._train = answerable(reduce(add, (data.split(name) for name in train_on)), self._config.answer_target)
        self._answers = len(data.answers)
        vector = data.word_vectors if self._config.embedding_init == "pretrained" else None
        sizes = Sizes(len(data.words), data.images.shape[2], self._answers, None if vector is None else vector.shape[1])
        working = _working(self._config.precision, device, dtype)
        self.network = Network(configs, sizes, device, dtype=dtype, working=working)
        self._hyperparameters = Hyperparameters.of(configs, device, dtype)
        self.optimizer = CohortRMSprop(
            self.network.layout,
            self.network.weights,
            self.network.working,
            self._hyperparameters,
            clips=any(config.clip_norm > 0 for config in configs),
            clip_by=self._config.clip_by,
        )
        self.generator = torch.Generator(device) if device.type != "meta" else None
        self._pool = torch.cuda.graph_pool_handle() if self._graphs else None
        self._questions = Questions.of(data.questions, self._config.question_encoder, device)
        self._regions = data.images.shape[1]
        self._images = data.images
        self._slots = self._training_slots()
        self._features = self._open_features(working)
        self._step = self._train_step()
        self._replay = self._captured(self._step)
        self._evaluation = None if score_on is None else _Evaluation(self, data.split(score_on))
        for member, network in enumerate(networks):
            self.load_member(member, network.state_dict())

    @property
    def members(self) -> int:
        """W."""
        return len(self.configs)

    @property
    def examples(self) -> int:
        """Questions an epoch trains on."""
        return len(self._train)

    def train_epoch(self) -> list[float]:
        """Trains on every question once; returns each member's mean loss, nan for one that diverged."""
        self.epoch += 1
        batches = self._begin_epoch()
        step = self._step
        step.losses.zero_()
        step.plan.step.zero_()
        if isinstance(self._features, PrefetchedFeatures):
            for _ in self._features.feed(batches.images):
                self._replay()
        else:
            for _ in range(batches.steps):
                self._replay()
        losses = step.losses.where(step.active[:, 0], math.nan) / self.examples
        return [float(loss) for loss in losses.tolist()]

    def predict(self) -> NDArray[np.int32]:
        """Numbers of each member's likeliest answers to the scored split [W, Q]."""
        if self._evaluation is None:
            raise ValueError("this cohort scores no split")
        return self._evaluation.answers()

    def load_member(
        self, member: int, weights: dict[str, Tensor], kept: tuple[dict[str, Tensor], dict[str, Tensor]] | None = None
    ) -> None:
        """Gives a member its weights, and what its optimizer keeps of each, by the names of `SAN.state_dict`."""
        layout = self.network.layout
        layout.pack(self.network.weights[member], member, weights)
        if self.network.working is not self.network.weights:
            self.network.working[member].copy_(self.network.weights[member])
        for buffer, state in zip(
            (self.optimizer.square_avg, self.optimizer.momentum_buffer), kept or (None, None), strict=True
        ):
            if state is None:
                buffer[member].zero_()
            else:
                layout.pack(buffer[member], member, state)
        self._step.active[member] = True

    def member(self, member: int) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """A member's weights, square averages and momentum buffers at its own sizes."""
        buffers = (self.network.weights, self.optimizer.square_avg, self.optimizer.momentum_buffer)
        weights, square_avg, momentum = (self.network.layout.unpack(buffer[member], member) for buffer in buffers)
        return weights, square_avg, momentum

    def set_hyperparameters(self, configs: Sequence[TrainingConfig]) -> None:
        """Gives the members other hyperparameters of RMSprop and dropout; sizes stay."""
        self.configs = list(configs)
        new = Hyperparameters.of(configs, self._device, self.network.weights.dtype)
        for name, value in vars(new).items():
            getattr(self._hyperparameters, name).copy_(value)
        self.network.set_dropout([config.dropout for config in configs])

    def _begin_epoch(self) -> EpochPlan:
        """Fills the plan with the epoch's batches, and sets its seeds and learning rates."""
        order = np.random.default_rng([self._seed, self.epoch])
        dropout_seed = int(order.integers(2**63))
        if self.generator is not None:
            self.generator.manual_seed(dropout_seed)
        rows = self._order(order)
        batches = plan_epoch(rows, self._train.images, self._config.batch_size, self._grown(rows))
        draws = np.random.default_rng([self._seed, self.epoch, 1])
        columns = {
            "images": batches.images,
            "questions": column(self._train, "questions", batches.rows),
            "targets": self._targets(rows, batches, draws),
            "filled": batches.rows >= 0,
        }
        plan = self._step.plan
        for name, value in to_device(columns, self._device).items():
            buffer: Tensor = getattr(plan, name)
            buffer.copy_(value.view(buffer.shape))
        rates = [config.learning_rate * learning_rate_factor(config, self.epoch) for config in self.configs]
        self._hyperparameters.learning_rate.copy_(torch.tensor(rates).unsqueeze(1))
        return batches

    def _targets(self, order: NDArray[np.int64], batches: EpochPlan, draws: np.random.Generator) -> NDArray[np.int64]:
        target = self._config.answer_target
        if target == SOFT:
            return column(self._train, "people", batches.rows)
        if target != SAMPLED:
            return column(self._train, "answers", batches.rows)
        drawn = draw_targets(self._train, order, target, self._answers, draws).numpy()
        of_row = np.zeros(len(self._train), dtype=np.int64)
        of_row[order] = drawn
        targets: NDArray[np.int64] = of_row[batches.rows.clip(min=0)]
        return targets

    def _order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        from san_core.training import shuffled_order

        return shuffled_order(self._train, self._config, rng)

    def _training_slots(self) -> Slots:
        """Sizes of a batch, from the first epoch's order and some images to spare."""
        config = self._config
        if config.questions_per_image == 1:
            return Slots(min(config.batch_size, len(self._train)), 1)
        order = self._order(np.random.default_rng([self._seed, 1]))
        most = images_of_batches(order, self._train.images, config.batch_size, config.questions_per_image)
        return Slots(most + SPARE_IMAGES, config.questions_per_image)

    def _grown(self, order: NDArray[np.int64]) -> Slots:
        """The sizes of a batch, made anew with more images where an order needs them."""
        config, slots = self._config, self._slots
        most = images_of_batches(order, self._train.images, config.batch_size, slots.questions)
        if most > slots.images:
            self._slots = Slots(most + SPARE_IMAGES, slots.questions)
            self._features = self._open_features(self.network.working.dtype)
            active, before = self._step.active, self._step
            self._step = self._train_step()
            self._step.active.copy_(active)
            del before
            self._replay = self._captured(self._step)
        return self._slots

    def _open_features(self, working: torch.dtype) -> ResidentFeatures | PrefetchedFeatures:
        kept = getattr(self, "_features", None)
        if isinstance(kept, ResidentFeatures):
            return kept
        if fits(self._images, self._device, working):
            return ResidentFeatures.load(self._images, self._device, working)
        return PrefetchedFeatures(self._images, self._device, working, self._slots.images)

    def _train_step(self) -> TrainStep:
        people = self._train.people.shape[1] if self._config.answer_target == SOFT else None
        steps = -(-len(self._train) // self._config.batch_size)
        return TrainStep(
            self.network,
            self.optimizer,
            Plan(steps, self._slots, people, self._device),
            self._features,
            self._questions,
            slots=self._slots,
            regions=self._regions,
        )

    def _captured(self, step: Step) -> EagerStep | GraphedStep:
        if self._pool is None or self.generator is None:
            return EagerStep(step, self.generator)
        return GraphedStep(step, self.generator, self._pool)


class _Evaluation:
    """Answers of a cohort to a split; its batches are the same in every epoch."""

    def __init__(self, training: CohortTraining, split: Split) -> None:
        order = np.argsort(split.images, kind="stable")
        together = int(min(8, np.bincount(split.images).max()))
        size = min(EVALUATED_SLOTS, len(split))
        most = images_of_batches(order, split.images, size, together)
        slots = Slots(most, together)
        self._batches = plan_epoch(order, split.images, size, slots)
        device = training._device
        plan = Plan(self._batches.steps, slots, None, device)
        columns = {
            "images": self._batches.images,
            "questions": column(split, "questions", self._batches.rows),
            "filled": self._batches.rows >= 0,
        }
        for name, value in to_device(columns, device).items():
            buffer: Tensor = getattr(plan, name)
            buffer.copy_(value.view(buffer.shape))
        features = training._features
        if isinstance(features, PrefetchedFeatures):
            features = PrefetchedFeatures(training._images, device, training.network.working.dtype, slots.images)
        self._features, self._questions = features, len(split)
        self._step = PredictStep(training.network, plan, features, training._questions)
        self._replay = training._captured(self._step)

    def answers(self) -> NDArray[np.int32]:
        """Numbers of each member's likeliest answers [W, Q]."""
        self._step.plan.step.zero_()
        if isinstance(self._features, PrefetchedFeatures):
            for _ in self._features.feed(self._batches.images):
                self._replay()
        else:
            for _ in range(self._batches.steps):
                self._replay()
        found = self._step.answers.cpu().numpy()
        rows = self._batches.rows.reshape(self._batches.steps, -1)
        answers = np.zeros((found.shape[1], self._questions), dtype=np.int32)
        answers[:, rows[rows >= 0]] = found.transpose(1, 0, 2)[:, rows >= 0]
        return answers


def _working(precision: str, device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """The type of the products."""
    if dtype == torch.float64:
        return dtype
    chosen = fastest_precision(device) if precision == "auto" else precision
    return torch.bfloat16 if chosen == "bfloat16" else dtype
