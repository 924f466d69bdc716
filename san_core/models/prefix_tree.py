"""The tree of the distinct prefixes of questions. Questions with the same prefix have the same LSTM state after it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from san_core.data.vocabulary import PADDING

SIZE_MULTIPLE = 16
"""Matrices are padded to multiples of this many rows.

oneDNN prepares a product for each new size, so products of many different sizes are slow.
"""


@dataclass(frozen=True)
class PrefixTree:
    """A node for each distinct prefix, level by level: prefixes of one word, of two words, and so on.

    Every level is padded to a multiple of `SIZE_MULTIPLE` nodes with nodes at which no question ends.

    Shapes: U questions, L words, N nodes.

    Attributes:
        words: number of the last word of each prefix [N].
        parents: for each level, the index within the previous level of each prefix without its last word; 0 in the
            first level.
        ends: the node of each whole question [U].
    """

    words: Tensor
    parents: list[Tensor]
    ends: Tensor

    @classmethod
    def of(cls, tokens: Tensor) -> Self:
        """Builds the tree of questions.

        Args:
            tokens: word numbers [U, L], padded with 0 at the end. An empty question counts as one word of padding.
        """
        numbers = tokens.cpu().numpy()
        order = np.lexsort(numbers.T[::-1])
        numbers = numbers[order]
        lengths = (numbers != PADDING).sum(axis=1).clip(min=1)
        numbers = numbers[:, : lengths.max()]
        # In this order, a prefix is new where it differs from that of the question before.
        is_new = np.arange(lengths.max()) < lengths[:, None]
        is_new[1:] &= np.logical_or.accumulate(numbers[1:] != numbers[:-1], axis=1)
        index_in_level = is_new.cumsum(axis=0) - 1  # of each question's prefixes [U, L]
        level_sizes = -(-is_new.sum(axis=0) // SIZE_MULTIPLE) * SIZE_MULTIPLE
        level_starts = level_sizes.cumsum() - level_sizes
        nodes = index_in_level + level_starts
        words, parents = np.full(level_sizes.sum(), PADDING), np.zeros(level_sizes.sum(), dtype=np.int64)
        words[nodes[is_new]] = numbers[is_new]
        parents[nodes[:, 1:][is_new[:, 1:]]] = index_in_level[:, :-1][is_new[:, 1:]]
        ends = np.empty(len(numbers), dtype=np.int64)
        ends[order] = np.take_along_axis(nodes, lengths[:, None] - 1, axis=1)[:, 0]
        on_device = [torch.from_numpy(each).to(tokens.device) for each in (words, parents, ends)]
        return cls(on_device[0], list(torch.split(on_device[1], level_sizes.tolist())), on_device[2])
