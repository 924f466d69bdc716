"""Optuna's journal file with one writer, fewer calls of `fsync` and a clock that never goes back; and its repair."""

import contextlib
import json
import os
from collections.abc import Container, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from results.clock import Clock
from results.journal_check import problem
from san_core.files import sync_folder


@contextlib.contextmanager
def warnings_only() -> Iterator[None]:
    """Has Optuna log nothing below a warning for as long as the context lasts: no line for each study that is made."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


_TIMES = ("datetime_start", "datetime_complete")
"""Where a log entry has the time at which a trial started or ended."""


class Journal(JournalFileBackend):
    """Optuna's journal file, with `fsync` only when the state of a trial changes instead of after every line.

    Every line is handed to the operating system at once, so a killed process loses none. A power cut may lose the
    last epochs of running trials, which continue from their checkpoints anyway; it never loses the end of a trial.

    Only one process writes it at a time, see `RunFolder.lock_for`. So it needs no lock of its own. Optuna's is a
    symbolic link, which FAT, SMB and Google Drive do not have.

    Args:
        path: the file; it is created if it is missing.
        clock: tells the times of trials that are started or end.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        is_new = not path.exists()
        super().__init__(str(path))
        if is_new:
            sync_folder(path.parent)
        self._clock = clock or Clock()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends log entries, a line of JSON each, as Optuna's backend does, but with the clock's times."""
        lines = "".join(json.dumps(self._with_time(log), separators=(",", ":")) + "\n" for log in logs)
        with Path(self._file_path).open("ab") as file:
            file.write(lines.encode())
            file.flush()
            if any("state" in log for log in logs):
                os.fsync(file.fileno())

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """The log entries from a number on; the clock goes on after their times.

        Raises:
            ValueError: if an entry is damaged; the message names its line.
        """
        for number, log in enumerate(super().read_logs(log_number_from), start=log_number_from + 1):
            if wrong := problem(log):
                raise ValueError(f"line {number} is damaged: {wrong}")
            for name in _TIMES:
                if log.get(name):
                    self._clock.go_on_after(datetime.fromisoformat(log[name]))
            yield log

    def _with_time(self, log: dict[str, Any]) -> dict[str, Any]:
        """An entry with the clock's time in the place of the machine's. A trial that is copied keeps its times."""
        if "distributions" in log:
            return log
        return log | {name: self._clock.now().isoformat() for name in _TIMES if log.get(name)}


class Storage(JournalStorage):
    """Optuna's storage over a journal, which finds the trials that wait without going through all trials.

    Optuna asks for them before each new trial. No trial begins to wait once it has run, so all trials before the first
    that waits stay as they are.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._first_waiting: dict[int, int] = {}  # by study: no trial with a lower number waits

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials of a study, by number; with `states` those in one of them."""
        if deepcopy or states != (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        waiting, number = [], self._first_waiting.get(study_id, 0)
        while (trial := self._find(study_id, number)) is not None:
            if trial.state == TrialState.WAITING:
                waiting.append(trial)
            number += 1
        self._first_waiting[study_id] = waiting[0].number if waiting else number
        return waiting

    def _find(self, study_id: int, number: int) -> FrozenTrial | None:
        """The trial with a number; None if there is none yet."""
        try:
            return self.get_trial(self.get_trial_id_from_study_id_trial_number(study_id, number))
        except KeyError:
            return None


def repair_journal(path: Path) -> None:
    """Removes what a killed process or a power cut may have left of a journal: a torn end, and Optuna's lock file.

    The torn end begins with the first line that is not complete, if nothing after it was made sure to be on the disk.
    Otherwise the journal is damaged in another way, and stays as it is.

    Call it only while no process writes the journal, see `RunFolder.lock_for`.

    Raises:
        OSError: if the journal cannot be read or written.
    """
    if not path.exists():
        return
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)  # earlier versions made it
    with path.open("r+b") as journal:
        lines = journal.read().splitlines(keepends=True)
        whole = next((number for number, line in enumerate(lines) if not _is_complete(line)), len(lines))
        if whole < len(lines) and not any(b'"state":' in line for line in lines[whole + 1 :]):
            journal.truncate(sum(map(len, lines[:whole])))
            os.fsync(journal.fileno())


def _is_complete(line: bytes) -> bool:
    """Whether a line was written to its end: valid JSON and a newline."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return line.endswith(b"\n")
