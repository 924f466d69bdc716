"""How many configurations a search trains at once as a cohort: what `--cohort` says, or what suits."""

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from tuning.execution.cohort_width import measure_cohort_width
from tuning.execution.placement import Placement
from tuning.execution.trial_setup import WIDTHS
from tuning.options.option import AUTO


def check_cohort(cohort: int | str, config: TrainingConfig, data: PreparedData) -> None:
    """Refuses a cohort of several trials where the step for cohorts cannot train them.

    Args:
        cohort: what `--cohort` says: a width, or `auto`.
        config: of a trial; only settings that all trials share are looked at.
        data: what the trials train on.

    Raises:
        InputError: with the reason.
    """
    if cohort not in (AUTO, 1) and (reason := _why_one_at_a_time(config, data)):
        raise InputError(f"--cohort {cohort} cannot be trained: {reason}; accepted here: auto or 1")


BATCHES = 4
"""`auto` starts a search's trials in at least so many cohorts, so that the sampler learns from the first ones."""


def chosen_cohort(
    cohort: int | str,
    config: TrainingConfig,
    data: PreparedData,
    placement: Placement,
    trials: float | None = None,
    address: str | None = None,
) -> int:
    """The width that `--cohort` comes to.

    `auto` is 1 where trials get no GPU, since a single trial keeps a core busy, and where the step for cohorts cannot
    train them. On a GPU it is measured, but there are at least `BATCHES` cohorts, and one for each GPU. If only
    nodes of the cluster have GPUs, it is measured there.

    Args:
        cohort: what `--cohort` says, accepted by `check_cohort`.
        config: the largest configuration of the space.
        data: what the trials train on.
        placement: what a cohort gets of the machines.
        trials: number of trials that bounds the search; None if none does.
        address: address of the cluster that is searched on; None for none.

    Raises:
        InputError: if the largest configuration does not fit on a GPU.
    """
    if cohort != AUTO:
        return int(cohort)
    if not placement.gpus or _why_one_at_a_time(config, data):
        return 1
    cohorts = max(BATCHES, placement.max_concurrent)
    most = max(width for width in WIDTHS if trials is None or width == 1 or cohorts * width <= trials)
    return 1 if most == 1 else min(most, measure_cohort_width(config, data, placement.gpus, address))


def _why_one_at_a_time(config: TrainingConfig, data: PreparedData) -> str:
    """Why the step for cohorts cannot train a configuration on the data; empty if it can."""
    if data.fine_tune:
        return "the data hold pixels to train the image encoder with, but a cohort trains on features of images"
    if config.device_step == "off":
        return "a cohort is trained by the step that device_step=off rules out"
    return ""
