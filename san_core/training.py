"""Training: `train_fn`, and the object it loops over."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData, Split
from san_core.hardware import autocast, best_device
from san_core.metrics import accuracy
from san_core.models.image_encoder import architecture_of, build_image_encoder
from san_core.models.san import SAN, build_san

_EVALUATION_BATCH = 1024


@dataclass(frozen=True)
class EpochResult:
    """What one pass over the training questions gave.

    Attributes:
        epoch: number of passes so far, >= 1.
        loss: mean cross entropy of the pass, in nats.
        accuracy: on the scored split after the pass, in [0, 1]; None where no split is scored.
        seconds: the pass and its scoring took.
    """

    epoch: int
    loss: float
    accuracy: float | None
    seconds: float

    @property
    def diverged(self) -> bool:
        """Whether the loss is no longer a finite number; going on is useless."""
        return not math.isfinite(self.loss)


Report = Callable[[EpochResult], bool]
"""Told every epoch's result; returns whether to go on."""


def train_fn(
    config: TrainingConfig,
    data: PreparedData,
    report: Report = lambda _: True,
    *,
    train_on: Sequence[str] = ("train",),
    score_on: str | None = "validation",
) -> SAN:
    """Trains a network and returns it.

    The same configuration, data and hardware give the same losses and scores, whoever calls.

    Args:
        config: sizes and hyperparameters.
        data: a prepared data set.
        report: called after each epoch; training ends early when it returns False.
        train_on: splits to train on.
        score_on: split whose accuracy every epoch reports, or None.
    """
    training = Training(config, data, train_on=train_on, score_on=score_on)
    while not training.finished:
        result = training.run_epoch()
        if not report(result) or result.diverged:
            break
    return training.model


class Training:
    """A training run that advances epoch by epoch and can be put aside between two.

    Every epoch's order and dropout follow from the seed and the epoch's number alone, so a run that
    was put aside goes on exactly as if it had not been.
    """

    def __init__(
        self,
        config: TrainingConfig,
        data: PreparedData,
        *,
        train_on: Sequence[str] = ("train",),
        score_on: str | None = "validation",
    ) -> None:
        self.config = config
        self.data = data
        self.epoch = 0
        self.device = best_device()
        questions = reduce(add, (data.split(name) for name in train_on))
        self._train = _answerable(questions)
        self._score = data.split(score_on) if score_on else None
        torch.manual_seed(config.seed)
        self.model = build_model(config, data).to(self.device)
        self.optimizer = torch.optim.RMSprop(
            self.model.parameters(),
            lr=config.learning_rate,
            alpha=config.alpha,
            eps=config.eps,
            momentum=config.momentum,
        )

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.config.epochs

    def run_epoch(self) -> EpochResult:
        """Trains on every question once and scores the result."""
        started = time.perf_counter()
        self.epoch += 1
        loss = self._train_once()
        score = None if self._score is None else score_split(self.model, self.data, self._score, self.config.precision)
        return EpochResult(self.epoch, loss, score, time.perf_counter() - started)

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on from here."""
        return {"epoch": self.epoch, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to where `state_dict` was called."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _train_once(self) -> float:
        """One pass over the training questions; returns the mean loss."""
        self.model.train()
        order = np.random.default_rng([self.config.seed, self.epoch])
        torch.manual_seed(int(order.integers(2**63)))  # of dropout
        total = torch.zeros((), device=self.device)
        for rows in _shuffled_batches(self._train, self.config, order):
            batch = self.data.batch(self._train, rows).to(self.device)
            with autocast(self.device, self.config.precision):
                logits = self.model(*batch.inputs)
            loss = nn.functional.cross_entropy(logits.float(), batch.answers)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += loss.detach() * len(rows)
        return float(total) / len(self._train)


def build_model(config: TrainingConfig, data: PreparedData) -> SAN:
    """A network of the configuration's sizes for the data's words, answers and images, not yet trained.

    Where the data hold pixels, its image encoder starts from ImageNet weights and is trained too.
    """
    return build_san(
        config,
        channels=architecture_of(data.encoder).channels,
        vocabulary_size=len(data.words),
        answers=len(data.answers),
        image_encoder=build_image_encoder(data.encoder) if data.fine_tune else None,
    )


@torch.inference_mode()
def predict_split(model: SAN, data: PreparedData, split: Split, precision: str = "auto") -> NDArray[np.int64]:
    """The number of the likeliest answer to each of the split's questions [Q]."""
    model.eval()
    device = next(model.parameters()).device
    likeliest = []
    for start in range(0, len(split), _EVALUATION_BATCH):
        rows = np.arange(start, min(start + _EVALUATION_BATCH, len(split)))
        with autocast(device, precision):
            logits = model(*data.batch(split, rows).to(device).inputs)
        likeliest.append(logits.argmax(dim=1).cpu().numpy())
    return np.concatenate(likeliest)


def score_split(model: SAN, data: PreparedData, split: Split, precision: str = "auto") -> float:
    """The model's accuracy on a split, in [0, 1]."""
    return accuracy(predict_split(model, data, split, precision), split.answers)


def _answerable(split: Split) -> Split:
    """The questions whose right answer is in the vocabulary: only those can teach."""
    known = split.answers >= 0
    return Split(split.images[known], split.questions[known], split.answers[known])


def _shuffled_batches(
    split: Split, config: TrainingConfig, order: np.random.Generator
) -> Iterator[NDArray[np.integer]]:
    """Every row of the split once, in batches of random groups of questions about one image."""
    shuffled = order.permutation(len(split))
    by_image = shuffled[np.argsort(split.images[shuffled], kind="stable")]
    images = split.images[by_image]
    first_of_image = np.searchsorted(images, images)
    group = (
        images.astype(np.int64) * len(split) + (np.arange(len(split)) - first_of_image) // config.questions_per_image
    )
    _, group = np.unique(group, return_inverse=True)
    rows = by_image[np.argsort(order.permutation(group.max() + 1)[group], kind="stable")]
    for start in range(0, len(rows), config.batch_size):
        yield rows[start : start + config.batch_size]
