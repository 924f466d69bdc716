from collections.abc import Callable

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from results.ranking import best_trial
from results.run_folder import (
    DUPLICATE_OF,
    REASON,
    RESUMED,
    SECONDS,
    STOPPED_BY,
    WORKER,
    RunFolder,
)
from results.snapshot import RUNNING, STOPPED, ended, reason, state_of
from san_core.config import without_effect
from search_spaces import SearchSpace
from tests.tuning.studies import EPOCHS, ask, searching
from tuning.study.live_trial import Epoch
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


def test_a_trial_with_all_epochs_is_complete_with_its_best_score(study: Study, run: RunFolder) -> None:
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


def test_a_bad_trial_is_pruned_and_keeps_the_scores_of_its_epochs(study: Study, run: RunFolder) -> None:
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
    study.finish_or_interrupt_trials()
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


def test_the_sampler_avoids_configurations_near_diverged_ones(make_run: Callable[..., RunFolder]) -> None:
    def chosen(diverged: str) -> float:
        """Median learning rate of later trials, where those above 1e-3 end so."""
        study = searching(make_run(f"run {diverged}", pruner="none", seed=5), trials=60)
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


def test_an_interrupted_trial_starts_again_with_its_scores_before_a_new_one(study: Study, run: RunFolder) -> None:
    run_trial(study, 0.5)
    first, second = ask(study), ask(study)
    study.report(second.trial.number, Epoch(1, 0.6, 1.0))
    study.finish_or_interrupt_trials()
    assert [trial.state.name for trial in run.study().trials] == ["COMPLETE", "RUNNING", "RUNNING"]

    again = searching(run)
    taken = [ask(again) for _ in range(3)]
    assert [live.trial.number for live in taken] == [1, 2, 3]
    assert [live.settings for live in taken[:2]] == [first.settings, second.settings]
    assert taken[1].scores == {1: 0.6}
    trials = run.study().trials
    assert len(trials) == 4
    assert [RESUMED in trial.user_attrs for trial in trials] == [False, True, True, False]


def test_a_trial_interrupted_while_it_was_sampled_gets_the_parameters_it_would_have_had(
    make_run: Callable[..., RunFolder],
) -> None:
    whole, cut = make_run("whole"), make_run("cut")
    expected = searching(whole)
    run_trial(expected, 0.5)
    settings = ask(expected).settings

    study = searching(cut)
    run_trial(study, 0.5)
    study.optuna_study.sampler = study._source.sampler_of(1, False)
    study.optuna_study.ask()  # killed before the first parameter was drawn
    assert ask(searching(cut)).settings == settings


def test_a_requeued_trial_starts_again(study: Study, run: RunFolder) -> None:
    run_trial(study, 0.5)
    live = ask(study)
    study.report(live.trial.number, Epoch(1, 0.6, 1.0))
    study.requeue(live.trial.number)
    again = ask(study)
    assert (again.settings, again.scores) == (live.settings, {1: 0.6})
    assert len(run.study().trials) == 2
    assert RESUMED not in run.study().trials[1].user_attrs  # there was no pause


def test_a_resumed_search_ends_with_the_number_of_trials_that_it_was_given(study: Study, run: RunFolder) -> None:
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


def test_a_study_without_a_complete_trial_has_no_best(study: Study, run: RunFolder) -> None:
    study.ask()
    assert best_trial(run.study().trials) is None


def test_a_trial_records_where_it_ran(study: Study, run: RunFolder) -> None:
    number = run_trial(study, 0.5)
    assert run.study().trials[number].user_attrs[WORKER] == "node 1"


def test_a_configuration_is_never_trained_twice_and_a_discrete_space_is_exhausted(
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


def test_a_search_without_time_starts_no_trial(make_run: Callable[..., RunFolder]) -> None:
    run = make_run()
    ask(searching(run))  # a trial that is interrupted
    study = searching(run, trials=None, budget=1e-9)
    assert study.exhausted
    assert study.stop_reason == "budget of 1e-09 s used up"


def test_a_used_up_bound_on_time_stops_trials_at_their_next_epoch_and_more_time_takes_them_up_again(
    make_run: Callable[..., RunFolder],
) -> None:
    run = make_run()
    study = searching(run, trials=None, gpu_hours=1.0, gpus=0.5)
    number = ask(study).trial.number
    assert study.report(number, Epoch(1, 0.5, 7199.0))
    assert not study.report(number, Epoch(2, 0.5, 7200.0))
    study.finish(number)
    assert study.exhausted
    study.record_end()
    assert run.study().user_attrs[STOPPED_BY] == "1 GPU hours used up"
    stopped = run.study().trials[number]
    assert (state_of(stopped), reason(stopped)) == (STOPPED, "stopped after epoch 2: 1 GPU hours used up")
    assert ended(stopped) is not None

    assert searching(run, trials=None, gpu_hours=1.0, gpus=0.5).exhausted
    study = searching(run, trials=None, gpu_hours=1.0 + 2 / 7200, gpus=0.5)
    assert ask(study).trial.number == number
    assert state_of(run.study().trials[number]) == RUNNING
    assert study.report(number, Epoch(2, 0.5, 7190.0))  # trained again, from a checkpoint
    assert study.report(number, Epoch(3, 0.6, 7201.0))
    assert not study.report(number, Epoch(4, 0.4, 7202.0))
    study.finish(number)
    told = run.study().trials[number]
    assert (told.state, told.value, told.user_attrs[REASON]) == (TrialState.COMPLETE, 0.6, "")
    assert told.user_attrs[SECONDS] == 7202


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


def test_what_has_no_effect_counts_as_a_duplicate(make_run: Callable[..., RunFolder]) -> None:
    ranges = {"schedule": CategoricalDistribution(["constant", "step"]), "step_epochs": IntDistribution(1, 4)}
    space = SearchSpace(ranges, {"schedule": "constant", "step_epochs": 2})
    study = searching(make_run(fixed={"epochs": 1}, sampler="random"), trials=30, space=space)
    trained = []
    while live := study.ask():
        trained.append((live.trial.params["schedule"], live.trial.params["step_epochs"]))
        study.report(live.trial.number, Epoch(1, 0.5, 1.0))
        study.finish(live.trial.number)
    assert sorted(trained) == [("constant", 2), *(("step", epochs) for epochs in range(1, 5))]


def test_how_gradients_are_clipped_has_an_effect_where_they_are() -> None:
    assert without_effect({"schedule": "step", "clip_norm": 0.1, "clip_by": "tensor"}) == set()
    assert without_effect({"clip_by": "tensor"}) == {"step_epochs", "step_factor", "clip_by"}


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "gp"])
def test_a_trial_has_only_the_parameters_that_have_a_meaning(make_run: Callable[..., RunFolder], sampler: str) -> None:
    ranges = {"schedule": CategoricalDistribution(["constant", "step"]), "step_epochs": IntDistribution(1, 400)}
    space = SearchSpace(ranges, {"schedule": "constant", "step_epochs": 2}, {"step_epochs": {"schedule": ["step"]}})
    study = searching(make_run(fixed={"epochs": 1}, sampler=sampler), trials=16, space=space)
    trained = []
    while live := study.ask():
        trained.append(dict(live.trial.params))
        study.report(live.trial.number, Epoch(1, 0.5 + live.trial.number / 100, 1.0))
        study.finish(live.trial.number)
    assert trained[0] == {"schedule": "constant"}
    assert len(trained) == 16
    assert all(set(params) == {"schedule", "step_epochs"} for params in trained[1:])
