"""What all trials of a study have in common, and the limits they run under."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tuning.execution.placement import Placement


@dataclass(frozen=True)
class TrialSetup:
    """What all trials of a study have in common; Ray Tune carries it to the workers.

    Attributes:
        data: folder of the prepared data set.
        metric: name of the objective.
        fixed: training settings that are not searched.
        placement: number of cores and GPUs of a trial, and of trials that run at once.
        show_in_dashboard: whether running trials appear in Ray's dashboard and in its metrics.
    """

    data: str
    metric: str
    fixed: Mapping[str, Any]
    placement: Placement
    show_in_dashboard: bool


@dataclass(frozen=True)
class Limits:
    """Limits that trials run under.

    Attributes:
        max_failures: number of times that a trial whose worker fails goes on from its checkpoint.
        keep_checkpoints: number of best complete trials whose checkpoints are kept when they have ended.
    """

    max_failures: int = 2
    keep_checkpoints: int = 3
