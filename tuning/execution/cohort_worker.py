"""A worker that trains cohorts: each step is one epoch of a job's trials."""

from dataclasses import replace
from typing import Any

from ray import tune

from results.jobs import Job
from results.preparations import preparation_name
from san_core.config import TrainingConfig
from san_core.hardware import free_cached_memory
from san_core.shared_training import Member, SharedTraining
from san_core.training import EpochResult
from tuning.execution.checkpoints import CheckpointTimer, DamagedCheckpointError
from tuning.execution.resources import resources_of
from tuning.execution.trial_setup import TrialSetup, largest_like
from tuning.execution.worker import as_epoch, describe_location, files_of, limit_process, starts_anew
from tuning.monitoring.trial_monitor import TrialMonitor
from tuning.study.tune_interface import (
    EPOCHS,
    JOB,
    LIVE_TRIALS,
    RUN_AND_STUDY,
    TRIAL_SETUP,
    TRIALS,
    WIDTHS,
)


class CohortWorker(tune.Trainable):
    """Does jobs, one after the other, in one process.

    It keeps the state of trials between two jobs. Their checkpoints let any worker take them up: they are saved every
    `SECONDS_BETWEEN`, at a trial's end, and with several workers at the end of each job.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """The cores and GPUs that Ray reserves for a worker."""
        return resources_of(config)

    def setup(self, config: dict[str, Any]) -> None:
        """Prepares the process and its first job."""
        self._setup: TrialSetup = config[TRIAL_SETUP]
        limit_process(self._setup.placement.cpus, self._setup.placement.gpus)
        self._location = describe_location()
        (self._data, self._checkpoints), self._timer = files_of(config), CheckpointTimer()
        self._trial_monitor = TrialMonitor(*config[RUN_AND_STUDY]) if self._setup.show_in_dashboard else None
        self._shared: SharedTraining | None = None
        self._largest: TrainingConfig | None = None
        self._preparation = ""
        self._members: dict[int, Member] = {}
        self._results: dict[int, list[EpochResult]] = {}  # of the trials in memory, by number, of all epochs
        self._unsaved: set[int] = set()
        self._notes: dict[int, str] = {}  # of trials, to be reported with their next epoch
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepares the next job: its trials go on from memory, from their checkpoints, or start."""
        self.cleanup()
        self._job: Job = new_config[JOB]
        self._trials, self._widths = list(new_config[TRIALS]), new_config[WIDTHS]
        for number in self._members.keys() - new_config[LIVE_TRIALS]:
            self._forget(number)
        configs = {number: self._setup.config(settings) for number, settings in new_config[TRIALS].items()}
        preparation, *_ = map(preparation_name, new_config[TRIALS].values())
        shared = self._share(next(iter(configs.values())), preparation)
        for number, config in configs.items():
            if number not in self._members or self._members[number].epoch < self._job.first:
                self._load(number, config, shared)
        # What is in memory, or in a checkpoint, may be ahead of the journal, even by more than a job.
        self._unreported = {number: list(filter(self._is_of_job, self._results[number])) for number in configs}
        if self._trial_monitor:
            self._trial_monitor.start_job(self._job, new_config[TRIALS])
        return True

    def step(self) -> dict[str, Any]:
        """Trains one epoch of the trials that have the fewest, and reports it; the study decides what comes next."""
        results, rate = {number: waiting.pop(0) for number, waiting in self._unreported.items() if waiting}, None
        if not results:
            if self._trial_monitor:
                self._trial_monitor.start_epoch()
            results = self._train_epoch()
            self._save()
            rate = self._shared_training.examples / sum(result.seconds for result in results.values())
        epochs = {
            number: replace(
                as_epoch(result, self._members[number].seconds, self._location, rate), note=self._notes.pop(number, "")
            )
            for number, result in results.items()
        }
        if self._trial_monitor:
            self._trial_monitor.end_epoch(epochs)
        return {EPOCHS: list(epochs.items())}

    def cleanup(self) -> None:
        """Ends showing the last job."""
        if self._trial_monitor:
            self._trial_monitor.end_trial()

    def __repr__(self) -> str:
        return "SAN worker"

    @property
    def _shared_training(self) -> SharedTraining:
        if self._shared is None:
            raise RuntimeError("step() was called before setup()")
        return self._shared

    def _share(self, config: TrainingConfig, preparation: str) -> SharedTraining:
        """The training that trials of this kind share; it is made anew where the last job was of another kind."""
        largest = largest_like(config, self._setup.fixed, self._setup.largest)
        if self._shared is None or (largest, preparation) != (self._largest, self._preparation):
            self._park()
            self._shared, self._largest, self._preparation = None, largest, preparation
            free_cached_memory()
            data = self._data[preparation]
            setup = self._setup
            self._shared = SharedTraining(largest, setup.cohort, data, folds=setup.folds, metric=setup.metric)
        return self._shared

    def _park(self) -> None:
        """Saves all trials in memory, and forgets them: their layout on the device is that of one kind."""
        self._save_trials(self._unsaved & self._members.keys())
        for number in list(self._members):
            self._forget(number)

    def _load(self, number: int, config: TrainingConfig, shared: SharedTraining) -> None:
        """Takes up a trial from its checkpoint; without one the trial starts."""

        def restore(state: dict[str, Any]) -> None:
            self._members[number] = shared.restore_member(config, state)

        try:
            self._results[number] = self._checkpoints.restore(number, shared.device, restore)
        except DamagedCheckpointError as error:
            self._results[number], self._notes[number] = [], starts_anew(error)
        if not self._results[number]:
            self._members[number] = shared.new_member(config)

    def _train_epoch(self) -> dict[int, EpochResult]:
        """Trains the trials that have the fewest epochs, of those that have not done the job."""
        behind = [number for number in self._trials if not self._is_done(number)]
        fewest = min(self._members[number].epoch for number in behind)
        first, *others = (number for number in behind if self._members[number].epoch == fewest)
        width = self._width(first, fewest)
        trained = [first, *(number for number in others if self._width(number, fewest) == width)][:width]
        results = self._shared_training.train_epoch([self._members[number] for number in trained], width)
        for number, result in zip(trained, results, strict=True):
            self._results[number].append(result)
        self._unsaved |= set(trained)
        return dict(zip(trained, results, strict=True))

    def _width(self, number: int, epoch: int) -> int:
        """The width at which a trial is trained after an epoch: always that of its job, since results depend on it."""
        widths: dict[int, int] = self._widths[number]
        width = widths[min((last for last in widths if last > epoch), default=self._job.last)]
        return min(width, self._setup.cohort)  # it may have been reduced when the search was resumed

    def _is_of_job(self, result: EpochResult) -> bool:
        return self._job.first < result.epoch <= self._job.last

    def _is_done(self, number: int) -> bool:
        results = self._results[number]
        return self._members[number].epoch >= self._job.last or bool(results and results[-1].diverged)

    def _save(self) -> None:
        """Saves what another worker, or a resumed search, needs."""
        if all(map(self._is_done, self._trials)):
            last = self._largest is not None and self._job.last == self._largest.epochs * self._setup.folds
            if last or self._setup.placement.max_concurrent > 1:
                self._save_trials(self._unsaved.intersection(self._trials))
        if self._timer.is_due():
            self._save_trials(self._unsaved & self._members.keys())

    def _save_trials(self, numbers: set[int]) -> None:
        for number in sorted(numbers):
            state = self._shared_training.state_dict(self._members[number])
            self._checkpoints.save_state(number, state, self._results[number])
        self._unsaved -= numbers

    def _forget(self, number: int) -> None:
        del self._members[number]
        del self._results[number]
        self._unsaved.discard(number)
