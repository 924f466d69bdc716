"""How trials are compared where validation questions are few: `--folds` and `--pruner`, and what suits the data."""

import math

from san_core.command_line import print_message
from san_core.data.prepared import PreparedData
from san_core.folds import Fold
from tuning.options.option import AUTO

FOLDS = 5
"""Folds that `--folds auto` takes."""

LARGEST_ERROR = 0.01
"""Data are small where a score on the validation split has a larger standard error."""


def chosen_folds(folds: int | str, data: PreparedData) -> int:
    """The number of folds that `--folds` comes to; a line says what `auto` took, and why.

    Args:
        folds: what `--folds` says.
        data: what the trials are trained on.

    Raises:
        InputError: if the data have fewer different images than that.
    """
    number = (FOLDS if _are_small(data) else 1) if folds == AUTO else int(folds)
    if folds == AUTO:
        print_message(
            f"{_precision(data)}: "
            + (f"trials are compared on {number} folds" if number > 1 else "no folds are needed")
        )
    if number > 1:
        Fold(data, 0, number, seed=0)
    return number


def fold_questions(data: PreparedData, folds: int, seed: int) -> list[int]:
    """Number of validation questions of each fold; without folds those of the data's own division.

    Args:
        data: what the trials are trained on.
        folds: number of folds.
        seed: of the division, the search's `TrainingConfig.order_seed`.
    """
    every = [Fold(data, number, folds, seed) for number in range(folds)] if folds > 1 else [data]
    return [int(each.manifest["counts"]["validation"]) for each in every]


def chosen_pruner(pruner: str, data: PreparedData) -> str:
    """The pruner that `--pruner` comes to; a line says so where `auto` takes one for small data.

    Args:
        pruner: what `--pruner` says.
        data: what the trials are trained on.
    """
    if pruner != AUTO:
        return pruner
    if not _are_small(data):
        return "halving"
    print_message(f"{_precision(data)}: no trial is stopped for a difference that chance explains (--pruner tolerant)")
    return "tolerant"


def _are_small(data: PreparedData) -> bool:
    return _standard_error(data) > LARGEST_ERROR


def _precision(data: PreparedData) -> str:
    questions = data.manifest["counts"]["validation"]
    return (
        f"{questions:,} validation questions tell scores to {100 * _standard_error(data):.1f} points (standard error)"
    )


def _standard_error(data: PreparedData) -> float:
    """Of a validation score near one half, in [0, 1]; other scores have smaller ones."""
    return math.sqrt(0.25 / data.manifest["counts"]["validation"])
