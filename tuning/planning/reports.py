"""After how many training steps a trial is scored: what `--report-every` says, or what suits the data."""

from collections.abc import Mapping
from dataclasses import replace

from optuna.distributions import BaseDistribution

from san_core.cohort.batches import pass_steps
from san_core.command_line import print_message
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from tuning.execution.gpu_share import largest_configuration
from tuning.options.option import AUTO

STEPS = 500
"""Training steps after which `auto` has trials scored, if a pass over the training questions has twice as many."""


def with_reports(
    report_every: int | str, baseline: TrainingConfig, data: PreparedData, searched: Mapping[str, BaseDistribution]
) -> TrainingConfig:
    """The baseline's settings with passes divided into epochs, so that trials are scored as often as they should be.

    A trial is scored, and may be stopped, after each epoch. `auto` divides long passes only, and never so that an epoch
    has fewer questions than are scored after it: scoring one takes about a third of the time of training on it. The
    number of epochs, and of those between two steps of a schedule, grows as passes are divided. A line says so.

    Args:
        report_every: steps between two scores as `--report-every` has them, or `auto`.
        baseline: settings with as many epochs as the trial has passes.
        data: what is trained on.
        searched: the search space.

    Raises:
        InputError: if epochs would have less than two batches of the largest size that is searched.
    """
    counts = data.manifest["counts"]
    steps = pass_steps(counts["train"], baseline.batch_size)
    if report_every != AUTO:
        parts = _parts(steps, int(report_every))
        largest = largest_configuration(baseline, searched).batch_size
        most = max(1, pass_steps(counts["train"], largest) // 2)
        if parts > most:
            raise InputError(
                f"--report-every {report_every} would leave epochs of less than two batches of {largest} questions; "
                f"accepted: at least {-(-steps // most)}"
            )
    elif steps < 2 * STEPS or baseline.epochs_per_pass > 1 or "step_epochs" in searched:
        return baseline
    else:
        parts = min(_parts(steps, STEPS), max(1, counts["train"] // counts["validation"]))
    if parts == 1:
        return baseline
    print_message(
        f"a pass over {counts['train']:,} training questions has {steps:,} steps: it counts as {parts:,} epochs, after "
        f"each of which trials are scored; {baseline.epochs:,} passes are {baseline.epochs * parts:,} epochs "
        "(--report-every)"
    )
    several = {name: getattr(baseline, name) * parts for name in ("epochs", "step_epochs") if name not in searched}
    return replace(baseline, epochs_per_pass=parts, **several)


def _parts(steps: int, report_every: int) -> int:
    """Into how many epochs a pass of so many steps is divided."""
    return max(1, round(steps / report_every))
