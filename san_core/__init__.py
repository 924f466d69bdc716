"""Stacked Attention Networks for visual question answering: data sets, models, training.

Nothing in here knows Ray, Optuna or pandas.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from san_core.prediction.trained_model import TrainedModel

__all__ = ["load"]


def load(folder: str | Path) -> "TrainedModel":
    """Loads a trained network from its model folder, on the best device; its `ask` answers questions about images.

    Args:
        folder: one written by `tuning.retrain`, such as `runs/NAME/retrained/best`, or by `save_model`.

    Raises:
        InputError: if the folder is not a model folder, or is damaged.
    """
    from san_core.checkpoint import load_model  # importing torch is slow
    from san_core.files import path_from_home

    return load_model(path_from_home(folder))
