"""How much of the attention is on what a picture shows, for pictures with a plain background.

What differs from the background is what a question can be about. The figure is a ratio: the share of the attention that
is on these pixels, over their share of the picture. It is 1 for attention that is spread evenly over the picture, and
below 1 for attention that avoids what the picture shows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PLAIN = 0.75


@dataclass(frozen=True, eq=False)
class Shown:
    """Where a picture shows something.

    Attributes:
        share: share of the picture that it covers, in (0, 1).
        by_region: share of each region that it covers, in [0, 1] [rows, columns].
    """

    share: float
    by_region: NDArray[np.float64]


@dataclass(frozen=True)
class Focus:
    """The attention on what pictures show, in the mean over the questions.

    Attributes:
        questions: number of questions.
        hops: for each hop, the share of attention on what the picture shows, over its share of the picture.
        largest: the ratio of a hop that gives all its attention to the region that is covered most.
    """

    questions: int
    hops: tuple[float, ...]
    largest: float

    @classmethod
    def of(cls, maps: Iterable[tuple[Shown, NDArray[np.float32]]]) -> Self:
        """The mean over the questions.

        Args:
            maps: for each question what its picture shows, and the attention of each hop [hops, rows, columns], which
                adds up to 1 and is spread evenly over a region; at least one question.
        """
        hops, largest = [], []
        for shown, attention in maps:
            hops.append((attention * shown.by_region).sum(axis=(1, 2)) / shown.share)
            largest.append(shown.by_region.max() / shown.share)
        return cls(len(hops), tuple(np.mean(hops, axis=0).tolist()), float(np.mean(largest)))


def find_shown(picture: Image.Image, rows: int, columns: int) -> Shown | None:
    """What a picture shows: the pixels that differ from its background, the most frequent colour along its edges.

    Args:
        picture: the picture.
        rows: number of regions one above the other that it is divided into.
        columns: number of regions side by side.

    Returns:
        None if the background is not plain: less than three quarters of the pixels along the edges have its colour, or
        all pixels have it.
    """
    pixels = np.asarray(picture.convert("RGB"))
    edges = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    colours, counts = np.unique(edges, axis=0, return_counts=True)
    differs: NDArray[np.bool_] = (pixels != colours[counts.argmax()]).any(axis=2)
    if counts.max() < _PLAIN * len(edges) or not differs.any():
        return None
    height, width = differs.shape
    by_region = _lengths(rows, height) @ differs @ _lengths(columns, width).T * (rows * columns / differs.size)
    return Shown(float(differs.mean()), by_region)


def _lengths(regions: int, pixels: int) -> NDArray[np.float64]:
    """The length of each pixel in each region along an edge [regions, pixels], in pixels."""
    ends, starts = np.arange(regions + 1)[:, None] * (pixels / regions), np.arange(pixels)
    lengths: NDArray[np.float64] = np.minimum(ends[1:], starts + 1) - np.maximum(ends[:-1], starts)
    return lengths.clip(0)
