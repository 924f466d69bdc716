"""Errors that ended what Ray Tune ran, and writing the journal while Tune runs."""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

import ray
from ray import cloudpickle
from ray.tune.experiment import Trial

from results.run_folder import SEARCH_LOG


class WriteGuard:
    """Keeps the first error of writing the journal, after which the study must not be called.

    Attributes:
        write_error: that error; None while there is none.
    """

    def __init__(self) -> None:
        self.write_error: OSError | None = None

    @property
    def is_writable(self) -> bool:
        """Whether no write to the journal has failed so far."""
        return self.write_error is None

    @contextlib.contextmanager
    def record_write_errors(self) -> Iterator[None]:
        """Records an error of writing the journal. If it were raised, Tune would count it as a failure of the trial."""
        try:
            yield
        except OSError as error:
            self.write_error = error


def load_error(trial: Trial) -> BaseException | None:
    """The error that ended a trial; None if there is no record of it.

    When Tune calls the scheduler the error is only in the trial's local folder. `trial.get_pickled_error` looks for it
    in the storage, where Tune copies it later.
    """
    if trial.pickled_error_file is None or not Path(trial.pickled_error_file).is_file():
        return None
    with Path(trial.pickled_error_file).open("rb") as file:
        error: BaseException = cloudpickle.load(file)
    return error


def describe_error(error: BaseException | None) -> str:
    """An error in one line."""
    if error is None:
        return f"failed; {SEARCH_LOG} has the details"
    lines = str(error).strip().splitlines()
    if "worker process has died" in lines[-1]:
        return "the worker process died"
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b: ", line)]  # CUDA's errors go on for lines
    return (named or lines)[-1][:200]


def worker_has_died(error: BaseException | None) -> bool:
    """Whether a worker's process or its node died, which may have nothing to do with what it trained."""
    return isinstance(error, ray.exceptions.RayActorError) and "creation task" not in str(error)


def disk_full_error(error: BaseException | None) -> OSError | None:
    """The first error among the causes of an error that says a disk is full; None if there is none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None
