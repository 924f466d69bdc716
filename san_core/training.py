"""Training: `train_fn`, and the object it loops over."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import add
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from san_core.chance import clueless_loss, commonest_answer, constant_score
from san_core.config import TrainingConfig
from san_core.data.prepared import Batch, PreparedData, Split
from san_core.evaluation import objective, predict_split
from san_core.hardware import autocast, best_device, keep_freed_memory
from san_core.models.image_encoder import build_image_encoder, layer_of
from san_core.models.san import SAN, build_san
from san_core.optimizer import RMSprop, build_optimizer, clip_gradients, set_learning_rate
from san_core.targets import answerable, draw_targets


@dataclass(frozen=True)
class EpochResult:
    """What one pass over the training questions gave.

    Attributes:
        epoch: number of passes so far, >= 1.
        loss: mean cross entropy of the pass, in nats.
        score: by the objective's metric, on the scored split after the pass, in [0, 1]; None where no split
            is scored.
        seconds: the pass and its scoring took.
        diverged: why going on is useless; empty where it is not.
    """

    epoch: int
    loss: float
    score: float | None
    seconds: float
    diverged: str = ""

    def per_second(self, examples: int) -> float:
        """Speed of a pass over so many questions, scoring included."""
        return examples / max(self.seconds, 1e-9)


Report = Callable[[EpochResult], bool]
"""Told every epoch's result; returns whether to go on."""


def train_fn(
    config: TrainingConfig,
    data: PreparedData,
    report: Report = lambda _: True,
    *,
    train_on: Sequence[str] = ("train",),
    score_on: str | None = "validation",
    metric: str | None = None,
) -> SAN:
    """Trains a network and returns it.

    The same configuration, data and hardware give the same losses and scores, whoever calls.

    Args:
        config: sizes and hyperparameters.
        data: a prepared data set.
        report: called after each epoch; training ends early when it returns False.
        train_on: splits to train on.
        score_on: split that every epoch is scored on, or None.
        metric: name of the score's metric; None takes the one the data set's literature leads with.

    Raises:
        InputError: for a metric that does not fit the data, or pretrained word vectors the data lack.
    """
    training = Training(config, data, train_on=train_on, score_on=score_on, metric=metric)
    while not training.finished:
        result = training.run_epoch()
        if not report(result) or result.diverged:
            break
    return training.model


class Training:
    """A training run that advances epoch by epoch and can be put aside between two.

    Every epoch's order and dropout follow from the seed and the epoch's number alone, so a run that
    was put aside goes on exactly as if it had not been.

    Attributes:
        epoch: passes done.
        seconds: they took.
        model: the network.
    """

    def __init__(
        self,
        config: TrainingConfig,
        data: PreparedData,
        *,
        train_on: Sequence[str] = ("train",),
        score_on: str | None = "validation",
        metric: str | None = None,
    ) -> None:
        self.config = config
        self.data = data
        self.epoch = 0
        self.seconds = 0.0
        self.device = best_device()
        keep_freed_memory()
        questions = reduce(add, (data.split(name) for name in train_on))
        self._train = answerable(questions, config.answer_target)
        self._score_on = score_on
        self._metric = objective(data, metric)
        torch.manual_seed(config.seed)
        self.model = build_model(config, data).to(self.device)
        self.optimizer = build_optimizer(self.model, config)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.config.epochs

    @property
    def examples(self) -> int:
        """Questions an epoch trains on."""
        return len(self._train)

    def run_epoch(self) -> EpochResult:
        """Trains on every question once and scores the result."""
        started = time.perf_counter()
        self.epoch += 1
        loss = self._train_once()
        score = self._score()
        seconds = time.perf_counter() - started
        self.seconds += seconds
        return EpochResult(self.epoch, loss, score, seconds, self._why_useless(loss, score))

    def peak_memory(self, steps: int = 3) -> int:
        """Bytes of GPU memory that a few steps and a batch of scoring take at most. The training is spent after it."""
        torch.cuda.reset_peak_memory_stats()
        self._train_once(steps)
        if self._score_on is not None:
            split = self.data.split(self._score_on)
            predict_split(self.model, self.data, split.where(np.arange(len(split)) < 256), self.config.precision)
        return torch.cuda.max_memory_reserved()

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on from here."""
        return {
            "epoch": self.epoch,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to where `state_dict` was called."""
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _why_useless(self, loss: float, score: float | None) -> str:
        """Says so if the loss is no number, or if the network is worse than an untrained one.

        The first epoch is let off, since its loss counts the first steps.
        """
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if self.epoch == 1 or score is None or self._score_on is None or loss < clueless_loss(self.data):
            return ""
        commonest = commonest_answer(self._train.answers, self.data)
        if score > constant_score(commonest, self.data, self._metric, self._score_on):
            return ""
        return f"no better than always answering {commonest!r}"

    def _score(self) -> float | None:
        """Mean score over the scored split."""
        if self._score_on is None:
            return None
        split, questions = self.data.split(self._score_on), self.data.asked(self._score_on)
        answers = predict_split(self.model, self.data, split, self.config.precision).answers
        return float(self._metric.score(answers, questions).mean())

    def _train_once(self, steps: int | None = None) -> float:
        """One pass over the training questions, or its first steps; returns the mean loss."""
        config = self.config
        self.model.train()
        set_learning_rate(self.optimizer, config, self.epoch)
        order = np.random.default_rng([config.seed, self.epoch])
        torch.manual_seed(int(order.integers(2**63)))  # of dropout
        total = torch.zeros((), device=self.device)
        draws = np.random.default_rng([config.seed, self.epoch, 1])  # of sampled answers
        for rows in islice(_shuffled_batches(self._train, config, order), steps):
            batch = self.data.batch(self._train, rows).to(self.device)
            targets = draw_targets(self._train, rows, config.answer_target, len(self.data.answers), draws)
            loss = train_step(self.model, self.optimizer, batch, targets.to(self.device), config)
            total += loss * len(rows)
        return float(total) / len(self._train)


def train_step(model: SAN, optimizer: RMSprop, batch: Batch, targets: Tensor, config: TrainingConfig) -> Tensor:
    """Moves the weights once, and returns the mean loss before it, in nats.

    Args:
        model: a network in training mode.
        optimizer: of its weights.
        batch: B rows, on the network's device.
        targets: right answers [B], or shares of all answers [B, A], on the same device.
        config: tells the precision and the clipping.
    """
    with autocast(targets.device, config.precision):
        logits = model(*batch.inputs)
    loss = nn.functional.cross_entropy(logits.float(), targets)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    clip_gradients(model, config)
    optimizer.step()
    return loss.detach()


def build_model(config: TrainingConfig, data: PreparedData) -> SAN:
    """A network of the configuration's sizes for the data's words, answers and images, not yet trained.

    Where the data hold pixels, its image encoder starts from ImageNet weights, if it has any, and is trained too.

    Raises:
        InputError: if the configuration wants pretrained word vectors and the data were prepared without.
    """
    encoder = build_image_encoder(data.encoder, layer=data.layer, grid=data.grid) if data.fine_tune else None
    return build_san(
        config,
        channels=layer_of(data.encoder, data.layer).channels,
        vocabulary_size=len(data.words),
        answers=len(data.answers),
        image_encoder=encoder,
        vectors=data.word_vectors,
    )


def shuffled_order(split: Split, config: TrainingConfig, order: np.random.Generator) -> NDArray[np.int64]:
    """Every row of the split once, in random groups of questions about one image; batches follow each other in it."""
    shuffled = order.permutation(len(split))
    by_image = shuffled[np.argsort(split.images[shuffled], kind="stable")]
    images = split.images[by_image]
    first_of_image = np.searchsorted(images, images)
    group = (
        images.astype(np.int64) * len(split) + (np.arange(len(split)) - first_of_image) // config.questions_per_image
    )
    _, group = np.unique(group, return_inverse=True)
    rows: NDArray[np.int64] = by_image[np.argsort(order.permutation(group.max() + 1)[group], kind="stable")]
    return rows


def _shuffled_batches(
    split: Split, config: TrainingConfig, order: np.random.Generator
) -> Iterator[NDArray[np.integer]]:
    """The rows of `shuffled_order`, batch by batch."""
    rows = shuffled_order(split, config, order)
    for start in range(0, len(rows), config.batch_size):
        yield rows[start : start + config.batch_size]
