"""What a network is to answer: one right answer, or what several people said."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from san_core.data.prepared import Split

MODAL, SOFT, SAMPLED = "modal", "soft", "sampled"

_SCORES = np.array([0.0, 0.3, 0.6, 0.9, 1.0], dtype=np.float32)
"""VQA accuracy of an answer that 0, 1, 2, 3 or more of ten people gave."""


def answerable(split: Split, target: str) -> Split:
    """The questions with a target in the answer vocabulary: only those can teach."""
    known = split.answers >= 0 if target == MODAL else np.any(split.people >= 0, axis=1)
    return split.where(known)


def draw_targets(
    split: Split, rows: NDArray[np.integer], target: str, answers: int, rng: np.random.Generator
) -> Tensor:
    """Targets of the split's rows, as `torch.nn.functional.cross_entropy` takes them.

    Args:
        split: from `answerable`.
        rows: which questions [B].
        target: `modal`: the right answer; `sampled`: the answer of one person, drawn anew at each call among
            those in the vocabulary (the SAN paper's released code); `soft`: every answer people gave, in
            proportion to its VQA accuracy.
        answers: A, size of the answer vocabulary.
        rng: draws the person.

    Returns:
        Answer numbers [B] (int64), or for `soft` the share of each answer [B, A], rows adding up to 1.
    """
    if target == MODAL:
        return torch.from_numpy(split.answers[rows].astype(np.int64))
    people = split.people[rows]
    known = people >= 0
    if target == SAMPLED:
        lots = np.where(known, rng.random(people.shape), -1.0)
        return torch.from_numpy(people[np.arange(len(rows)), lots.argmax(axis=1)].astype(np.int64))
    counts = np.zeros((len(rows), answers), dtype=np.int64)
    row, person = np.nonzero(known)
    np.add.at(counts, (row, people[row, person]), 1)
    scores = _SCORES[np.minimum(counts, len(_SCORES) - 1)]
    return torch.from_numpy(scores / scores.sum(axis=1, keepdims=True))
