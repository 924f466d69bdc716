"""Replays a search from recorded curves, with the study and the pruner of a search."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler

from benchmarks.policies.curves import Curves
from results.clock import Clock
from results.journal import warnings_only
from san_core.errors import InputError
from tuning.study.lengths import Lengths
from tuning.study.pruners import PRUNERS, SuccessiveHalving
from tuning.study.stop_rules import StopRules
from tuning.study.study import Study
from tuning.study.trial_source import TrialSource

NO_PARAMETERS = TrialSource({}, lambda _: 0, lambda *_: RandomSampler(seed=0), unique=False)
"""Makes trials without parameters: which recorded curve a trial has is decided here."""


@dataclass
class Replayed:
    """A trial of a replayed search. Epochs are counted over all trials of the search.

    Attributes:
        number: of the trial in the study.
        configuration, seed: whose curve it has.
        started: epochs that the search had trained when the trial started.
        epochs: that the trial was trained.
        ended: epochs that the search had trained when the trial ended; infinite if it ran when the search ended.
        complete: whether it was trained to its end; also if that is where it diverged.
    """

    number: int
    configuration: int
    seed: int
    started: int
    epochs: int = 0
    ended: float = math.inf
    complete: bool = False


def make_pruner(name: str, lengths: Lengths) -> BasePruner:
    """The pruner with a name of `--pruner`, or `tolerant-T` with a tolerance of T standard errors.

    Raises:
        InputError: if there is none.
    """
    kind, _, text = name.partition("-")
    if kind == "tolerant" and text:
        try:
            tolerance = float(text)
        except ValueError:
            tolerance = -1.0
        if tolerance >= 0:
            return SuccessiveHalving(first=lengths.first_rung, tolerance=tolerance)
    elif name in PRUNERS:
        return PRUNERS[name](lengths)
    raise InputError(f"unknown pruner {name!r}; accepted: {', '.join(PRUNERS)}, or tolerant-T with a number T >= 0")


def drawn(rng: np.random.Generator, configurations: int, seeds: list[int]) -> Iterator[tuple[int, int]]:
    """The configurations and seeds of a search's trials, without end.

    All configurations come in random order, each with a random one of the seeds; then all of them again in another
    order, each with its next seed.
    """
    orders = [rng.permutation(seeds) for _ in range(configurations)]
    for round_number in count():
        for configuration in rng.permutation(configurations):
            yield int(configuration), int(orders[configuration][round_number % len(seeds)])


def replay(
    curves: Curves, pruner: BasePruner, trials: Iterator[tuple[int, int]], *, epochs: int, at_once: int
) -> list[Replayed]:
    """Replays a search. Trials that run at once take turns, an epoch each; where one ends, a new one takes its turns.

    Args:
        curves: recorded curves.
        pruner: pruner, which has served no other study.
        trials: configuration and seed of each trial.
        epochs: that all trials together may train.
        at_once: number of trials that run at once.

    Returns:
        The trials in the order of their start. A search with fewer epochs is the beginning of this one.
    """
    with warnings_only():
        in_memory = optuna.create_study(direction="maximize", pruner=pruner)
    study = Study(in_memory, NO_PARAMETERS, rules=StopRules(), lengths=Lengths(curves.lengths.epochs), clock=Clock())
    started: list[Replayed] = []
    slots: list[Replayed | None] = [None] * at_once
    for trained in range(epochs):
        slot = trained % at_once
        trial = slots[slot]
        if trial is None:
            trial = Replayed(_next_number(study), *next(trials), started=trained)
            started.append(trial)
        trial.epochs += 1
        goes_on = study.report(trial.number, curves.epoch(trial.configuration, trial.seed, trial.epochs))
        slots[slot] = trial if goes_on else None
        if not goes_on:
            study.finish(trial.number)
            trial.ended = trained + 1
            trial.complete = trial.epochs == len(curves.runs[trial.configuration][trial.seed].scores)
    return started


def _next_number(study: Study) -> int:
    """Starts the study's next trial; returns its number."""
    live = study.ask()
    if live is None:
        raise RuntimeError("a study without rules starts trials without end")
    return live.trial.number
