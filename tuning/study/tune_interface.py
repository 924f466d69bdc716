"""What the worker, the searcher and the trackers must agree on because Ray Tune carries it between them.

Imports nothing of Ray.
"""

from typing import Any

TRIAL_NUMBER, TRAINING_SETTINGS = "trial_number", "training_settings"
"""Keys of a trial's configuration: its number in the study; its parameters and its seed."""

TRIAL_SETUP, CHECKPOINT_FOLDER = "trial_setup", "checkpoint_folder"
"""Keys of a trial's configuration that all trials have alike: a `TrialSetup`; a path or URI."""

RUN_AND_STUDY = "run_and_study"
"""Key of a trial's configuration: the names of its run and of its study."""

GPU_SHARE = "gpu_share"
"""Key of a trial's configuration: its share of a GPU, if it was given another than the `TrialSetup` says."""

EPOCH = "epoch"
"""Key of a trial's report to the study: an `Epoch`."""

LOSS, EXAMPLES_PER_SECOND = "loss", "examples_per_second"
"""Keys of a trial's report to trackers: mean training loss, in nats; training questions over the epoch's time."""


class NotInSnapshots:
    """An object of which Ray Tune saves nothing when it writes a snapshot of itself: the journal has it all.

    Tune pickles its searcher, its scheduler and its callbacks. Ours hold a study, which cannot be pickled.
    """

    def __getstate__(self) -> dict[str, Any]:
        """No state."""
        return {}
