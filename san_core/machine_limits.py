"""What this process may use of its machine: cores, memory and processes, by its affinity, cgroups and user limits.

A container limits all three by cgroups. Python, PyTorch and Ray look at some of them only.
"""

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")

AFFINITY_VARIABLES = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
"""Each of them makes OpenMP bind threads to cores, and the main thread to the first core when torch is imported."""


def usable_cores() -> set[int]:
    """The cores this process may run on; those from before OpenMP bound the main thread to one of them."""
    if not hasattr(os, "sched_getaffinity"):  # macOS
        return set(range(os.cpu_count() or 1))
    return os.sched_getaffinity(0) | (
        _openmp_cores() if any(name in os.environ for name in AFFINITY_VARIABLES) else set()
    )


def usable_cpus() -> int:
    """Number of cores this process may use: `usable_cores`, but not more than its cgroups' quotas, rounded down."""
    return max(1, int(min([len(usable_cores()), *_cpu_quotas()])))


def free_memory() -> int | None:
    """Bytes of memory that processes can still take on this machine, and in its cgroups; None if it is not known.

    What the cache of files holds counts as free.
    """
    found = re.search(r"^MemAvailable: +(\d+) kB", _read(PROC / "meminfo"), re.MULTILINE)
    return max(0, min([int(found[1]) * 1024, *_memory_left_by_cgroups()])) if found else None


def free_processes() -> tuple[int, str] | None:
    """How many more processes and threads may be started, and the limit that says so; None if there is no limit."""
    limits = [*_processes_left_by_cgroups(), *_processes_left_to_user()]
    return min(limits, default=None)


def _cpu_quotas() -> Iterator[float]:
    for folder in _cgroup_folders("cpu"):
        quota, period = (_read(folder / "cpu.max") or "max 1").split()
        if quota == "max":
            quota, period = _read(folder / "cpu.cfs_quota_us") or "-1", _read(folder / "cpu.cfs_period_us") or "1"
        if float(quota) > 0:
            yield float(quota) / float(period)


def _memory_left_by_cgroups() -> Iterator[int]:
    for folder in _cgroup_folders("memory"):
        for limit, usage, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most, used = _read(folder / limit), _read(folder / usage)
            if most.isdigit() and used.isdigit():
                cached = re.search(rf"^{cache} (\d+)", _read(folder / "memory.stat"), re.MULTILINE)
                yield int(most) - int(used) + (int(cached[1]) if cached else 0)


def _processes_left_by_cgroups() -> Iterator[tuple[int, str]]:
    for folder in _cgroup_folders("pids"):
        most, used = _read(folder / "pids.max"), _read(folder / "pids.current")
        if most.isdigit() and used.isdigit():
            yield max(0, int(most) - int(used)), f"{folder / 'pids.max'} (docker --pids-limit) is {most}"


def _processes_left_to_user() -> Iterator[tuple[int, str]]:
    """The limit of `ulimit -u`, which counts the threads of all processes of the user. The kernel exempts root."""
    with contextlib.suppress(ImportError):  # Windows
        import resource

        most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        if most != resource.RLIM_INFINITY and os.getuid() != 0:
            yield max(0, most - _threads_of(os.getuid())), f"the user's limit of processes (ulimit -u) is {most}"


def _threads_of(user: int) -> int:
    count = 0
    for status in PROC.glob("[0-9]*/status"):
        found = re.search(r"^Uid:\t(\d+)\t.*^Threads:\t(\d+)$", _read(status), re.MULTILINE | re.DOTALL)
        count += int(found[2]) if found and int(found[1]) == user else 0
    return count


def _cgroup_folders(controller: str) -> Iterator[Path]:
    """The folders of this process's cgroups that a controller may have files in, from its own to the root's."""
    for line in _read(PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):  # version 2 has one hierarchy without a name
            root = CGROUPS / controller if controllers else CGROUPS
            # In a container the path may be the one outside of it: then only the root is there, and is its own.
            own = root / path.lstrip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root))


def _read(file: Path) -> str:
    """The text of a file of the kernel; empty if there is none."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _openmp_cores() -> set[int]:
    """The cores among which OpenMP chooses those to bind threads to; none if it is not loaded or binds no threads."""
    found = re.search(r"\S*/lib(gomp|iomp5|omp)\b[^/\s]*\.so\S*", _read(PROC / "self" / "maps"))
    if found is None:
        return set()
    openmp = ctypes.CDLL(found[0])
    cores: set[int] = set()
    for place in range(openmp.omp_get_num_places()):
        members = (ctypes.c_int * openmp.omp_get_place_num_procs(place))()
        openmp.omp_get_place_proc_ids(place, members)
        cores.update(members)
    return cores
