"""Trains many configurations on one device, several at once: `SharedTraining`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from san_core.cohort.network import check_member
from san_core.cohort.task import Rows, Task
from san_core.cohort.training import CohortTraining
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.evaluation import Objective, objective_metric
from san_core.folds import Fold, FoldScores, seed_of_fold
from san_core.hardware import best_device, keep_freed_memory
from san_core.optimizer import optimizer_order
from san_core.training import EpochResult, build_model, epoch_result


@dataclass
class Member:
    """A configuration in training; `SharedTraining.train_epoch` changes all but its configuration.

    Attributes:
        config: sizes and hyperparameters.
        epoch: number of finished epochs, of all folds.
        seconds: its share of their duration.
        rows: its weights, and the optimizer's state, on the device.
        fold: number of the fold that it is trained on, counted from 0.
        fold_scores: its scores on the folds so far; without folds none are kept.
    """

    config: TrainingConfig
    epoch: int
    seconds: float
    rows: Rows
    fold: int = 0
    fold_scores: FoldScores = field(default_factory=FoldScores)

    @property
    def epochs_on_fold(self) -> int:
        """Number of finished epochs on its fold."""
        return self.epoch - self.fold * self.config.epochs


class SharedTraining:
    """Trains members by an epoch each, up to `width` of them at once, in any groups.

    With folds each member is trained on one after the other, as `san_core.folds.FoldedTraining` does.

    A group is trained by the step of the smallest width (1, 2, 4, ...) that holds it. A member's results depend on the
    width, up to rounding, but not on its slot nor on the other members.

    Args:
        largest: settings that all members have alike, see `san_core.cohort.network.check_member`, and the largest sizes
            that a member may have; clip_norm and both dropouts above 0 where any member's are. Its `order_seed`, or
            else its seed, decides the order of the questions and dropout.
        width: the most members that are trained at once: 1, 2, 4, ...
        data: a prepared data set that holds features of images, not pixels.
        folds: number of folds, which its `order_seed` or seed divides; 1 for the data's own division.
        metric, train_on, score_on: see `san_core.training.train_fn`.

    Attributes:
        largest, width: as given.
        device: where the members are.

    Raises:
        InputError: for a metric that does not fit the data, or for data that hold pixels.
        ValueError: for a width that is no power of two.
    """

    def __init__(  # noqa: PLR0913 - as Training, and the width
        self,
        largest: TrainingConfig,
        width: int,
        data: PreparedData,
        *,
        folds: int = 1,
        metric: str | None = None,
        train_on: Sequence[str] = ("train",),
        score_on: str | None = "validation",
    ) -> None:
        if width < 1 or width != smallest_width(width):
            raise ValueError(f"width must be a power of two, but got {width}")
        if data.fine_tune:
            raise InputError("only networks on features of images can be trained together, but the data hold pixels")
        self.largest, self.width, self.device = largest, width, best_device()
        keep_freed_memory()
        self._data, self._folds, self._metric, self._score_on = data, folds, metric, score_on
        self._every = Task(largest, data, self.device, train_on=train_on, score_on=score_on)
        self._divisions: dict[int, tuple[Task, Objective]] = {}
        self._task, self._objective = self._division(0)
        self._cohorts: dict[int, CohortTraining] = {}

    @property
    def examples(self) -> int:
        """Number of questions in an epoch, of the fold that was trained last; their mean where a pass has several."""
        return len(self._task.train) // self.largest.epochs_per_pass

    def new_member(self, config: TrainingConfig) -> Member:
        """An untrained member, with the weights that `san_core.training.Training` starts from.

        Raises:
            InputError: for a configuration that the largest has no room for.
        """
        check_member(config, self.largest)
        return Member(config, 0, 0.0, self._untrained(config, fold=0))

    def state_dict(self, member: Member) -> dict[str, Any]:
        """The member's state, in the form of `Training.state_dict`, or with folds of `FoldedTraining.state_dict`."""
        found = (self._task.layout.unpack(row, member.config) for row in member.rows)
        weights, square_avg, momentum_buffer = found
        with torch.device("meta"):
            names = list(build_model(member.config, self._data).state_dict())
        order = optimizer_order(names)
        progress = {"epoch": member.epoch, "seconds": member.seconds}
        training = {
            **progress,
            "epoch": member.epochs_on_fold,
            "model": {name: weights[name] for name in names},
            "optimizer": {
                "square_avg": [square_avg[name] for name in order],
                "momentum_buffer": [momentum_buffer[name] for name in order],
            },
        }
        if self._folds == 1:
            return training
        return {**progress, "fold": member.fold, "scores": member.fold_scores.by_fold, "training": training}

    def restore_member(self, config: TrainingConfig, state: dict[str, Any]) -> Member:
        """The member whose state `state_dict`, or that of `Training` or `FoldedTraining`, returned.

        Raises:
            InputError: for a configuration that the largest has no room for.
        """
        check_member(config, self.largest)
        training = state.get("training", state)
        order, optimizer = optimizer_order(training["model"]), training["optimizer"]
        kept = (dict(zip(order, optimizer[name], strict=True)) for name in ("square_avg", "momentum_buffer"))
        rows = self._task.new_rows(config, training["model"], *kept)
        fold, scores = state.get("fold", 0), FoldScores(state.get("scores"))
        return Member(config, state["epoch"], state["seconds"], rows, fold, scores)

    def train_epoch(self, members: Sequence[Member], width: int | None = None) -> list[EpochResult]:
        """Trains members by one epoch, and scores them.

        Args:
            members: 1 to `width` of them, with the same number of finished epochs.
            width: of the step: 1, 2, 4, ... up to the largest; None takes the smallest that holds them.

        Returns:
            A result for each; its seconds are the epoch's duration over the number of members.

        Raises:
            ValueError: for members or a width that are not so.
        """
        started = time.perf_counter()
        cohort = self._cohort(members, width)
        for member in members:
            if member.epochs_on_fold == member.config.epochs and member.fold + 1 < self._folds:
                self._start_next_fold(member)
        self._task, self._objective = self._division(members[0].fold)
        cohort.use(self._task)
        for slot in range(cohort.width):
            if slot < len(members):
                cohort.load(slot, members[slot].config, members[slot].rows)
            else:
                cohort.clear(slot)
        epoch = members[0].epochs_on_fold + 1
        losses = cohort.train_epoch(epoch)
        scores = self._scores(cohort, len(members))
        for slot, member in enumerate(members):
            cohort.save(slot, member.rows)
        seconds = (time.perf_counter() - started) / len(members)
        results = []
        for member, loss, score in zip(members, losses, scores, strict=False):
            result = epoch_result(epoch, loss, score, seconds, self._objective, self._task.train)
            member.epoch, member.seconds = member.epoch + 1, member.seconds + seconds
            results.append(member.fold_scores.add(result) if self._folds > 1 else result)
        return results

    def _untrained(self, config: TrainingConfig, fold: int) -> Rows:
        torch.manual_seed(seed_of_fold(config, fold))
        return self._task.new_rows(config, build_model(config, self._data).state_dict())

    def _start_next_fold(self, member: Member) -> None:
        member.fold += 1
        member.fold_scores.start_next_fold()
        member.rows = self._untrained(member.config, member.fold)

    def _division(self, fold: int) -> tuple[Task, Objective]:
        """What is trained and scored on a fold, made at its first use."""
        if fold not in self._divisions:
            data, task = self._data, self._every
            if self._folds > 1:
                data = Fold(data, fold, self._folds, self.largest.batch_seed)
                task = task.divided_as(data)
            self._divisions[fold] = task, Objective(data, objective_metric(data, self._metric), self._score_on)
        return self._divisions[fold]

    def _scores(self, cohort: CohortTraining, members: int) -> list[NDArray[np.float64] | None]:
        """The scores of each member on the scored split [Q]; None if no split is scored."""
        if self._objective.split is None:
            return [None] * members
        return list(self._objective.score_members(cohort.predict()[:members]))

    def _cohort(self, members: Sequence[Member], width: int | None) -> CohortTraining:
        """The cohort of the width, made at its first use."""
        if not 1 <= len(members) <= self.width:
            raise ValueError(f"1 to {self.width} members can be trained at once, but got {len(members)}")
        if len(epochs := {member.epoch for member in members}) > 1:
            raise ValueError(f"members must have the same number of finished epochs, but got {sorted(epochs)}")
        smallest = smallest_width(len(members))
        width = smallest if width is None else width
        if not smallest <= width <= self.width or width != smallest_width(width):
            raise ValueError(f"width must be a power of two from {smallest} to {self.width}, but got {width}")
        if width not in self._cohorts:
            self._cohorts[width] = CohortTraining(self._task, width)
        return self._cohorts[width]


def smallest_width(members: int) -> int:
    """The smallest of 1, 2, 4, ... that holds so many members, >= 1."""
    return int(2 ** (members - 1).bit_length())
