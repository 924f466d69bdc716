"""Timing programs against each other on a machine that others use too: they take turns, a process each.

In one process the memory that one keeps would serve the other too; one after the other, the machine may have changed.
"""

import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection

import torch

Task = Callable[[], Callable[[], object]]
"""Prepares what is timed, in its own process, and returns it."""

SETTLING = 2
"""Runs before the first that counts."""


class Racer:
    """A task in its process, which runs it when told."""

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(task, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def turn(self, runs: int, threads: int) -> float:
        """Seconds of one of so many runs.

        Raises:
            RuntimeError: if the process has ended.
        """
        self.start(runs, threads)
        return self.finish()

    def start(self, runs: int, threads: int) -> None:
        """Begins a turn."""
        with contextlib.suppress(BrokenPipeError):  # `finish` tells
            self._line.send((runs, threads))

    def finish(self) -> float:
        """Waits for the end of the turn begun last; returns and raises what `turn` does."""
        try:
            return float(self._line.recv())
        except (EOFError, ConnectionError) as error:
            raise RuntimeError("a process that was timed has ended; its own error stands above") from error

    def stop(self) -> None:
        """Ends the process."""
        self._line.close()
        self._process.join()


def _serve(task: Task, line: Connection) -> None:
    """Runs what the task prepares as often as the line says, until it is closed."""
    run = task()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            runs, threads = line.recv()
            torch.set_num_threads(threads)
            started = time.perf_counter()
            for _ in range(runs):
                run()
            line.send((time.perf_counter() - started) / runs)


@contextlib.contextmanager
def racers(tasks: Sequence[Task]) -> Iterator[list[Racer]]:
    """A process for each task. Tasks can be pickled."""
    started = [Racer(task) for task in tasks]
    try:
        yield started
    finally:
        for racer in started:
            racer.stop()


def take_turns(running: Sequence[Racer], *, threads: int, rounds: int, seconds: float = 0.2) -> list[list[float]]:
    """Seconds of a run of each, in each round.

    Args:
        running: that take turns.
        threads: of each.
        rounds: turns of each.
        seconds: short runs are repeated until a turn takes about that long.
    """
    for racer in running:
        racer.turn(SETTLING, threads)
    runs = [max(1, round(seconds / racer.turn(1, threads))) for racer in running]
    found = [[racer.turn(count, threads) for racer, count in zip(running, runs, strict=True)] for _ in range(rounds)]
    return [list(times) for times in zip(*found, strict=True)]


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Median of the ratios round by round: what else the machine did then slowed both."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))
