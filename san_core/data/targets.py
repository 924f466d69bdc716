"""Training targets: the one right answer of a question, or what several people answered."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from san_core.data.prepared import Split

MODAL, SOFT, SAMPLED = "modal", "soft", "sampled"

_VQA_ACCURACY = np.array([0.0, 0.3, 0.6, 0.9, 1.0], dtype=np.float32)
"""VQA accuracy of an answer given by 0, 1, 2, 3, or by 4 or more of ten people."""


def answerable(split: Split, target: str) -> Split:
    """The questions that have a target in the answer vocabulary; the others cannot be trained on."""
    known = split.answers >= 0 if target == MODAL else np.any(split.people >= 0, axis=1)
    return split.where(known)


def draw_targets(
    split: Split, rows: NDArray[np.integer], target: str, answers: int, rng: np.random.Generator
) -> Tensor:
    """The targets of some questions, as `torch.nn.functional.cross_entropy` takes them.

    Args:
        split: split from `answerable`.
        rows: row numbers of the questions in the split [B].
        target: `modal`: the right answer; `sampled`: the answer of one person, drawn again at each call from those in
            the vocabulary (as in the authors' code); `soft`: every answer that people gave, in proportion to its VQA
            accuracy.
        answers: A, size of the answer vocabulary.
        rng: generator that draws the person.

    Returns:
        Answer numbers [B] (int64), or for `soft` the share of each answer [B, A]; each row sums to 1.
    """
    if target == MODAL:
        return torch.from_numpy(split.answers[rows].astype(np.int64))
    people = split.people[rows]
    known = people >= 0
    if target == SAMPLED:
        random_numbers = np.where(known, rng.random(people.shape), -1.0)
        drawn = people[np.arange(len(rows)), random_numbers.argmax(axis=1)]
        return torch.from_numpy(drawn.astype(np.int64))
    counts = np.zeros((len(rows), answers), dtype=np.int64)
    row, person = np.nonzero(known)
    np.add.at(counts, (row, people[row, person]), 1)
    accuracies = _VQA_ACCURACY[np.minimum(counts, len(_VQA_ACCURACY) - 1)]
    return torch.from_numpy(accuracies / accuracies.sum(axis=1, keepdims=True))
