"""The distinct beginnings of questions: many start alike, and an LSTM's state follows from the words so far."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from san_core.data.vocabulary import PADDING

SIZES = 16
"""Products of many different sizes are slow, since oneDNN prepares each anew: sizes are filled up to multiples."""


@dataclass(frozen=True)
class PrefixTree:
    """A node for each distinct beginning, level by level: those of one word, those of two, and so on.

    Every level is filled up to a multiple of `SIZES` with nodes that no question ends at.

    Shapes: U questions, L words, N nodes.

    Attributes:
        words: number of the last word of each beginning [N].
        parents: for each level, where in the level above each beginning without its last word is; 0 in the first.
        ends: the node of each whole question [U].
    """

    words: Tensor
    parents: list[Tensor]
    ends: Tensor

    @classmethod
    def of(cls, tokens: Tensor) -> Self:
        """The tree of questions' word numbers [U, L], padded behind with 0; an empty one is a word of padding."""
        given = tokens.cpu().numpy()
        alphabetical = np.lexsort(given.T[::-1])
        asked = given[alphabetical]
        lengths = (asked != PADDING).sum(axis=1).clip(min=1)
        # A beginning is new where it is not that of the question before.
        new = np.arange(lengths.max()) < lengths[:, None]
        asked = asked[:, : lengths.max()]
        new[1:] &= np.logical_or.accumulate(asked[1:] != asked[:-1], axis=1)
        places = new.cumsum(axis=0) - 1  # of each question's beginnings within their level [U, L]
        levels = -(-new.sum(axis=0) // SIZES) * SIZES
        starts = levels.cumsum() - levels
        words, parents = np.full(levels.sum(), PADDING), np.zeros(levels.sum(), dtype=np.int64)
        nodes = places + starts
        words[nodes[new]] = asked[new]
        parents[nodes[:, 1:][new[:, 1:]]] = places[:, :-1][new[:, 1:]]
        ends = np.empty(len(asked), dtype=np.int64)
        ends[alphabetical] = np.take_along_axis(nodes, lengths[:, None] - 1, axis=1)[:, 0]
        on_device = [torch.from_numpy(each).to(tokens.device) for each in (words, parents, ends)]
        return cls(on_device[0], list(torch.split(on_device[1], levels.tolist())), on_device[2])
