"""What a trial puts aside to go on after an interruption."""

import time
from dataclasses import asdict
from pathlib import Path

import optuna
import torch
from optuna.trial import TrialState

from san_core.training import EpochResult, Training
from tuning.run_folder import write_whole

SECONDS_BETWEEN = 10
"""Training time an interruption may cost; putting aside more often would slow small trials down."""


class TrialCheckpoint:
    """A trial's newest state on disk: weights, optimizer, epoch and that epoch's result.

    Args:
        folder: of the study's checkpoints.
        number: the trial's.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.path = folder / f"trial-{number:04d}.pt"
        self._saved = time.monotonic()

    def save_if_due(self, training: Training, result: EpochResult) -> None:
        """Puts the state aside if enough time has passed since the last time, and after the last epoch."""
        if training.finished or time.monotonic() - self._saved >= SECONDS_BETWEEN:
            self.save(training, result)

    def save(self, training: Training, result: EpochResult) -> None:
        """Puts the state aside; the file appears only when it is whole."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {"training": training.state_dict(), "result": asdict(result)}
        write_whole(self.path, lambda partial: torch.save(state, partial))
        self._saved = time.monotonic()

    def load(self, training: Training) -> EpochResult | None:
        """Takes training back to where it was put aside; returns that epoch's result, None if it never was."""
        if not self.path.is_file():
            return None
        state = torch.load(self.path, map_location=training.device, weights_only=True)
        training.load_state_dict(state["training"])
        return EpochResult(**state["result"])


def keep_best(folder: Path, study: optuna.Study, keep: int) -> None:
    """Deletes the checkpoints of all trials that ended, but of the best `keep` complete ones."""
    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.number))[:keep]
    kept = {trial.number for trial in best}
    for trial in trials:
        if trial.state.is_finished() and trial.number not in kept:
            TrialCheckpoint(folder, trial.number).path.unlink(missing_ok=True)
