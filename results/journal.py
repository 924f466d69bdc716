"""The journal file, as Optuna writes and reads it."""

import json
import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend


class Journal(JournalFileBackend):
    """Optuna's journal file, put on the disk when a trial's state changes instead of with every line.

    Every line is handed to the operating system at once, so that no killed process loses any. A power cut may lose
    the last epochs of trials that run, which go on from their checkpoints anyway; never an end.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends lines, in the very form of Optuna's."""
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
