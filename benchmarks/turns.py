"""Compares the speed of programs on a shared machine, where they run alternately, each in a process of its own.

In one process, memory kept by one program would also speed up the other. One after the other, the load of the machine
may have changed in between.
"""

import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection

import torch

Task = Callable[[], Callable[[], object]]
"""Called in a process of its own; returns the function to time."""

WARMUP_RUNS = 2
"""Warm-up runs, which are not counted."""


class TimedProcess:
    """A process that runs a task on request."""

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(task, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def turn(self, runs: int, threads: int) -> float:
        """Returns the mean seconds of a run, over so many runs.

        Raises:
            RuntimeError: if the process has ended.
        """
        self.start(runs, threads)
        return self.finish()

    def start(self, runs: int, threads: int) -> None:
        """Starts a turn without waiting for its end."""
        with contextlib.suppress(BrokenPipeError):  # `finish` reports it
            self._connection.send((runs, threads))

    def finish(self) -> float:
        """Waits for the end of the turn started last; returns and raises what `turn` does."""
        try:
            return float(self._connection.recv())
        except (EOFError, ConnectionError) as error:
            raise RuntimeError("a process that was timed has ended; its error is printed above") from error

    def stop(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()


def _serve(task: Task, connection: Connection) -> None:
    """Runs the function of the task as often as each message requests, until the connection is closed."""
    run = task()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            runs, threads = connection.recv()
            torch.set_num_threads(threads)
            started = time.perf_counter()
            for _ in range(runs):
                run()
            connection.send((time.perf_counter() - started) / runs)


@contextlib.contextmanager
def timed_processes(tasks: Sequence[Task]) -> Iterator[list[TimedProcess]]:
    """Starts a process for each task, and ends them afterwards. Tasks must be picklable."""
    started = [TimedProcess(task) for task in tasks]
    try:
        yield started
    finally:
        for process in started:
            process.stop()


def take_turns(
    running: Sequence[TimedProcess], *, threads: int, rounds: int, seconds: float = 0.2
) -> list[list[float]]:
    """Times the processes alternately; returns for each of them its seconds per run in each round.

    Args:
        running: the processes.
        threads: number of threads of each process.
        rounds: number of turns of each process.
        seconds: a turn repeats short runs until it takes about that long.
    """
    for process in running:
        process.turn(WARMUP_RUNS, threads)
    runs = [max(1, round(seconds / process.turn(1, threads))) for process in running]
    found = [
        [process.turn(count, threads) for process, count in zip(running, runs, strict=True)] for _ in range(rounds)
    ]
    return [list(times) for times in zip(*found, strict=True)]


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Median of the ratios of each round: other load on the machine slows both in the same round."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))
