"""Does tasks in several processes, and gives each result as soon as it is there."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from san_core.errors import InputError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@contextmanager
def results_as_done(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], processes: int
) -> Iterator[Iterator[_Result]]:
    """The results of tasks, in the order in which they are done. Whoever leaves the block early ends the processes.

    Args:
        work: does one task; a function of a module, which another process can import.
        tasks: what is to be done, begun in this order.
        processes: number of processes; with 1 the tasks are done in this one.

    Raises:
        InputError: if a process was killed.
    """
    if processes == 1 or len(tasks) < 2:
        yield map(work, tasks)
        return
    context = multiprocessing.get_context("spawn")
    ignore_interrupts = (signal.SIGINT, signal.SIG_IGN)  # the process that started them ends them
    with ProcessPoolExecutor(processes, context, initializer=signal.signal, initargs=ignore_interrupts) as pool:
        futures = [pool.submit(work, task) for task in tasks]
        try:
            yield (future.result() for future in as_completed(futures))
        except BaseException as error:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(cancel_futures=True)  # waits for them
            if isinstance(error, BrokenProcessPool):
                raise InputError("a process was killed, perhaps because memory is short") from error
            raise
