"""Cross-validation: divides training and validation questions into folds, and trains a configuration on each."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from san_core.config import LARGEST_SEED, TrainingConfig
from san_core.data.prepared import PreparedData, Split
from san_core.data.questions import Question
from san_core.errors import InputError
from san_core.models.san import SAN
from san_core.question_scores import QuestionScores
from san_core.training import EpochResult, Training

_DIVIDED = ("train", "validation")


class Fold(PreparedData):
    """A prepared data set whose training and validation questions are divided anew; all else is the same.

    The images of both splits are divided at random into parts of the same size. One part validates, the others train.
    Images with the same features stay together, as copies of a picture do in `san_core.data.splitting`.

    Args:
        data: the data set; its own division is not used.
        number: of the part that validates, in [0, folds).
        folds: number of parts, >= 2.
        seed: of the random division; the same for all folds that belong together.

    Raises:
        ValueError: if there is no such part.
        InputError: if there are more parts than different images.
    """

    def __init__(self, data: PreparedData, number: int, folds: int, seed: int) -> None:
        if not 0 <= number < folds or folds < 2:
            raise ValueError(f"number must be in [0, folds) and folds >= 2, but got {number} of {folds}")
        self._data = data
        self._validates = _parts(data, folds, seed) == number
        validation = int(self._validates.sum())
        counts = {**data.manifest["counts"], "train": len(self._validates) - validation, "validation": validation}
        super().__init__(data.folder, {**data.manifest, "counts": counts})

    def split(self, name: str) -> Split:
        """Returns a split by name."""
        if name not in _DIVIDED:
            return self._data.split(name)
        return _both(self._data).where(self._is_in(name))

    def questions_of(self, name: str) -> list[Question]:
        """Returns the questions of a split with their texts and answers, in the order of `split`."""
        if name not in _DIVIDED:
            return self._data.questions_of(name)
        if name not in self._questions_of:
            every = [question for part in _DIVIDED for question in self._data.questions_of(part)]
            self._questions_of[name] = [every[row] for row in np.flatnonzero(self._is_in(name))]
        return self._questions_of[name]

    @cached_property
    def images(self) -> torch.Tensor:
        """As of the data set, whose memory it shares."""
        return self._data.images

    def _is_in(self, name: str) -> NDArray[np.bool_]:
        return np.asarray(self._validates if name == "validation" else ~self._validates)


def _both(data: PreparedData) -> Split:
    """The questions that are divided, training questions first."""
    train, validation = (data.split(name) for name in _DIVIDED)
    return train + validation


def _parts(data: PreparedData, folds: int, seed: int) -> NDArray[np.integer]:
    """The part that each question belongs to, by its image [Q]."""
    contents = _contents(data)
    different = contents.max() + 1
    if folds > different:
        raise InputError(f"{different} different images cannot be divided into {folds} folds")
    return np.asarray(np.random.default_rng(seed).permutation(different)[contents] * folds // different)


@lru_cache(maxsize=8)  # the trials of a process have one of few data sets
def _contents(data: PreparedData) -> NDArray[np.integer]:
    """A number for what each question's image shows, counted in the order of the images [Q]."""
    images, image_of_question = np.unique(_both(data).images, return_inverse=True)
    numbers: dict[bytes, int] = {}
    number_of_image = []
    for image in images:
        digest = hashlib.blake2b(data.images[int(image)].view(torch.uint8).numpy().tobytes()).digest()
        number_of_image.append(numbers.setdefault(digest, len(numbers)))
    return np.array(number_of_image)[image_of_question]


class FoldScores:
    """Scores of a configuration's networks on the folds so far.

    Args:
        by_fold: of each fold and epoch the mean score, and those of single questions; None for none so far.

    Attributes:
        by_fold: as given, with what was added.
    """

    def __init__(self, by_fold: list[list[tuple[float, str]]] | None = None) -> None:
        self.by_fold = by_fold or [[]]

    def add(self, result: EpochResult) -> EpochResult:
        """Adds an epoch on the current fold.

        Returns:
            The result with the epoch's number counted over all folds, and the score that is the mean over all questions
            of the folds so far, each after as many epochs.
        """
        self.by_fold[-1].append((result.score or 0.0, result.by_question))
        position = len(self.by_fold[-1]) - 1
        means, texts = zip(*(scores[position] for scores in self.by_fold), strict=True)
        parts = [QuestionScores.from_text(text) for text in texts]
        mean = float(np.average(means, weights=[part.questions for part in parts]))
        epoch, by_question = sum(map(len, self.by_fold)), QuestionScores.join(parts).to_text()
        return replace(result, epoch=epoch, score=mean, by_question=by_question)

    def start_next_fold(self) -> None:
        """What is added from now on are epochs on the next fold."""
        self.by_fold.append([])


def seed_of_fold(config: TrainingConfig, number: int) -> int:
    """The seed of the initial weights on a fold, counted from 0: each has a network of its own."""
    return int(np.random.default_rng([config.seed, number]).integers(LARGEST_SEED)) if number else config.seed


class FoldedTraining:
    """Trains a configuration on each fold in turn: it has `folds` times as many epochs as the configuration says.

    After an epoch its score is that of `FoldScores`. So the scores of the last fold's epochs are the mean curve over
    all folds, on every training and validation question (k-fold cross-validation). Whoever stops it earlier has the
    mean over fewer folds.

    The division follows from `TrainingConfig.batch_seed`: trials of a search share it, fresh seeds divide afresh.

    Attributes:
        config: sizes and hyperparameters.
        epoch: number of finished epochs of all folds.
        seconds: duration of the finished epochs.
        device: device of the network.
    """

    def __init__(self, config: TrainingConfig, data: PreparedData, folds: int, *, metric: str | None = None) -> None:
        self.config = config
        self.epoch, self.seconds = 0, 0.0
        self._data, self._folds, self._metric = data, folds, metric
        self._scores = FoldScores()
        self._start(0)
        self.device = self._training.device

    @property
    def finished(self) -> bool:
        """Whether all epochs of all folds are finished."""
        return self._number == self._folds - 1 and self._training.finished

    @property
    def examples(self) -> int:
        """Number of questions in an epoch of the current fold."""
        return self._training.examples

    @property
    def model(self) -> SAN:
        """The network of the current fold."""
        return self._training.model

    @property
    def data(self) -> PreparedData:
        """The current fold."""
        return self._training.data

    def run_epoch(self) -> EpochResult:
        """Trains for one epoch, of the next fold if the current one has all, and scores the network."""
        if self._training.finished:
            self._start(self._number + 1)
            self._scores.start_next_fold()
        result = self._scores.add(self._training.run_epoch())
        self.epoch = result.epoch
        self.seconds += result.seconds
        return result

    def state_dict(self) -> dict[str, Any]:
        """The state for `load_state_dict`, with which training continues from here."""
        own = {"epoch": self.epoch, "seconds": self.seconds, "fold": self._number, "scores": self._scores.by_fold}
        return {**own, "training": self._training.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state that `state_dict` returned."""
        self._start(state["fold"])
        self._training.load_state_dict(state["training"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self._scores = FoldScores(state["scores"])

    def _start(self, number: int) -> None:
        """Goes on with a fold. Its network starts from weights of its own."""
        order_seed = self.config.batch_seed
        config = replace(self.config, seed=seed_of_fold(self.config, number), order_seed=order_seed)
        self._number = number
        self._training = Training(config, Fold(self._data, number, self._folds, order_seed), metric=self._metric)


def new_training(
    config: TrainingConfig, data: PreparedData, folds: int, *, metric: str | None = None
) -> Training | FoldedTraining:
    """A training on several folds, or for 1 on the data's own training and validation questions."""
    return FoldedTraining(config, data, folds, metric=metric) if folds > 1 else Training(config, data, metric=metric)
