import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from results.run_folder import RunFolder
from san_core.errors import InputError
from search_spaces import SearchSpace, load
from tests.tuning.studies import EPOCHS, ask, searching
from tuning.study import repeatable_samplers
from tuning.study.live_trial import Epoch, LiveTrial
from tuning.study.repeatable_samplers import QMCSampler, value_at
from tuning.study.samplers import SAMPLERS, check_sampler, make_sampler, sampler_name
from tuning.study.study import Study

NUMBERS: dict[str, BaseDistribution] = {
    "dropout": FloatDistribution(0, 0.7),
    "hidden_size": IntDistribution(8, 64, log=True),
}
WITH_CHOICE: dict[str, BaseDistribution] = {**NUMBERS, "attention": CategoricalDistribution(["paper", "bounded"])}
COUNTABLE: dict[str, BaseDistribution] = {
    "attention": CategoricalDistribution(["paper", "bounded"]),
    "dropout": FloatDistribution(0.1, 0.4, step=0.1),
    "hops": IntDistribution(1, 3),
}
CONFIGURATIONS = set(product(["paper", "bounded"], [0.1, 0.2, 0.3, 0.4], [1, 2, 3]))


def _drawn(name: str, space: Mapping[str, BaseDistribution], count: int, seed: int = 0) -> list[tuple[Any, ...]]:
    """Configurations drawn one after the other by samplers made anew, as a search does."""
    study = optuna.create_study(direction="maximize")
    drawn = []
    for number in range(count):
        study.sampler = make_sampler(name, seed, number, space)
        trial = study.ask(dict(space))
        drawn.append(tuple(trial.params[parameter] for parameter in space))
        study.tell(trial, 1 / (1 + number))
    return drawn


@pytest.mark.parametrize(
    ("space", "pruning", "number", "expected"),
    [
        (NUMBERS, False, 0, "gp"),
        (NUMBERS, False, 249, "gp"),
        (NUMBERS, False, 250, "cmaes"),
        (NUMBERS, True, 0, "tpe"),
        (NUMBERS, True, 250, "tpe"),
        (WITH_CHOICE, False, 0, "tpe"),
        (WITH_CHOICE, False, 250, "tpe"),
        (WITH_CHOICE, True, 0, "tpe"),
    ],
)
def test_auto_follows_the_space_the_pruning_and_the_number(
    space: Mapping[str, BaseDistribution], pruning: bool, number: int, expected: str
) -> None:
    assert sampler_name("auto", space, pruning=pruning, number=number) == expected


@pytest.mark.parametrize(
    ("space", "pruning", "number", "expected"),
    [
        (NUMBERS, False, 0, "tpe"),
        (NUMBERS, False, 250, "cmaes"),
        (NUMBERS, True, 250, "tpe"),
        (WITH_CHOICE, False, 250, "tpe"),
    ],
)
def test_auto_makes_no_cohort_wait_for_a_gaussian_process(
    space: Mapping[str, BaseDistribution], pruning: bool, number: int, expected: str
) -> None:
    assert sampler_name("auto", space, pruning=pruning, number=number, cohort=2) == expected


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "auto"])
def test_a_sampler_that_is_named_is_used_whatever_auto_would_use(name: str) -> None:
    for space, pruning, number in product((NUMBERS, WITH_CHOICE), (True, False), (0, 250)):
        assert sampler_name(name, space, pruning=pruning, number=number) == name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tpe", optuna.samplers.TPESampler),
        ("gp", optuna.samplers.GPSampler),
        ("cmaes", optuna.samplers.CmaEsSampler),
        ("qmc", QMCSampler),
        ("random", optuna.samplers.RandomSampler),
        ("grid", optuna.samplers.BruteForceSampler),
    ],
)
def test_each_name_gives_its_sampler(name: str, kind: type) -> None:
    assert isinstance(make_sampler(name, 0, 0, NUMBERS), kind)


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("tpe", WITH_CHOICE),
        ("gp", WITH_CHOICE),
        ("cmaes", NUMBERS),
        ("qmc", WITH_CHOICE),
        ("random", WITH_CHOICE),
        ("grid", COUNTABLE),
    ],
)
def test_draws_lie_inside_the_space_and_follow_the_seed(name: str, space: Mapping[str, BaseDistribution]) -> None:
    check_sampler(name, space)
    drawn = _drawn(name, space, 12)
    for configuration in drawn:
        for value, distribution in zip(configuration, space.values(), strict=True):
            assert distribution._contains(distribution.to_internal_repr(value))
    assert _drawn(name, space, 12) == drawn
    assert _drawn(name, space, 12, seed=1) != drawn
    assert len(set(drawn)) > 6


def test_the_grid_draws_every_configuration_once_in_an_order_that_follows_the_seed() -> None:
    orders = [_drawn("grid", COUNTABLE, len(CONFIGURATIONS), seed) for seed in (0, 0, 1)]
    for order in orders:
        assert len(order) == 24
        assert set(order) == CONFIGURATIONS
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != sorted(orders[0])


def test_the_grid_does_not_draw_what_was_tried_before() -> None:
    study = optuna.create_study(sampler=make_sampler("grid", 0, 0, COUNTABLE))
    study.enqueue_trial({"attention": "bounded", "dropout": 0.3, "hops": 2})
    drawn = [tuple(study.ask(dict(COUNTABLE)).params.values()) for _ in range(24)]
    assert drawn[0] == ("bounded", 0.3, 2)
    assert set(drawn) == CONFIGURATIONS


def test_an_exhausted_grid_still_draws_inside_the_space() -> None:
    space = {"hops": IntDistribution(1, 2)}
    drawn = _drawn("grid", space, 5)
    assert set(drawn[:2]) == {(1,), (2,)}
    assert set(drawn[2:]) <= {(1,), (2,)}


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [
        (0.0, 1.0, 0.1),
        (0.05, 0.95, 0.15),
        (1e-5, 1e-4, 1e-5),
        pytest.param(1 / 3, 1 / 3 + 0.5, 0.25, id="low that is no short decimal"),
        pytest.param(1e-13, 5e-13, 1e-13, id="tiny"),
    ],
)
def test_the_grid_draws_each_step_of_a_float_once(low: float, high: float, step: float) -> None:
    count = round((high - low) / step) + 1
    drawn = [value for (value,) in _drawn("grid", {"dropout": FloatDistribution(low, high, step=step)}, count)]
    assert sorted(drawn) == pytest.approx([low + place * step for place in range(count)], rel=1e-6, abs=0)


@pytest.mark.parametrize("sampler", [pytest.param("random"), pytest.param("tpe"), "grid"])
def test_the_values_of_a_stepped_float_are_trained_once_each(sampler: str, make_run: Callable[..., RunFolder]) -> None:
    """0.3 of the baseline and 0.1 + 0.2 of a sampler are one value."""
    space = SearchSpace({"dropout": FloatDistribution(0, 0.9, step=0.1)}, {"dropout": 0.3})
    study = searching(make_run(sampler=sampler, pruner="none"), trials=None, space=space)
    trained = []
    while live := study.ask():
        trained.append(round(live.trial.params["dropout"], 6))
        study.report(live.trial.number, Epoch(EPOCHS, 0.5, 1.0))
        study.finish(live.trial.number)
    assert sorted(trained) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


@pytest.mark.parametrize("name", ["auto", "tpe", "gp", "qmc", "random"])
@pytest.mark.parametrize("space", ["san", "wide", "daquar"])
def test_most_samplers_can_sample_every_space(name: str, space: str) -> None:
    check_sampler(name, load(space).parameters)


@pytest.mark.parametrize(
    ("name", "space", "message"),
    [
        (
            "cmaes",
            {**WITH_CHOICE, "schedule": CategoricalDistribution(["constant"])},
            "--sampler cmaes needs every parameter to be a number, which attention, schedule is not; "
            "accepted here: auto, tpe, gp, qmc, random, grid$",
        ),
        (
            "grid",
            {**COUNTABLE, "momentum": FloatDistribution(0, 0.9), "eps": FloatDistribution(1e-9, 1, log=True)},
            "--sampler grid needs every parameter to be a choice or a number with a step, which momentum, eps is not; "
            "accepted here: auto, tpe, gp, cmaes, qmc, random$",
        ),
    ],
)
def test_a_sampler_that_cannot_sample_the_space_is_refused_and_all_reasons_are_named(
    name: str, space: Mapping[str, BaseDistribution], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_sampler(name, space)


def test_the_largest_grid_is_accepted_and_one_configuration_more_refused() -> None:
    hundred = IntDistribution(1, 100)
    check_sampler("grid", {"a": hundred, "b": hundred, "c": IntDistribution(1, 10)})
    with pytest.raises(InputError, match=r"needs a space of <= 100,000 configurations, but this one has 110,000$"):
        check_sampler("grid", {"a": hundred, "b": hundred, "c": IntDistribution(1, 11)})


# Trials that are asked for in a row, none ended in between

NAMED = [name for name in SAMPLERS if name != "auto"]
STEPS: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-3, 1e-2, step=1e-3),
    "momentum": FloatDistribution(0.0, 0.9, step=0.1),
    "dropout": FloatDistribution(0.0, 0.7, step=0.1),
    "embedding_size": IntDistribution(32, 1024, step=32),
}
FEW: dict[str, BaseDistribution] = {"dropout": FloatDistribution(0.0, 0.7, step=0.1), "hops": IntDistribution(1, 5)}
WIDTH = 16


def _batch_of(name: str, ended: int, seed: int = 0) -> list[tuple[Any, ...]]:
    """Configurations of `WIDTH` trials that run at the same time, after so many that ended."""
    space = STEPS if name == "grid" else load("san").parameters
    study = optuna.create_study(direction="maximize")
    drawn = []
    for number in range(ended + WIDTH):
        study.sampler = make_sampler(name, seed, number, space, cohort=WIDTH)
        trial = study.ask(dict(space))
        drawn.append(tuple(trial.params.values()))
        if number < ended:
            study.tell(trial, -((trial.params["dropout"] - 0.3) ** 2) - (trial.params["momentum"] - 0.5) ** 2)
    return drawn[ended:]


@pytest.mark.parametrize(
    ("name", "ended"),
    [
        pytest.param(name, ended, marks=[pytest.mark.long, pytest.mark.rare] * (name == "gp" and ended > 0))
        for name in NAMED
        for ended in (0, 12)
    ],
)
def test_trials_that_are_asked_for_in_a_row_differ_and_follow_the_seed(name: str, ended: int) -> None:
    batch = _batch_of(name, ended)
    assert len(set(batch)) == WIDTH
    assert _batch_of(name, ended) == batch
    assert not set(batch).intersection(_batch_of(name, ended, seed=1))


def _open(run: RunFolder, space: Mapping[str, BaseDistribution]) -> Study:
    baseline = {name: value_at(each, 0.5) for name, each in space.items()}
    return searching(run, trials=None, space=SearchSpace(space, baseline))


def _finish(study: Study, trials: Sequence[LiveTrial]) -> None:
    for live in trials:
        study.report(live.trial.number, Epoch(EPOCHS, 0.5 + live.trial.params["dropout"] / 2, 1.0))
        study.finish(live.trial.number)


@pytest.mark.parametrize("name", NAMED)
def test_a_study_over_few_configurations_never_runs_one_twice(name: str, make_run: Callable[..., RunFolder]) -> None:
    """Each cohort is asked for before any of its members ends; 40 configurations are 3 cohorts of 16, the last of 8."""
    study = _open(make_run(sampler=name, pruner="none", cohort=WIDTH), FEW)
    trained: list[tuple[Any, ...]] = []
    for _ in range(2):
        cohort = [ask(study) for _ in range(WIDTH)]
        trained += [tuple(live.trial.params.values()) for live in cohort]
        _finish(study, cohort)
    assert len(set(trained)) == len(trained) == 2 * WIDTH


def _journal_of(run: RunFolder) -> list[str]:
    return run.journal.read_text().splitlines(keepends=True)


def _params(study: Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.optuna_study.get_trials(deepcopy=False)]


@pytest.mark.parametrize("ended", [0, 12])
@pytest.mark.parametrize("name", NAMED)
def test_a_search_that_was_killed_while_it_asked_draws_what_it_would_have_drawn(
    name: str, ended: int, make_run: Callable[..., RunFolder]
) -> None:
    """Killed after any record of the journal, also between two parameters of a trial."""
    asks = 2
    space = STEPS if name == "grid" else load("san").parameters
    run = make_run(sampler=name, pruner="none", cohort=4)
    study = _open(run, space)
    _finish(study, [ask(study) for _ in range(ended)])
    before = len(_journal_of(run))
    for _ in range(asks):
        ask(study)
    expected, journal = _params(study), _journal_of(run)
    assert len(expected) == ended + asks
    for records in range(before, len(journal)):
        killed = make_run(f"killed-{records}", **run.settings)
        killed.journal.write_text("".join(journal[:records]))
        resumed = _open(killed, space)
        for _ in range(asks):
            ask(resumed)
        assert _params(resumed) == expected, journal[records - 1]


# The Sobol sequence


def test_16_trials_in_a_row_have_16_values_of_each_parameter_evenly_spaced() -> None:
    drawn = _batch_of("qmc", ended=16)
    for values, distribution in zip(zip(*drawn, strict=True), load("san").parameters.values(), strict=True):
        low, high = (math.log(value) if distribution.log else value for value in (distribution.low, distribution.high))
        places = [((math.log(value) if distribution.log else value) - low) / (high - low) for value in values]
        assert sorted(int(place * 16) for place in places) == list(range(16))


@pytest.mark.parametrize(
    ("distribution", "places"),
    [
        (CategoricalDistribution(["a", "b", "c"]), {0: "a", 0.34: "b", 0.66: "b", 0.67: "c", 0.99: "c"}),
        (IntDistribution(2, 8, step=3), {0: 2, 0.33: 2, 0.34: 5, 0.67: 8, 0.99: 8}),
        (IntDistribution(1, 2), {0: 1, 0.49: 1, 0.51: 2}),
        (IntDistribution(1, 1000, log=True), {0: 1, 0.99999: 1000, 0.5: round(math.sqrt(0.5 * 1000.5))}),
        (FloatDistribution(0, 0.3, step=0.1), {0: 0, 0.26: 0.1, 0.99: pytest.approx(0.3)}),
        (FloatDistribution(1, 100, log=True), {0: 1, 0.5: pytest.approx(10)}),
        (FloatDistribution(-1, 3), {0: -1, 0.5: 1}),
    ],
)
def test_a_place_in_a_parameters_range_is_a_value(distribution: BaseDistribution, places: dict[float, Any]) -> None:
    for place, value in places.items():
        found = value_at(distribution, place)
        assert found == value
        assert type(found) is type(value) or isinstance(found, float)
        assert distribution._contains(distribution.to_internal_repr(found))


def _study_of(scores: Sequence[float], learning_rates: Sequence[float]) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    space = {"learning_rate": FloatDistribution(1e-4, 1e-2, log=True)}
    for score, rate in zip(scores, learning_rates, strict=True):
        study.add_trial(
            optuna.trial.create_trial(value=score, params={"learning_rate": rate}, distributions=dict(space))
        )
    study.sampler = make_sampler("tpe", 0, len(scores), space)
    study.ask(space)
    return study


@pytest.mark.parametrize(("changed", "is_seen"), [(3, False), (7, True)])
def test_tpe_looks_at_the_best_and_the_latest_of_many_trials(
    changed: int, is_seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuning.study.repeatable_samplers.MOST_TRIALS", 20)
    monkeypatch.setattr("tuning.study.repeatable_samplers.BEST_TRIALS", 2)
    scores = [0.9 if number in (7, 30) else number / 100 for number in range(40)]
    rates = [10 ** -(2 + 2 * number / 40) for number in range(40)]
    others = [1e-4 if number == changed else rate for number, rate in enumerate(rates)]
    before, after = (_study_of(scores, each).trials[-1].params for each in (rates, others))
    assert (before != after) is is_seen


def test_tpe_looks_at_all_trials_that_run_the_best_and_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeatable_samplers, "MOST_TRIALS", 10)
    monkeypatch.setattr(repeatable_samplers, "BEST_TRIALS", 2)
    space = {"learning_rate": FloatDistribution(1e-4, 1e-2, log=True)}
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(3):
        study.ask(space)
    for number in range(3, 30):
        score = 0.9 if number in (5, 6, 7) else 0.5
        study.add_trial(
            optuna.trial.create_trial(value=score, params={"learning_rate": 1e-3}, distributions=dict(space))
        )
    seen = repeatable_samplers._fewer_trials(study)._get_trials(deepcopy=False)
    assert [trial.number for trial in seen] == [0, 1, 2, 5, 6, *range(22, 30)]
