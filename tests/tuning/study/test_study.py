from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from results.ranking import best_trial
from results.run_folder import (
    CONFIRMS,
    DUPLICATE_OF,
    PRIOR,
    REASON,
    RESUMED,
    SECONDS,
    SEED,
    STOPPED_BY,
    WORKER,
    RunFolder,
)
from search_spaces import SearchSpace, load
from tests.tuning.studies import EPOCHS, ask, searching
from tuning.study.first_trials import copied_trials, first_trials
from tuning.study.live_trial import Epoch
from tuning.study.open_study import open_confirmation, open_search
from tuning.study.pruners import SuccessiveHalving, bracket_of
from tuning.study.seeds import CONFIRMATION_SEEDS, SEARCH_SEEDS, derive_seed
from tuning.study.stop_rules import StopRules
from tuning.study.study import Study

SMALL_SPACE = SearchSpace(
    {"hops": IntDistribution(1, 3), "attention": CategoricalDistribution(["paper", "bounded"])},
    {"hops": 2, "attention": "paper"},
)
"""Six configurations."""


@pytest.fixture
def run(make_run: Callable[..., RunFolder]) -> RunFolder:
    return make_run()


@pytest.fixture
def study(run: RunFolder) -> Study:
    return searching(run)


def run_trial(study: Study, accuracy: float, *, diverged: str = "") -> int:
    """Asks for a trial and reports the same accuracy until it ends."""
    number = ask(study).trial.number
    for epoch in range(1, EPOCHS + 1):
        if not study.report(number, Epoch(epoch, accuracy, 2.0 * epoch, diverged, "node 1")):
            break
    study.finish(number)
    return number


def test_the_first_trial_is_the_baseline(study: Study) -> None:
    assert ask(study).trial.params == {
        "learning_rate": 4e-4,
        "momentum": 0.9,
        "dropout": 0.5,
        "embedding_size": 1000,
    }


def test_later_trials_lie_inside_the_space(study: Study) -> None:
    study.ask()
    params = ask(study).trial.params
    assert 1e-5 <= params["learning_rate"] <= 1e-2
    assert 32 <= params["embedding_size"] <= 1024
    assert isinstance(params["embedding_size"], int)


def test_a_full_trial_is_complete_with_its_best_epoch(study: Study, run: RunFolder) -> None:
    number = ask(study).trial.number
    for epoch, accuracy in enumerate([0.5, 0.8, 0.7, 0.6], start=1):
        assert study.report(number, Epoch(epoch, accuracy, 2.0 * epoch)) == (epoch < EPOCHS)
    study.finish(number)

    told = run.study().trials[0]
    assert told.state == TrialState.COMPLETE
    assert told.value == 0.8
    assert told.intermediate_values == {1: 0.5, 2: 0.8, 3: 0.7, 4: 0.6}
    assert told.user_attrs[SECONDS] == 8.0
    assert told.user_attrs[REASON] == ""


def test_a_bad_trial_is_told_as_pruned_with_every_epoch(study: Study, run: RunFolder) -> None:
    for accuracy in (0.9, 0.8):
        run_trial(study, accuracy)
    number = run_trial(study, 0.1)

    told = run.study().trials[number]
    assert told.state == TrialState.PRUNED
    assert told.intermediate_values == {1: 0.1}
    assert told.user_attrs[REASON] == "pruned after epoch 1"


def test_a_trial_worse_than_the_baseline_is_stopped_early(study: Study) -> None:
    baseline = ask(study).trial.number
    study.report(baseline, Epoch(1, 0.9, 1.0))
    other = ask(study).trial.number
    assert not study.report(other, Epoch(1, 0.1, 1.0))


def test_an_interruption_does_not_lose_a_trial_that_had_all_its_epochs(study: Study, run: RunFolder) -> None:
    number = ask(study).trial.number
    for epoch in range(1, EPOCHS + 1):
        study.report(number, Epoch(epoch, 0.7, 1.0))
    study.interrupt()
    assert run.study().trials[number].state == TrialState.COMPLETE


def test_the_baseline_is_never_stopped_early(study: Study, run: RunFolder) -> None:
    baseline = ask(study).trial.number
    other = ask(study).trial.number
    for epoch in range(1, EPOCHS + 1):
        study.report(other, Epoch(epoch, 0.9, 1.0))
        assert study.report(baseline, Epoch(epoch, 0.1, 1.0)) == (epoch < EPOCHS)
    study.finish(baseline)
    assert run.study().trials[baseline].state == TrialState.COMPLETE


def test_a_diverged_trial_ends_with_the_lowest_score_and_breaks_a_constraint(study: Study, run: RunFolder) -> None:
    run_trial(study, 0.9)
    number = ask(study).trial.number
    study.report(number, Epoch(1, 0.9, 1.0))
    assert not study.report(number, Epoch(2, 0.9, 2.0, "the loss is nan"))
    study.finish(number)

    told = run.study().trials[number]
    assert told.state == TrialState.COMPLETE
    assert told.value == 0.0
    assert told.intermediate_values == {1: 0.9, 2: 0.0}
    assert told.constraints == {"diverged": 1.0}
    assert told.user_attrs[REASON] == "diverged in epoch 2: the loss is nan"
    best = best_trial(run.study().trials)
    assert best is not None
    assert best.number == 0


def test_the_sampler_keeps_away_from_where_trials_diverged(make_run: Callable[..., RunFolder]) -> None:
    def chosen(diverged: str) -> float:
        """Median learning rate of later trials, where those above 1e-3 end so."""
        study = searching(make_run(f"run {diverged}", pruner="none"), trials=60)
        rates = []
        while not study.exhausted:
            live = ask(study)
            high = live.trial.params["learning_rate"] > 1e-3
            rates.append(live.trial.params["learning_rate"])
            for epoch in range(1, EPOCHS + 1):
                if not study.report(live.trial.number, Epoch(epoch, 0.5, 1.0, diverged if high else "")):
                    break
            study.finish(live.trial.number)
        return float(np.mean(np.array(rates[30:]) > 1e-3))

    assert chosen("the loss is nan") < 0.1 < chosen("")


def test_a_failed_trial_keeps_its_reason(study: Study, run: RunFolder) -> None:
    number = ask(study).trial.number
    study.report(number, Epoch(1, 0.5, 1.0))
    study.finish(number, "the worker died")

    told = run.study().trials[number]
    assert told.state == TrialState.FAIL
    assert told.user_attrs[REASON] == "the worker died"
    assert told.intermediate_values == {1: 0.5}


def test_an_interrupted_trial_is_handed_out_again_with_its_scores_before_a_new_one(
    study: Study, run: RunFolder
) -> None:
    run_trial(study, 0.5)
    first, second = ask(study), ask(study)
    study.report(second.trial.number, Epoch(1, 0.6, 1.0))
    study.interrupt()
    assert [trial.state.name for trial in run.study().trials] == ["COMPLETE", "RUNNING", "RUNNING"]

    again = searching(run)
    taken = [ask(again) for _ in range(3)]
    assert [live.trial.number for live in taken] == [1, 2, 3]
    assert [live.settings for live in taken[:2]] == [first.settings, second.settings]
    assert taken[1].scores == {1: 0.6}
    trials = run.study().trials
    assert len(trials) == 4
    assert [RESUMED in trial.user_attrs for trial in trials] == [False, True, True, False]


def test_a_trial_interrupted_while_it_was_asked_for_gets_the_parameters_it_would_have_had(
    make_run: Callable[..., RunFolder],
) -> None:
    whole, cut = make_run("whole"), make_run("cut")
    expected = searching(whole)
    run_trial(expected, 0.5)
    asked = ask(expected).settings

    study = searching(cut)
    run_trial(study, 0.5)
    study.optuna_study.sampler = study._source.sampler_of(1)
    study.optuna_study.ask()  # killed before the first parameter was drawn
    assert ask(searching(cut)).settings == asked


def test_a_trial_that_is_taken_back_is_handed_out_again(study: Study, run: RunFolder) -> None:
    run_trial(study, 0.5)
    live = ask(study)
    study.report(live.trial.number, Epoch(1, 0.6, 1.0))
    study.requeue(live.trial.number)
    again = ask(study)
    assert (again.settings, again.scores) == (live.settings, {1: 0.6})
    assert len(run.study().trials) == 2
    assert RESUMED not in run.study().trials[1].user_attrs  # there was no pause


def test_a_resumed_search_has_the_number_of_trials_that_was_asked_for(study: Study, run: RunFolder) -> None:
    for _ in range(2):
        run_trial(study, 0.5)
    study.ask()
    again = searching(run)
    while not again.exhausted:
        run_trial(again, 0.5)
    assert len(run.study().trials) == 6
    assert searching(run).exhausted
    assert not searching(run, trials=7).exhausted


def test_epochs_reported_again_change_nothing_and_only_the_last_is_decided_on(study: Study, run: RunFolder) -> None:
    run_trial(study, 0.1)
    number = ask(study).trial.number
    for epoch in (1, 2):
        assert study.report(number, Epoch(epoch, 0.5, epoch))
    study.live.clear()
    again = searching(run)
    assert ask(again).trial.number == number
    for _ in range(2):  # meanwhile two better ones
        better = ask(again).trial.number
        for epoch in (1, 2):
            again.report(better, Epoch(epoch, 0.9, epoch))
    assert again.report(number, Epoch(1, 0.5, 1.0))
    assert not again.report(number, Epoch(2, 0.5, 2.0))
    again.finish(number)
    assert run.study().trials[number].intermediate_values == {1: 0.5, 2: 0.5}
    assert run.study().trials[number].state == TrialState.PRUNED


def test_the_pruner_decides_as_optunas_does() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((40, 16))
    stopped = []
    for pruner in (SuccessiveHalving(), optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)):
        study = optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
        lengths = []
        for row in scores:
            trial, epoch = study.ask(), 0
            for epoch, score in enumerate(row, start=1):
                trial.report(score, epoch)
                if trial.should_prune():
                    break
            lengths.append(epoch)
            study.tell(trial, state=TrialState.PRUNED)
        stopped.append(lengths)
    assert stopped[0] == stopped[1]
    assert len(set(stopped[0])) > 2


def test_every_use_of_a_seed_gets_another_one() -> None:
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


def test_a_confirmation_goes_on_where_it_was_left_and_takes_more_seeds(study: Study, run: RunFolder) -> None:
    run_trial(study, 0.5)
    first = open_confirmation(run, load("san"), [0, 0], seeds=2)
    run_trial(first, 0.5)
    again = open_confirmation(run, load("san"), [0], seeds=3)
    seeds = [ask(again).seed for _ in range(2)]
    assert again.exhausted
    assert again.ask() is None
    assert seeds == [derive_seed(3, CONFIRMATION_SEEDS, repeat) for repeat in (1, 2)]


def test_a_study_without_a_complete_trial_has_no_best(study: Study, run: RunFolder) -> None:
    study.ask()
    assert best_trial(run.study().trials) is None


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "random"])
def test_an_interrupted_search_asks_for_what_an_uninterrupted_one_asks_for(
    make_run: Callable[..., RunFolder], sampler: str
) -> None:
    def asked(*, interrupted: bool) -> list[dict[str, float]]:
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

    assert asked(interrupted=True) == asked(interrupted=False)


def test_a_trial_remembers_where_it_ran(study: Study, run: RunFolder) -> None:
    number = run_trial(study, 0.5)
    assert run.study().trials[number].user_attrs[WORKER] == "node 1"


def test_a_configuration_is_never_trained_twice_and_a_discrete_space_comes_to_an_end(
    make_run: Callable[..., RunFolder],
) -> None:
    run = make_run()
    study = searching(run, trials=100, space=SMALL_SPACE)
    while not study.exhausted:
        run_trial(study, 0.5)
    trained = [trial for trial in run.study().trials if DUPLICATE_OF not in trial.user_attrs]
    assert len({tuple(trial.params.items()) for trial in trained}) == len(trained) == 6
    assert study.stop_reason == "all 6 configurations of the space tried"
    passed_over = [trial for trial in run.study().trials if DUPLICATE_OF in trial.user_attrs]
    for trial in passed_over:
        assert trial.state == TrialState.FAIL
        assert run.study().trials[trial.user_attrs[DUPLICATE_OF]].params == trial.params
        assert not trial.intermediate_values
    assert searching(run, trials=100, space=SMALL_SPACE).exhausted


def test_the_grid_has_no_duplicates(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(sampler="grid")
    study = searching(run, trials=None, space=SMALL_SPACE)
    while not study.exhausted:
        run_trial(study, 0.5)
    assert len(run.study().trials) == 6


def test_what_is_to_be_tried_first_is_tried_first_and_what_it_leaves_out_is_drawn(
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


def test_without_a_baseline_the_first_trial_is_the_samplers(make_run: Callable[..., RunFolder]) -> None:
    study = open_search(make_run(), load("san"), StopRules(trials=4), first_trials=lambda: first_trials(None, []))
    assert ask(study).trial.params != load("san").baseline


def test_an_earlier_searchs_trials_teach_but_do_not_count(make_run: Callable[..., RunFolder]) -> None:
    space, earlier = load("san"), make_run("earlier")
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
            *copied_trials(earlier.study(), "earlier", space.parameters),
        ],
    )
    asked = []
    while not study.exhausted:
        asked.append(ask(study))
        study.report(asked[-1].trial.number, Epoch(EPOCHS, 0.05, 1.0))
        study.finish(asked[-1].trial.number)
    assert len(asked) == 12
    assert asked[0].trial.params == space.baseline
    assert np.mean([live.trial.params["learning_rate"] > 1e-3 for live in asked[1:]]) > 0.6  # a third, untaught
    best = best_trial(run.study().trials)
    assert best is not None
    assert PRIOR not in best.user_attrs
    copied = [trial for trial in run.study().trials if PRIOR in trial.user_attrs]
    assert len(copied) == 20
    assert [trial.intermediate_values for trial in copied] == [t.intermediate_values for t in earlier.study().trials]


def test_a_used_up_budget_ends_running_trials_at_their_next_epoch(make_run: Callable[..., RunFolder]) -> None:
    run = make_run()
    study = searching(run, trials=None, budget=1e-9)
    assert study.exhausted
    assert study.stop_reason == "budget of 1e-09 s used up"
    study = searching(run, trials=None, gpu_hours=1.0, gpus=0.5)
    number = ask(study).trial.number
    assert study.report(number, Epoch(1, 0.5, 7199.0))
    assert not study.report(number, Epoch(2, 0.5, 7200.0))
    study.finish(number)
    assert study.exhausted
    study.close()
    assert run.study().user_attrs[STOPPED_BY] == "1 GPU hours used up"
    told = run.study().trials[number]
    assert told.state == TrialState.PRUNED
    assert told.user_attrs[REASON] == "stopped after epoch 2: 1 GPU hours used up"


def test_the_budget_counts_what_was_used_before_an_interruption(make_run: Callable[..., RunFolder]) -> None:
    run = make_run()
    study = searching(run, trials=None, budget=3600)
    run_trial(study, 0.5)
    study.optuna_study.set_user_attr(SECONDS, 3600.0)
    assert searching(run, trials=None, budget=3600).exhausted
    assert not searching(run, trials=None, budget=3700).exhausted


def test_patience_ends_a_search_that_finds_nothing_better(make_run: Callable[..., RunFolder]) -> None:
    study = searching(make_run(), trials=None, patience=3)
    for accuracy in (0.5, 0.4, 0.6, 0.5, 0.5):
        run_trial(study, accuracy)
        assert not study.exhausted
    run_trial(study, 0.6)
    assert study.stop_reason == "no better result in 3 trials"


def test_hyperbands_brackets_share_the_trials_and_wait_before_they_judge(make_run: Callable[..., RunFolder]) -> None:
    brackets = [bracket_of(number, 3) for number in range(1000)]
    assert {bracket: brackets.count(bracket) > 0 for bracket in range(3)} == dict.fromkeys(range(3), True)
    assert brackets.count(0) > brackets.count(1) >= brackets.count(2)
    study = searching(make_run(pruner="hyperband"), trials=60)
    for number in range(60):
        live = ask(study)
        assert live.trial.number == number
        for epoch in range(1, EPOCHS + 1):
            if not study.report(number, Epoch(epoch, 1.0 - number / 100, 1.0)):
                break
        study.finish(number)
    ended_after = {trial.number: len(trial.intermediate_values) for trial in study.optuna_study.trials}
    for number, epochs in list(ended_after.items())[20:]:
        assert epochs == 2 ** bracket_of(number, 3)  # ever worse: stopped as soon as the bracket judges


def test_the_same_seed_asks_for_the_same_trials(make_run: Callable[..., RunFolder]) -> None:
    asked = []
    for name in ("a", "b"):
        study = searching(make_run(name))
        asked.append([ask(study).settings for _ in range(5)])
    assert asked[0] == asked[1]
