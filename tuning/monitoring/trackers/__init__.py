"""Logs trials to an experiment tracker through Ray's own integrations.

One integration each in `to_tensorboard`, `to_mlflow` and `to_wandb`, imported only when asked for; `tracker` feeds it.
"""

from importlib.util import find_spec

from san_core.errors import InputError

PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
"""Each tracker, and the package it needs. Each but the first is an extra."""


def check_tracker(name: str | None) -> None:
    """Refuses a tracker whose package is not installed.

    Raises:
        InputError: naming the extra.
    """
    if name is None:
        return
    found = find_spec(PACKAGES[name])
    if found is None or found.origin is None:  # a mere folder of that name
        raise InputError(f"--track {name} needs a package that is not installed; first: pip install '.[{name}]'")
