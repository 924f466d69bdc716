from collections.abc import Callable

import numpy as np
import pytest

from results.ranking import best_trial
from results.run_folder import (
    CONFIRMS,
    PRIOR,
    SEED,
    RunFolder,
)
from search_spaces import load
from tests.tuning.studies import EPOCHS, ask, searching
from tests.tuning.study.test_study import run_trial
from tuning.study.first_trials import first_trials, read_priors
from tuning.study.live_trial import Epoch
from tuning.study.open_study import open_confirmation, open_search
from tuning.study.seeds import CONFIRMATION_SEEDS, SEARCH_SEEDS, derive_seed
from tuning.study.stop_rules import StopRules
from tuning.study.study import Study


@pytest.fixture
def run(make_run: Callable[..., RunFolder]) -> RunFolder:
    return make_run()


@pytest.fixture
def study(run: RunFolder) -> Study:
    return searching(run)


def test_all_derived_seeds_differ() -> None:
    seeds = {derive_seed(study, series, number) for study in range(3) for series in range(3) for number in range(50)}
    assert len(seeds) == 3 * 3 * 50
    assert derive_seed(1, SEARCH_SEEDS, 2) == derive_seed(1, SEARCH_SEEDS, 2)


def test_the_confirmation_repeats_best_and_baseline_under_the_same_fresh_seeds(study: Study, run: RunFolder) -> None:
    for accuracy in (0.5, 0.7, 0.9):
        run_trial(study, accuracy)
    best = best_trial(run.study().trials)
    assert best is not None
    assert best.number == 2

    again = open_confirmation(run, load("san"), [0, best.number], seeds=2)
    lives = [ask(again) for _ in range(4)]
    assert again.exhausted
    assert [live.trial.user_attrs[CONFIRMS] for live in lives] == [0, 2, 0, 2]
    assert [live.seed for live in lives] == [derive_seed(3, CONFIRMATION_SEEDS, repeat) for repeat in (0, 0, 1, 1)]
    assert lives[1].trial.params == best.params
    assert not {live.seed for live in lives} & {trial.user_attrs[SEED] for trial in run.study().trials}


def test_a_resumed_confirmation_runs_only_the_repeats_that_are_missing(study: Study, run: RunFolder) -> None:
    run_trial(study, 0.5)
    first = open_confirmation(run, load("san"), [0, 0], seeds=2)
    run_trial(first, 0.5)
    again = open_confirmation(run, load("san"), [0], seeds=3)
    seeds = [ask(again).seed for _ in range(2)]
    assert again.exhausted
    assert again.ask() is None
    assert seeds == [derive_seed(3, CONFIRMATION_SEEDS, repeat) for repeat in (1, 2)]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "random"])
def test_an_interrupted_search_samples_what_an_uninterrupted_one_samples(
    make_run: Callable[..., RunFolder], sampler: str
) -> None:
    def settings_of_trials(*, interrupted: bool) -> list[dict[str, float]]:
        run = make_run(f"run {interrupted}", sampler=sampler, pruner="none")
        study, settings = searching(run, trials=16), []
        while not study.exhausted:
            live = ask(study)
            settings.append(live.settings)
            for epoch in range(1, EPOCHS + 1):
                study.report(live.trial.number, Epoch(epoch, live.trial.params["dropout"], 1.0))
            study.finish(live.trial.number)
            if interrupted:
                study = searching(run, trials=16)
        return settings

    assert settings_of_trials(interrupted=True) == settings_of_trials(interrupted=False)


def test_configurations_to_try_first_come_first_and_missing_parameters_are_sampled(
    make_run: Callable[..., RunFolder],
) -> None:
    space = load("san")
    tried = [{"dropout": 0.25}, dict(space.baseline)]
    study = open_search(
        make_run(), space, StopRules(trials=4), first_trials=lambda: first_trials(space.baseline, tried)
    )
    params = [ask(study).trial.params for _ in range(3)]
    assert params[0] == space.baseline
    assert params[1]["dropout"] == 0.25
    assert set(params[1]) == set(space.baseline)
    assert params[2] != space.baseline  # it was tried already


def test_without_a_baseline_the_first_trial_is_sampled(make_run: Callable[..., RunFolder]) -> None:
    study = open_search(make_run(), load("san"), StopRules(trials=4), first_trials=lambda: first_trials(None, []))
    assert ask(study).trial.params != load("san").baseline


def test_the_sampler_learns_from_an_earlier_searchs_trials_which_do_not_count(
    make_run: Callable[..., RunFolder],
) -> None:
    same = {"data_fingerprint": "abc", "metric": "accuracy"}
    space, earlier = load("san"), make_run("earlier", **same)
    first = searching(earlier, trials=20)
    while not first.exhausted:
        live = ask(first)
        rate = live.trial.params["learning_rate"]
        for epoch in range(1, EPOCHS + 1):
            if not first.report(live.trial.number, Epoch(epoch, 0.9 if rate > 1e-3 else 0.1, 1.0)):
                break
        first.finish(live.trial.number)

    run = make_run("later")
    study = open_search(
        run,
        space,
        StopRules(trials=12),
        first_trials=lambda: [
            *first_trials(space.baseline, []),
            *read_priors([earlier], same, space),
        ],
    )
    started = []
    while not study.exhausted:
        started.append(ask(study))
        study.report(started[-1].trial.number, Epoch(EPOCHS, 0.05, 1.0))
        study.finish(started[-1].trial.number)
    assert len(started) == 12
    assert started[0].trial.params == space.baseline
    assert np.mean([live.trial.params["learning_rate"] > 1e-3 for live in started[1:]]) > 0.6  # a third, untaught
    best = best_trial(run.study().trials)
    assert best is not None
    assert PRIOR not in best.user_attrs
    copied = [trial for trial in run.study().trials if PRIOR in trial.user_attrs]
    assert len(copied) == 20
    assert [trial.intermediate_values for trial in copied] == [t.intermediate_values for t in earlier.study().trials]


def test_the_same_seed_samples_the_same_trials(make_run: Callable[..., RunFolder]) -> None:
    settings = []
    for name in ("a", "b"):
        study = searching(make_run(name))
        settings.append([ask(study).settings for _ in range(5)])
    assert settings[0] == settings[1]
