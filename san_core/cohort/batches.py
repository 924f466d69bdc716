"""An epoch's batches as tensors of fixed sizes: a place for each image of a batch, and slots for questions about it.

Training shuffles groups of questions about one image (`TrainingConfig.questions_per_image`). A batch of B questions has
I images with Q slots each; slots that no question fills are empty and count for nothing. So a step's shapes never
change, an image is projected once for its questions, and what they add to its gradient is a matrix product.
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

IMAGES_MULTIPLE = 16
"""Places for images are a multiple of this, so that the batches of most epochs have the same sizes."""


@dataclass(frozen=True)
class Slots:
    """Sizes of a batch: I images and Q questions about each.

    Attributes:
        images: I.
        questions: Q.
    """

    images: int
    questions: int

    @property
    def rows(self) -> int:
        """Slots of a batch."""
        return self.images * self.questions


@dataclass(frozen=True)
class EpochBatches:
    """The batches of an epoch, T of them.

    Attributes:
        rows: which question of the split each slot holds [T, I, Q]; -1 where it is empty.
        images: each image's row in the features [T, I]; 0 where no question asks about it.
    """

    rows: NDArray[np.int64]
    images: NDArray[np.int64]

    @property
    def steps(self) -> int:
        """T."""
        return len(self.rows)

    @property
    def slots(self) -> Slots:
        """I and Q."""
        return Slots(*self.rows.shape[1:])


def shuffled_order(split: Split, config: TrainingConfig, rng: np.random.Generator) -> NDArray[np.int64]:
    """Every row number of the split once, in random order; batches are taken from it one after the other.

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


def images_of_batches(order: NDArray[np.integer], images: NDArray[np.integer], batch: int, max_questions: int) -> int:
    """The most images that a batch of this order needs places for.

    Args:
        order: questions of the split, in the order they are trained on [Q].
        images: each question's image [Q], by question.
        batch: questions in a batch.
        max_questions: at most so many questions share a place.
    """
    place, _, steps = _places(images[order], batch, max_questions)
    return int(np.maximum.reduceat(place, np.arange(steps) * batch).max()) + 1


def make_batches(order: NDArray[np.integer], images: NDArray[np.integer], batch: int, slots: Slots) -> EpochBatches:
    """Batches of `batch` questions each, in the given order; the last may have fewer.

    Args:
        order: as for `images_of_batches`.
        images: as for `images_of_batches`.
        batch: questions in a batch.
        slots: sizes of a batch.

    Raises:
        ValueError: if a batch needs more places than there are.
    """
    image_of = images[order].astype(np.int64)
    place, slot, steps = _places(image_of, batch, slots.questions)
    if place.max() >= slots.images:
        raise ValueError(f"a batch needs places for {place.max() + 1} images, but has {slots.images}")
    step = np.arange(len(order)) // batch
    rows = np.full((steps, slots.images, slots.questions), -1, dtype=np.int64)
    rows[step, place, slot] = order
    features = np.zeros((steps, slots.images), dtype=np.int64)
    features[step, place] = image_of
    return EpochBatches(rows, features)


def _places(
    image_of: NDArray[np.integer], batch: int, max_questions: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Each question's image place in its batch, its slot there, and the number of batches."""
    count = np.arange(len(image_of))
    begins = np.ones(len(image_of), dtype=bool)
    begins[1:] = image_of[1:] != image_of[:-1]
    begins |= count % batch == 0
    since = count - np.maximum.accumulate(np.where(begins, count, 0))  # within a run of one image
    slot = since % max_questions
    group = np.cumsum(slot == 0) - 1
    steps = -(-len(image_of) // batch)
    first = group[np.arange(steps) * batch]
    return group - first[count // batch], slot, steps


def to_device(columns: Mapping[str, NDArray[np.generic]], device: torch.device) -> dict[str, Tensor]:
    """Host arrays on a device; on a GPU they are copied from page-locked memory while the host goes on."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in columns.items()}
    if device.type == "cuda":
        return {name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in tensors.items()}
    return {name: tensor.to(device) for name, tensor in tensors.items()}


class Features(Protocol):
    """Where a step gets the features of its images from; see `san_core.cohort.data`."""

    def of(self, images: Tensor) -> Tensor:
        """Features [I, R, C] of a batch's images [I]."""

    def feed(self, batches: NDArray[np.int64]) -> Iterator[None]:
        """Has the features of each batch's images [T, I] ready, one batch after the other; take a step after each."""


@dataclass(frozen=True)
class Batch:
    """What a step works on.

    Attributes:
        features: of the images, with the channel for the bias [I, R, C].
        questions: number of each slot's question among the distinct ones [S].
        targets: right answers [S], or the answers of P people [S, P], -1 where there is none.
        filled: whether a slot holds a question [S].
    """

    features: Tensor
    questions: Tensor
    targets: Tensor
    filled: Tensor


class BatchBuffers:
    """An epoch's batches in buffers on the device, filled anew for each epoch.

    Args:
        steps: T.
        slots: sizes of a batch.
        people: P, width of the targets; None where a slot has one.
        device: where they lie.

    Attributes:
        steps, slots: as given.
        step: number of the next batch [1]; each step counts it up.
    """

    def __init__(self, steps: int, slots: Slots, people: int | None, device: torch.device) -> None:
        target = (slots.rows,) if people is None else (slots.rows, people)
        self.steps, self.slots = steps, slots
        self.images = torch.zeros(steps, slots.images, dtype=torch.int64, device=device)
        self.questions = torch.zeros(steps, slots.rows, dtype=torch.int64, device=device)
        self.targets = torch.zeros(steps, *target, dtype=torch.int64, device=device)
        self.filled = torch.zeros(steps, slots.rows, dtype=torch.bool, device=device)
        self.step = torch.zeros(1, dtype=torch.int64, device=device)

    def fill(self, columns: Mapping[str, Tensor]) -> None:
        """Puts the columns of an epoch, on the device, by name, into the buffers."""
        for name, value in columns.items():
            buffer: Tensor = getattr(self, name)
            buffer.copy_(value.view(buffer.shape))

    def advance(self) -> None:
        """Goes to the next batch; after the last comes the first."""
        self.step.add_(1).remainder_(self.steps)

    def batch(self, features: Features) -> Batch:
        """The batch of the step."""
        images = self.images.index_select(0, self.step)[0]
        columns = (self.questions, self.targets, self.filled)
        return Batch(features.of(images), *(column.index_select(0, self.step)[0] for column in columns))
