"""How full this machine's GPUs are."""

import csv
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

QUERY = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total,memory.used", "--format=csv,noheader,nounits")
"""Prints a line for each GPU, with memory in MiB."""

SECONDS = 10
"""The query is given up after so long."""

FILLED_FROM = 0.05
"""Share of a GPU's memory from which on it is told that other programs use it; a driver alone may use some percent."""


@dataclass(frozen=True)
class GpuMemory:
    """The memory of a GPU.

    Attributes:
        index: the GPU's number, in the order of the PCI bus.
        uuid: its identifier, such as GPU-8f6d...
        name: what its maker calls it.
        total: of its memory, in MiB.
        used: by all programs, in MiB.
    """

    index: int
    uuid: str
    name: str
    total: int
    used: int

    def __str__(self) -> str:
        """How much is free."""
        free = (self.total - self.used) / 1024
        return f"GPU {self.index} ({self.name}): {free:.1f} of {self.total / 1024:.1f} GiB free"


def least_free_memory() -> int:
    """The memory, in bytes, that is free on the fullest of the GPUs that this process may use.

    Makes a CUDA context on each of them, so call it in a process that ends soon; what the context takes is not free.
    """
    return min(int(torch.cuda.mem_get_info(device)[0]) for device in range(torch.cuda.device_count()))


def shared_gpus_notice() -> str:
    """Which of the GPUs that this process may use are used by other programs, in a line; empty if none, or unknown.

    It is asked of `nvidia-smi`, which needs no CUDA context in this process.
    """
    shared = [str(gpu) for gpu in _visible(_query()) if gpu.used >= FILLED_FROM * gpu.total]
    return f"{', '.join(shared)}; other programs use the rest" if shared else ""


def _query() -> list[GpuMemory]:
    """All GPUs of this machine; none where `nvidia-smi` is missing or prints something else."""
    try:
        printed = subprocess.run(QUERY, capture_output=True, text=True, timeout=SECONDS, check=True).stdout  # noqa: S603
        rows = csv.reader(printed.splitlines(), skipinitialspace=True)
        return [
            GpuMemory(int(index), uuid, name.strip(), int(total), int(used)) for index, uuid, name, total, used in rows
        ]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


def _visible(gpus: Sequence[GpuMemory]) -> Iterator[GpuMemory]:
    """Those that CUDA_VISIBLE_DEVICES names, by number or by the beginning of a UUID; all if it is not set.

    As CUDA does, it leaves out the first that it does not know and all after it.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        yield from gpus
        return
    for wanted in visible.split(","):
        found = [gpu for gpu in gpus if _is_named(gpu, wanted.strip())]
        if not found:
            return
        yield found[0]


def _is_named(gpu: GpuMemory, wanted: str) -> bool:
    return wanted == str(gpu.index) or (wanted.startswith("GPU-") and gpu.uuid.startswith(wanted))
