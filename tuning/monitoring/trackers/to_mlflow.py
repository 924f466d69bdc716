"""MLflow: a run per trial, in a database in the run folder or on the server that MLFLOW_TRACKING_URI names."""

import logging
import os

# Read when MLflow is imported: no usage data is sent; a server that is gone is told of in seconds, not minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

from mlflow.tracking import MlflowClient
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.experiment import Trial

from tuning.monitoring.trackers.trial_log import INTERRUPTED, Place

_ID = "trial_id"
"""Tag by which a trial that goes on finds its run."""


class MLflowLog(MLflowLoggerCallback):
    """Ray's logger; a trial that goes on goes on in the run it had, and its state is a tag."""

    def setup(self, *args: object, **kwargs: object) -> None:
        """Opens the experiment."""
        super().setup(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._client = MlflowClient(self.tracking_uri)

    def log_trial_start(self, trial: Trial) -> None:
        """Starts the trial's run, or goes on with it."""
        self.tags = {_ID: trial.trial_id}
        earlier = self._client.search_runs([str(self.mlflow_util.experiment_id)], f"tags.{_ID} = '{trial.trial_id}'")
        for run in earlier[:1]:
            self._trial_runs[trial] = run.info.run_id
            self._client.update_run(run.info.run_id, status="RUNNING")
        super().log_trial_start(trial)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Ends the trial's run."""
        run = self._trial_runs.pop(trial)
        end = trial.evaluated_params or {"state": INTERRUPTED, "reason": ""}
        for name in ("state", "reason"):
            self._client.set_tag(run, name, end[name])
        status = "FAILED" if failed else "FINISHED" if trial.evaluated_params else "KILLED"
        self._client.set_terminated(run, status)


def open_log(place: Place) -> MLflowLog:
    """The logger of a study's trials."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    place.folder.mkdir(parents=True, exist_ok=True)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{place.folder.resolve() / 'mlflow.db'}"
    log = MLflowLog(uri, experiment_name=place.run)
    log.setup()
    return log
