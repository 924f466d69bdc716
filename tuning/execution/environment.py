"""Versions and hardware, which are written into every run folder."""

import platform
from importlib.metadata import version
from typing import Any

import torch

from san_core.hardware import best_device, cpu_capabilities, fastest_precision
from san_core.machine_limits import usable_cpus

_PACKAGES = ("san-tuner", "torch", "torchvision", "ray", "optuna", "pandas", "numpy", "pillow", "easy-vqa")


def describe_environment() -> dict[str, Any]:
    """What a run's scores and times may depend on besides its settings."""
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "cpu": str(cpu_capabilities().get("cpu_name") or platform.processor() or platform.machine()),
        "cores": usable_cpus(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "precision": fastest_precision(best_device()),
    }
