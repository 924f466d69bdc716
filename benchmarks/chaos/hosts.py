"""Hosts on one machine that share nothing: network, process, mount and time namespaces, joined by a bridge.

A host has an address of its own and an empty file system in the place of the project, of /tmp and of what is hidden.
It keeps the Python environment, as machines do where the same packages are installed.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path(sys.prefix).resolve()
PYTHON = ENVIRONMENT / "bin" / "python"
PATIENCE = 600
START_ATTEMPTS = 3

_SET_UP = r"""
exec 2>&1
set -e
mount --make-rprivate /
mount -t tmpfs none /mnt
mkdir /mnt/environment /mnt/home
mount --bind "$ENVIRONMENT" /mnt/environment
for folder in $HIDDEN; do
    mkdir -p "$folder"
    mount -t tmpfs -o size="$SIZE" none "$folder"
done
if [ -n "$HIDDEN" ]; then
    mkdir -p "$ENVIRONMENT"
    mount --bind /mnt/environment "$ENVIRONMENT"
fi
mount -t proc proc /proc
ip link set lo up
echo ready
exec env --ignore-signal=CHLD sleep infinity  # what it adopts vanishes at its end: Ray takes a zombie for alive
"""

_NAMESPACES = ("--net", "--mount", "--pid", "--time")


def missing_for_hosts() -> str:
    """Why hosts cannot be made here; empty if they can."""
    tried = ["unshare", *_NAMESPACES, "--fork", "ip", "link", "add", "san0", "type", "bridge"]
    try:
        done = subprocess.run(tried, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return f"no namespaces can be made: {done.stderr.strip()}" if done.returncode else ""


@dataclass
class Host:
    """A host.

    Attributes:
        address: its IP address.
        process: the first process in its namespaces: all others end with it.
        environment: variables of its commands.
        pid: id of the process inside of the namespaces, as seen from outside.
        namespace: of its processes, as /proc names it.
        started: commands that were started and not waited for.
    """

    address: str
    process: subprocess.Popen[str]
    environment: dict[str, str] = field(repr=False)
    pid: int
    namespace: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def command(self, *arguments: str) -> list[str]:
        """A command of this machine that runs another one on the host."""
        return ["nsenter", "--target", str(self.pid), *_NAMESPACES, *arguments]

    def start(self, folder: Path, *arguments: str, output: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Starts a command in a folder, with further variables; its output goes to a file."""
        command = ["sh", "-c", f'cd {folder} && exec "$@"', "sh", *arguments]
        with output.open("ab") as file:
            process = subprocess.Popen(
                self.command(*command), env={**self.environment, **environment}, stdout=file, stderr=subprocess.STDOUT
            )
        self.started.append(process)
        return process

    def run(self, *arguments: str) -> str:
        """Runs a command to its end, and returns what it printed.

        Raises:
            RuntimeError: if it fails.
        """
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def python(self, *arguments: str) -> str:
        """Runs Python."""
        return self.run(str(PYTHON), *arguments)

    def start_ray(self, *arguments: str) -> None:
        """Runs `ray start`, without GPUs and with little shared memory; again if a busy machine was too slow for Ray.

        Raises:
            RuntimeError: if it fails.
        """
        for attempt in range(START_ATTEMPTS):
            try:
                self.python(
                    *("-m", "ray.scripts.scripts", "start", "--node-ip-address", self.address),
                    *("--object-store-memory", "100000000", "--num-gpus", "0", *arguments),
                )
                return
            except RuntimeError as error:
                if "timed out during startup" not in str(error) or attempt + 1 == START_ATTEMPTS:
                    raise
                self.end_processes()

    def file(self, path: str) -> Path:
        """A file of the host, as seen from outside."""
        return Path(f"/proc/{self.pid}/root{path}")

    def processes(self) -> dict[int, str]:
        """The beginnings of the command lines of its processes by id, as seen from outside; without the first one."""
        found = dict[int, str]()
        for process in Path("/proc").glob("[0-9]*") if self.is_on else ():
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                if (process / "ns" / "pid").readlink() == self.namespace and int(process.name) != self.pid:
                    words = (process / "cmdline").read_bytes().split(b"\0")
                    found[int(process.name)] = b" ".join(words[:3]).decode(errors="replace").strip()
        return {pid: command for pid, command in found.items() if command}

    def end_processes(self) -> None:
        """Kills all its processes; it stays on."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def is_on(self) -> bool:
        """Whether it was not switched off."""
        return self.process.poll() is None

    def kill(self) -> None:
        """As if it were switched off: all its processes are killed, and its network is gone."""
        with contextlib.suppress(ProcessLookupError):
            if self.is_on:
                os.kill(self.pid, signal.SIGKILL)
        for process in self.started:  # nsenter, which stops if what it started was stopped
            process.kill()
            process.wait(PATIENCE)
        self.process.wait(PATIENCE)


class Network:
    """A bridge that hosts are joined by, in a network namespace of its own.

    Args:
        hidden: folders of this machine that hosts do not see.
    """

    def __init__(self, hidden: Sequence[Path]) -> None:
        self._hidden = hidden
        self._hosts: list[Host] = []
        self._lock = threading.Lock()
        self._bridge = _hold(["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"], os.environ.copy())
        self._bridge_ip("link", "add", "bridge0", "type", "bridge")
        self._bridge_ip("link", "set", "bridge0", "up")

    def host(self, *, sees_project: bool = False, size: str = "1g", seconds_on: int = 0, **environment: str) -> Host:
        """Makes a host; 250 at most.

        Args:
            sees_project: whether it sees all of this machine's files.
            size: of its file systems.
            seconds_on: for how much longer than this machine it has been on, by its monotonic clocks.
            environment: further variables of its commands.
        """
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))},
            **{"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "RAY_enable_worker_prestart": "0"},
            **{"RAY_prestart_worker_first_driver": "0", "RAY_worker_niceness": "0", "HOME": "/mnt/home"},
            **environment,
        }
        set_up = {
            **{"ENVIRONMENT": str(ENVIRONMENT), "SIZE": size},
            "HIDDEN": "" if sees_project else " ".join(map(str, self._hidden)),
        }
        clocks = ("--monotonic", str(seconds_on), "--boottime", str(seconds_on))
        process = _hold(
            ["unshare", *_NAMESPACES, *clocks, "--fork", "--kill-child", "sh", "-c", _SET_UP],
            {**environment, **set_up},
        )
        (pid,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        with self._lock:
            number = len(self._hosts) + 1
            namespace = Path(f"/proc/{pid}/ns/pid").readlink()
            host = Host(f"10.77.0.{number}", process, environment, int(pid), namespace)
            self._hosts.append(host)
        self._bridge_ip("link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", pid)
        self._bridge_ip("link", "set", f"port{number}", "master", "bridge0", "up")
        host.run("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        return host

    def cut(self, host: Host, *, off: bool = True) -> None:
        """Unplugs a host from the network, or plugs it in again."""
        number = self._hosts.index(host) + 1
        self._bridge_ip("link", "set", f"port{number}", "down" if off else "up")

    def close(self) -> None:
        """Switches all hosts off."""
        for host in self._hosts:
            host.kill()
        self._bridge.kill()
        self._bridge.wait(PATIENCE)

    def _bridge_ip(self, *arguments: str) -> None:
        command = ["nsenter", "--target", str(self._bridge.pid), "--net", "ip", *arguments]
        subprocess.run(command, capture_output=True, check=True)


def _hold(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    """Starts what holds namespaces, and waits until it is ready.

    Raises:
        RuntimeError: if it ends instead.
    """
    quiet = subprocess.DEVNULL  # when a host is switched off, unshare complains
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=quiet, text=True)
    if process.stdout is None or (printed := process.stdout.readline()) != "ready\n":
        raise RuntimeError(f"{' '.join(command[:-1])}: {printed or 'no namespaces can be made'}")
    process.stdout.close()
    return process


@contextlib.contextmanager
def network(*hidden: Path) -> Iterator[Network]:
    """A network whose hosts do not see the project, /tmp, and what else is hidden."""
    found = Network(sorted({Path("/tmp"), ROOT, ENVIRONMENT.parent, *hidden}))
    try:
        yield found
    finally:
        found.close()
