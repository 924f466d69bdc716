"""A plain training loop, which all programs except this project's search use."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.plain import PlainStep
from benchmarks.rivals.task import Task
from benchmarks.shapes import Shape
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData, Split
from san_core.data.targets import answerable
from san_core.evaluation import objective_metric
from san_core.optimizer import set_learning_rate


def epochs(task: Task, trial: int | str, params: Mapping[str, object]) -> Iterator[tuple[int, float]]:
    """Trains a trial on one thread; yields each epoch's number and validation score, and notes them in the log.

    Args:
        task: the search; it has the data, the seed and the number of epochs.
        trial: name of the trial in the log.
        params: values of the searched parameters.
    """
    started = time.monotonic()
    torch.set_num_threads(1)
    data = PreparedData.open(Path(task.data))
    settings = {**data.training_defaults, **params, "epochs": task.epochs, "seed": task.seed}
    training = PlainTraining(TrainingConfig.from_dict(settings), data, "cuda" if task.gpus else "cpu")
    for epoch in range(1, task.epochs + 1):
        score = training.run_epoch(epoch)
        task.note(trial=trial, epoch=epoch, score=score, seconds=time.monotonic() - started)
        yield epoch, score


class PlainTraining:
    """Trains `PlainStep`'s network on prepared features, batch by batch in a random order; on a GPU they lie there."""

    def __init__(self, config: TrainingConfig, data: PreparedData, device: str = "cpu") -> None:
        torch.manual_seed(config.seed)
        self.config, self.data = config, data
        self._step, self._device = PlainStep(shape_of(config, data)), device
        self._step.model.to(device)
        self._images, self._texts = data.images.to(device), data.questions.to(device)
        self._train, self._validation = answerable(data.split("train"), config.answer_target), data.split("validation")
        self._questions, self._metric = data.questions_of("validation"), objective_metric(data)
        self._order = np.random.default_rng(config.seed)

    def run_epoch(self, epoch: int) -> float:
        """Trains on every question once (epochs count from 1); returns the validation score, in [0, 1]."""
        set_learning_rate(self._step.optimizer, self.config, epoch)
        self._step.model.train()
        for rows in self._batches(self._order.permutation(len(self._train))):
            targets = torch.from_numpy(self._train.answers[rows]).long().to(self._device)
            self._step(*self._inputs(self._train, rows), targets)
        self._step.model.eval()
        with torch.inference_mode():
            every = self._batches(np.arange(len(self._validation)))
            best = [self._step.model(*self._inputs(self._validation, rows)).argmax(dim=1) for rows in every]
        answers = [self.data.answers[number] for number in torch.cat(best).tolist()]
        return float(self._metric.score(answers, self._questions).mean())

    def _batches(self, rows: NDArray[np.integer]) -> list[NDArray[np.integer]]:
        return [rows[start : start + self.config.batch_size] for start in range(0, len(rows), self.config.batch_size)]

    def _inputs(self, split: Split, rows: NDArray[np.integer]) -> tuple[Tensor, Tensor]:
        """Features [B, R, C], without a GPU from the mapped file, and word numbers [B, L]."""
        images, questions = (torch.from_numpy(part[rows]).to(self._device) for part in (split.images, split.questions))
        return self._images[images].float(), self._texts[questions]


def shape_of(config: TrainingConfig, data: PreparedData) -> Shape:
    """The sizes of a network for the data."""
    return Shape(
        name=data.name,
        config=config,
        regions=data.grid**2,
        channels=data.images.shape[-1],
        vocabulary_size=len(data.words),
        answers=len(data.answers),
    )
