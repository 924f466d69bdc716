"""What the worker, the searcher and the trackers must agree on because Ray Tune carries it between them.

What Tune calls a trial is a trial of the study, or with cohorts a job: several trials of the study at once.
Imports nothing of Ray.
"""

from typing import Any

TRIALS = "trials"
"""Key of a configuration: the training settings of each trial of the study, by number: its parameters and its seed."""

RECORDED = "recorded"
"""Key of a configuration without cohorts: number of epochs of its trial that the journal has."""

JOB = "job"
"""Key of a configuration: the `results.jobs.Job` that Tune is to run; absent without cohorts."""

WIDTHS = "widths"
"""Key of a configuration with a job: width of the step that trains a trial, by its number and the job's last epoch."""

LIVE_TRIALS = "live_trials"
"""Key of a configuration with a job: numbers of the study's trials that have not ended."""

TRIAL_SETUP, CHECKPOINT_FOLDER = "trial_setup", "checkpoint_folder"
"""Keys of a configuration that are the same for all: a `TrialSetup`; a path or URI."""

DRIVER_FILES = "driver_files"
"""Key of a configuration: the `DriverFiles` for other nodes; absent where all trials run on the driver's machine."""

UNUSABLE_NODES = "unusable_nodes"
"""Key of a configuration: ids of the nodes that cannot run trials."""

RUN_AND_STUDY = "run_and_study"
"""Key of a configuration: the names of the run and of the study."""

GPU_SHARE = "gpu_share"
"""Key of a configuration: the share of a GPU, if it was given another than the `TrialSetup` says."""

EPOCHS = "epochs"
"""Key of a report: number and `Epoch` of each trial of the study that finished one. Tune would flatten a mapping."""


class NotInSnapshots:
    """An object of which Ray Tune saves nothing when it writes a snapshot of itself: the journal has it all.

    Tune pickles its searcher, its scheduler and its callbacks. Ours hold a study, which cannot be pickled.
    """

    def __getstate__(self) -> dict[str, Any]:
        """No state."""
        return {}


def only_trial(config: dict[str, Any]) -> int:
    """The number of the trial that a configuration without cohorts has."""
    (number,) = config[TRIALS]
    return int(number)
