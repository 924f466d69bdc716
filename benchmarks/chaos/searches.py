"""Runs searches side by side, disturbs them, and checks what they leave."""

import itertools
import os
import random
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from optuna.trial import FrozenTrial

from benchmarks.chaos.checks import faults_of_search
from benchmarks.chaos.cluster import NODES, ClusterSandbox
from benchmarks.chaos.cluster_events import ClusterVictim
from benchmarks.chaos.disk import Disk
from benchmarks.chaos.disturbed import Disturbance, Outcome
from benchmarks.chaos.events import NEEDS_A_START
from benchmarks.chaos.sandbox import Sandbox, trials_of
from san_core.errors import InputError

MOST_AT_ONCE = 4
"""Most trials at once; no more than there are cores."""

MORE_OFTEN = 3
"""How many times as often as others the events are planned that happen to a search as it runs and let it run.

A start of a search takes far longer than such an event.
"""


@dataclass(frozen=True)
class Result:
    """What happened to one search.

    Attributes:
        number: of the search, from 0.
        at_once: number of trials at once.
        outcome: events and starts.
        faults: what was wrong after its last end, in words.
    """

    number: int
    at_once: int
    outcome: Outcome
    faults: list[str]

    def has_faults(self) -> bool:
        """Whether anything was wrong."""
        return bool(self.faults) or self.outcome.has_faults()

    def describe(self) -> str:
        """The result in a line, and one for each fault."""
        events = ", ".join(event.kind for event in self.outcome.events)
        lines = [f"search {self.number}: {self.at_once} at once, {self.outcome.starts} starts; {events or 'no events'}"]
        lines += [f"  FAULT after {event.kind}: {fault}" for event in self.outcome.events for fault in event.faults]
        lines += [f"  FAULT: {fault}" for fault in (*self.outcome.faults, *self.faults)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes:
        folder: where searches run.
        kept: folder for what searches with a fault leave.
        arguments: of every search.
        trials: number of trials of every search.
        expected: trials of a search with one trial at once that was left alone.
        kinds: kinds of events.
        seed: of the events.
        each: number of events that are planned for a search.
        stop_seconds: how long a process is stopped.
        on_cluster: whether each search runs on a cluster of hosts.
    """

    folder: Path
    kept: Path
    arguments: tuple[str, ...]
    trials: int
    expected: Sequence[FrozenTrial]
    kinds: Sequence[str]
    seed: int
    each: int
    stop_seconds: float
    on_cluster: bool = False


@dataclass
class Searches:
    """The searches of a plan.

    Attributes:
        plan: what is done.
        results: of the searches that have ended.
    """

    plan: Plan
    results: list[Result] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _began: float = field(default_factory=time.monotonic)

    def run(self, events: int, parallel: int) -> None:
        """Runs searches, some of them side by side, until there were enough events."""
        numbers = itertools.count()
        with ThreadPoolExecutor(parallel) as pool:
            lanes = [pool.submit(self._run_lane, numbers, events) for _ in range(parallel)]
            try:
                for lane in lanes:
                    lane.result()
            finally:  # after Ctrl-C each lane ends with its search
                self._is_over.set()

    def _run_lane(self, numbers: Iterator[int], events: int) -> None:
        while not self._is_over.is_set() and sum(len(result.outcome.events) for result in self.results) < events:
            with self._lock:
                number = next(numbers)
            self.run_one(number)

    def run_one(self, number: int) -> None:
        """Runs the search of a number, and prints what happened to it."""
        result = self._disturb(number)
        with self._lock:
            self.results.append(result)
            events, seconds = sum(len(each.outcome.events) for each in self.results), time.monotonic() - self._began
            print(f"{result.describe()}\n{events} events after {seconds:.0f} s", flush=True)

    def _disturb(self, number: int) -> Result:
        plan = self.plan
        rng = random.Random(f"{plan.seed}-{number}")
        most = min(MOST_AT_ONCE, os.cpu_count() or 1)
        at_once = NODES + 1 if plan.on_cluster else rng.randint(1, most)
        weights = [1 if kind in NEEDS_A_START else MORE_OFTEN for kind in plan.kinds]
        kinds = rng.choices(plan.kinds, weights, k=plan.each)
        arguments = (*plan.arguments, "--concurrent", str(at_once))
        place = _on_cluster if plan.on_cluster else _on_this_machine
        with place(plan.folder / str(number), arguments, kinds, rng, plan.stop_seconds) as disturbance:
            sandbox, run = disturbance.sandbox, disturbance.sandbox.run_folder(disturbance.name)
            faults = []
            try:
                disturbance.carry_out()
                if not disturbance.outcome.has_faults():
                    found, expected = trials_of(sandbox, disturbance.name), plan.expected if at_once == 1 else None
                    faults = faults_of_search(run, found, plan.trials, expected)
            except (OSError, RuntimeError, ValueError, KeyError, InputError) as error:  # it cannot even be looked at
                faults = [f"{type(error).__name__}: {error}"]
            result = Result(number, at_once, disturbance.outcome, faults)
            if result.has_faults():
                self._keep(result, sandbox, run.path)
            sandbox.wait_until_clear(0)
        shutil.rmtree(sandbox.folder, ignore_errors=True)
        return result

    def _keep(self, result: Result, sandbox: Sandbox, run: Path) -> None:
        """Copies what a search with a fault has left."""
        kept = self.plan.kept / f"seed-{self.plan.seed}-search-{result.number}"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        (kept / "faults.txt").write_text(f"{result.describe()}\n", encoding="utf-8")
        with suppress(OSError):  # not all may be there
            shutil.copy(sandbox.log, kept)
            shutil.copytree(run, kept / "run")


@contextmanager
def _on_this_machine(
    folder: Path, arguments: tuple[str, ...], kinds: list[str], rng: random.Random, stop_seconds: float
) -> Iterator[Disturbance]:
    """A search on a Ray of its own, whose run is on a small file system of its own."""
    sandbox = make_sandbox(folder, arguments)
    with closing(Disk(folder)) as disk:
        yield Disturbance(sandbox, str(disk.path / "run"), kinds, rng, disk, stop_seconds)


@contextmanager
def _on_cluster(
    folder: Path, arguments: tuple[str, ...], kinds: list[str], rng: random.Random, stop_seconds: float
) -> Iterator[Disturbance]:
    """A search on a cluster of hosts of its own."""
    folder.mkdir()
    with closing(ClusterSandbox(folder, folder, arguments, rng=random.Random(rng.random()))) as sandbox:
        victim = partial(ClusterVictim, sandbox, stop_seconds=stop_seconds)
        yield Disturbance(sandbox, "run", kinds, rng, make_victim=victim)


def make_sandbox(folder: Path, arguments: tuple[str, ...]) -> Sandbox:
    """A sandbox in a new folder, where Ray's files are, too."""
    (folder / "home").mkdir(parents=True)
    # Each start of Ray would start workers that nothing needs.
    quick = {"RAY_enable_worker_prestart": "0", "RAY_prestart_worker_first_driver": "0"}
    return Sandbox(folder, folder / "home", arguments, environment={"RAY_TMPDIR": str(folder), **quick})
