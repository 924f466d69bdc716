"""What a process shares among all its code; `python -m tests.tuning.process_state` prints what our imports change."""

import contextlib
import faulthandler
import hashlib
import importlib
import json
import logging
import os
import pkgutil
import random
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGES = ("san_core", "results", "search_spaces", "tuning")
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD")


def _import_libraries() -> None:
    """What they do themselves when they are imported is theirs."""
    for name in (
        "ray.tune",
        "ray.autoscaler.sdk",
        "torch",
        "torchvision",
        "optuna.importance",
        "pandas",
        "pyarrow",
        "plotly.express",
    ):
        importlib.import_module(name)
    for name in (
        "ray.air.integrations.wandb",
        "optuna_dashboard",
        "matplotlib.pyplot",
        "scipy.special",
        "mlflow.tracking",
        "plotly.tools",
    ):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)


def _modules() -> Iterator[str]:
    for package in map(importlib.import_module, PACKAGES):
        yield package.__name__
        yield from (found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))


def _import_all() -> None:
    for name in _modules():
        if not name.endswith("__main__"):
            with contextlib.suppress(ModuleNotFoundError):  # of an extra
                importlib.import_module(name)


def _loggers() -> dict[str, Any]:
    names = [name for name, logger in logging.root.manager.loggerDict.items() if isinstance(logger, logging.Logger)]
    return {
        name: [logger.level, logger.propagate, list(map(repr, logger.handlers)), list(map(repr, logger.filters))]
        for name in ["root", *names]
        for logger in [logging.getLogger(None if name == "root" else name)]
    }


def _open_files() -> list[str]:
    """The files that are open, but for Ray's logs and Matplotlib's fonts, which these libraries leave open."""
    found = []
    for number in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # of the listing itself
            found.append(str(number.readlink()))
    return sorted(name for name in found if name.startswith("/") and not re.search(r"/session_\d|\.ttf$", name))


def _digest(state: object) -> str:
    return hashlib.sha256(repr(state).encode()).hexdigest()


def state() -> dict[str, Any]:
    """What a process shares among all its code."""
    import numpy as np
    import optuna
    import torch

    return {
        **{f"environment {name}": value for name, value in os.environ.items()},
        **{f"handler of {name}": repr(signal.getsignal(getattr(signal, name))) for name in SIGNALS},
        **{f"logger {name}": value for name, value in _loggers().items()},
        "warnings": list(map(repr, warnings.filters)),
        "random": _digest(random.getstate()),
        "numpy": _digest([*map(repr, np.random.get_state())]),  # noqa: NPY002
        "torch": _digest(torch.get_rng_state().tolist()),
        "torch threads": torch.get_num_threads(),
        "optuna": optuna.logging.get_verbosity(),
        "files": _open_files(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "folder": str(Path.cwd()),
        "path": list(sys.path),
        "hooks": [repr(sys.excepthook), repr(threading.excepthook), repr(sys.displayhook), faulthandler.is_enabled()],
        "streams": [id(sys.stdout), id(sys.stderr)],
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What differs. Loggers that came with a module that was imported meanwhile are no change."""
    return {
        name: [before.get(name), after.get(name)]
        for name in before | after
        if before.get(name) != after.get(name) and (name in before or not name.startswith("logger "))
    }


def main() -> None:
    _import_libraries()
    before = state()
    _import_all()
    print(json.dumps(changes(before, state())))  # noqa: T201


if __name__ == "__main__":
    main()
