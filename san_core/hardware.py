"""Chooses the device and the precision to compute with, and how memory is reused."""

import ctypes
import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from san_core.errors import InputError
from san_core.machine_limits import usable_cpus

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's malloc.h
_NEVER = 2**31 - 1

FORKED = (
    "this process was forked from one that uses the GPU, and cannot use it; accepted: multiprocessing's spawn, or "
    "CUDA_VISIBLE_DEVICES= for the CPU"
)
"""What is told to who trains, loads or asks a model in such a process."""


def free_cached_memory() -> None:
    """Gives back the device memory that nothing uses any more; PyTorch keeps it otherwise."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error says that a device has too little memory; PyTorch's, CUDA's and cuBLAS's say it differently."""
    text = str(error).lower()
    return "out of memory" in text or "alloc_failed" in text


def best_device() -> torch.device:
    """The GPU visible to this process, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def cpu_capabilities() -> dict[str, object]:
    """The `cpu_name` and the instruction sets of the processor, as torch reports them; empty if it cannot."""
    find = getattr(torch.cpu, "get_capabilities", None)  # absent from older torch
    return find() if find else {}


def limit_threads() -> None:
    """Lets torch use no more threads than this process has cores; torch does not look at the quota of a container."""
    torch.set_num_threads(min(torch.get_num_threads(), usable_cpus()))


_threads_lock = threading.Lock()
_limited_calls = 0
_threads_before = 0
_PROCESS = os.getpid()


def is_forked() -> bool:
    """Whether this process was forked from one that had loaded this module.

    Such a process has none of the threads that torch may have started before: a computation that waits for them hangs.
    """
    return os.getpid() != _PROCESS


@contextmanager
def one_thread(when: bool) -> Iterator[None]:
    """Lets torch compute on one thread of the CPU while the block runs, and then on as many as before.

    Torch sets the number for the thread that asks for it and for all threads that are started later. Several threads
    may be in such a block at once: the number before is that before the first of them.

    Args:
        when: whether to do so; if not, nothing is changed.
    """
    global _limited_calls, _threads_before  # noqa: PLW0603
    if not when:
        yield
        return
    own = torch.get_num_threads()
    with _threads_lock:
        if _limited_calls == 0:
            _threads_before = own
        _limited_calls += 1
    torch.set_num_threads(1)
    try:
        yield
    finally:
        with _threads_lock:
            _limited_calls -= 1
            torch.set_num_threads(_threads_before if own == 1 else own)


@contextmanager
def one_thread_if_forked() -> Iterator[None]:
    """Lets torch compute on one thread in a forked process, which would wait for ever for others. Also a decorator.

    Raises:
        InputError: if it uses a GPU that the process cannot use because it was forked from one that used it.
    """
    with one_thread(is_forked()), _explain_fork():
        yield


@contextmanager
def _explain_fork() -> Iterator[None]:
    """Replaces torch's error of a process that cannot use the GPU because it was forked."""
    try:
        yield
    except RuntimeError as error:
        if "forked subprocess" not in str(error):
            raise
        raise InputError(FORKED) from error


def fastest_precision(device: torch.device) -> str:
    """`bfloat16` where the hardware multiplies it faster than float32, else `float32`."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = cpu_capabilities()
        fast = bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return "bfloat16" if fast else "float32"


def chosen_precision(device: torch.device, precision: str) -> str:
    """`precision`, or what is fastest on the device where it is `auto`."""
    return fastest_precision(device) if precision == "auto" else precision


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which a network's products are computed in `precision`.

    Args:
        device: device of the network.
        precision: `float32`, `bfloat16`, or `auto` for what is fastest on the device.
    """
    enabled = chosen_precision(device, precision) == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


@contextmanager
def explain_out_of_memory(what: str) -> Iterator[None]:
    """Replaces an out-of-memory error of the GPU by an error that says what did not fit, and that of a forked process.

    Raises:
        InputError: if memory runs out inside the `with` block, or it uses a GPU that the process cannot use because it
            was forked from one that used it.
    """
    try:
        with _explain_fork():
            yield
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"the GPU has too little free memory for {what}; CUDA_VISIBLE_DEVICES= runs on the CPU"
        ) from error


def keep_freed_memory() -> None:
    """Makes this process reuse freed memory instead of returning it to the system; does nothing without glibc.

    Otherwise the large tensors of each training step use new pages from the system, and getting those takes longer
    than computing the tensors.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)
