"""Trains a network: `train_fn`, and `Training`, which does it epoch by epoch."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice, repeat
from operator import add
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from san_core.cohort.batches import channel_bytes, check_epochs_per_pass, dropout_seed, epoch_batches
from san_core.cohort.task import Rows, Task
from san_core.cohort.training import CohortTraining
from san_core.config import TrainingConfig
from san_core.data.prepared import Batch, PreparedData, Split
from san_core.data.stored_encoder import load_encoder
from san_core.data.targets import answerable, draw_targets
from san_core.divergence import why_diverged
from san_core.errors import InputError
from san_core.evaluation import Objective, objective_metric, predict_split
from san_core.hardware import autocast, best_device, keep_freed_memory, one_thread_if_forked
from san_core.models.san import SAN, build_san
from san_core.optimizer import RMSprop, build_optimizer, clip_gradients, set_learning_rate
from san_core.question_scores import QuestionScores
from san_core.random_states import keep_random_states


@dataclass(frozen=True)
class EpochResult:
    """The result of one epoch.

    Attributes:
        epoch: number of the epoch, >= 1.
        loss: mean cross entropy over the epoch, in nats.
        score: mean score on the scored split after the epoch, in [0, 1]; None if no split is scored.
        seconds: duration of training and scoring.
        diverged: reason why training has diverged; empty if it has not.
        by_question: scores of the answers to single questions, see `san_core.question_scores`; empty if there are none.
    """

    epoch: int
    loss: float
    score: float | None
    seconds: float
    diverged: str = ""
    by_question: str = ""

    def per_second(self, examples: int) -> float:
        """Examples per second, including the scoring, given the number of examples in an epoch."""
        return examples / max(self.seconds, 1e-9)


Report = Callable[[EpochResult], bool]
"""Called with the result of each epoch; returns whether to continue."""


@keep_random_states()
@one_thread_if_forked()
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

    The same configuration, data and hardware give the same losses and scores, in a search, in retraining and alone.

    Args:
        config: sizes and hyperparameters.
        data: a prepared data set.
        report: function called after each epoch; training stops early when it returns False.
        train_on: splits to train on.
        score_on: split to score after each epoch, or None.
        metric: name of the metric to score with; None takes the data set's main metric.

    Raises:
        InputError: if the metric does not fit the data, or if the configuration asks for pretrained word vectors and
            the data have none.
    """
    training = Training(config, data, train_on=train_on, score_on=score_on, metric=metric)
    while not training.finished:
        result = training.run_epoch()
        if not report(result) or result.diverged:
            break
    return training.model


class Training:
    """A training run that advances epoch by epoch, and can be saved and restored between two epochs.

    The order of the questions and the dropout of an epoch depend on `order_seed` or else `seed`, and on the epoch's
    number, alone. So a restored run continues exactly as if it had not been interrupted.

    Attributes:
        config: sizes and hyperparameters.
        data: the prepared data set.
        epoch: number of finished epochs.
        seconds: duration of the finished epochs.
        device: device of the network.
        model: the network.
        optimizer: optimizer of the network's parameters.
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
        check_epochs_per_pass(len(self._train), config)
        self._objective = Objective(data, objective_metric(data, metric), score_on)
        torch.manual_seed(config.seed)
        self.model = build_model(config, data).to(self.device)
        self.optimizer = build_optimizer(self.model, config)
        self._cohort = None
        if uses_device_step(config, data, self.device):
            self._task = Task(config, data, self.device, train_on=train_on, score_on=score_on)
            self._cohort = CohortTraining(self._task, width=1)
            self._rows = self._load(self._cohort)

    @property
    def finished(self) -> bool:
        """Whether all epochs are finished."""
        return self.epoch >= self.config.epochs

    @property
    def examples(self) -> int:
        """Number of questions in an epoch; their mean where a pass has several."""
        return len(self._train) // self.config.epochs_per_pass

    def run_epoch(self) -> EpochResult:
        """Trains for one epoch and scores the network."""
        started = time.perf_counter()
        self.epoch += 1
        loss = self._train_epoch()
        scores = self._score()
        seconds = time.perf_counter() - started
        self.seconds += seconds
        return epoch_result(self.epoch, loss, scores, seconds, self._objective, self._train)

    def peak_memory(self, steps: int = 3) -> int:
        """Measures the peak GPU memory in bytes of a few steps and a batch of scoring.

        The training cannot be continued afterwards.
        """
        torch.cuda.reset_peak_memory_stats()
        self._train_epoch(steps)
        if self._objective.split is not None:
            split = self.data.split(self._objective.split)
            predict_split(self.model, self.data, split.where(np.arange(len(split)) < 256), self.config.precision)
        return torch.cuda.max_memory_reserved()

    def state_dict(self) -> dict[str, Any]:
        """The state for `load_state_dict`, with which training continues from here."""
        return {
            "epoch": self.epoch,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a state that `state_dict` returned."""
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self._cohort is not None:
            self._rows = self._load(self._cohort)

    def _load(self, cohort: CohortTraining) -> Rows:
        """Puts the network and the optimizer's state into the cohort; returns them as its rows."""
        rows = self._task.new_rows(self.config, *_named_state(self.model, self.optimizer))
        cohort.load(0, self.config, rows)
        return rows

    def _score(self) -> NDArray[np.float64] | None:
        """The scores on the scored split [Q]; None if no split is scored."""
        if self._objective.split is None:
            return None
        if self._cohort is None:
            split = self.data.split(self._objective.split)
            return self._objective.score(predict_split(self.model, self.data, split, self.config.precision).answers)
        return self._objective.score_members(self._cohort.predict())[0]

    def _train_in_cohort(self, cohort: CohortTraining, steps: int | None) -> float:
        """As `_train_epoch`, with the step of `san_core.cohort`."""
        (mean_loss,) = cohort.train_epoch(self.epoch, steps)
        cohort.save(0, self._rows)
        with torch.no_grad():
            for own, row in zip(_named_state(self.model, self.optimizer), self._rows, strict=True):
                for name, value in self._task.layout.unpack(row, self.config).items():
                    own[name].copy_(value)
        return mean_loss

    def _train_epoch(self, steps: int | None = None) -> float:
        """Trains for one epoch, or for its first steps; returns the mean loss."""
        if self._cohort is not None:
            return self._train_in_cohort(self._cohort, steps)
        config = self.config
        self.model.train()
        set_learning_rate(self.optimizer, config, self.epoch)
        batches = epoch_batches(self._train, config, self.epoch)
        torch.manual_seed(dropout_seed(config, self.epoch))
        total = torch.zeros((), device=self.device)
        target_rng = np.random.default_rng([config.batch_seed, self.epoch, 1])
        for rows, channels in islice(zip(batches, self._channel_bytes(len(batches)), strict=False), steps):
            batch = self.data.batch(self._train, rows).to(self.device)
            targets = draw_targets(self._train, rows, config.answer_target, len(self.data.answers), target_rng)
            loss = train_step(self.model, self.optimizer, batch, targets.to(self.device), config, channels)
            total += loss * len(rows)
        return float(total) / sum(map(len, batches))

    def _channel_bytes(self, steps: int) -> Iterable[Tensor | None]:
        """The random bytes of feature dropout for each batch of the epoch; None if no channel is dropped."""
        found = channel_bytes(self.config, self.epoch, steps, self.model.project.in_features)
        return repeat(None) if found is None else torch.from_numpy(found).to(self.device)


def epoch_result(
    epoch: int, loss: float, scores: NDArray[np.float64] | None, seconds: float, objective: Objective, train: Split
) -> EpochResult:
    """The result of an epoch.

    Args:
        epoch: number of the epoch, >= 1.
        loss: mean cross entropy over the epoch, in nats.
        scores: of the answers to the scored split's questions [Q]; None if no split is scored.
        seconds: duration of training and scoring.
        objective: what the network is scored by.
        train: what it is trained on.
    """
    mean = None if scores is None else float(scores.mean())
    diverged = why_diverged(epoch, loss, mean, objective, train.answers)
    by_question = "" if scores is None else QuestionScores.of(scores).to_text()
    return EpochResult(epoch, loss, mean, seconds, diverged, by_question)


def uses_device_step(config: TrainingConfig, data: PreparedData, device: torch.device) -> bool:
    """Whether a configuration is trained with the step of `san_core.cohort`: on a GPU, unless its settings say else.

    Raises:
        InputError: if `device_step` is `on` and the data hold pixels, since that step trains no image encoder.
    """
    if config.device_step == "on" and data.fine_tune:
        raise InputError(
            "device_step on trains on features of images, but the data hold pixels to train the image encoder with; "
            "accepted: device_step auto or off"
        )
    wanted = device.type == "cuda" if config.device_step == "auto" else config.device_step == "on"
    return wanted and not data.fine_tune


def _named_state(model: SAN, optimizer: RMSprop) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Parameters, square averages and momentum buffers by the parameter's name; they share memory with both."""
    parameters = dict(model.named_parameters())
    return (
        {name: parameter.detach() for name, parameter in parameters.items()},
        {name: optimizer.square_avg[parameter] for name, parameter in parameters.items()},
        {name: optimizer.momentum_buffer[parameter] for name, parameter in parameters.items()},
    )


def train_step(
    model: SAN,
    optimizer: RMSprop,
    batch: Batch,
    targets: Tensor,
    config: TrainingConfig,
    channel_bytes: Tensor | None = None,
) -> Tensor:
    """Does one training step, and returns the mean loss before it, in nats.

    Args:
        model: a network in training mode.
        optimizer: optimizer of the network's parameters.
        batch: B questions, on the network's device.
        targets: right answers [B], or shares of all answers [B, A], on the same device.
        config: configuration with the precision and the clipping.
        channel_bytes: random bytes of feature dropout, see `SAN.attend`.
    """
    with autocast(targets.device, config.precision):
        logits = model(*batch.inputs, channel_bytes)
    loss = nn.functional.cross_entropy(logits.float(), targets)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    clip_gradients(model, config)
    optimizer.step()
    return loss.detach()


def build_model(config: TrainingConfig, data: PreparedData) -> SAN:
    """Builds an untrained network with the configuration's sizes for the data's words, answers and images.

    If the data contain pixels, the network has an image encoder that is trained too. It starts from ImageNet weights
    if there are any for it.

    Raises:
        InputError: if the configuration asks for pretrained word vectors and the data have none.
    """
    encoder = load_encoder(data) if data.fine_tune else None
    return build_san(
        config,
        channels=data.images.shape[-1] if encoder is None else encoder.channels,
        vocabulary_size=len(data.words),
        answers=len(data.answers),
        image_encoder=encoder,
        vectors=data.word_vectors,
    )
