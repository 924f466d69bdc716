"""Splits the questions of a data set into train, validation and test; copies of an image stay in one split."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from san_core.data.prepared import SPLITS
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError


def split_by_image(
    questions: Sequence[Question], *, share: float = 0.2, seed: int = 0, first_copy: Mapping[str, str] | None = None
) -> tuple[list[Question], list[Question]]:
    """Splits questions into two parts that have no image in common.

    Args:
        questions: about at least two images.
        share: share of the images that go to the second part, in (0, 1). The default gives the baseline's 4 : 1.
        seed: seed of the random choice of images.
        first_copy: the first image key with the same content, by image key; None if no two images are the same.

    Returns:
        Both parts, each in the original order.
    """
    keys = [first_copy[question.image] if first_copy else question.image for question in questions]
    images = sorted(set(keys))
    chosen = np.random.default_rng(seed).permutation(len(images))[: max(1, round(len(images) * share))]
    held_out = {images[i] for i in chosen}
    parts: tuple[list[Question], list[Question]] = [], []
    for question, key in zip(questions, keys, strict=True):
        parts[key in held_out].append(question)
    return parts


def split_off_test(dataset: RawDataset, *, share: float, seed: int, first_copy: Mapping[str, str]) -> RawDataset:
    """Moves a share of the training images, with their questions, to the test split; a share of 0 changes nothing."""
    if not share:
        return dataset
    train, test = split_by_image(dataset.train, share=share, seed=seed + 1, first_copy=first_copy)
    return replace(dataset, train=train, test=test)


def split(dataset: RawDataset, *, seed: int, first_copy: Mapping[str, str]) -> dict[str, Sequence[Question]]:
    """The splits of a data set by name; empty ones are left out.

    The validation split is the data set's own, or else taken from train.

    Raises:
        InputError: if the training questions are about one image only.
    """
    train, validation = dataset.train, dataset.validation
    if not validation:
        if len({question.image for question in train}) <= 1:
            raise InputError(f"{dataset.name} has training questions about fewer than two images; none would validate")
        train, validation = split_by_image(dataset.train, seed=seed, first_copy=first_copy)
    every = (train, validation, dataset.test, dataset.unanswered)
    return {name: questions for name, questions in zip(SPLITS, every, strict=True) if questions}


def report_shared_images(dataset: RawDataset, first_copy: Mapping[str, str], problems: Problems) -> None:
    """Reports images that two splits share; scores say less about new images then.

    These are test images that are also training or validation images, and images of given validation questions that
    are also training images.
    """
    _report_shared(dataset.test, "test", dataset.learned_from, first_copy, problems)
    _report_shared(dataset.validation or (), "validation", dataset.train, first_copy, problems)


def _report_shared(
    scored: Sequence[Question],
    name: str,
    learned_from: Sequence[Question],
    first_copy: Mapping[str, str],
    problems: Problems,
) -> None:
    trained_on = {first_copy[question.image] for question in learned_from}
    for image in sorted({question.image for question in scored}):
        if first_copy[image] in trained_on:
            problems.add(f"picture of {name} questions is also one of the training questions", image)
