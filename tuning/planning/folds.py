"""How many folds the trials of a search are trained on: what `--folds` says, or what suits the data."""

import math

from san_core.command_line import print_message
from san_core.data.prepared import PreparedData
from san_core.folds import Fold
from tuning.options.option import AUTO

FOLDS = 5
"""Folds that `auto` takes."""

LARGEST_ERROR = 0.01
"""`auto` takes folds where a score on the validation split has a larger standard error."""


def chosen_folds(folds: int | str, data: PreparedData) -> int:
    """The number of folds that `--folds` comes to; a line says what `auto` took, and why.

    Args:
        folds: what `--folds` says.
        data: what the trials are trained on.

    Raises:
        InputError: if the data have fewer different images than that.
    """
    questions = data.manifest["counts"]["validation"]
    error = math.sqrt(0.25 / questions)  # of a share near one half, in [0, 1]; other shares have smaller ones
    number = (FOLDS if error > LARGEST_ERROR else 1) if folds == AUTO else int(folds)
    if folds == AUTO:
        print_message(
            f"{questions:,} validation questions tell scores to {100 * error:.1f} points (standard error): "
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
