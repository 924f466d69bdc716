"""A search that is disturbed at random moments, and resumed until it ends."""

import random
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.chaos.checks import faults_of_end
from benchmarks.chaos.disk import Disk
from benchmarks.chaos.events import BETWEEN_STARTS, ENDING, Preparation, Victim
from benchmarks.chaos.sandbox import SECONDS_OF_AGENTS, SECONDS_TO_CLEAR, TIMEOUT, Sandbox

PAUSE = 3.0
"""Longest time between two events of one start, in seconds."""


@dataclass
class Event:
    """One event, and what it led to.

    Attributes:
        kind: its kind.
        start: number of the start during or before which it happened, from 1.
        ended: whether the search ended then, to be resumed; else it went on by itself.
        faults: what was wrong, in words.
    """

    kind: str
    start: int
    ended: bool = False
    faults: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """What happened to a search.

    Attributes:
        events: in the order in which they happened.
        starts: number of times that the search was started.
        faults: what was wrong without an event at that start, in words.
        slowest_to_clear: longest time after an end until no process was left, in seconds.
    """

    events: list[Event] = field(default_factory=list)
    starts: int = 0
    faults: list[str] = field(default_factory=list)
    slowest_to_clear: float = 0.0

    def count(self, *kinds: str) -> int:
        """Number of events of some kinds."""
        return sum(event.kind in kinds for event in self.events)

    def has_faults(self) -> bool:
        """Whether anything was wrong."""
        return bool(self.faults) or any(event.faults for event in self.events)

    def of_start(self) -> list[Event]:
        """The events of the last start."""
        return [event for event in self.events if event.start == self.starts]

    def blame(self, faults: Sequence[str]) -> None:
        """Notes faults as those of the last event, if there was one since the last start."""
        of_start = self.of_start()
        (of_start[-1].faults if of_start else self.faults).extend(faults)


@dataclass
class Disturbance:
    """Disturbs one search.

    Attributes:
        sandbox: where it runs.
        name: name or path of its run.
        kinds: kinds of the events to come, in this order. What is left when the search has ended does not happen.
        rng: random numbers.
        disk: file system that the run is on; None if it has none of its own.
        stop_seconds: how long a process is stopped.
        make_victim: makes of a search that was started what events can happen to; None for one on this machine.
        outcome: what has happened so far.
    """

    sandbox: Sandbox
    name: str
    kinds: list[str]
    rng: random.Random
    disk: Disk | None = None
    stop_seconds: float = 20.0
    make_victim: Callable[[subprocess.Popen[bytes]], Victim] | None = None
    outcome: Outcome = field(default_factory=Outcome)

    def carry_out(self) -> Outcome:
        """Runs the search to its end; stops at a fault, so that it can be looked at."""
        code = -1
        most = 2 * len(self.kinds) + 3
        while code and self.outcome.starts < most and not self.outcome.has_faults():
            code = self._start_once()
        if code and not self.outcome.has_faults():
            self.outcome.faults.append(f"it has not ended after {most} starts")
        self._clear()
        self._clear(agents=True)
        return self.outcome

    def _start_once(self) -> int:
        """Starts or resumes the search, and disturbs it until it ends; returns its exit code."""
        self.outcome.starts += 1
        run = self.sandbox.run_folder(self.name)
        environment = self._prepare()
        is_new = not run.settings_file.exists()
        printed = self.sandbox.log.stat().st_size if self.sandbox.log.exists() else 0
        chosen = ["--run", self.name, *self.sandbox.arguments] if is_new else ["--resume", self.name]
        process = self.sandbox.start(*chosen, **environment)
        here = partial(Victim, self.sandbox, disk=self.disk, stop_seconds=self.stop_seconds)
        was_killed = self._disturb((self.make_victim or here)(process))
        code = self._wait(process)
        for event in self.outcome.of_start()[-1:]:
            event.ended = bool(code) and not was_killed
        if not was_killed:
            with self.sandbox.log.open("rb") as log:
                log.seek(printed)
                output = log.read().decode(errors="replace")
            kinds = [event.kind for event in self.outcome.of_start()]
            self.outcome.blame(faults_of_end(run, code, output, kinds, is_new=is_new))
        resumed_at_once = self.rng.random() < 0.5  # while Ray may still be ending
        if not resumed_at_once or (self.disk and self.disk.is_down):
            self._clear()
        if self.disk:
            self.disk.repair()
        return code

    def _prepare(self) -> dict[str, str]:
        """Lets the next event happen that happens between starts, if there is one; returns the environment.

        It comes before those that are planned before it, which saves a start.
        """
        preparation = Preparation(self.sandbox.run_folder(self.name), self.rng)
        kind = next((kind for kind in self.kinds if kind in BETWEEN_STARTS), None)
        if kind and preparation.run.journal.exists():
            self._clear()
            self.kinds.remove(kind)
            if BETWEEN_STARTS[kind](preparation):
                self.outcome.events.append(Event(kind, self.outcome.starts))
        return preparation.environment

    def _disturb(self, victim: Victim) -> bool:
        """Lets events happen to a running search; returns whether it was killed so that the next one can happen."""
        longest = self.sandbox.longest
        if self.kinds and self.rng.random() < 0.5:  # else it would mostly happen while Ray starts
            victim.wait_until_it_trains()
            longest = PAUSE
        while self.kinds and not victim.ends_within(self.rng.uniform(0, longest)):
            if self.kinds[0] in BETWEEN_STARTS:
                victim.process.kill()
                return True
            kind = self.kinds.pop(0)
            if victim.suffers(kind):
                self.outcome.events.append(Event(kind, self.outcome.starts))
            if kind in ENDING:
                return False
            longest = PAUSE
        return False

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.outcome.blame([f"it hung: no end after {TIMEOUT} s"])
            process.kill()
            return process.wait()

    def _clear(self, *, agents: bool = False) -> None:
        """Waits until no process is left; with Ray's agents at the very end only, since they take a minute."""
        began = time.monotonic()
        seconds = self.sandbox.late + (SECONDS_OF_AGENTS if agents else SECONDS_TO_CLEAR)
        if left := self.sandbox.wait_until_clear(seconds, agents=agents):
            self.outcome.blame([f"left after {seconds:g} s: {', '.join(left)}"])
        self.outcome.slowest_to_clear = max(self.outcome.slowest_to_clear, time.monotonic() - began)
