"""What cohorts train on: a data set on a device, and the batches of each epoch.

Cohorts of several widths share one task, and with it the features and the questions on the device.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from san_core.cohort.batches import (
    IMAGES_MULTIPLE,
    EpochBatches,
    Features,
    Slots,
    channel_bytes,
    check_epochs_per_pass,
    dropout_seed,
    epoch_order,
    images_of_batches,
    make_batches,
)
from san_core.cohort.data import PrefetchedFeatures, Questions, ResidentFeatures, column, fits
from san_core.cohort.layout import Layout, Sizes, State, round_up
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData, Split
from san_core.data.targets import SAMPLED, SOFT, answerable, draw_targets
from san_core.hardware import chosen_precision

SLOTS_OF_EVALUATION = 512
"""Questions of a batch of evaluation."""


class Rows(NamedTuple):
    """A member's weights, and the optimizer's state of each, at the padded sizes [P]."""

    weights: Tensor
    square_avg: Tensor
    momentum_buffer: Tensor


@dataclass(frozen=True)
class Epoch:
    """What a step reads in the course of an epoch, on the host.

    Attributes:
        batches: which questions and images.
        columns: for `BatchBuffers.fill`.
        questions: number of questions.
        dropout_seed: of dropout's random bytes.
    """

    batches: EpochBatches
    columns: Mapping[str, NDArray[np.generic]]
    questions: int
    dropout_seed: int = 0


class Task:
    """What cohorts train on.

    Args:
        largest: settings that all members have alike, and the largest sizes that a member may have. Its `batch_seed`
            and the epoch's number alone decide the batches and the random bytes of both dropouts.
        data: a prepared data set that holds features of images, not pixels.
        device: where.
        train_on: splits to train on.
        score_on: split that is predicted, or None.
        dtype: of weights and updates: float32, or float64 in tests.

    Attributes:
        largest, device, dtype: as given.
        working: type of the products: bfloat16, or that of the weights.
        layout: of a member's rows.
        train: the questions to train on.
        evaluation: batches of the split that is predicted, the same after every epoch; None if none is.
        regions: R.
        questions: the distinct ones of the data set, on the device.
        pool: memory that all graphs share; None without a GPU.
    """

    def __init__(  # noqa: PLR0913 - what a training is made of
        self,
        largest: TrainingConfig,
        data: PreparedData,
        device: torch.device,
        *,
        train_on: Sequence[str] = ("train",),
        score_on: str | None = "validation",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.largest, self.device, self.dtype = largest, device, dtype
        self.working = working_type(largest.precision, device, dtype)
        vectors = data.word_vectors if largest.embedding_init == "pretrained" else None
        vector = None if vectors is None else vectors.shape[1]
        self.layout = Layout(largest, Sizes(len(data.words), data.images.shape[2], len(data.answers), vector))
        self._train_on, self._score_on = train_on, score_on
        self._divide(data)
        self.regions = data.images.shape[1]
        self.questions = Questions.of(data.questions, largest.question_encoder, device)
        self.pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        self._images, self._resident = data.images, None
        if fits(data.images, device, self.working):
            self._resident = ResidentFeatures.load(data.images, device, self.working)

    def divided_as(self, data: PreparedData) -> "Task":
        """The task with other questions to train on and to predict, and the same features and questions on the device.

        Args:
            data: the same data set with its questions divided anew, such as a `san_core.folds.Fold`.
        """
        other = copy.copy(self)
        other._divide(data)
        return other

    def _divide(self, data: PreparedData) -> None:
        every = reduce(add, (data.split(name) for name in self._train_on))
        self.train = answerable(every, self.largest.answer_target)
        check_epochs_per_pass(len(self.train), self.largest)
        self.evaluation = None if self._score_on is None else _evaluation(data.split(self._score_on))

    @property
    def people(self) -> int | None:
        """P, width of the targets; None where a question has one."""
        return self.train.people.shape[1] if self.largest.answer_target == SOFT else None

    def features(self, slots: Slots) -> Features:
        """The features of all images on the device, where they fit; else those of a batch at a time."""
        return self._resident or PrefetchedFeatures(self._images, self.device, self.working, slots.images)

    def new_rows(
        self,
        config: TrainingConfig,
        weights: State,
        square_avg: State | None = None,
        momentum_buffer: State | None = None,
    ) -> Rows:
        """A member's rows; without an optimizer's state, that starts from 0."""
        rows = Rows(*(torch.zeros(self.layout.row_length, dtype=self.dtype, device=self.device) for _ in range(3)))
        for row, state in zip(rows, (weights, square_avg, momentum_buffer), strict=True):
            if state is not None:
                self.layout.pack(row, config, state)
        return rows

    def epoch(self, number: int) -> Epoch:
        """The batches of an epoch, counted from 1; they follow from its number, whatever was trained before."""
        config, train = self.largest, self.train
        order = epoch_order(train, config, number)
        batches = make_batches(order, train.images, config.batch_size, self._slots(order))
        columns = {
            "images": batches.images,
            "questions": column(train, "questions", batches.rows),
            "targets": self._targets(order, batches, number),
            "filled": batches.rows >= 0,
        }
        channels = channel_bytes(config, number, batches.steps, self.layout.sizes.channels)
        columns |= {} if channels is None else {"channels": channels}
        return Epoch(batches, columns, len(order), dropout_seed(config, number))

    def _slots(self, order: NDArray[np.int64]) -> Slots:
        """Sizes of a batch, from the epoch's order alone."""
        config, together = self.largest, self.largest.questions_per_image
        if together == 1:
            return Slots(min(config.batch_size, len(self.train)), 1)
        most = images_of_batches(order, self.train.images, config.batch_size, together)
        return Slots(round_up(most, IMAGES_MULTIPLE), together)

    def _targets(self, order: NDArray[np.int64], batches: EpochBatches, epoch: int) -> NDArray[np.int64]:
        """The right answer of each slot [T, I, Q], or people's answers [T, I, Q, P]."""
        target = self.largest.answer_target
        if target == SOFT:
            return column(self.train, "people", batches.rows)
        if target != SAMPLED:
            return column(self.train, "answers", batches.rows)
        draws = np.random.default_rng([self.largest.batch_seed, epoch, 1])
        drawn = np.zeros(len(self.train), dtype=np.int64)
        drawn[order] = draw_targets(self.train, order, target, self.layout.sizes.answers, draws).numpy()
        targets: NDArray[np.int64] = drawn[batches.rows.clip(min=0)]
        return targets


def _evaluation(split: Split) -> Epoch:
    """The batches of a split that is predicted, its questions by image."""
    order = np.argsort(split.images, kind="stable")
    max_questions = int(min(8, np.bincount(split.images).max()))
    size = min(SLOTS_OF_EVALUATION, len(split))
    slots = Slots(images_of_batches(order, split.images, size, max_questions), max_questions)
    batches = make_batches(order, split.images, size, slots)
    questions = column(split, "questions", batches.rows)
    columns = {"images": batches.images, "questions": questions, "filled": batches.rows >= 0}
    return Epoch(batches, columns, len(split))


def working_type(precision: str, device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """The type of the products: bfloat16, or that of the weights."""
    low = chosen_precision(device, precision) == "bfloat16"
    return torch.bfloat16 if low and dtype == torch.float32 else dtype
