"""Logs trials to an experiment tracker, with Ray's own logger callbacks.

`to_tensorboard`, `to_mlflow` and `to_wandb` have one each and are imported only if asked for; `tracker` calls them.
"""

from importlib.util import find_spec

from san_core.errors import InputError

PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
"""The package that each tracker needs. All but the first are extras."""

VARIABLES = {
    "mlflow": {
        "MLFLOW_DISABLE_TELEMETRY": "true",  # it sends no usage data
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # it gives up on a dead server in seconds, not minutes
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    },
    "wandb": {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"},
}
"""Environment variables of each tracker that hold while it tracks, where the user has not set them."""

LOGGERS = {"mlflow": ("mlflow", "alembic")}
"""Loggers of each tracker that write warnings only, while it tracks."""


def check_tracker(name: str | None) -> None:
    """Checks that the package of a tracker is installed; None means no tracker.

    Raises:
        InputError: if it is not; the message names the extra to install.
    """
    if name is None:
        return
    found = find_spec(PACKAGES[name])
    if found is None or found.origin is None:  # it is only a folder with that name
        raise InputError(f"--track {name} needs a package that is not installed; first: pip install '.[{name}]'")
