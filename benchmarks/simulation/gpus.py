"""How long a GPU takes for an epoch of a cohort, from what `benchmarks.gpu` measured on an H100."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

WIDTHS = (1, 2, 4, 8, 16, 32, 64)
"""Widths of a step."""


@dataclass(frozen=True)
class EpochTimes:
    """The time of an epoch against the width.

    Attributes:
        questions: trained in an epoch.
        scored: scored after it. A question that is only scored counts as a third of one that is trained: of three
            matrix products it needs one.
        rates: examples per second of all members together, by width. Between two measured widths the rate is
            interpolated, both on a logarithmic scale.
    """

    questions: int
    scored: int
    rates: Mapping[int, float]

    def seconds(self, width: int) -> float:
        """Seconds of an epoch of a cohort of that width, idle members included."""
        measured = np.log(list(self.rates)), np.log(list(self.rates.values()))
        rate = float(np.exp(np.interp(np.log(width), *measured)))
        return width * (self.questions + self.scored / 3) / rate


def width_of(members: int) -> int:
    """The width of the step that so many members take."""
    return next(width for width in WIDTHS if width >= members)


EPOCH_TIMES = {
    "easy-vqa": EpochTimes(30_919, 7_656, {1: 303_010, 4: 876_510, 16: 2_060_127, 64: 2_923_327}),
    "vqa": EpochTimes(248_349, 121_512, {1: 78_567, 4: 114_242, 16: 130_764, 64: 135_335}),
}
"""easy-VQA with its own settings; VQA v1 with the paper's network and batches of 100. See docs/performance.md."""
