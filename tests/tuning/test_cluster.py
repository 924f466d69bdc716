"""Searches over Ray clusters of several nodes on one machine; `test_hosts.py` has hosts that share no files."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from optuna.trial import TrialState

from benchmarks.chaos.sandbox import Sandbox, trials_of
from results.run_folder import WORKER, RunFolder
from san_core.data.prepared import PreparedData
from tests.tuning.commands import PATIENCE

pytestmark = pytest.mark.long

TRIALS = 8

CLUSTER = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False})
cluster.wait_for_nodes()
print(cluster.address, flush=True)
added = []
for line in sys.stdin:
    if line.startswith("add"):
        added.append(cluster.add_node(num_cpus=1, num_gpus=int(line.split()[1])))
        cluster.wait_for_nodes()
    elif line.startswith("kill"):
        cluster.remove_node(added.pop(), allow_graceful=False)
    print("done", flush=True)
"""
"""A head node with one core; lines on stdin add a node with one core and so many GPUs, or kill the last one."""


@dataclass
class Nodes:
    """A cluster in a process of its own.

    Attributes:
        process: which runs it.
        address: to join it.
    """

    process: subprocess.Popen[str]
    address: str

    def tell(self, line: str) -> None:
        """Adds or kills a node."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture
def place(tiny_data: PreparedData, tmp_path: Path) -> Sandbox:
    for name in ("folder", "home"):
        (tmp_path / name).mkdir()
    sizes = ("hidden_size=512", "attention_size=256", "batch_size=16", "epochs=6")
    fixed = tuple(part for size in sizes for part in ("--set", size))
    search = ("--data", str(tiny_data.folder), "--trials", str(TRIALS), "--confirm", "0", "--pruner", "none", *fixed)
    return Sandbox(tmp_path / "folder", tmp_path / "home", search)


@pytest.fixture
def nodes(place: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    # As a cluster should be: who joins needs its token. A Ray started in this process earlier asks for one too.
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    environment = {**os.environ, "HOME": str(place.home)}
    ray = str(Path(sys.executable).with_name("ray"))
    subprocess.run([ray, "get-auth-token", "--generate"], env=environment, check=True, capture_output=True)
    errors = place.home / "cluster.log"
    with errors.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, errors.read_text()
        yield Nodes(process, address)
        process.terminate()


@pytest.mark.rare
def test_a_search_over_two_nodes_outlives_one_of_them(place: Sandbox, nodes: Nodes, tmp_path: Path) -> None:
    nodes.tell("add 0")
    storage = tmp_path / "storage"
    search = place.start("--run", "spread", "--address", nodes.address, "--storage", str(storage), *place.arguments)
    log = place.folder / "output.log"
    while search.poll() is None and (" ended" not in log.read_text(errors="replace") or len(_workers(place)) < 2):
        time.sleep(0.2)
    nodes.tell("kill")
    assert search.wait(timeout=PATIENCE) == 0, log.read_text(errors="replace")

    assert "2 trials at once, 1 core each" in log.read_text(errors="replace")
    trials = trials_of(place, "spread")
    assert len(trials) == TRIALS
    assert all(trial.state == TrialState.COMPLETE for trial in trials)
    assert all(len(trial.intermediate_values) == 6 for trial in trials)
    assert len(_workers(place)) >= 2
    assert len(list(storage.glob("spread-*/search/trial-*.pt"))) == 3
    assert not RunFolder(place.folder / "runs" / "spread").checkpoints.exists()


@pytest.mark.rare
def test_a_search_waits_for_a_node_with_a_gpu_measures_there_and_uses_one_that_joins_later(
    place: Sandbox, nodes: Nodes
) -> None:
    """GPUs are logical: the step for cohorts runs on the CPU."""
    search = place.start("--run", "spread", "--address", nodes.address, "--gpus-per-trial", "1", *place.arguments)
    log = place.folder / "output.log"

    def wait_for(text: str) -> None:
        while text not in log.read_text(errors="replace"):
            assert search.poll() is None, log.read_text(errors="replace")
            time.sleep(0.2)

    wait_for("no node of the cluster has a GPU yet: waiting for one")
    nodes.tell("add 1")
    wait_for("since this machine has no GPU")
    wait_for(" 1 GPU and 1 core each")
    nodes.tell("add 1")
    wait_for("nodes have joined the cluster: from now on 2 at once")
    assert search.wait(timeout=PATIENCE) == 0, log.read_text(errors="replace")
    assert [trial.state for trial in trials_of(place, "spread")] == [TrialState.COMPLETE] * TRIALS
    assert all(" GPU 0" in worker for worker in _workers(place))


def _workers(place: Sandbox) -> set[str]:
    """Who has ended a trial so far."""
    return {trial.user_attrs[WORKER] for trial in trials_of(place, "spread") if trial.state.is_finished()}
