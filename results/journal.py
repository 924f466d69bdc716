"""Optuna's journal file with fewer calls of `fsync`, and its repair after a search was killed."""

import json
import os
from collections.abc import Container
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState


class Journal(JournalFileBackend):
    """Optuna's journal file, with `fsync` only when the state of a trial changes instead of after every line.

    Every line is handed to the operating system at once, so a killed process loses none. A power cut may lose the
    last epochs of running trials, which continue from their checkpoints anyway; it never loses the end of a trial.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends log entries, a line of JSON each, byte for byte as Optuna's backend does."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._lock.acquire()
        try:
            with Path(self._file_path).open("ab") as file:
                file.write(lines.encode())
                file.flush()
                if any("state" in log for log in logs):
                    os.fsync(file.fileno())
        finally:
            self._lock.release()


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
    """Removes what a killed process may have left of a journal: an incomplete last line, and Optuna's lock file.

    Call it only while no process writes the journal, see `RunFolder.lock_for`. Complete lines stay as they are.

    Raises:
        OSError: if the journal cannot be read or written.
    """
    if not path.exists():
        return
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    with path.open("r+b") as journal:
        lines = journal.read().splitlines(keepends=True)
        if lines and not _is_complete(lines[-1]):
            journal.truncate(sum(map(len, lines[:-1])))


def _is_complete(line: bytes) -> bool:
    """Whether a line was written to its end: valid JSON and a newline."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return line.endswith(b"\n")
