"""Shows the trials that a worker runs, in Ray's dashboard and in Ray's metrics."""

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import Any

import ray

from results.jobs import Job
from tuning.monitoring.dashboard_actor import TrialActor
from tuning.monitoring.metrics import TAGS, TrialGauges
from tuning.study.live_trial import Epoch

DASHBOARD_DELAY = float(os.environ.get("SAN_DASHBOARD_DELAY", "20"))
"""Seconds after which a trial or job gets an actor in the dashboard. Starting one costs about two seconds of a core."""

MAX_SCORES, SCORES_IN_LINE = 16, 8
"""Most trials whose scores the log of a job lists one by one, and how many of them are on a line."""


class TrialMonitor:
    """Shows a worker's trials, or with cohorts its jobs, one after the other.

    Args:
        run: name of the run.
        study: name of the study that the trials belong to.
    """

    def __init__(self, run: str, study: str) -> None:
        self._run, self._study = run, study
        self._gauges = TrialGauges()
        self._lock = threading.Lock()
        self._parameters: dict[int, str] = {}
        self._log_lines: list[str] = []
        self._actor: Any = None
        self._timer: threading.Timer | None = None

    def start_trial(self, number: int, settings: Mapping[str, Any]) -> None:
        """Shows a trial from now on; the actor follows after `DASHBOARD_DELAY`."""
        self._log_lines = [f"trial {number} of {self._run}, {self._study}"]
        self._log_lines += [f"  {name} = {value}" for name, value in settings.items()]
        self._start(f"trial {number}: {_describe_parameters(settings)}", {number: settings})

    def start_job(self, job: Job, trials: Mapping[int, Mapping[str, Any]]) -> None:
        """Shows a job from now on, by one actor, which follows after `DASHBOARD_DELAY`.

        Args:
            job: the job.
            trials: settings of the trials that this worker trains of it, by number.
        """
        self._log_lines = [f"{job.title()}, {job.epochs} of {self._run}, {self._study}"]
        self._log_lines += [f"  trial {number}: {_describe_parameters(trials[number])}" for number in trials]
        self._start(job.title(), trials)

    def start_epoch(self) -> None:
        """Keeps the metrics of the last epochs visible while the next one runs."""
        self._gauges.repeat()

    def end_epoch(self, epochs: Mapping[int, Epoch]) -> None:
        """Shows the results of an epoch.

        Args:
            epochs: results by number of the trial: all that were started, or some of them.
        """
        for number, epoch in epochs.items():
            values = {
                "san_trial_accuracy": epoch.score,
                "san_trial_loss": epoch.loss,
                "san_trial_epoch": epoch.number,
                "san_trial_examples_per_second": epoch.examples_per_second,
            }
            tags = (self._run, self._study, str(number), self._parameters[number])
            known = {name: value for name, value in values.items() if value is not None}
            self._gauges.set(dict(zip(TAGS, tags, strict=True)), known)
        lines = list(_lines_of_job(epochs) if len(self._parameters) > 1 else map(_line_of_trial, epochs.values()))
        with self._lock:
            self._log_lines += lines
            if self._actor is not None:
                self._actor.log.remote("\n".join(lines))

    def end_trial(self) -> None:
        """Stops showing the trial or job; its log stays in the dashboard."""
        self._gauges.clear()
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._actor = None

    def _start(self, title: str, trials: Mapping[int, Mapping[str, Any]]) -> None:
        self._parameters = {number: _describe_parameters(settings) for number, settings in trials.items()}
        self._timer = threading.Timer(DASHBOARD_DELAY, self._start_actor, [title])
        self._timer.daemon = True
        self._timer.start()

    def _start_actor(self, title: str) -> None:
        with self._lock:
            if threading.current_thread() is self._timer:  # otherwise the trial has ended meanwhile
                self._actor = ray.remote(num_cpus=0)(TrialActor).remote(title)
                self._actor.log.remote("\n".join(self._log_lines))


def _line_of_trial(epoch: Epoch) -> str:
    """The line of the log about an epoch of a trial that is trained alone."""
    loss = "" if epoch.loss is None else f"loss {epoch.loss:.4f}, "
    return f"epoch {epoch.number}: {loss}accuracy {epoch.score:.2%}{_rate([epoch])}"


def _lines_of_job(epochs: Mapping[int, Epoch]) -> Iterator[str]:
    """The lines of the log about trials of a job, for each epoch that they have: the best, the mean, and each trial."""
    for number in sorted({epoch.number for epoch in epochs.values()}):
        trained = {trial: epochs[trial] for trial in sorted(epochs) if epochs[trial].number == number}
        scores = {trial: epoch.score for trial, epoch in trained.items()}
        best = max(scores, key=lambda trial: scores[trial])
        summary = f"best accuracy {scores[best]:.2%} (trial {best}), mean {fmean(scores.values()):.2%}"
        yield f"epoch {number}: {summary}{_rate(trained.values())}"
        if len(trained) <= MAX_SCORES:
            shown = [f"{n}: {'diverged' if trained[n].diverged else f'{scores[n]:.2%}'}" for n in trained]
            for start in range(0, len(shown), SCORES_IN_LINE):
                yield "  " + ", ".join(shown[start : start + SCORES_IN_LINE])


def _rate(epochs: Iterable[Epoch]) -> str:
    """The examples per second of trials that were trained together; empty if they were not measured."""
    rates = [epoch.examples_per_second for epoch in epochs if epoch.examples_per_second is not None]
    return f", {sum(rates):,.0f} examples/s" if rates else ""


def _describe_parameters(settings: Mapping[str, Any]) -> str:
    """The parameters in one line, without the seeds."""
    values = (
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in settings.items()
        if name not in {"seed", "order_seed"}
    )
    return ", ".join(values)
