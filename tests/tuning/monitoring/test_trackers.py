"""Trackers with the packages themselves, told of trials as Ray Tune would; what they wrote is read back."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.logger import LoggerCallback
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from results.run_folder import RunFolder
from tests.tuning.studies import ask, searching
from tuning.monitoring.trackers import to_tensorboard
from tuning.monitoring.trackers.tracker import Tracker, tracked
from tuning.study.live_trial import Epoch
from tuning.study.study import Study
from tuning.study.tune_interface import CHECKPOINT_FOLDER, EPOCHS, TRIAL_SETUP, TRIALS, only_trial


def records(path: Path) -> Iterator[bytes]:
    """What a TFRecord file holds: length (8 bytes), its checksum (4), data, their checksum (4)."""
    content = path.read_bytes()
    while content:
        length = int.from_bytes(content[:8], "little")
        yield content[12 : 12 + length]
        content = content[16 + length :]


class TensorBoard:
    """A trial's event files."""

    def __init__(self, folder: Path) -> None:
        self.points: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.hyperparameters: dict[str, Any] = {}
        for file in sorted(folder.iterdir()):
            for record in records(file):
                event = Event.FromString(record)
                for value in event.summary.value:
                    if value.HasField("simple_value"):
                        name = value.tag.removeprefix("ray/tune/")
                        self.points[name].append((event.step, round(value.simple_value, 4)))
                    self._note_hyperparameters(value.metadata.plugin_data.content)

    def _note_hyperparameters(self, content: bytes) -> None:
        for name, value in HParamsPluginData.FromString(content).session_start_info.hparams.items():
            self.hyperparameters[name] = getattr(value, value.WhichOneof("kind"))


class Tune:
    """Tells a tracker of trials, in the order in which Ray Tune does."""

    def __init__(self, study: Study, tracker: Tracker) -> None:
        self.study, self.tracker = study, tracker

    def start(self) -> Any:  # noqa: ANN401 - stands for Ray's trial
        live = ask(self.study)
        config = {TRIALS: {live.trial.number: live.settings}, TRIAL_SETUP: object(), CHECKPOINT_FOLDER: object()}
        trial = SimpleNamespace(config=config)
        self.tracker.on_trial_start(0, [], trial)  # type: ignore[arg-type]
        return trial

    def report(self, trial: Any, epoch: int, score: float, diverged: str = "") -> None:  # noqa: ANN401
        number = only_trial(trial.config)
        told = Epoch(epoch, score, float(epoch), diverged, loss=1 / epoch, examples_per_second=50.0)
        self.study.report(number, told)
        result = {EPOCHS: [(number, told)], "pid": 7}
        self.tracker.on_trial_result(0, [], trial, result)

    def run(self, *scores: float) -> None:
        """A trial from its start to its end, an epoch for each score."""
        trial = self.start()
        for epoch, score in enumerate(scores, start=1):
            self.report(trial, epoch, score)
        self.end(trial)

    def end(self, trial: Any, error: str = "") -> None:  # noqa: ANN401
        self.study.finish(only_trial(trial.config), error)
        tell = self.tracker.on_trial_error if error else self.tracker.on_trial_complete
        tell(0, [], trial)


@pytest.fixture
def run(make_run: Callable[..., RunFolder]) -> RunFolder:
    return make_run(fixed={"epochs": 2}, metric="wups@0.9", track="tensorboard", started="2026-01-01T00:00:00+00:00")


def test_what_is_tracked_of_a_trial(run: RunFolder) -> None:
    study = searching(run, trials=9)
    with tracked(study, run) as (tracker,):
        Tune(study, tracker).run(0.25, 0.5)
    written = TensorBoard(run.tracking / "tensorboard" / "search-0000")
    assert written.points == {
        "wups_0.9": [(1, 0.25), (2, 0.5)],
        "loss": [(1, 1.0), (2, 0.5)],
        "examples_per_second": [(1, 50.0), (2, 50.0)],
        "epoch": [(1, 1.0), (2, 2.0)],
    }
    expected = {
        "trial": 0,
        **study.optuna_study.trials[0].params,
        "seed": study.optuna_study.trials[0].user_attrs["seed"],
    }
    assert written.hyperparameters == {**expected, "state": "complete", "reason": ""}


def test_how_trials_ended_is_tracked(run: RunFolder) -> None:
    study = searching(run, trials=9)
    with tracked(study, run) as (tracker,):
        tune = Tune(study, tracker)
        diverged, failed, pruned = tune.start(), tune.start(), tune.start()
        tune.report(diverged, 1, 0.0, "the loss is nan")
        tune.end(diverged)
        tune.report(failed, 1, 0.5)
        tune.end(failed, "out of memory")
        tune.report(pruned, 1, 0.1)
        study.live[2].stop_reason = "pruned after epoch 1"
        tune.end(pruned)
    ends = [TensorBoard(run.tracking / "tensorboard" / f"search-{i:04d}").hyperparameters for i in range(3)]
    assert [(end["state"], end["reason"]) for end in ends] == [
        ("diverged", "diverged in epoch 1: the loss is nan"),
        ("failed", "out of memory"),
        ("pruned", "pruned after epoch 1"),
    ]


def test_trials_that_are_trained_together_are_tracked_each_by_itself(run: RunFolder) -> None:
    study = searching(run, trials=9)
    with tracked(study, run) as (tracker,):
        settings = {live.trial.number: live.settings for live in (ask(study), ask(study))}
        both = SimpleNamespace(config={TRIALS: settings})
        tracker.on_trial_start(0, [], both)
        epochs = {0: Epoch(1, 0.25, 1.0, loss=0.5), 1: Epoch(1, 0.125, 1.0, loss=0.75)}
        for number, epoch in epochs.items():
            study.report(number, epoch)
        tracker.on_trial_result(0, [], both, {EPOCHS: list(epochs.items())})
        study.live[1].stop_reason = "pruned after epoch 1"
        study.finish(1)
        tracker.on_trial_complete(0, [], both)
        one = SimpleNamespace(config={TRIALS: {0: settings[0]}})  # the other goes on in a job of its own
        tracker.on_trial_start(0, [], one)
        epoch = Epoch(2, 0.5, 2.0)
        study.report(0, epoch)
        tracker.on_trial_result(0, [], one, {EPOCHS: [(0, epoch)]})
        study.finish(0)
        tracker.on_trial_complete(0, [], one)
    folders = [run.tracking / "tensorboard" / f"search-000{number}" for number in (0, 1)]
    assert [len(list(folder.iterdir())) for folder in folders] == [1, 1]
    written = [TensorBoard(folder) for folder in folders]
    assert [trial.points["wups_0.9"] for trial in written] == [[(1, 0.25), (2, 0.5)], [(1, 0.125)]]
    assert [trial.points["loss"] for trial in written] == [[(1, 0.5)], [(1, 0.75)]]
    ends = [trial.hyperparameters for trial in written]
    assert [(end["trial"], end["state"]) for end in ends] == [(0, "complete"), (1, "pruned")]
    assert [end["seed"] for end in ends] == [settings[number]["seed"] for number in (0, 1)]


def test_a_resumed_search_tracks_every_epoch_once(run: RunFolder) -> None:
    study = searching(run, trials=1)
    with tracked(study, run) as (tracker,):
        tune = Tune(study, tracker)
        tune.report(tune.start(), 1, 0.25)
    time.sleep(1.1)  # event files are named by the second
    study = searching(run, trials=1)
    with tracked(study, run) as (tracker,):
        Tune(study, tracker).run(0.25, 0.5)
    written = TensorBoard(run.tracking / "tensorboard" / "search-0000")
    assert written.points["wups_0.9"] == [(1, 0.25), (2, 0.5)]
    assert written.hyperparameters["state"] == "complete"


def test_a_trial_whose_worker_died_is_tracked_as_one_trial(run: RunFolder) -> None:
    study = searching(run, trials=1)
    with tracked(study, run) as (tracker,):
        tune = Tune(study, tracker)
        trial = tune.start()
        tune.report(trial, 1, 0.25)
        tracker.on_trial_start(0, [], trial)
        tune.report(trial, 1, 0.25)
        study.requeue(0)
        tracker.on_trial_error(0, [], trial)  # it is tried again
        tune.run(0.25, 0.5)
    folder = run.tracking / "tensorboard" / "search-0000"
    assert TensorBoard(folder).points["wups_0.9"] == [(1, 0.25), (2, 0.5)]
    assert len(list(folder.iterdir())) == 1


def test_without_a_tracker_nothing_is_tracked(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(name="older")  # whose settings do not know the word
    with tracked(searching(run), run) as trackers:
        assert trackers == []
    assert not run.tracking.exists()


def test_a_tracker_that_raises_errors_is_one_warning(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(LoggerCallback):
        def log_trial_result(self, *_: object) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(to_tensorboard, "open_logger", lambda _: Broken())
    study = searching(run, trials=2)
    with tracked(study, run) as (tracker,):
        tune = Tune(study, tracker)
        for _ in range(2):
            tune.run(0.25, 0.5)
    assert capsys.readouterr().err.splitlines() == [
        "warning: tracking with tensorboard: OSError: [Errno 28] No space left on device; "
        "the search is not affected, and this is said once"
    ]


def test_a_tracker_that_hangs_does_not_delay_trials(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    released = threading.Event()

    class Hanging(LoggerCallback):
        def log_trial_start(self, *_: object) -> None:
            released.wait(60)

    monkeypatch.setattr(to_tensorboard, "open_logger", lambda _: Hanging())
    monkeypatch.setattr("tuning.monitoring.trackers.tracker.CLOSE_TIMEOUT", 0.2)
    study = searching(run, trials=1)
    with tracked(study, run) as (tracker,):
        Tune(study, tracker).run(0.25)
        assert len(study.ended) == 1
    released.set()
    assert "not done 0.2 s after the end; the rest is given up" in capsys.readouterr().err


TWICE = """
import sys
from pathlib import Path
from tests.tuning.studies import searching
from tests.tuning.monitoring.test_trackers import Tune
from results.run_folder import RunFolder
from tuning.monitoring.trackers.tracker import tracked

run, session = RunFolder(Path(sys.argv[1])), int(sys.argv[2])
study = searching(run, trials=2)
with tracked(study, run) as (tracker,):
    tune = Tune(study, tracker)
    first = tune.start()
    tune.report(first, 1, 0.25)
    if session == 2:
        tune.report(first, 2, 0.5)
        tune.end(first)
"""


def in_a_process(code: str, *arguments: str) -> str:
    """What code prints that runs in a process of its own: these packages change a process, and warn at import."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning: tracking" not in done.stderr, done.stderr
    return done.stdout


READ_MLFLOW = """
import json
from mlflow.tracking import MlflowClient

client = MlflowClient(f"sqlite:///{run.tracking}/mlflow/mlflow.db")
runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
for found in runs:
    history = client.get_metric_history(found.info.run_id, "wups_0.9")
    points = sorted((point.step, point.value) for point in history)
    print(json.dumps([found.info.run_name, found.info.status, found.data.params, found.data.tags["state"], points]))
"""


@pytest.mark.long
@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs pip install '.[mlflow]'")
def test_mlflow_has_one_run_per_trial_also_when_the_search_is_resumed(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(fixed={"epochs": 2}, metric="wups@0.9", track="mlflow", started="2026")
    first, second = (in_a_process(TWICE + READ_MLFLOW, str(run.path), session) for session in ("1", "2"))
    (interrupted,) = map(json.loads, first.splitlines())
    assert interrupted[1] == "KILLED"
    assert interrupted[3:] == ["interrupted", [[1, 0.25]]]
    ((name, status, parameters, state, points),) = map(json.loads, second.splitlines())
    assert (name, status, state) == ("search-0000", "FINISHED", "complete")
    assert points == [[1, 0.25], [2, 0.5]]
    assert float(parameters["learning_rate"]) == 4e-4
    assert parameters.keys() == {"trial", "seed", "learning_rate", "momentum", "dropout", "embedding_size"}


SEARCH_ON_RAY = """
import sys
from pathlib import Path
import ray
from tests.tuning.studies import searching
from tests.tuning.monitoring.test_trackers import Tune
from results.run_folder import RunFolder
from tuning.monitoring.trackers.tracker import tracked

ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
run = RunFolder(Path(sys.argv[1]))
study = searching(run, trials=2)
with tracked(study, run) as (tracker,):
    Tune(study, tracker).run(0.25, 0.5)
"""

READ_WANDB = """
import json, sys
from wandb.proto.wandb_internal_pb2 import Record

content = open(sys.argv[1], "rb").read()
at, whole = 7, b""  # LevelDB's log format: checksum (4 bytes), length (2), type (1): full, first, middle, last
while at + 7 <= len(content):
    length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
    whole, at = whole + content[at + 7 : at + 7 + length], at + 7 + length
    if kind in (1, 4):
        record, whole = Record.FromString(whole), b""
        run = [(item.key, item.value_json) for item in record.run.config.update]
        later = [("/".join(item.nested_key) or item.key, item.value_json) for item in record.config.update]
        logged = [("/".join(item.nested_key) or item.key, item.value_json) for item in record.history.item]
        print(json.dumps([dict(run + later), dict(logged), record.run.display_name]))
"""


@pytest.mark.long
@pytest.mark.skipif(find_spec("wandb") is None, reason="needs pip install '.[wandb]'")
def test_wandb_writes_a_file_per_trial_without_a_network(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(fixed={"epochs": 2}, metric="wups@0.9", track="wandb", started="2026")
    in_a_process(SEARCH_ON_RAY, str(run.path))
    (file,) = (run.tracking / "wandb" / "search-0000").rglob("*.wandb")
    found = [json.loads(line) for line in in_a_process(READ_WANDB, str(file)).splitlines()]
    config = {name: json.loads(value) for record in found for name, value in record[0].items() if value}
    points = [{name: json.loads(value) for name, value in record[1].items()} for record in found if record[1]]
    assert [(point["_step"], point["wups_0.9"], point["loss"]) for point in points] == [(1, 0.25, 1.0), (2, 0.5, 0.5)]
    assert (config["trial"], config["learning_rate"], config["state"]) == (0, 4e-4, "complete")
    assert not {TRIAL_SETUP, CHECKPOINT_FOLDER} & config.keys()
    assert "search-0000" in {record[2] for record in found}
