"""What a process may use of its machine, with files as the kernel has them in a container, and as it is here."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from san_core import machine_limits
from san_core.machine_limits import free_memory, free_processes, usable_cores, usable_cpus

GIB = 2**30


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """kernel(own, **files): this process's cgroups as in /proc/self/cgroup, and the content of files.

    There are 64 cores and 200 GiB of free memory.
    """
    monkeypatch.setattr(machine_limits, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine_limits, "PROC", tmp_path / "proc")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))

    def write(own: str, files: dict[str, str] = {}) -> None:  # noqa: B006 - is not changed
        memory = f"MemTotal: 9 kB\nMemAvailable: {200 * 2**20} kB\n"
        for name, text in {"proc/self/cgroup": own, "proc/meminfo": memory, **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text + "\n")

    return write


V1 = "4:memory:/docker/abc\n3:cpuset:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/"
"""Of a container without a cgroup namespace: the paths are those outside of it."""


@pytest.mark.parametrize(
    ("own", "files", "cpus"),
    [
        ("0::/", {}, 64),
        ("0::/", {"cgroup/cpu.max": "max 100000"}, 64),
        ("0::/", {"cgroup/cpu.max": "200000 100000"}, 2),
        ("0::/", {"cgroup/cpu.max": "250000 100000"}, 2),
        ("0::/", {"cgroup/cpu.max": "50000 100000"}, 1),
        ("0::/", {"cgroup/cpu.max": "9900000 100000"}, 64),
        ("0::/jobs/7", {"cgroup/jobs/cpu.max": "300000 100000", "cgroup/jobs/7/cpu.max": "max 100000"}, 3),
        (V1, {"cgroup/cpu/cpu.cfs_quota_us": "-1", "cgroup/cpu/cpu.cfs_period_us": "100000"}, 64),
        (V1, {"cgroup/cpu/cpu.cfs_quota_us": "200000", "cgroup/cpu/cpu.cfs_period_us": "100000"}, 2),
        (
            V1,
            {
                "cgroup/cpu/docker/abc/cpu.cfs_quota_us": "400000",
                "cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000",
                "cgroup/cpu/cpu.cfs_quota_us": "-1",
                "cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            4,
        ),
    ],
)
def test_a_quota_of_cores_bounds_those_that_are_there(
    kernel: Callable[..., None], own: str, files: dict[str, str], cpus: int
) -> None:
    kernel(own, files)
    assert usable_cpus() == cpus


@pytest.mark.parametrize(
    ("own", "files", "gib"),
    [
        ("0::/", {}, 200),
        ("0::/", {"cgroup/memory.max": "max", "cgroup/memory.current": "5"}, 200),
        ("0::/", {"cgroup/memory.max": str(8 * GIB), "cgroup/memory.current": str(3 * GIB)}, 5),
        (
            "0::/",
            {
                "cgroup/memory.max": str(8 * GIB),
                "cgroup/memory.current": str(7 * GIB),
                "cgroup/memory.stat": f"anon 5\nactive_file 3\ninactive_file {4 * GIB}",
            },
            5,
        ),
        (
            V1,
            {"cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096), "cgroup/memory/memory.usage_in_bytes": "9"},
            200,
        ),
        (
            V1,
            {
                "cgroup/memory/memory.limit_in_bytes": str(4 * GIB),
                "cgroup/memory/memory.usage_in_bytes": str(3 * GIB),
                "cgroup/memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {1 * GIB}",
            },
            2,
        ),
        ("0::/", {"cgroup/memory.max": str(GIB), "cgroup/memory.current": str(3 * GIB)}, 0),
    ],
)
def test_a_limit_of_memory_counts_with_what_is_used_of_it(
    kernel: Callable[..., None], own: str, files: dict[str, str], gib: int
) -> None:
    kernel(own, files)
    assert free_memory() == gib * GIB


def test_the_processes_that_a_container_allows_are_known(
    kernel: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    kernel("0::/", {"cgroup/pids.max": "max", "cgroup/pids.current": "3"})
    assert free_processes() is None
    kernel("0::/", {"cgroup/pids.max": "100", "cgroup/pids.current": "30"})
    found = free_processes()
    assert found is not None
    assert found[0] == 70
    assert re.fullmatch(r"\S*/cgroup/pids.max \(docker --pids-limit\) is 100", found[1])


def test_the_limit_of_a_user_counts_the_threads_of_all_processes(
    kernel: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (200, 500))
    status = "Name:\tpython\nUid:\t{}\t1\t1\t1\nGid:\t1000\t1\nThreads:\t{}\nSigQ:\t0"
    kernel("0::/", {"proc/1/status": status.format(0, 9), "proc/7/status": status.format(1000, 30)})
    assert free_processes() == (170, "the user's limit of processes (ulimit -u) is 200")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert free_processes() is None


def test_without_the_kernels_files_nothing_is_limited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine_limits, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine_limits, "PROC", tmp_path)
    assert free_memory() is None
    assert usable_cpus() == len(usable_cores())


COUNT = """
import os
import torch
import san_core.machine_limits as limits
print(len(os.sched_getaffinity(0)), limits.usable_cpus(), sorted(limits.usable_cores()))
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no threads")
@pytest.mark.parametrize(
    "variable", ["OMP_PROC_BIND=true", "OMP_PLACES=cores", f"GOMP_CPU_AFFINITY=0-{(os.cpu_count() or 1) - 1}"]
)
def test_a_main_thread_that_openmp_has_bound_still_has_all_cores(variable: str) -> None:
    name, _, value = variable.partition("=")
    found = subprocess.run(
        [sys.executable, "-c", COUNT], env={**os.environ, name: value}, capture_output=True, text=True, check=True
    )
    bound, usable, *_ = found.stdout.split()
    assert (int(bound), int(usable)) == (1, len(os.sched_getaffinity(0)))


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A cgroup of version 1 with 1.5 cores, if this user may make one."""
    folder = Path("/sys/fs/cgroup/cpu/san-tuner-test")
    try:
        folder.mkdir()
        (folder / "cpu.cfs_quota_us").write_text("150000")
    except OSError:
        pytest.skip("no cgroup can be made here")
    yield folder
    folder.rmdir()


def test_the_quota_of_a_real_cgroup_is_heeded(small_cgroup: Path) -> None:
    enter = f"echo $$ > {small_cgroup}/cgroup.procs && exec {sys.executable} -c '{COUNT.replace('import torch', '')}'"
    found = subprocess.run(["sh", "-c", enter], capture_output=True, text=True, check=True)
    assert found.stdout.split()[1] == "1"
