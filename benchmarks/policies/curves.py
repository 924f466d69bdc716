"""Recorded curves of configurations under several seeds, and how good each configuration really is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.policies.recorded_runs import RecordedRun, read_file
from san_core.errors import InputError
from tuning.study.lengths import Lengths
from tuning.study.live_trial import Epoch


@dataclass(frozen=True)
class Curves:
    """Runs of C configurations under S seeds each.

    Attributes:
        runs: by configuration, and then by seed.
        lengths: epochs of a run, and when the pruner `tolerant` compares trials first.
    """

    runs: Sequence[Sequence[RecordedRun]]
    lengths: Lengths

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what was recorded: all configurations, and the seeds under which all of them were trained.

        Raises:
            InputError: if the file is missing or none of recorded runs, or if there are fewer than two such seeds.
        """
        head, found = read_file(path)
        runs = {(run.configuration, run.seed): run for run in found}
        configurations = sorted({run.configuration for run in found})
        seeds = [
            seed
            for seed in sorted({run.seed for run in found})
            if all((configuration, seed) in runs for configuration in configurations)
        ]
        if len(seeds) < 2:
            raise InputError(
                f"{path} has {len(found)} runs of {len(configurations)} configurations, but only {len(seeds)} seeds "
                "under which all of these were trained; accepted: at least 2; the command that recorded it goes on"
            )
        lengths = Lengths(head["epochs"], first_rung=head["first_rung"])
        return cls([[runs[number, seed] for seed in seeds] for number in configurations], lengths)

    @property
    def seeds(self) -> int:
        """Number of seeds S."""
        return len(self.runs[0])

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Scores after each epoch [C, S, epochs]. A run that diverged has 0 throughout, as in a search."""
        nothing = [0.0] * self.lengths.epochs
        return np.array([[nothing if run.diverged else run.scores for run in seeds] for seeds in self.runs])

    @cached_property
    def truth(self) -> NDArray[np.float64]:
        """How good each configuration is [C]: the mean score over all seeds, at the epoch where that is highest."""
        return np.asarray(self.scores.mean(axis=1).max(axis=1))

    def epoch(self, configuration: int, seed: int, number: int) -> Epoch:
        """What a trial with a recorded curve reports after an epoch, counted from 1."""
        run = self.runs[configuration][seed]
        return Epoch(
            number,
            run.scores[number - 1],
            seconds=0.0,
            diverged=run.diverged if number == len(run.scores) else "",
            by_question=run.by_question[number - 1],
        )
