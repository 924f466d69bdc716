"""What a retraining trains and tests."""

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from results.preparations import ONLY, preparation_name
from results.ranking import can_be_best
from results.snapshot import RunSnapshot, best_length
from san_core.command_line import print_message
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from tuning.study.seeds import RETRAINING_SEEDS, derive_seed
from tuning.training_settings import training_settings


@dataclass(frozen=True)
class Job:
    """One training: the configuration of a trial, under one seed, for a number of epochs.

    Attributes:
        name: name of the configuration: `best`, `trial-N` or `baseline`.
        trial: number of the trial in the search.
        config: training settings. `config.epochs` is that of the search, since learning rate schedules depend on it.
        epochs: number of epochs after which the training stops.
        data: name of the preparation that it is trained on; `ONLY` if the search had one.
    """

    name: str
    trial: int
    config: TrainingConfig
    epochs: int
    data: str = ONLY


@dataclass(frozen=True)
class Plan:
    """What a retraining trains and tests.

    Attributes:
        jobs: every training.
        split: the split that scores are measured on, `test` or `validation`.
        ensemble: whether the networks of each configuration are tested as an ensemble, too. The model folder holds that
            of the first job's configuration then, else the network of the first job.
    """

    jobs: Sequence[Job]
    split: str
    ensemble: bool = False

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The splits that are trained on."""
        return ("train", "validation") if self.split == "test" else ("train",)

    @property
    def tests(self) -> list[tuple[Job, ...]]:
        """The networks that are tested in one pass: each alone, or those of an ensemble together."""
        if not self.ensemble:
            return [(job,) for job in self.jobs]
        names = dict.fromkeys(job.name for job in self.jobs)
        return [tuple(job for job in self.jobs if job.name == name) for name in names]

    @property
    def saved(self) -> tuple[Job, ...]:
        """The networks of the model folder: one, or the members of an ensemble."""
        return self.tests[0]


def called(name: str, networks: int) -> str:
    """What tables call the networks of a configuration that answer together; one alone has the configuration's name."""
    return name if networks == 1 else f"{name}, ensemble of {networks}"


def held_out(data: PreparedData) -> str:
    """The split that is not trained on: test, or validation for data without answered test questions."""
    return "test" if "test" in data.splits else "validation"


def chosen_trial(record: RunSnapshot, wanted: int | None) -> FrozenTrial:
    """The trial to retrain: the one of the number `wanted`, or the best one for None.

    Raises:
        InputError: if there is no such trial, or it finished no epoch.
    """
    run = record.folder.shown
    if wanted is None:
        if record.best is None:
            raise InputError(f"no trial of {run} is complete, so there is no best one; choose one with --trial")
        return record.best
    trials = len(record.search) + record.left_out
    if not 0 <= wanted < trials:
        raise InputError(f"trial {wanted} does not exist in {run}; accepted: 0 to {trials - 1}")
    trial = next((trial for trial in record.search if trial.number == wanted), None)
    if trial is None or not trial.intermediate_values:
        raise InputError(f"trial {wanted} of {run} finished no epoch, so there is no length to retrain it for")
    return trial


def plan_jobs(record: RunSnapshot, name: str, trial: FrozenTrial, seeds: int) -> list[Job]:
    """The trainings of a trial's configuration and of the baseline under each seed.

    Each is trained for as many epochs as gave it the best mean validation score over its runs, in the search and under
    fresh seeds. A baseline that did not finish in the search is left out, since it is not known how long to train it.

    Args:
        record: what the search has found.
        name: name of the trial's configuration.
        trial: trial of the search.
        seeds: number of seeds.
    """
    settings, seed, number = dict(record.settings), record.folder.setting("seed"), record.baseline_number
    chosen = {"baseline" if trial.number == number else name: trial}
    if number is not None and number != trial.number:
        baseline = record.baseline
        if baseline is not None and can_be_best(baseline):
            chosen["baseline"] = baseline
        else:
            print_message("the baseline is not trained beside it: it did not finish in the search, or diverged")
    return [
        Job(
            name=label,
            trial=source.number,
            config=TrainingConfig.from_dict(
                training_settings(settings, source, seed=derive_seed(seed, RETRAINING_SEEDS, repeat))
            ),
            epochs=best_length(record, source),
            data=preparation_name(source.params),
        )
        for repeat in range(seeds)
        for label, source in chosen.items()
    ]
