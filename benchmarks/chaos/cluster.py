"""A Ray cluster of hosts that share nothing, in which searches are started. Nodes that go come back."""

import contextlib
import random
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos.hosts import ENVIRONMENT, PYTHON, ROOT, Host, Network
from benchmarks.chaos.sandbox import AGENTS, SECONDS_OF_AGENTS, SECONDS_TO_CLEAR, Sandbox

NODES = 2
"""Hosts beside the head; each of the three has one core."""

LONGEST_CUT = 60.0
"""Longest time for which a host is cut off the network, in seconds; it does not hear then that a search has ended."""

LONGEST_AWAY = 5.0
"""Longest time after which a node that has gone joins again, in seconds: the host, or a new one if it was killed."""

_PORT = "6379"
_RAYLET, _GCS = "raylet/raylet", "gcs/gcs_server"


class Cluster:
    """A head, whose host sees this machine's files, and nodes that do not. The nodes join while a search starts.

    Args:
        folder: for what Ray writes on the head, and for the output of `ray start`.
        rng: random numbers, for the times after which nodes join again.
    """

    def __init__(self, folder: Path, rng: random.Random) -> None:
        folder.mkdir()
        self.left: list[str] = []
        self._network = Network(sorted({Path("/tmp"), ROOT, ENVIRONMENT.parent}))
        self._is_over = threading.Event()
        self.head = self._network.host(sees_project=True, PYTHONPATH=str(ROOT), SAN_CHECKPOINT_SECONDS="0")
        self._nodes: list[Host | None] = [None] * NODES
        start = ("--head", "--port", _PORT, "--num-cpus", "1", "--include-dashboard=false", "--temp-dir", str(folder))
        self.head.start_ray(*start)
        seeds = [rng.random() for _ in range(NODES)]
        self._keepers = [
            threading.Thread(target=self._keep, args=[number, random.Random(seed)], daemon=True)
            for number, seed in enumerate(seeds)
        ]
        for keeper in self._keepers:
            keeper.start()

    @property
    def address(self) -> str:
        """The address to join it."""
        return f"{self.head.address}:{_PORT}"

    @property
    def is_alive(self) -> bool:
        """Whether a search can join it."""
        return {_RAYLET, _GCS} <= {name for name in (_RAYLET, _GCS) if find(self.head, name)}

    @property
    def nodes(self) -> list[Host]:
        """The nodes that have joined, without the head."""
        return [host for host in self._nodes if host and find(host, _RAYLET)]

    @property
    def hosts(self) -> list[Host]:
        """All hosts that are on, the head first."""
        return [host for host in (self.head, *self._nodes) if host and host.is_on]

    def cut(self, host: Host, seconds: float) -> None:
        """Takes a host off the network; some seconds later it is plugged in again, unless it has gone meanwhile."""
        self._network.cut(host)
        later(seconds, lambda: self._network.cut(host, off=False))

    def leave(self) -> None:
        """Lets nodes that go stay away from now on."""
        self._is_over.set()

    def close(self) -> None:
        """Switches all hosts off."""
        self.leave()
        while any(keeper.is_alive() for keeper in self._keepers):  # one may be making a host
            for host in self.hosts:
                host.kill()
            self._keepers[0].join(1)
        self._network.close()

    def _keep(self, number: int, rng: random.Random) -> None:
        """Has a node join, and again each time that it has gone."""
        while not self._is_over.is_set():
            host = self._nodes[number]
            with contextlib.suppress(RuntimeError):  # killed or cut off while it starts
                if host is None or not host.is_on:
                    host = self._nodes[number] = self._network.host(SAN_CHECKPOINT_SECONDS="0")
                host.start_ray("--address", self.address, "--num-cpus", "1")
            while host and find(host, _RAYLET) and not self._is_over.is_set():
                self._is_over.wait(0.5)
            self._is_over.wait(rng.uniform(0, LONGEST_AWAY))
            if host and not self._is_over.is_set():
                self._clear(host)

    def _clear(self, host: Host) -> None:
        """Ends what is left of Ray on a host whose raylet has gone, as `ray stop` would."""
        deadline = time.monotonic() + SECONDS_TO_CLEAR
        while (left := of_search(host)) and time.monotonic() < deadline:
            time.sleep(0.5)
        self.left += [f"{command}, whose raylet has gone," for command in left.values()]
        host.end_processes()


def find(host: Host, name: str) -> int | None:
    """The id of a process of a host with `name` in the beginning of its command line; None without one."""
    return next((pid for pid, command in host.processes().items() if name in command), None)


def of_search(host: Host) -> dict[int, str]:
    """The processes of a host that belong to a search, not to the cluster: the command, and what it had Ray start."""
    return {
        pid: command
        for pid, command in host.processes().items()
        if "tuning.search" in command or (command.startswith("ray::") and not command.startswith(AGENTS))
    }


def later(seconds: float, act: Callable[[], object]) -> None:
    """Does something some seconds later, if it can still be done."""

    def try_to() -> None:
        with contextlib.suppress(ProcessLookupError, subprocess.CalledProcessError):
            act()

    timer = threading.Timer(seconds, try_to)
    timer.daemon = True
    timer.start()


@dataclass
class ClusterSandbox(Sandbox):
    """A folder where searches run on a cluster of hosts. If the cluster has died, the next start gets a new one.

    Attributes:
        rng: random numbers, for the clusters.
        cluster: the last one that was started; None before the first start.
    """

    late: float = LONGEST_CUT
    rng: random.Random = field(default_factory=random.Random)
    cluster: Cluster | None = None
    _dead: dict[float, Cluster] = field(default_factory=dict)
    _left: list[str] = field(default_factory=list)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Starts `tuning.search` on the head; its output goes to the log."""
        if self.cluster is None or not self.cluster.is_alive:
            self._replace_cluster()
        cluster = self.cluster
        if cluster is None:
            raise RuntimeError("there is no cluster")
        self.starts += 1
        search = ("-m", "tuning.search", "--address", cluster.address, *arguments)
        return cluster.head.start(self.folder, str(PYTHON), *search, output=self.log, **environment)

    def process(self, name: str) -> int | None:
        """The id of a process on any host with `name` in the beginning of its command line; None without one."""
        hosts = self.cluster.hosts if self.cluster else []
        self.rng.shuffle(hosts)
        return next((pid for host in hosts if (pid := find(host, name))), None)

    def processes(self, *, agents: bool = True) -> dict[int, str]:
        """The processes of searches; those in clusters that have died only with `agents`.

        They end when their node's raylet has noticed that, which takes it a minute.
        """
        clusters = [self.cluster] if self.cluster and (agents or self.cluster.is_alive) else []
        clusters += list(self._dead.values()) if agents else []
        hosts = [host for cluster in clusters for host in cluster.hosts]
        return {pid: command for host in hosts for pid, command in of_search(host).items()}

    def wait_until_clear(self, seconds: float, *, agents: bool = True) -> list[str]:
        """Waits until no process is left, see `processes`; those left after some seconds are killed, and returned."""
        left = [*self._left, *super().wait_until_clear(seconds, agents=agents)]
        self._left.clear()
        if self.cluster:
            left += self.cluster.left
            self.cluster.left.clear()
        return left

    def close(self) -> None:
        """Switches all hosts off."""
        for cluster in filter(None, (self.cluster, *self._dead.values())):
            cluster.close()
        self.cluster, self._dead = None, {}

    def _replace_cluster(self) -> None:
        now = time.monotonic()
        if self.cluster:
            self.cluster.leave()
            self._dead[now] = self.cluster
        for since, cluster in list(self._dead.items()):
            is_late, found = now - since > SECONDS_OF_AGENTS, [of_search(host) for host in cluster.hosts]
            if is_late or not any(found):
                self._left += [f"{command} of a cluster that has died" for each in found for command in each.values()]
                self._left += cluster.left
                cluster.close()
                del self._dead[since]
        self.cluster = Cluster(self.folder / f"ray{self.starts}", self.rng)
