"""MLflow: a run per trial, in a database in the run folder or on the server that MLFLOW_TRACKING_URI names."""

import os

from mlflow.tracking import MlflowClient
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.experiment import Trial

from tuning.monitoring.trackers.tracked_trial import INTERRUPTED, TrackedStudy

_TRIAL_ID = "trial_id"
"""Tag by which a resumed trial finds its MLflow run."""


class MLflowLogger(MLflowLoggerCallback):
    """Ray's logger callback. A resumed trial continues its MLflow run; state and reason of its end are tags."""

    def setup(self, *args: object, **kwargs: object) -> None:
        """Opens the experiment."""
        super().setup(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._client = MlflowClient(self.tracking_uri)

    def log_trial_start(self, trial: Trial) -> None:
        """Starts the trial's MLflow run, or continues it."""
        self.tags = {_TRIAL_ID: trial.trial_id}
        earlier = self._client.search_runs(
            [str(self.mlflow_util.experiment_id)], f"tags.{_TRIAL_ID} = '{trial.trial_id}'"
        )
        for run in earlier[:1]:
            self._trial_runs[trial] = run.info.run_id
            self._client.update_run(run.info.run_id, status="RUNNING")
        super().log_trial_start(trial)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Ends the trial's MLflow run."""
        run = self._trial_runs.pop(trial)
        end = trial.evaluated_params or {"state": INTERRUPTED, "reason": ""}
        for name in ("state", "reason"):
            self._client.set_tag(run, name, end[name])
        status = "FAILED" if failed else "FINISHED" if trial.evaluated_params else "KILLED"
        self._client.set_terminated(run, status)


def open_logger(study: TrackedStudy) -> MLflowLogger:
    """The logger of a study's trials."""
    study.folder.mkdir(parents=True, exist_ok=True)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{study.folder.resolve() / 'mlflow.db'}"
    logger = MLflowLogger(uri, experiment_name=study.run)
    logger.setup()
    return logger
