import re

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from san_core.config import TrainingConfig
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


def _ends(distribution: BaseDistribution) -> list[float | int | str]:
    """The lowest and the highest value, or every choice."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)  # type: ignore[arg-type]  # our choices are words and numbers
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


@pytest.mark.parametrize("name", names())
def test_every_value_a_space_gives_is_one_that_training_accepts(name: str) -> None:
    space = load(name)
    TrainingConfig.from_dict(space.baseline)
    for parameter, distribution in space.parameters.items():
        for value in _ends(distribution):
            assert getattr(TrainingConfig.from_dict({**space.baseline, parameter: value}), parameter) == value
    for ends in (0, -1):  # and all together
        TrainingConfig.from_dict({p: _ends(distribution)[ends] for p, distribution in space.parameters.items()})


def test_wide_extends_the_four_and_starts_from_the_same_baseline() -> None:
    four, wide = load("san"), load("wide")
    assert dict(four.parameters).items() <= dict(wide.parameters).items()
    assert len(wide.parameters) == 13
    assert TrainingConfig.from_dict(wide.baseline) == TrainingConfig()


def test_daquar_starts_smaller_and_searches_only_smaller_networks_than_the_paper_baseline() -> None:
    space, baseline = load("daquar"), TrainingConfig()
    for size in ("embedding_size", "hidden_size", "attention_size"):
        assert space.baseline[size] < getattr(baseline, size)  # type: ignore[operator]
        assert _ends(space.parameters[size])[1] <= getattr(baseline, size)
    assert space.baseline["dropout"] >= baseline.dropout  # type: ignore[operator]
