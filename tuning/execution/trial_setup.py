"""What all trials of a study have in common, and the limits they run under."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tuning.execution.placement import Placement

WIDTHS = (1, 2, 4, 8, 16, 32, 64)
"""The numbers of trials that a cohort may have at most."""


@dataclass(frozen=True)
class TrialSetup:
    """What all trials of a study have in common; Ray Tune carries it to the workers.

    Attributes:
        data: folder of the prepared data set.
        metric: name of the objective.
        fixed: training settings that are not searched.
        placement: cores and GPUs of a trial, and how many trials run at once.
        show_in_dashboard: whether running trials appear in Ray's dashboard and in its metrics.
        cohort: most trials of a cohort, which one worker trains together; 1 trains each on its own.
    """

    data: str
    metric: str
    fixed: Mapping[str, Any]
    placement: Placement
    show_in_dashboard: bool
    cohort: int = 1


@dataclass(frozen=True)
class Limits:
    """Limits that trials run under.

    Attributes:
        max_failures: how often a trial whose worker fails goes on from its checkpoint before it counts as failed.
        keep: how many of the best complete trials keep their checkpoint.
    """

    max_failures: int = 2
    keep: int = 3
