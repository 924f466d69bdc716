import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from tuning.study.configurations import count_configurations, count_values

TABLE: dict[str, tuple[BaseDistribution, list[float | str]]] = {
    "int": (IntDistribution(3, 6), [3, 4, 5, 6]),
    "int with a step": (IntDistribution(0, 12, step=4), [0, 4, 8, 12]),
    "int below zero": (IntDistribution(-2, 1), [-2, -1, 0, 1]),
    "int log": (IntDistribution(5, 9, log=True), [5, 6, 7, 8, 9]),
    "float with a step": (FloatDistribution(0.1, 0.5, step=0.1), [0.1, 0.2, 0.3, 0.4, 0.5]),
    "float with a step that hits no binary fraction": (
        FloatDistribution(0.0, 0.9, step=0.15),
        [0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9],
    ),
    "choices": (CategoricalDistribution(["lstm", "cnn"]), ["lstm", "cnn"]),
    "choices of numbers": (CategoricalDistribution([0.0, 1e-5, 1e-3]), [0.0, 1e-5, 1e-3]),
    "one int": (IntDistribution(7, 7), [7]),
    "one int log": (IntDistribution(7, 7, log=True), [7]),
    "one float": (FloatDistribution(0.3, 0.3), [0.3]),
    "one float log": (FloatDistribution(0.3, 0.3, log=True), [0.3]),
    "one choice": (CategoricalDistribution(["lstm"]), ["lstm"]),
}
ENDLESS = {"float": FloatDistribution(0, 1), "float log": FloatDistribution(1e-5, 1e-2, log=True)}


@pytest.mark.parametrize(("distribution", "values"), TABLE.values(), ids=TABLE)
def test_the_values_of_a_parameter_are_counted(distribution: BaseDistribution, values: list[float | str]) -> None:
    assert count_values(distribution) == len(values)


@pytest.mark.parametrize("distribution", ENDLESS.values(), ids=ENDLESS)
def test_a_continuous_parameter_cannot_be_counted(distribution: BaseDistribution) -> None:
    assert count_values(distribution) is None


@pytest.mark.parametrize(("distribution", "values"), TABLE.values(), ids=TABLE)
def test_random_draws_give_every_value_and_no_other(distribution: BaseDistribution, values: list[float | str]) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = {study.ask({"x": distribution}).params["x"] for _ in range(25 * len(values))}
    if isinstance(distribution, FloatDistribution):
        assert sorted(drawn) == pytest.approx(values)
    else:
        assert drawn == set(values)


def test_configurations_are_the_product_of_the_values() -> None:
    hops, attention = IntDistribution(1, 3), CategoricalDistribution(["paper", "bounded"])
    assert count_configurations([hops]) == 3
    assert count_configurations([hops, attention, FloatDistribution(0, 0.5, step=0.1)]) == 36
    assert count_configurations([hops, FloatDistribution(0.3, 0.3)]) == 3


@pytest.mark.parametrize("distribution", ENDLESS.values(), ids=ENDLESS)
def test_a_space_with_a_continuous_parameter_cannot_be_counted(distribution: BaseDistribution) -> None:
    assert count_configurations([IntDistribution(1, 3), distribution, IntDistribution(1, 2)]) is None
