"""What all trials of a study have in common, and the limits they run under."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from results.preparations import Preparation, without_data
from san_core.cohort.network import OPTIONAL_FIELDS, SHARED_FIELDS, SIZE_FIELDS
from san_core.config import TrainingConfig
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
        placement: number of cores and GPUs of a trial, and of trials that run at once.
        show_in_dashboard: whether running trials appear in Ray's dashboard and in its metrics.
        cohort: most trials of a cohort, which one worker trains together; 1 trains each on its own.
        most_at_once: most trials, or cohorts, that may run at once when nodes join the cluster; None for all that fit.
        folds: number of folds that a trial is trained on, one after the other; 1 for the data's own division.
        largest: upper ends of the searched settings that decide the size of a cohort's step, see `upper_ends`.
        preparations: the preparations of the data that trials choose among, by name; empty if `data` is the only one.
        data_uris: the URIs that data sets were given as and copied from, by fingerprint.
    """

    data: str
    metric: str
    fixed: Mapping[str, Any]
    placement: Placement
    show_in_dashboard: bool
    cohort: int = 1
    most_at_once: int | None = None
    folds: int = 1
    largest: Mapping[str, Any] = field(default_factory=dict)
    preparations: Mapping[str, Preparation] = field(default_factory=dict)
    data_uris: Mapping[str, str] = field(default_factory=dict)

    def __deepcopy__(self, _: object) -> Self:
        """Itself, since nothing changes it: Tune copies the configuration of each trial, and keeps the copies."""
        return self

    @property
    def folders(self) -> list[str]:
        """The folder of each prepared data set that trials are trained on."""
        return [each.folder for each in self.preparations.values()] or [self.data]

    def config(self, settings: Mapping[str, Any]) -> TrainingConfig:
        """The configuration of a trial, from the settings in which trials differ."""
        return TrainingConfig.from_dict({**self.fixed, **without_data(settings)})


@dataclass(frozen=True)
class Limits:
    """Limits that trials run under.

    Attributes:
        max_failures: number of times that a trial whose worker fails goes on from its checkpoint.
        keep_checkpoints: number of best complete trials whose checkpoints are kept when they have ended.
    """

    max_failures: int = 2
    keep_checkpoints: int = 3


def largest_like(config: TrainingConfig, fixed: Mapping[str, Any], largest: Mapping[str, Any]) -> TrainingConfig:
    """The configuration that stands for all trials that can share a step with one: what they share, the largest sizes.

    Args:
        config: of the one.
        fixed: training settings that are not searched.
        largest: see `upper_ends`.
    """
    shared = {name: getattr(config, name) for name in SHARED_FIELDS}
    return TrainingConfig.from_dict({**fixed, **largest, **shared})


STEP_SIZES = (*SIZE_FIELDS, *OPTIONAL_FIELDS)
"""Settings that decide how large a cohort's step is, and what is in it: without dropout it draws no masks."""


def upper_ends(parameters: Mapping[str, BaseDistribution], names: Sequence[str] = STEP_SIZES) -> dict[str, Any]:
    """The highest value of each of some settings that is searched; their values are numbers.

    Raises:
        TypeError: for a distribution that is not one of Optuna's three.
    """
    return {name: _highest(parameters[name]) for name in names if name in parameters}


def _highest(values: BaseDistribution) -> Any:  # noqa: ANN401 - a setting's value
    if isinstance(values, CategoricalDistribution):
        choices: Sequence[Any] = values.choices
        return max(choices)
    if isinstance(values, IntDistribution | FloatDistribution):
        return values.high
    raise TypeError(f"a distribution must be a float, int or categorical one, but got {values}")
