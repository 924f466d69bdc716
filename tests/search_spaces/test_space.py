import re

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import SearchSpace, SearchSpaceError, load
from search_spaces.space import names


def test_san_searches_the_four_rmsprop_hyperparameters() -> None:
    assert load("san").parameters == {
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "momentum": FloatDistribution(0.0, 0.99),
        "dropout": FloatDistribution(0.0, 0.7),
        "embedding_size": IntDistribution(32, 1024, log=True),
    }


def test_san_baseline_is_the_configuration_results_are_compared_with() -> None:
    assert load("san").baseline == {"learning_rate": 4e-4, "momentum": 0.9, "dropout": 0.5, "embedding_size": 1000}


def test_names_lists_spaces_and_no_other_module() -> None:
    assert "san" in names()
    assert "space" not in names()


@pytest.mark.parametrize("name", names())
def test_every_shipped_space_loads(name: str) -> None:
    space = load(name)
    assert list(space.parameters)
    assert set(space.baseline) == set(space.parameters)


@pytest.mark.parametrize("name", ["sann", "", "space", "SAN", "../san"])
def test_unknown_space_names_the_known_ones(name: str) -> None:
    with pytest.raises(SearchSpaceError, match=re.escape(f"unknown search space {name!r}; accepted: ") + ".*san"):
        load(name)


@pytest.mark.parametrize(
    ("distribution", "value"),
    [
        (FloatDistribution(0.0, 0.7), 0.71),
        (FloatDistribution(1e-5, 1e-2, log=True), 9e-6),
        (IntDistribution(32, 1024, log=True), 1025),
        (IntDistribution(32, 1024), 31),
        (IntDistribution(32, 1024), 32.5),
        (CategoricalDistribution(["lstm", "cnn"]), "gru"),
    ],
    ids=lambda value: str(value),
)
def test_baseline_outside_a_range_is_refused(distribution: BaseDistribution, value: float | str) -> None:
    with pytest.raises(SearchSpaceError, match=rf"baseline must lie inside .*size={re.escape(str(value))} outside"):
        SearchSpace(parameters={"size": distribution}, baseline={"size": value})


@pytest.mark.parametrize("value", [32, 1024], ids=["lowest", "highest"])
def test_baseline_on_the_edge_of_a_range_is_accepted(value: int) -> None:
    space = SearchSpace(parameters={"size": IntDistribution(32, 1024)}, baseline={"size": value})
    assert space.baseline == {"size": value}


def test_every_value_outside_its_range_is_named_at_once() -> None:
    ranges = {"momentum": FloatDistribution(0, 0.99), "dropout": FloatDistribution(0, 0.7)}
    with pytest.raises(SearchSpaceError, match=r"momentum=2 outside .*; dropout=3 outside"):
        SearchSpace(parameters=ranges, baseline={"momentum": 2, "dropout": 3})


@pytest.mark.parametrize("baseline", [{}, {"size": 40, "colour": 1}, {"colour": 1}], ids=["missing", "extra", "other"])
def test_baseline_must_name_exactly_the_parameters(baseline: dict[str, int]) -> None:
    expected = f"baseline must name the space's parameters size, but names {', '.join(baseline)}"
    with pytest.raises(SearchSpaceError, match=re.escape(expected)):
        SearchSpace(parameters={"size": IntDistribution(32, 1024)}, baseline=baseline)
