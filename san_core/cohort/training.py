"""Training of a cohort: up to W configurations side by side, epoch by epoch, on one device.

`san_core.training.Training` trains one configuration with it on a GPU, `san_core.shared_training` many.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from san_core.cohort.batches import BatchBuffers, EpochBatches, Features, Slots, to_device
from san_core.cohort.graph import EagerStep, GraphedStep, Step
from san_core.cohort.network import Network
from san_core.cohort.optimizer import CohortRMSprop, Hyperparameters
from san_core.cohort.step import PredictStep, TrainStep
from san_core.cohort.task import Epoch, Rows, Task
from san_core.config import TrainingConfig


class CohortTraining:
    """Trains up to W members at once; a member is put into a slot, and taken out of it, between two epochs.

    All members see the same batches and the same random bytes of both dropouts. On a GPU a step is one CUDA graph, and
    nothing is read back before an epoch's end. A slot without a member is computed like the others, and ignored.

    Args:
        task: what is trained on; cohorts of other widths may share it.
        width: W, the number of slots.

    Attributes:
        width: as given.
    """

    def __init__(self, task: Task, width: int) -> None:
        self.width = width
        self._task = task
        self._members: list[TrainingConfig | None] = [None] * width
        self._network = Network(width, task.layout, task.device, dtype=task.dtype, working=task.working)
        hyperparameters = Hyperparameters.of([task.largest] * width, task.device, task.dtype)
        self._optimizer = CohortRMSprop(self._network, hyperparameters)
        self._generator = torch.Generator(task.device)
        self._train_steps: dict[tuple[int, Slots], tuple[TrainStep, EagerStep | GraphedStep]] = {}
        self._predict_steps: dict[Task, tuple[PredictStep, EagerStep | GraphedStep]] = {}

    def use(self, task: Task) -> None:
        """Trains and predicts from now on what another task says, see `Task.divided_as`; the members stay."""
        self._task = task

    def load(self, slot: int, config: TrainingConfig, rows: Rows) -> None:
        """Puts a member into a slot; its rows are copied."""
        network = self._network
        for buffer, row in zip(self._buffers, rows, strict=True):
            buffer[slot].copy_(row)
        network.working[slot].copy_(network.weights[slot])
        network.active[slot] = True
        self._members[slot] = config

    def save(self, slot: int, rows: Rows) -> None:
        """Copies the member in a slot into its rows; it stays in the slot, too."""
        for buffer, row in zip(self._buffers, rows, strict=True):
            row.copy_(buffer[slot])

    def clear(self, slot: int) -> None:
        """Takes the member out of a slot, which then has none."""
        for buffer in (*self._buffers, self._network.working, self._network.active):
            buffer[slot] = 0
        self._members[slot] = None

    def train_epoch(self, epoch: int, steps: int | None = None) -> list[float]:
        """Trains on the questions of an epoch, or for so many steps.

        Args:
            epoch: number of the epoch, counted from 1; the same for all members.
            steps: the first so many; None for all.

        Returns:
            The mean loss in each slot, in nats: nan for a member that diverged, 0 without a member.
        """
        begun = self._task.epoch(epoch)
        configs = [config or self._task.largest for config in self._members]
        self._optimizer.hyperparameters.fill(configs, epoch)
        self._network.set_members(configs)
        self._generator.manual_seed(begun.dropout_seed)
        step, replay = self._training_step(begun)
        step.buffers.fill(to_device(begun.columns, self._task.device))
        step.losses.zero_()
        run_steps(replay, step.buffers, step.features, begun.batches.images[:steps])
        losses = step.losses.where(self._network.active[:, 0], math.nan) / begun.questions
        return [0.0 if member is None else loss for member, loss in zip(self._members, losses.tolist(), strict=True)]

    def predict(self) -> NDArray[np.int32]:
        """Numbers of the most likely answers to the scored split, in each slot [W, Q].

        Raises:
            ValueError: if the task scores no split.
        """
        if (begun := self._task.evaluation) is None:
            raise ValueError("this cohort scores no split")
        if self._task not in self._predict_steps:
            made = self._make_predict_step(begun)
            self._predict_steps[self._task] = made, self._captured(made)
        step, replay = self._predict_steps[self._task]
        run_steps(replay, step.buffers, step.features, begun.batches.images)
        return _by_question(step.answers.cpu().numpy(), begun.batches)

    @property
    def _buffers(self) -> Rows:
        """The flat buffers [W, P] of all members' rows."""
        return Rows(self._network.weights, self._optimizer.square_avg, self._optimizer.momentum_buffer)

    def _training_step(self, begun: Epoch) -> tuple[TrainStep, EagerStep | GraphedStep]:
        """The step for batches of an epoch's sizes, made at its first use."""
        task, slots = self._task, begun.batches.slots
        sizes = begun.batches.steps, slots
        if sizes not in self._train_steps:
            channels = task.layout.sizes.channels if task.largest.feature_dropout > 0 else None
            buffers = BatchBuffers(begun.batches.steps, slots, task.people, task.device, channels)
            step = TrainStep(
                self._network, self._optimizer, buffers, task.features(slots), task.questions, regions=task.regions
            )
            self._train_steps[sizes] = step, self._captured(step)
        return self._train_steps[sizes]

    def _make_predict_step(self, begun: Epoch) -> PredictStep:
        task, slots = self._task, begun.batches.slots
        buffers = BatchBuffers(begun.batches.steps, slots, None, task.device)
        buffers.fill(to_device(begun.columns, task.device))
        return PredictStep(self._network, buffers, task.features(slots), task.questions)

    def _captured(self, step: Step) -> EagerStep | GraphedStep:
        """What does a step: on a GPU the replay of a graph."""
        if self._task.pool is None:
            return EagerStep(step, self._generator)
        return GraphedStep(step, self._generator, self._task.pool)


def _by_question(found: NDArray[np.int32], batches: EpochBatches) -> NDArray[np.int32]:
    """Answers [W, Q] by question, from those of each batch's places [T, W, S]."""
    rows = batches.rows.reshape(batches.steps, -1)
    answers = np.zeros((found.shape[1], rows.max() + 1), dtype=np.int32)
    answers[:, rows[rows >= 0]] = found.transpose(1, 0, 2)[:, rows >= 0]
    return answers


def run_steps(
    replay: EagerStep | GraphedStep, buffers: BatchBuffers, features: Features, images: NDArray[np.int64]
) -> None:
    """Does a step for each batch, whose images [T, I] are given, from the first of the buffers on."""
    buffers.step.zero_()
    for _ in features.feed(images):
        replay()
