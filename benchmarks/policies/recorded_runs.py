"""The file of recorded runs: one line of JSON with what all runs have in common, then one line for each run."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from san_core.errors import InputError
from san_core.files import exists, read_bytes


@dataclass(frozen=True)
class RecordedRun:
    """A configuration that was trained under one seed.

    Attributes:
        configuration: number of the configuration, >= 0; 0 is the space's baseline.
        seed: number of the seed, >= 0; the same for all configurations.
        params: the searched parameters.
        training_seed: the seed itself, as `TrainingConfig.seed` has it.
        scores: score on the validation split after each epoch, in [0, 1]; the last one may be that of an epoch in which
            training diverged.
        by_question: scores of single questions after each epoch, see `san_core.question_scores`.
        seconds: duration of training and scoring.
        diverged: reason why training diverged; empty if it did not.
    """

    configuration: int
    seed: int
    params: Mapping[str, Any]
    training_seed: int
    scores: Sequence[float]
    by_question: Sequence[str]
    seconds: float
    diverged: str = ""


def begin_file(path: Path, head: Mapping[str, Any]) -> list[RecordedRun]:
    """Makes a file for runs, or goes on with one; returns the runs that it has.

    A line that was cut off when the recording was killed is removed.

    Args:
        path: of the file.
        head: what all runs have in common, of types that JSON has.

    Raises:
        InputError: if the file holds something else, or runs that have something else in common.
    """
    head = json.loads(json.dumps(head))
    if not exists(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(head) + "\n", encoding="utf-8")
        return []
    found, runs = read_file(path)
    for name, value in head.items():
        if found.get(name) != value:
            raise InputError(
                f"{path} has runs of another {name}, {found.get(name)!r:.200}, not {value!r:.200}; accepted: the "
                "options that it was recorded with, or another file with --save"
            )
    os.truncate(path, _complete(read_bytes(path)))
    return runs


def add_run(path: Path, run: RecordedRun) -> None:
    """Appends a run to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(run)) + "\n")


def read_file(path: Path) -> tuple[dict[str, Any], list[RecordedRun]]:
    """What all runs of a file have in common, and the runs. A line that was cut off at the end is left out.

    Raises:
        InputError: if the file is missing, or is none of recorded runs.
    """
    content = read_bytes(path)
    try:
        head, *runs = (json.loads(line) for line in content[: _complete(content)].splitlines())
        return dict(head), [RecordedRun(**run) for run in runs]
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is no file of recorded runs: {error}; accepted: what `python -m benchmarks.policies record` wrote"
        ) from error


def _complete(content: bytes) -> int:
    """The number of bytes up to the end of the last complete line."""
    return content.rfind(b"\n") + 1
