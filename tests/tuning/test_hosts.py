"""Searches over a cluster of hosts that share nothing: neither the project, nor the data, nor the run folder."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from benchmarks.chaos.events import clock_library
from results.run_folder import SECONDS, WORKER, RunFolder, is_own
from san_core.data.prepared import PreparedData
from tests.tuning.hosts import PYTHON, ROOT, Host, Network, network

pytestmark = pytest.mark.long

PATIENCE = 1800
TRIALS = 10
EPOCHS = 6
SECONDS_CUT = 30
TOKEN = "0123456789abcdef" * 4
OF_NODES = {"RAY_AUTH_MODE": "token", "SAN_CHECKPOINT_SECONDS": "0"}
SPACE = """
from optuna.distributions import FloatDistribution
from search_spaces import SearchSpace

SPACE = SearchSpace({"learning_rate": FloatDistribution(1e-4, 1e-2, log=True)}, {"learning_rate": 1e-3})
"""


@pytest.fixture
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.getbasetemp()) as found:
        yield found


@pytest.fixture
def ray_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # names of sockets must be short
        yield folder


def _give_token(host: Host) -> None:
    host.run("sh", "-c", f"mkdir -p ~/.ray && printf %s {TOKEN} > ~/.ray/auth_token && chmod 600 ~/.ray/auth_token")


def _start_head(head: Host, ray_folder: str) -> None:
    """Starts a cluster on a host that runs no trials."""
    _give_token(head)
    head.start_ray("--head", "--port", "6379", "--num-cpus", "0", "--temp-dir", ray_folder, "--include-dashboard=false")


def _join(host: Host, head: Host, cores: int) -> None:
    _give_token(host)
    host.start_ray("--address", f"{head.address}:6379", "--num-cpus", str(cores))


def _set_clock_back(host: Host) -> None:
    """Has the wall clock of what is started on a host from now on be an hour behind, if there is a C compiler."""
    if not shutil.which("cc"):
        return
    library = "/mnt/clock_back.so"
    host.file(library).write_bytes(Path(clock_library()).read_bytes())
    host.environment["LD_PRELOAD"] = library


class Search:
    """A search that is started on the head node, in a folder of its own, and joins the cluster."""

    def __init__(self, head: Host, folder: Path, data: PreparedData, *arguments: str) -> None:
        (folder / "mine.py").write_text(SPACE)
        self.run, self.output = RunFolder(folder / "runs" / "hosts"), folder / "output.log"
        settings = ("hidden_size=512", "attention_size=256", "batch_size=16", f"epochs={EPOCHS}")
        fixed = [part for setting in settings for part in ("--set", setting)]
        self._head = head
        self._start(
            *("--run", "hosts", "--data", str(data.folder), "--space", "mine.py", "--confirm", "0", "--pruner", "none"),
            *(*fixed, *arguments),
        )

    def resume(self) -> None:
        """Starts it again."""
        self._start("--resume", "hosts")

    def _start(self, *arguments: str) -> None:
        command = (str(PYTHON), "-m", "tuning.search", "--address", f"{self._head.address}:6379", *arguments)
        self._process = self._head.start(self.output.parent, *command, output=self.output)

    @property
    def printed(self) -> str:
        return self.output.read_text(errors="replace")

    def trials(self) -> list[FrozenTrial]:
        try:
            return [trial for trial in self.run.study().get_trials(deepcopy=False) if is_own(trial)]
        except (OSError, KeyError, ValueError):
            return []

    def addresses(self) -> set[str]:
        """Those of the hosts on which trials have ended."""
        return {t.user_attrs[WORKER].split()[0] for t in self.trials() if WORKER in t.user_attrs}

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert self._process.poll() is None, self.printed
            assert time.monotonic() < end, self.printed
            time.sleep(0.2)

    def end(self) -> int:
        return self._process.wait(PATIENCE)


def _check_trials(trials: list[FrozenTrial]) -> None:
    assert len(trials) == TRIALS
    assert all(trial.state == TrialState.COMPLETE for trial in trials)
    assert all(len(trial.intermediate_values) == EPOCHS for trial in trials)
    assert all(0 < trial.user_attrs[SECONDS] < PATIENCE for trial in trials)


def _check_left_out(full: Host, no_tmp: Host, printed: str) -> None:
    assert f"the data cannot be copied to node {full.address}: they have " in printed
    assert "MiB free; accepted: more room" in printed
    assert full.run("ls", "/mnt/full") == ""
    assert f"the project's code cannot be put on node {no_tmp.address}: OSError: [Errno 28] No space" in printed
    assert printed.count("the search goes on without this node") == 2


@pytest.mark.skipif(PYTHON.is_relative_to("/tmp"), reason="a host whose /tmp is full has no Python in it")
def test_a_search_over_hosts_that_share_nothing_loses_no_trial(
    hosts: Network, ray_folder: str, tmp_path: Path, tiny_data: PreparedData
) -> None:
    """One is killed, one is cut off the network for 30 s, two have full disks, one joins late; clocks differ."""
    head = hosts.host(sees_project=True, PYTHONPATH=str(ROOT))
    first, second = hosts.host(**OF_NODES), hosts.host(seconds_on=10**7, **OF_NODES)
    assert "tuning" not in first.run("ls", str(ROOT))
    _start_head(head, ray_folder)
    full, no_tmp = hosts.host(**OF_NODES, SAN_DATA_CACHE="/mnt/full"), hosts.host(**OF_NODES)
    full.run("sh", "-c", "mkdir /mnt/full && mount -t tmpfs -o size=64k none /mnt/full")
    no_tmp.run("mount", "-t", "tmpfs", "-o", "size=32m", "none", "/tmp")
    for host in (first, second, full, no_tmp):
        _join(host, head, cores=1)
    no_tmp.run("sh", "-c", "cat /dev/zero > /tmp/all || true")

    search = Search(head, tmp_path, tiny_data, "--trials", str(TRIALS))
    search.wait_for(lambda: search.addresses() >= {first.address, second.address})
    assert list(search.run.checkpoints.glob("search/trial-*.pt"))
    first.kill()
    third = hosts.host(**OF_NODES)
    _set_clock_back(third)
    _join(third, head, cores=3)
    hosts.cut(second)
    cut_at = time.monotonic()
    search.wait_for(lambda: time.monotonic() > cut_at + SECONDS_CUT)
    hosts.cut(second, off=False)
    assert search.end() == 0, search.printed

    _check_trials(search.trials())
    assert search.addresses() == {first.address, second.address, third.address}, search.printed
    _check_left_out(full, no_tmp, search.printed)
    assert "nodes have joined the cluster" in search.printed
    assert "(raylet)" not in search.printed  # what Ray says of a node that died is in search.log
    for host in (second, third):
        assert f"have been copied to node {host.address}" in search.printed
        copies = host.run("sh", "-c", "ls -A ~/.cache/san-tuner/data").split()
        assert copies == [tiny_data.fingerprint]


OUTLIVES = """
import sys, time
from san_core.errors import InputError
from tuning.search import search

address, data = sys.argv[1:]
small = {"no_dashboard": True, "confirm": 0, "set": {"hidden_size": 16}}
try:
    search(address=address, data=data, run="hosts", trials=1000, epochs=1000, pruner="none", **small)
except InputError as error:
    print(error, flush=True)
time.sleep(60)  # Ray's library ends a program 60 s after it has lost the head, 40 s of which are over
print(len(search(data=data, run="again", trials=1, epochs=1, **small).study().trials), "trial")
"""


@pytest.mark.rare
def test_a_program_outlives_the_head_of_the_cluster_that_it_has_joined(
    hosts: Network, ray_folder: str, tmp_path: Path, tiny_data: PreparedData
) -> None:
    head, node = (hosts.host(sees_project=True, PYTHONPATH=str(ROOT), RAY_AUTH_MODE="disabled") for _ in range(2))
    head.start_ray("--head", "--port", "6379", "--num-cpus", "0", "--temp-dir", f"{ray_folder}/h")
    node.start_ray("--address", f"{head.address}:6379", "--num-cpus", "1", "--temp-dir", f"{ray_folder}/n")
    output, journal = tmp_path / "output.log", tmp_path / "runs" / "hosts" / "journal.log"
    arguments = (OUTLIVES, f"{head.address}:6379", str(tiny_data.folder))
    program = node.start(tmp_path, str(PYTHON), "-c", *arguments, output=output)
    while not (journal.is_file() and '"step":1' in journal.read_text()):
        assert program.poll() is None, output.read_text()
        time.sleep(0.2)
    head.kill()
    assert program.wait(PATIENCE) == 0, output.read_text()
    assert "\nRay has not answered for 40 s; what was recorded is safe; " in output.read_text()
    assert output.read_text().endswith("1 trial\n")


@pytest.mark.rare
@pytest.mark.parametrize(("name", "dead"), [("gcs/gcs_server", "Ray "), ("raylet/raylet", "")])
def test_a_search_whose_head_dies_says_how_it_goes_on_and_goes_on_on_a_new_cluster(
    name: str, dead: str, hosts: Network, ray_folder: str, tmp_path: Path, tiny_data: PreparedData
) -> None:
    head, node = hosts.host(sees_project=True, PYTHONPATH=str(ROOT)), hosts.host(**OF_NODES)
    _start_head(head, ray_folder)
    _join(node, head, cores=1)
    search = Search(head, tmp_path, tiny_data, "--trials", "4")
    search.wait_for(lambda: node.address in search.addresses())
    (died,) = (pid for pid, command in head.processes().items() if name in command)
    os.kill(died, signal.SIGKILL)
    assert search.end() == 2, search.printed
    assert search.printed.splitlines()[-1].startswith(f"error: {dead}"), search.printed
    assert "(raylet)" not in search.printed
    assert search.printed.endswith(f"run again with --resume runs/hosts --address {head.address}:6379 to go on\n")

    node.kill()
    head.end_processes()
    _start_head(head, ray_folder)
    _join(hosts.host(**OF_NODES), head, cores=1)
    search.resume()
    assert search.end() == 0, search.printed
    assert [trial.state for trial in search.trials()] == [TrialState.COMPLETE] * 4


@pytest.mark.rare
def test_a_job_whose_run_folder_would_go_with_it_is_refused_and_one_with_another_runs(
    hosts: Network, ray_folder: str, tmp_path: Path, tiny_data: PreparedData
) -> None:
    head = hosts.host(sees_project=True, PYTHONPATH=str(ROOT))
    head.start_ray("--head", "--port", "6379", "--num-cpus", "1", "--temp-dir", ray_folder)
    (tmp_path / "job").mkdir()
    search = ("-m", "tuning.search", "--address", "auto", "--data", str(tiny_data.folder), "--epochs", "1")
    short = ("--trials", "1", "--confirm", "0", "--set", "hidden_size=16")

    def submit(*arguments: str) -> tuple[int, str]:
        output = tmp_path / "output.log"
        job = ("job", "submit", "--working-dir", str(tmp_path / "job"), "--", str(PYTHON), *search, *short)
        submitted = head.start(tmp_path, str(PYTHON), "-m", "ray.scripts.scripts", *job, *arguments, output=output)
        return submitted.wait(PATIENCE), output.read_text(errors="replace")

    code, printed = submit()
    assert code, printed
    assert "is in the working directory of a Ray job, which Ray deletes after the job" in printed
    assert "exit code 2" in printed
    code, printed = submit("--run", str(tmp_path / "outside"))
    assert code == 0, printed
    assert RunFolder(tmp_path / "outside").report_page.is_file()


@pytest.mark.rare
def test_the_script_for_slurm_runs_a_search_over_its_nodes(
    hosts: Network, ray_folder: str, tmp_path: Path, tiny_data: PreparedData
) -> None:
    """What `srun` would start on each node of docs/cluster/search.sbatch."""
    path = f"{PYTHON.parent}:{os.environ['PATH']}"
    head = hosts.host(sees_project=True, PYTHONPATH=str(ROOT), PATH=path, RAY_AUTH_MODE="token", RAY_TMPDIR=ray_folder)
    other = hosts.host(PATH=path, RAY_AUTH_MODE="token")
    script = (ROOT / "docs" / "cluster" / "search.sbatch").read_text()
    assert 'ray symmetric-run --address "$head:' in script
    assert "RAY_AUTH_MODE=token" in script
    run = ("ray", "symmetric-run", "--address", f"{head.address}:6379", "--min-nodes", "2", "--num-cpus", "1")
    settings = ("--trials", "4", "--epochs", "2", "--confirm", "0", "--pruner", "none", "--set", "hidden_size=16")
    search = ("python", "-m", "tuning.search", "--address", "auto", "--data", str(tiny_data.folder), "--run", "slurm")
    outputs = [tmp_path / "head.log", tmp_path / "other.log"]
    started = []
    for host, output in zip((head, other), outputs, strict=True):
        _give_token(host)
        folder = tmp_path if host is head else Path("/tmp")
        started.append(host.start(folder, *run, "--", *search, *settings, output=output))
    # The other node notices a minute later that the head has ended.
    assert started[0].wait(PATIENCE) == 0, [path.read_text() for path in outputs]
    assert "2 trials at once" in outputs[0].read_text()
    assert (tmp_path / "runs" / "slurm" / "report.html").is_file()
