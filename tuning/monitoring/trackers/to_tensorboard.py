"""TensorBoard files: a folder per trial, to be read with `tensorboard --logdir`."""

from ray.tune.logger import TBXLoggerCallback

from tuning.monitoring.trackers.tracked_trial import TrackedStudy


def open_logger(study: TrackedStudy) -> TBXLoggerCallback:
    """Ray's logger callback. It writes how a trial ended, and nothing of the kind for an interrupted trial."""
    del study  # each trial has its own folder
    return TBXLoggerCallback()  # type: ignore[no-untyped-call]
