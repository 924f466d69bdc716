"""Errors that ended what Ray Tune ran, and errors that end Tune."""

import contextlib
import errno
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import ray
from ray import cloudpickle
from ray.tune.experiment import Trial

from results.run_folder import SEARCH_LOG
from san_core.errors import InputError
from san_core.files import shown
from tuning.execution.low_memory import LowMemoryError, low_memory
from tuning.execution.node_data import NodeUnusableError

_UNUSABLE = re.compile(rf"{NodeUnusableError.__name__}: (.*)")
"""What a traceback of `NodeUnusableError` ends with."""

_NO_CODE = "Failed to set up runtime environment."
"""What Ray says if it cannot put the code that travels with a search on a node."""

SHORTEST_REASON, LONGEST_REASON = 30, 200
"""Characters of a reason: a first line that is shorter is followed by the next one, a longer one is cut off."""


class NoCodeError(Exception):
    """The project's code could not be put on the node that was to run a trial; Ray does not tell which node it was."""


def load_error(trial: Trial) -> BaseException | None:
    """The error that ended a trial; None if there is no record of it.

    When Tune calls the scheduler the error is only in the trial's local folder. `trial.get_pickled_error` looks for it
    in the storage, where Tune copies it later. Of a worker that ran out of memory when it started, or was not started,
    Tune keeps only the text.
    """
    text = _last_text(trial)
    if low := low_memory(text):
        return low
    if found := _UNUSABLE.findall(text):
        return NodeUnusableError(found[-1])
    if _NO_CODE in text:
        return NoCodeError(f"the project's code cannot be put on a node: {describe_error(Exception(text))}")
    if trial.pickled_error_file is None or not Path(trial.pickled_error_file).is_file():
        return None
    with Path(trial.pickled_error_file).open("rb") as file:
        error: BaseException = cloudpickle.load(file)
    return error


def _last_text(trial: Trial) -> str:
    """What Tune wrote about the last failure of a trial; empty if it wrote nothing."""
    if trial.error_file is None or not Path(trial.error_file).is_file():
        return ""
    return Path(trial.error_file).read_text(errors="replace").rpartition("Failure # ")[2]


def describe_error(error: BaseException | None) -> str:
    """An error in one line."""
    if error is None:
        return f"failed; {SEARCH_LOG} has the details"
    if low := find_low_memory(error):
        return f"the machine's memory ran low: {low}"
    cause = getattr(error, "cause", None)  # what was raised, where Ray tells of it
    if isinstance(cause, Exception):
        return _in_one_line(f"{type(cause).__name__}: {cause}")
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if "worker process has died" in lines[-1]:
        return "the worker process died"
    named = [number for number, line in enumerate(lines) if re.match(r"[\w.]*(Error|Exception)\b: ", line)]
    return _in_one_line("\n".join(lines[named[-1] if named else 0 :]))


def _in_one_line(text: str) -> str:
    """The first line of an error that says something, up to 200 characters; CUDA's errors go on for lines."""
    found = ""
    for line in text.splitlines():
        found = f"{found} {line.strip()}".strip()
        if len(found) >= SHORTEST_REASON:
            break
    return found if len(found) <= LONGEST_REASON else f"{found[: LONGEST_REASON - 3]}..."


def worker_has_died(error: BaseException | None) -> bool:
    """Whether a worker's process or its node died, which may have nothing to do with what it trained."""
    return isinstance(error, ray.exceptions.RayActorError) and "creation task" not in str(error)


def node_is_unusable(error: BaseException | None) -> bool:
    """Whether a worker was started on a node that cannot run trials."""
    return any(isinstance(cause, NodeUnusableError) for cause in _causes(error))


def disk_full_error(error: BaseException | None) -> OSError | None:
    """The first error among the causes of an error that says a disk is full; None if there is none."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return cause
    return None


def find_low_memory(error: BaseException | None) -> LowMemoryError | None:
    """The first error among the causes of an error that says a machine's memory ran low; None if there is none."""
    for cause in _causes(error):
        if found := cause if isinstance(cause, LowMemoryError) else low_memory(str(cause)):
            return found
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and then what caused it, and so on."""
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or error.__cause__


@contextlib.contextmanager
def explain_errors(log: Path, advice: str) -> Iterator[None]:
    """Replaces an error that Ray or Tune raises by one of one line; the log gets the traceback.

    Args:
        log: file of Ray's log output, see `tuning.execution.ray_session.ray_session`.
        advice: how to go on.

    Raises:
        InputError: at any error; one that is an InputError already is not changed.
        LowMemoryError: if Ray ended workers because a machine's memory ran low.
    """
    try:
        yield
    except (InputError, LowMemoryError):
        raise
    except Exception as error:
        if low := find_low_memory(error):
            raise low from error
        logging.getLogger("ray").exception("this error ended it")
        raise InputError(
            f"Ray ended with an error: {describe_error(error)}; {shown(log)} has the details; {advice}"
        ) from error
