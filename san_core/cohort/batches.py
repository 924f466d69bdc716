"""An epoch's batches as tensors of fixed sizes: a batch has I images, and Q slots for questions about each.

Training shuffles groups of up to Q questions about one image (`TrainingConfig.questions_per_image`). In a batch each
group gets the place of an image, and each of its questions a slot there. Empty slots do not count in the loss. So all
steps have the same shapes, an image is projected once for all its questions, and their gradients for its regions are
summed by a matrix product.

Shapes: T batches, I images, Q questions about each, S = I Q slots, R regions, C channels, P people who answered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from san_core.config import TrainingConfig
from san_core.data.prepared import Split
from san_core.errors import InputError

IMAGES_MULTIPLE = 16
"""Places for images are a multiple of this, so that the batches of most epochs have the same sizes."""


@dataclass(frozen=True)
class Slots:
    """Sizes of a batch.

    Attributes:
        images: number of images, I.
        questions: number of slots for questions about each image, Q.
    """

    images: int
    questions: int

    @property
    def rows(self) -> int:
        """Number of slots of a batch, S = I Q."""
        return self.images * self.questions


@dataclass(frozen=True)
class EpochBatches:
    """The batches of an epoch, T of them.

    Attributes:
        rows: row number in the split of each slot's question [T, I, Q]; -1 for an empty slot.
        images: row number in the features of each image [T, I]; 0 for an empty place.
    """

    rows: NDArray[np.int64]
    images: NDArray[np.int64]

    @property
    def steps(self) -> int:
        """Number of batches, T."""
        return len(self.rows)

    @property
    def slots(self) -> Slots:
        """I and Q."""
        return Slots(*self.rows.shape[1:])


def shuffled_order(split: Split, config: TrainingConfig, rng: np.random.Generator) -> NDArray[np.int64]:
    """The row numbers of a split in random order; consecutive parts of it are the batches.

    Up to `questions_per_image` questions about the same image form a group; the groups are in random order.
    """
    shuffled = rng.permutation(len(split))
    by_image = shuffled[np.argsort(split.images[shuffled], kind="stable")]
    images = split.images[by_image]
    first_of_image = np.searchsorted(images, images)
    group = (
        images.astype(np.int64) * len(split) + (np.arange(len(split)) - first_of_image) // config.questions_per_image
    )
    _, group = np.unique(group, return_inverse=True)
    order: NDArray[np.int64] = by_image[np.argsort(rng.permutation(group.max() + 1)[group], kind="stable")]
    return order


def pass_steps(questions: int, batch_size: int) -> int:
    """Number of batches of a pass over so many questions."""
    return -(-questions // batch_size)


def check_epochs_per_pass(questions: int, config: TrainingConfig) -> None:
    """Checks that a pass over so many training questions has a batch for each of its epochs.

    Raises:
        InputError: if it has fewer.
    """
    steps = pass_steps(questions, config.batch_size)
    if config.epochs_per_pass > steps:
        raise InputError(
            f"epochs_per_pass must be a whole number <= {steps:,}, the steps of a pass over {questions:,} training "
            f"questions in batches of {config.batch_size:,}, but got {config.epochs_per_pass:,}"
        )


def epoch_order(split: Split, config: TrainingConfig, epoch: int) -> NDArray[np.int64]:
    """The row numbers of the questions that an epoch trains on, in the order of training.

    The epochs of a pass divide its batches among them, so that their numbers of batches differ by at most one. The
    order follows from `batch_seed` and the number of the pass alone.

    Args:
        split: the training questions.
        config: tells the seed, the size of a batch, and how many epochs a pass has.
        epoch: number of the epoch, counted from 1.
    """
    passes, part = divmod(epoch - 1, config.epochs_per_pass)
    rng = np.random.default_rng([config.batch_seed, passes + 1])
    rng.integers(2**63)  # the first number of this generator is `dropout_seed` where a pass is one epoch
    order = shuffled_order(split, config, rng)
    steps = pass_steps(len(split), config.batch_size)
    first, end = (steps * number // config.epochs_per_pass for number in (part, part + 1))
    return order[first * config.batch_size : end * config.batch_size]


def epoch_batches(split: Split, config: TrainingConfig, epoch: int) -> list[NDArray[np.int64]]:
    """The same row numbers by batch; only the last batch of a pass may have fewer than `batch_size`."""
    order = epoch_order(split, config, epoch)
    return [order[start : start + config.batch_size] for start in range(0, len(order), config.batch_size)]


def dropout_seed(config: TrainingConfig, epoch: int) -> int:
    """The seed of an epoch's dropout, from `batch_seed` and the epoch's number, counted from 1, alone."""
    return int(np.random.default_rng([config.batch_seed, epoch]).integers(2**63))


def images_of_batches(
    order: NDArray[np.integer], images: NDArray[np.integer], batch_size: int, max_questions: int
) -> int:
    """The largest number of places for images that a batch needs. Consecutive questions about one image share a place.

    Args:
        order: row numbers of the questions, in the order of training.
        images: image of each question of the split, by the question's row number.
        batch_size: number of questions in a batch.
        max_questions: largest number of questions that share a place.
    """
    place, _, steps = _places(images[order], batch_size, max_questions)
    return int(np.maximum.reduceat(place, np.arange(steps) * batch_size).max()) + 1


def make_batches(
    order: NDArray[np.integer], images: NDArray[np.integer], batch_size: int, slots: Slots
) -> EpochBatches:
    """Divides questions into batches, in the given order; the last batch may have fewer questions.

    Args:
        order: see `images_of_batches`.
        images: see `images_of_batches`.
        batch_size: number of questions in a batch.
        slots: sizes of a batch.

    Raises:
        ValueError: if a batch needs places for more images than `slots` has.
    """
    image_of = images[order].astype(np.int64)
    place, slot, steps = _places(image_of, batch_size, slots.questions)
    if place.max() >= slots.images:
        raise ValueError(f"a batch needs places for {place.max() + 1} images, but has {slots.images}")
    step = np.arange(len(order)) // batch_size
    rows = np.full((steps, slots.images, slots.questions), -1, dtype=np.int64)
    rows[step, place, slot] = order
    features = np.zeros((steps, slots.images), dtype=np.int64)
    features[step, place] = image_of
    return EpochBatches(rows, features)


def _places(
    image_of: NDArray[np.integer], batch_size: int, max_questions: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """The place of each question's image in its batch, the question's slot at that place, and the number of batches.

    A place begins where a batch or the questions about another image begin, and when the place before is full.

    Args:
        image_of: image of each question, in the order of training.
        batch_size: number of questions in a batch.
        max_questions: see `images_of_batches`.
    """
    position = np.arange(len(image_of))
    begins = np.ones(len(image_of), dtype=bool)
    begins[1:] = image_of[1:] != image_of[:-1]
    begins |= position % batch_size == 0
    offset = position - np.maximum.accumulate(
        np.where(begins, position, 0)
    )  # questions since the last True of `begins`
    slot = offset % max_questions
    group = np.cumsum(slot == 0) - 1
    steps = -(-len(image_of) // batch_size)
    first = group[np.arange(steps) * batch_size]
    return group - first[position // batch_size], slot, steps


def channel_bytes(config: TrainingConfig, epoch: int, steps: int, channels: int) -> NDArray[np.uint8] | None:
    """The random bytes of feature dropout for the batches of an epoch [T, C]; None if no channel is dropped.

    They follow from `batch_seed`, the epoch's number and the batch's alone, and other random numbers do not depend on
    them.

    Args:
        config: tells the seed, and whether channels are dropped.
        epoch: number of the epoch, counted from 1.
        steps: number of batches.
        channels: number of channels of the features.
    """
    if config.feature_dropout == 0:
        return None
    rng = np.random.default_rng([config.batch_seed, epoch, 2])
    return rng.integers(256, size=(steps, channels), dtype=np.uint8)


def to_device(columns: Mapping[str, NDArray[np.generic]], device: torch.device) -> dict[str, Tensor]:
    """Copies arrays from the host to a device. A copy to a GPU uses page-locked memory, and the host does not wait."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in columns.items()}
    if device.type == "cuda":
        return {name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in tensors.items()}
    return {name: tensor.to(device) for name, tensor in tensors.items()}


class Features(Protocol):
    """Where a step gets the features of its images from; see `san_core.cohort.data`."""

    def of(self, images: Tensor) -> Tensor:
        """Features [I, R, C] of a batch's images [I]."""

    def feed(self, batches: NDArray[np.int64]) -> Iterator[None]:
        """Yields once for each batch, when the features of its images [T, I] are ready; then run the step."""


@dataclass(frozen=True)
class Batch:
    """One batch on the device.

    Attributes:
        features: features of the images, with the channel for the bias [I, R, C].
        questions: index of each slot's question among the distinct questions [S].
        targets: number of each slot's right answer [S], or the answers of P people [S, P], -1 for none.
        filled: whether each slot holds a question [S].
        channels: random bytes of feature dropout [C]; None if no channel is dropped.
    """

    features: Tensor
    questions: Tensor
    targets: Tensor
    filled: Tensor
    channels: Tensor | None = None


class BatchBuffers:
    """The batches of an epoch in buffers on the device; each epoch fills the same buffers.

    Args:
        steps: number of batches, T.
        slots: sizes of a batch.
        people: number of people who answered each question, P; None if a slot has one right answer.
        device: device of the buffers.
        channels: number of channels of the features, C; None without feature dropout.

    Attributes:
        steps, slots: see Args.
        step: index of the next batch [1]; a tensor, so that each replay of a CUDA graph takes another batch.
    """

    def __init__(
        self, steps: int, slots: Slots, people: int | None, device: torch.device, channels: int | None = None
    ) -> None:
        target = (slots.rows,) if people is None else (slots.rows, people)
        self.steps, self.slots = steps, slots
        self.images = torch.zeros(steps, slots.images, dtype=torch.int64, device=device)
        self.questions = torch.zeros(steps, slots.rows, dtype=torch.int64, device=device)
        self.targets = torch.zeros(steps, *target, dtype=torch.int64, device=device)
        self.filled = torch.zeros(steps, slots.rows, dtype=torch.bool, device=device)
        self.channels = None if channels is None else torch.zeros(steps, channels, dtype=torch.uint8, device=device)
        self.step = torch.zeros(1, dtype=torch.int64, device=device)

    def fill(self, columns: Mapping[str, Tensor]) -> None:
        """Copies an epoch's columns, given by the names of the buffers, into the buffers."""
        for name, value in columns.items():
            buffer: Tensor = getattr(self, name)
            buffer.copy_(value.view(buffer.shape))

    def advance(self) -> None:
        """Goes to the next batch; after the last comes the first."""
        self.step.add_(1).remainder_(self.steps)

    def batch(self, features: Features) -> Batch:
        """The next batch."""
        return Batch(
            features=features.of(self._next(self.images)),
            questions=self._next(self.questions),
            targets=self._next(self.targets),
            filled=self._next(self.filled),
            channels=None if self.channels is None else self._next(self.channels),
        )

    def _next(self, column: Tensor) -> Tensor:
        """The next batch's part of a column."""
        return column.index_select(0, self.step)[0]
