"""Timing programs against each other on a machine that others use too: they take turns, a process each.

In one process the memory that one keeps would serve the other too; one after the other, the machine may have changed.
"""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

import torch

Task = Callable[[], Callable[[], object]]
"""Prepares what is timed, in its own process, and returns it."""

SETTLING = 2
"""Runs before the first that counts."""


def _serve(task: Task, threads: int, line: Connection) -> None:
    """Runs what the task prepared as often as the line says, each time telling the seconds of one run."""
    torch.set_num_threads(threads)
    run = task()
    for _ in range(SETTLING):
        run()
    line.send(0.0)
    while runs := line.recv():
        started = time.perf_counter()
        for _ in range(runs):
            run()
        line.send((time.perf_counter() - started) / runs)


def take_turns(tasks: Sequence[Task], *, threads: int, rounds: int, seconds: float = 0.2) -> list[list[float]]:
    """Seconds of a run of each task, in each round.

    Args:
        tasks: that can be pickled.
        threads: of each.
        rounds: turns of each; short runs are repeated until a turn takes about `seconds`.
        seconds: of a turn, at least about.
    """
    context = multiprocessing.get_context("spawn")
    lines, processes = [], []
    for task in tasks:
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(task, threads, theirs), daemon=True))
        lines.append(ours)
        # Threads that spin while they wait for work would steal the other's time.
        os.environ["OMP_WAIT_POLICY"] = "passive"
        processes[-1].start()
        theirs.close()
        ours.recv()
    runs = [max(1, round(seconds / _turn(line, 1))) for line in lines]
    found = [[_turn(line, count) for line, count in zip(lines, runs, strict=True)] for _ in range(rounds)]
    for line, process in zip(lines, processes, strict=True):
        line.send(0)
        process.join()
    return [list(times) for times in zip(*found, strict=True)]


def _turn(line: Connection, runs: int) -> float:
    line.send(runs)
    return float(line.recv())


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Median of the ratios round by round: what else the machine did then slowed both."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))
