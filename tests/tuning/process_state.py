"""What a process shares among all its code; `python -m tests.tuning.process_state` prints what our imports change."""

import contextlib
import csv
import faulthandler
import gc
import hashlib
import importlib
import json
import locale
import logging
import multiprocessing
import os
import pkgutil
import random
import re
import signal
import socket
import sys
import threading
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
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
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                if (error.name or "").split(".")[0] in PACKAGES:  # else of an extra
                    raise


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


def _torch_settings() -> list[Any]:
    import torch

    return [
        *(str(torch.get_default_dtype()), torch.get_float32_matmul_precision(), torch.is_grad_enabled()),
        *(
            torch.are_deterministic_algorithms_enabled(),
            torch.get_num_interop_threads(),
            torch.is_inference_mode_enabled(),
        ),
        *(torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.cuda.matmul.allow_tf32),
    ]


def _settings() -> dict[str, Any]:
    """Settings of Python, of the process, and of libraries, that a call could leave changed."""
    import matplotlib as mpl
    import numpy as np
    import pandas as pd
    import plotly.io
    from PIL import Image, ImageFile

    os.umask(umask := os.umask(0o77))
    return {
        "csv": csv.field_size_limit(),
        "gc": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()],
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval(), socket.getdefaulttimeout()],
        "process": [umask, sorted(os.sched_getaffinity(0)), os.nice(0)],
        "locale": locale.setlocale(locale.LC_ALL),
        "processes are started by": multiprocessing.get_start_method(allow_none=True),
        "pillow": [Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, sorted(Image.OPEN)],
        "numpy": [np.geterr(), np.get_printoptions()["precision"]],
        "pandas": [pd.get_option("display.max_rows"), pd.get_option("display.width")],
        "plotly": plotly.io.templates.default,
        "matplotlib": [mpl.get_backend(auto_select=False), _digest(list(dict.items(mpl.rcParams)))],
    }


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
        "torch settings": _torch_settings(),
        "optuna": optuna.logging.get_verbosity(),
        "settings": _settings(),
        "processes": sorted(child.name() for child in psutil.Process().children(recursive=True)),
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
