"""Training of a cohort: W configurations side by side, epoch by epoch, on one device.

`san_core.training.Training` trains one configuration with it on a GPU.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from san_core.cohort.batches import (
    SPARE_IMAGES,
    BatchBuffers,
    EpochBatches,
    Features,
    Slots,
    images_of_batches,
    make_batches,
    shuffled_order,
    to_device,
)
from san_core.cohort.data import PrefetchedFeatures, Questions, ResidentFeatures, column, fits
from san_core.cohort.graph import EagerStep, GraphedStep, Step
from san_core.cohort.layout import Sizes
from san_core.cohort.network import Network
from san_core.cohort.optimizer import CohortRMSprop, Hyperparameters
from san_core.cohort.step import PredictStep, TrainStep
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData, Split
from san_core.data.targets import SAMPLED, SOFT, answerable, draw_targets
from san_core.hardware import chosen_precision
from san_core.models.san import SAN
from san_core.optimizer import learning_rate_factor

SLOTS_OF_EVALUATION = 512
"""Questions of a batch of evaluation."""

State = dict[str, Tensor]
"""Tensors by the names of `SAN.state_dict`."""


@dataclass(frozen=True)
class Task:
    """What a cohort trains on.

    Attributes:
        data: a prepared data set that holds features of images, not pixels.
        order_seed: seed of the order of the questions and of dropout. Both depend only on it and the epoch's number.
        train_on: splits to train on.
        score_on: split to answer after an epoch, or None.
    """

    data: PreparedData
    order_seed: int
    train_on: Sequence[str] = ("train",)
    score_on: str | None = "validation"


class CohortTraining:
    """A training run of W members that advances epoch by epoch.

    All members see the same batches and the same random bytes of dropout. On a GPU a step is one CUDA graph, and
    nothing is read back before an epoch's end.

    Args:
        networks: a network for each member [W]; the members start with copies of their weights.
        configs: each member's configuration [W]; the fields in `san_core.cohort.network.SHARED_FIELDS` must be equal.
        task: data and splits that all members train on.
        device: device to train on.
        dtype: type of the weights and of their updates: float32, or float64 in tests.

    Attributes:
        epoch: number of finished epochs.

    Raises:
        InputError: if members differ in a field that they must share.
    """

    def __init__(
        self,
        networks: Sequence[SAN],
        configs: Sequence[TrainingConfig],
        task: Task,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.configs, self.epoch = list(configs), 0
        self._config, self._seed, self._device = configs[0], task.order_seed, device
        data = task.data
        self._answers, self._images = len(data.answers), data.images
        self._train = answerable(reduce(add, (data.split(name) for name in task.train_on)), self._config.answer_target)
        self._working = working_type(self._config.precision, device, dtype)
        self._network = Network(configs, self._sizes(data), device, dtype=dtype, working=self._working)
        self._hyperparameters = Hyperparameters.of(configs, device, dtype)
        self._optimizer = CohortRMSprop(
            self._network.layout,
            self._network.weights,
            self._network.working,
            self._hyperparameters,
            clips=any(config.clip_norm > 0 for config in configs),
            clip_by=self._config.clip_by,
        )
        self._generator = torch.Generator(device)
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        self._questions = Questions.of(data.questions, self._config.question_encoder, device)
        self._features: ResidentFeatures | PrefetchedFeatures | None = None
        self._make_step(self._training_slots())
        self._evaluation = None if task.score_on is None else self._evaluate(data.split(task.score_on))
        for member, network in enumerate(networks):
            self.load_member(member, network.state_dict())

    @property
    def examples(self) -> int:
        """Questions of an epoch."""
        return len(self._train)

    def train_epoch(self, steps: int | None = None) -> list[float]:
        """Trains on every question once, or for so many steps.

        Returns:
            Each member's mean loss, in nats; nan for one that diverged.
        """
        self.epoch += 1
        batches = self._begin_epoch()
        step = self._step
        step.losses.zero_()
        run_steps(self._replay, step.buffers, step.features, batches.images[:steps])
        losses = step.losses.where(step.active[:, 0], math.nan) / self.examples
        return [float(loss) for loss in losses.tolist()]

    def predict(self) -> NDArray[np.int32]:
        """Numbers of each member's most likely answers to the scored split [W, Q].

        Raises:
            ValueError: if the task scores no split.
        """
        if self._evaluation is None:
            raise ValueError("this cohort scores no split")
        return self._evaluation.answers()

    def load_member(
        self, member: int, weights: State, square_avg: State | None = None, momentum_buffer: State | None = None
    ) -> None:
        """Gives a member its weights, and the optimizer's state of each; without, the state starts from 0."""
        network, optimizer = self._network, self._optimizer
        layout = network.layout
        layout.pack(network.weights[member], member, weights)
        network.working[member].copy_(network.weights[member])
        for buffer, state in ((optimizer.square_avg, square_avg), (optimizer.momentum_buffer, momentum_buffer)):
            buffer[member].zero_()
            if state is not None:
                layout.pack(buffer[member], member, state)
        self._step.active[member] = True

    def member(self, member: int) -> tuple[State, State, State]:
        """A member's weights, square averages and momentum buffers at its own sizes."""
        buffers = self._network.weights, self._optimizer.square_avg, self._optimizer.momentum_buffer
        weights, square_avg, momentum_buffer = (
            self._network.layout.unpack(buffer[member], member) for buffer in buffers
        )
        return weights, square_avg, momentum_buffer

    def _begin_epoch(self) -> EpochBatches:
        """Fills the buffers with the epoch's batches, and sets its seeds and learning rates."""
        rng = np.random.default_rng([self._seed, self.epoch])
        self._generator.manual_seed(int(rng.integers(2**63)))  # of dropout
        order = shuffled_order(self._train, self._config, rng)
        self._grow(order)
        batches = make_batches(order, self._train.images, self._config.batch_size, self._slots)
        columns = {
            "images": batches.images,
            "questions": column(self._train, "questions", batches.rows),
            "targets": self._targets(order, batches),
            "filled": batches.rows >= 0,
        }
        self._step.buffers.fill(to_device(columns, self._device))
        rates = [config.learning_rate * learning_rate_factor(config, self.epoch) for config in self.configs]
        rate = self._hyperparameters.learning_rate
        rate.copy_(torch.tensor(rates, dtype=rate.dtype).unsqueeze(1))
        return batches

    def _targets(self, order: NDArray[np.int64], batches: EpochBatches) -> NDArray[np.int64]:
        """The right answer of each slot [T, I, Q], or people's answers [T, I, Q, P]."""
        target = self._config.answer_target
        if target == SOFT:
            return column(self._train, "people", batches.rows)
        if target != SAMPLED:
            return column(self._train, "answers", batches.rows)
        draws = np.random.default_rng([self._seed, self.epoch, 1])
        drawn = np.zeros(len(self._train), dtype=np.int64)
        drawn[order] = draw_targets(self._train, order, target, self._answers, draws).numpy()
        targets: NDArray[np.int64] = drawn[batches.rows.clip(min=0)]
        return targets

    def _sizes(self, data: PreparedData) -> Sizes:
        vectors = data.word_vectors if self._config.embedding_init == "pretrained" else None
        vector = None if vectors is None else vectors.shape[1]
        return Sizes(len(data.words), data.images.shape[2], len(data.answers), vector)

    def _training_slots(self) -> Slots:
        """Sizes of a batch, from the first epoch's order and some images to spare."""
        config = self._config
        if config.questions_per_image == 1:
            return Slots(min(config.batch_size, len(self._train)), 1)
        order = shuffled_order(self._train, config, np.random.default_rng([self._seed, 1]))
        most = images_of_batches(order, self._train.images, config.batch_size, config.questions_per_image)
        return Slots(most + SPARE_IMAGES, config.questions_per_image)

    def _grow(self, order: NDArray[np.int64]) -> None:
        """Makes the step anew with larger batches where an order puts more images into one than there is room for."""
        slots = self._slots
        most = images_of_batches(order, self._train.images, self._config.batch_size, slots.questions)
        if most > slots.images:
            active = self._step.active
            self._make_step(Slots(most + SPARE_IMAGES, slots.questions))
            self._step.active.copy_(active)

    def _make_step(self, slots: Slots) -> None:
        """The step of training for batches of these sizes, captured on a GPU."""
        people = self._train.people.shape[1] if self._config.answer_target == SOFT else None
        steps = -(-len(self._train) // self._config.batch_size)
        buffers = BatchBuffers(steps, slots, people, self._device)
        features = self._open_features(slots)
        regions = self._images.shape[1]
        self._slots = slots
        self._step = TrainStep(self._network, self._optimizer, buffers, features, self._questions, regions=regions)
        self._replay = self._captured(self._step)

    def _open_features(self, slots: Slots) -> ResidentFeatures | PrefetchedFeatures:
        """The features of all images on the device, where they fit; else those of a batch at a time."""
        if isinstance(self._features, ResidentFeatures):
            return self._features
        if self._features is None and fits(self._images, self._device, self._working):
            self._features = ResidentFeatures.load(self._images, self._device, self._working)
        else:
            self._features = PrefetchedFeatures(self._images, self._device, self._working, slots.images)
        return self._features

    def _evaluate(self, split: Split) -> "_Evaluation":
        """Evaluation on a split; its batches are the same in every epoch."""
        order = np.argsort(split.images, kind="stable")
        max_questions = int(min(8, np.bincount(split.images).max()))
        size = min(SLOTS_OF_EVALUATION, len(split))
        slots = Slots(images_of_batches(order, split.images, size, max_questions), max_questions)
        batches = make_batches(order, split.images, size, slots)
        buffers = BatchBuffers(batches.steps, slots, None, self._device)
        questions = column(split, "questions", batches.rows)
        columns = {"images": batches.images, "questions": questions, "filled": batches.rows >= 0}
        buffers.fill(to_device(columns, self._device))
        step = PredictStep(self._network, buffers, self._open_features(slots), self._questions)
        return _Evaluation(step, self._captured(step), batches)

    def _captured(self, step: Step) -> EagerStep | GraphedStep:
        if self._pool is None:
            return EagerStep(step, self._generator)
        return GraphedStep(step, self._generator, self._pool)


@dataclass(frozen=True)
class _Evaluation:
    """Answers of a cohort to a split."""

    step: PredictStep
    replay: EagerStep | GraphedStep
    batches: EpochBatches

    def answers(self) -> NDArray[np.int32]:
        """Numbers of each member's most likely answers [W, Q]."""
        run_steps(self.replay, self.step.buffers, self.step.features, self.batches.images)
        found = self.step.answers.cpu().numpy().transpose(1, 0, 2)
        rows = self.batches.rows.reshape(self.batches.steps, -1)
        answers = np.zeros((len(found), rows.max() + 1), dtype=np.int32)
        answers[:, rows[rows >= 0]] = found[:, rows >= 0]
        return answers


def run_steps(
    replay: EagerStep | GraphedStep, buffers: BatchBuffers, features: Features, images: NDArray[np.int64]
) -> None:
    """Does a step for each batch, whose images [T, I] are given, from the first of the buffers on."""
    buffers.step.zero_()
    for _ in features.feed(images):
        replay()


def working_type(precision: str, device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """The type of the products: bfloat16, or that of the weights."""
    low = chosen_precision(device, precision) == "bfloat16"
    return torch.bfloat16 if low and dtype == torch.float32 else dtype
