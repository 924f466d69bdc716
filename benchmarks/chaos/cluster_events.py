"""What happens to a search on a cluster at a random moment: the kinds of events, and what each does."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass

from benchmarks.chaos.cluster import LONGEST_CUT, Cluster, ClusterSandbox, find, later
from benchmarks.chaos.events import PROCESSES, Victim
from benchmarks.chaos.hosts import Host

OF_HEAD = {"kill-search": "tuning.search", "kill-gcs": PROCESSES["gcs"], "kill-head-raylet": PROCESSES["raylet"]}
"""Kinds of events that kill a process on the head, with a part of its command line."""

OF_NODE = {"kill-node-raylet": PROCESSES["raylet"], "stop-node-raylet": PROCESSES["raylet"]}
"""Kinds of events that kill or stop a process on a node that is not the head, with a part of its command line."""

KINDS = ("kill-worker", *OF_NODE, "kill-node", "cut-node", "cut-head", *OF_HEAD, "kill-head")
"""All kinds of events."""

SHARE_OF_LONG_CUTS = 0.3
SHORT_CUT, LONG_CUT = (1.0, 15.0), (30.0, LONGEST_CUT)
"""For how many seconds a host is cut off the network; Ray takes a node for dead after about half a minute."""


@dataclass
class ClusterVictim(Victim):
    """A running search on a cluster, and what can be done to it."""

    sandbox: ClusterSandbox

    def suffers(self, kind: str) -> bool:
        """Lets an event happen, as soon as what it needs exists; False if the search ended before."""
        while self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has gone this moment
                if self._try(kind):
                    return True
            time.sleep(0.2)
        return False

    def _try(self, kind: str) -> bool:
        """Lets an event happen; False if what it needs does not exist."""
        cluster = self.sandbox.cluster
        if cluster is None:
            return False
        if kind == "kill-worker":
            return _kill(self.sandbox.process(PROCESSES["worker"]))
        if kind in OF_HEAD:
            return _kill(find(cluster.head, OF_HEAD[kind]))
        hosts = [cluster.head] if kind.endswith("-head") else cluster.nodes
        return bool(hosts) and self._suffers(kind, cluster, self.sandbox.rng.choice(hosts))

    def _suffers(self, kind: str, cluster: Cluster, host: Host) -> bool:
        if kind in OF_NODE:
            pid = find(host, OF_NODE[kind])
            return self._stop(pid) if kind.startswith("stop") else _kill(pid)
        if kind.startswith("cut"):
            cluster.cut(host, self._seconds_cut())
        else:
            host.kill()
        return True

    def _seconds_cut(self) -> float:
        is_long = self.sandbox.rng.random() < SHARE_OF_LONG_CUTS
        return self.sandbox.rng.uniform(*(LONG_CUT if is_long else SHORT_CUT))

    def _stop(self, pid: int | None) -> bool:
        if pid is None:
            return False
        os.kill(pid, signal.SIGSTOP)
        later(self.sandbox.rng.uniform(1, self.stop_seconds), lambda: os.kill(pid, signal.SIGCONT))
        return True


def _kill(pid: int | None) -> bool:
    if pid is None:
        return False
    os.kill(pid, signal.SIGKILL)
    return True
