"""Watches the nodes of a cluster while trials run: which can run trials, and how many trials at once that makes."""

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from math import inf

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError, RuntimeEnvSetupError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from san_core.command_line import print_message
from tuning.execution.driver_files import DriverFiles, News
from tuning.execution.nodes import SECONDS_FOR_ANSWER, alive_addresses, alive_nodes
from tuning.execution.placement import Machine, Placement, fitting_trials
from tuning.execution.tune_errors import describe_error
from tuning.execution.watchdog import is_dead

SECONDS_BETWEEN = 2
"""Seconds between two looks at the cluster."""

SECONDS_BETWEEN_LINES = 10
"""Least seconds between two lines that say how far copies of the data are."""


SECONDS_TO_START = 30
"""Seconds that nodes have to start a process when it is checked whether they can."""


class Nodes:
    """The nodes of a cluster.

    Args:
        placement: what a trial gets, and how many run at once on the nodes that there are at first.
        most_at_once: how many run at once at most when nodes have joined; None for as many as fit.

    Attributes:
        placement: the same for the nodes that there are now.
        unusable: why nodes cannot run trials, by their ids.
    """

    def __init__(self, placement: Placement, most_at_once: int | None = None) -> None:
        self.placement, self.unusable = placement, dict[str, str]()
        self._most_at_once = most_at_once
        self._files: DriverFiles | None = None
        self._told = -inf  # when copies were last told of
        self._whole, self._copied = set[tuple[str, str]](), 0.0
        self._lock = threading.Lock()

    @property
    def at_once(self) -> int:
        """The most trials, or cohorts, that may be live at once."""
        return self.placement.max_concurrent

    def refresh(self) -> int:
        """Looks at the nodes, and prints a line for what has changed; returns how many trials fit on them now."""
        with self._lock:
            if self._files is not None:
                with contextlib.suppress(RayError, ValueError):  # the actor may be starting again
                    self._tell(self._files.ask("news"))
            now = self.placement
            fitting = fitting_trials(_machines_but(self.unusable), now.cpus, now.gpus)
            if (at_once := min(fitting, self._most_at_once or fitting)) > now.max_concurrent:
                self.placement = Placement(now.cpus, now.gpus, at_once)
                print_message(f"nodes have joined the cluster: from now on {at_once} at once")
            return fitting

    def check_code(self) -> None:
        """Has each node start a process with the project's code; those that cannot are left out, with a line each."""
        if self._files is None:
            return
        with contextlib.suppress(Exception):  # if Ray does not answer, the watchdog says so
            for node, reason in nodes_without_code(self.unusable).items():
                self._files.ask("note_unusable", node, reason)
            self.refresh()

    @contextlib.contextmanager
    def watched(self, files: DriverFiles) -> Iterator[None]:
        """Looks at the nodes again and again while the context lasts.

        An autoscaler is asked for room for the trials that are to run at once at most.
        """
        stop, self._files, each = threading.Event(), files, self.placement
        wanted = self._most_at_once or 0
        asks = wanted > each.max_concurrent
        if asks:
            bundle = {"CPU": each.cpus} | ({"GPU": each.gpus} if each.gpus else {})
            request_resources(bundles=[bundle] * wanted)

        def look() -> None:
            while not stop.wait(SECONDS_BETWEEN):
                with contextlib.suppress(Exception):  # if Ray does not answer, the watchdog says so
                    self.refresh()

        thread = threading.Thread(target=look, name="cluster-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            if asks and not is_dead():
                with contextlib.suppress(Exception):
                    request_resources(bundles=[])
            thread.join(SECONDS_BETWEEN)

    def _tell(self, news: News) -> None:
        """Prints what nodes have told and was not printed before."""
        for node, reason in news.unusable.items():
            if node not in self.unusable:
                self.unusable[node] = reason
                print_message(f"{reason}; the search goes on without this node")
        whole = {copy for copy, (done, total) in news.copied.items() if done >= total}
        for copy in sorted(whole - self._whole):
            print_message(f"the data ({_size(news.copied[copy][1])}) have been copied to node {copy[0]}")
        self._whole |= whole
        parts = [done / total for copy, (done, total) in news.copied.items() if copy not in whole]
        if parts and sum(parts) != self._copied and time.monotonic() - self._told > SECONDS_BETWEEN_LINES:
            self._told, self._copied = time.monotonic(), sum(parts)
            where = f"{len(parts)} node{'s' if len(parts) > 1 else ''}"
            print_message(f"copying the data to {where}: {sum(parts) / len(parts):.0%}")


def alive_machines() -> list[Machine]:
    """The machines of Ray's nodes that are alive."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return list(map(_machine, resources))


def _machines_but(excluded: Mapping[str, str]) -> list[Machine]:
    """The same without the nodes that have an excluded id; an error if Ray does not answer in time."""
    nodes = alive_nodes(SECONDS_FOR_ANSWER)
    return [_machine(resources) for node_id, resources in nodes.items() if node_id not in excluded]


def _machine(resources: Mapping[str, float]) -> Machine:
    return Machine(int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))


def nodes_without_code(excluded: Mapping[str, str]) -> dict[str, str]:
    """Why the project's code cannot be put on nodes, by their ids: their disk is full, for example.

    An error if Ray does not answer in time: what is asked of it then would end the program.
    """
    addresses = alive_addresses(SECONDS_FOR_ANSWER)

    def start() -> None:
        pass

    # A runtime environment of its own: Ray sets it up anew, as that of a worker, instead of using a process it has.
    own = {"env_vars": {"SAN_CHECK": secrets.token_hex(8)}}
    task = ray.remote(num_cpus=0, max_retries=0, runtime_env=own)(start)
    started = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(): node
        for node in addresses
        if node not in excluded
    }
    found = {}
    for reference in ray.wait(list(started), num_returns=len(started), timeout=SECONDS_TO_START)[0]:
        try:
            ray.get(reference)
        except RuntimeEnvSetupError as error:
            node = started[reference]
            found[node] = f"the project's code cannot be put on node {addresses[node]}: {describe_error(error)}"
        except RayError:  # the node has gone meanwhile
            continue
    return found


def wait_for_gpu() -> None:
    """Waits until a node of the cluster has a GPU, says so, and asks the cluster's autoscaler for one."""
    if any(machine.gpus for machine in alive_machines()):
        return
    print_message(
        "no node of the cluster has a GPU yet: waiting for one, which the cluster's autoscaler, if any, is asked for "
        "(Ctrl-C ends; --gpus-per-trial 0 searches without)"
    )
    request_resources(bundles=[{"GPU": 1}])
    try:
        while not any(machine.gpus for machine in alive_machines()):
            time.sleep(SECONDS_BETWEEN)
    finally:
        request_resources(bundles=[])


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
