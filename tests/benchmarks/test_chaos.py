import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from benchmarks.chaos import disturbed
from benchmarks.chaos.__main__ import main as chaos
from benchmarks.chaos.__main__ import rows_of
from benchmarks.chaos.checks import faults_of_end, faults_of_search
from benchmarks.chaos.cluster import Cluster, ClusterSandbox
from benchmarks.chaos.cluster_events import KINDS as CLUSTER_KINDS
from benchmarks.chaos.cluster_events import ClusterVictim
from benchmarks.chaos.disk import Disk
from benchmarks.chaos.disturbed import Disturbance
from benchmarks.chaos.events import Preparation
from benchmarks.chaos.hosts import PATIENCE, Host, Network, missing_for_hosts, network
from benchmarks.chaos.sandbox import Sandbox
from benchmarks.chaos.searches import Result
from results.run_folder import REPEATS, RunFolder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def trials(scores: Sequence[float | None], repeats: dict[int, int] | None = None) -> list[FrozenTrial]:
    """Trials with a score each, or failed where it is None; `repeats` says by number which failed trial one repeats."""
    study = optuna.create_study()
    for number, score in enumerate(scores):
        attributes = {REPEATS: repeats[number]} if repeats and number in repeats else {}
        state = TrialState.FAIL if score is None else TrialState.COMPLETE
        study.add_trial(create_trial(state=state, value=score, user_attrs=attributes))
    return study.trials


@pytest.fixture
def ended(tmp_path: Path) -> RunFolder:
    """A run folder with a report."""
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    for path in (run.report_page, run.trials_csv, run.best_file, run.journal):
        path.touch()
    return run


def test_a_search_that_lost_nothing_has_no_faults(ended: RunFolder) -> None:
    assert faults_of_search(ended, trials([0.5, 0.7]), 2, trials([0.5, 0.7])) == []


def test_a_lost_trial_is_noticed(ended: RunFolder) -> None:
    assert faults_of_search(ended, trials([0.5]), 2, None) == ["1 trials, expected 2"]


def test_a_changed_score_is_noticed_with_one_trial_at_once(ended: RunFolder) -> None:
    changed = faults_of_search(ended, trials([0.5, 0.7000000000000001]), 2, trials([0.5, 0.7]))
    assert changed == ["trial 1: value 0.7000000000000001, expected 0.7"]
    assert faults_of_search(ended, trials([0.5, 0.6]), 2, None) == []


def test_a_failed_trial_must_be_run_again(ended: RunFolder) -> None:
    assert faults_of_search(ended, trials([0.5, None]), 2, None) == ["trial 1 failed and was not run again"]
    assert faults_of_search(ended, trials([0.5, None, 0.7], {2: 1}), 2, trials([0.5, 0.7])) == []


def test_a_missing_report_and_a_running_trial_are_noticed(ended: RunFolder) -> None:
    ended.report_page.unlink()
    running = create_trial(state=TrialState.RUNNING)
    assert faults_of_search(ended, [running], 1, None) == [
        "no report.html",
        f"trial {running.number} has not ended: RUNNING",
    ]


def end(run: RunFolder, code: int, output: str, *events: str, is_new: bool = True) -> str:
    return "; ".join(faults_of_end(run, code, output, events, is_new=is_new))


def test_an_end_in_one_line_that_says_how_to_go_on_is_right(ended: RunFolder) -> None:
    assert end(ended, 2, "searching\nerror: Ray died; run again with --resume x to go on\n", "kill-raylet") == ""
    assert end(ended, 0, "the search is over\n") == ""
    assert end(ended, -9, "searching\n", "kill-search") == ""
    assert end(ended, 143, "interrupted; to go on: --resume x\n", "terminate-search") == ""


def test_other_ends_are_noticed(ended: RunFolder) -> None:
    assert "Traceback" in end(ended, 2, "Traceback (most recent call last):\nerror: --resume x\n", "kill-raylet")
    assert "exit code 1: oh" in end(ended, 1, "oh\n", "kill-raylet")
    assert "exit code -11" in end(ended, -11, "", "kill-gcs")
    assert "it should go on" in end(ended, 2, "error: no; --resume x\n")
    assert "it should go on" in end(ended, 2, "error: no; --resume x\n", "kill-worker", "clock-back")
    assert "does not say how to go on" in end(ended, 2, "error: Ray died\n", "kill-raylet")
    assert end(ended, 2, "error: Ray died\n", "kill-raylet", is_new=False) == ""
    ended.report_page.unlink()
    assert end(ended, 143, "interrupted; to go on: --resume x\n", "terminate-search") == "SIGTERM left no report"


@dataclass
class Scripts(Sandbox):
    """A sandbox that starts scripts of a shell in place of searches."""

    scripts: list[str] = field(default_factory=list)

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        del arguments
        self.starts += 1
        own = {**os.environ, "SAN_CHAOS_START": f"{self.home}#{self.starts};", **environment}
        with self.log.open("ab") as log:
            return subprocess.Popen(["sh", "-c", self.scripts.pop(0)], env=own, cwd=self.folder, stdout=log)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Scripts]:
    scripts = Scripts(tmp_path, tmp_path / "home", (), longest=0.01)
    yield scripts
    scripts.wait_until_clear(0)


def disturb(place: Scripts, *kinds: str) -> disturbed.Outcome:
    seed = next(seed for seed in range(99) if random.Random(seed).random() >= 0.5)  # it does not wait for a worker
    return Disturbance(place, "run", list(kinds), random.Random(seed), stop_seconds=0.1).carry_out()


def test_a_killed_search_is_started_again_and_its_events_are_counted(place: Scripts) -> None:
    place.scripts = ["exec sleep 60", "true"]
    outcome = disturb(place, "stop-search", "kill-search")
    assert [(event.kind, event.start, event.ended) for event in outcome.events] == [
        ("stop-search", 1, False),
        ("kill-search", 1, True),
    ]
    assert outcome.starts == 2
    assert not outcome.has_faults()
    rows = rows_of([Result(0, 1, outcome, [])])
    assert rows[0] == {"kind": "kill-search", "events": 1, "went on": 0, "ended and resumed": 1, "faults": 0}
    assert rows[-1] == {"kind": "in all", "events": 2, "went on": 1, "ended and resumed": 1, "faults": 0}


def test_a_process_that_is_left_is_noticed_and_ended(place: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disturbed, "SECONDS_TO_CLEAR", 0.2)
    place.scripts = ["sleep 60 & true"]
    outcome = disturb(place)
    assert outcome.faults == ["left after 0.2 s: sleep 60"]
    time.sleep(0.1)
    assert place.processes() == {}


def test_a_search_that_hangs_is_noticed(place: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disturbed, "TIMEOUT", 0.2)
    place.scripts = ["exec sleep 60"]
    assert "it hung: no end after 0.2 s" in disturb(place).faults


def test_the_last_line_of_a_journal_is_cut(ended: RunFolder) -> None:
    preparation = Preparation(ended, random.Random(0))
    assert not preparation.tear_journal()
    ended.journal.write_bytes(b"first\nsecond\n")
    assert preparation.tear_journal()
    content = ended.journal.read_bytes()
    assert content.startswith(b"first\n")
    assert len(content) < len(b"first\nsecond\n")


def test_the_newest_checkpoint_is_cut(ended: RunFolder) -> None:
    preparation = Preparation(ended, random.Random(0))
    assert not preparation.damage_checkpoint()
    checkpoint = ended.checkpoints / "search" / "trial-0001.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(bytes(100))
    assert preparation.damage_checkpoint()
    assert checkpoint.stat().st_size in {0, 50}


def test_a_disk_is_filled_and_loses_what_was_not_synced_when_the_power_is_cut(tmp_path: Path) -> None:
    with closing(Disk(tmp_path)) as disk:
        if disk.type != "ext4":
            pytest.skip("no file system can be mounted from a file here")
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.path / "more").write_bytes(bytes(10**5))
        disk.repair()
        (disk.path / "more").write_bytes(bytes(10**5))
        disk.shut_down()
        with pytest.raises(OSError, match="Input/output error"):
            (disk.path / "other").touch()
        disk.repair()
        assert not (disk.path / "more").exists() or (disk.path / "more").stat().st_size == 0


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Network]:
    if missing := missing_for_hosts():
        pytest.skip(missing)
    with network(tmp_path) as found:
        yield found


def test_hosts_share_neither_files_nor_processes_nor_clocks_and_can_be_cut_off(hosts: Network, tmp_path: Path) -> None:
    one, other = hosts.host(), hosts.host(seconds_on=10**7)
    assert one.run("ls", "-A", str(tmp_path)) == ""
    one.file("/tmp/mine").write_text("text")
    assert one.run("cat", "/tmp/mine") == "text"
    assert "mine" not in other.run("ls", "-A", "/tmp")
    assert float(other.run("cat", "/proc/uptime").split()[0]) > 10**7 > float(one.run("cat", "/proc/uptime").split()[0])

    one.start(Path("/"), "sleep", "1234", output=tmp_path / "output.log")
    while set(one.processes().values()) != {"sleep 1234"}:
        time.sleep(0.1)
    assert other.processes() == {}
    ask = "import socket; socket.create_connection(('10.77.0.2', 9), timeout={})"
    hosts.cut(other)
    with pytest.raises(RuntimeError, match="timed out|No route"):
        one.python("-c", ask.format(0.5))
    hosts.cut(other, off=False)
    with pytest.raises(RuntimeError, match="refused"):  # it answers again
        one.python("-c", ask.format(PATIENCE))
    one.kill()
    assert (one.processes(), one.is_on) == ({}, False)


class HostsWithoutRay(Cluster):
    """Hosts with a process of the name of Ray's instead of Ray: the head has all, a node a raylet and a worker."""

    def __init__(self, network: Network, folder: Path) -> None:
        self._network = network
        self.head = self._host(folder, "raylet/raylet", "gcs/gcs_server", "tuning.search")
        self._nodes = [self._host(folder, "raylet/raylet", "ray::SANWorker") for _ in range(2)]

    def _host(self, folder: Path, *names: str) -> Host:
        host = self._network.host()
        for name in names:
            host.start(Path("/"), "bash", "-c", f"exec -a {name} sleep 1234", output=folder / "output.log")
        return host


@pytest.fixture
def search() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "1234"]) as process:
        yield process
        process.kill()


def test_each_event_on_a_cluster_happens_to_what_it_names(
    hosts: Network, tmp_path: Path, search: "subprocess.Popen[bytes]"
) -> None:
    cluster = HostsWithoutRay(hosts, tmp_path)
    sandbox = ClusterSandbox(tmp_path, tmp_path, (), cluster=cluster)
    while sorted(name.split()[1] for name in _names(cluster)) != [
        *("gcs/gcs_server", "ray::SANWorker", "ray::SANWorker"),
        *("raylet/raylet", "raylet/raylet", "raylet/raylet", "tuning.search"),
    ]:
        time.sleep(0.1)
    head, node = "10.77.0.1", "10.77.0.[23]"
    gone_after = {
        **{"cut-node": "", "cut-head": "", "stop-node-raylet": ""},
        "kill-search": f"{head} tuning.search",
        "kill-gcs": f"{head} gcs/gcs_server",
        "kill-head-raylet": f"{head} raylet/raylet",
        "kill-node-raylet": f"{node} raylet/raylet",
        "kill-node": f"{node} ray::SANWorker, {node} raylet/raylet",
        "kill-worker": f"{node} ray::SANWorker",
    }
    victim = ClusterVictim(sandbox, search, stop_seconds=1)
    for kind, gone in gone_after.items():
        before = _names(cluster)
        assert victim.suffers(kind)
        while not re.fullmatch(gone, ", ".join(sorted(before - _names(cluster)))):
            time.sleep(0.1)
    assert victim.suffers("kill-head")
    assert head not in [host.address for host in cluster.hosts]
    assert {*gone_after, "kill-head"} == set(CLUSTER_KINDS)


def _names(cluster: Cluster) -> set[str]:
    return {f"{host.address} {command.split()[0]}" for host in cluster.hosts for command in host.processes().values()}


@pytest.mark.long
@pytest.mark.rare
def test_a_search_on_a_cluster_outlives_a_node_and_goes_on_when_the_head_has_died(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if missing := missing_for_hosts():
        pytest.skip(missing)
    kinds = ("--kinds", "kill-node", "kill-head-raylet", "--each", "3", "--events", "1", "--parallel", "1")
    assert chaos(["--cluster", *kinds, "--keep", str(tmp_path)]) == 0, capsys.readouterr().out
    assert "searches with faults: 0" in capsys.readouterr().out
