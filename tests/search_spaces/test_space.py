import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from san_core.config import TrainingConfig
from search_spaces import SearchSpace, SearchSpaceError, load, misfits
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
    assert len(wide.parameters) == 14
    assert TrainingConfig.from_dict(wide.baseline) == TrainingConfig()


def test_daquar_starts_smaller_and_searches_only_smaller_networks_than_the_paper_baseline() -> None:
    space, baseline = load("daquar"), TrainingConfig()
    for size in ("embedding_size", "hidden_size", "attention_size"):
        assert space.baseline[size] < getattr(baseline, size)  # type: ignore[operator]
        assert _ends(space.parameters[size])[1] <= getattr(baseline, size)
    for name in ("dropout", "feature_dropout"):
        assert space.baseline[name] >= getattr(baseline, name)


def test_only_keeps_the_named_parameters_with_their_baseline_in_the_spaces_order() -> None:
    wide = load("wide")
    part = wide.only(["hops", "dropout", "no parameter"])
    assert list(part.parameters) == ["dropout", "hops"]
    assert part.parameters == {"dropout": FloatDistribution(0, 0.7), "hops": IntDistribution(1, 3)}
    assert part.baseline == {"dropout": 0.5, "hops": 2}
    assert len(wide.parameters) == 14  # and is left as it was


def test_only_of_nothing_and_of_everything() -> None:
    san = load("san")
    assert san.only([]) == SearchSpace({}, {})
    assert san.only(san.parameters) == san


RANGES = {
    "share": FloatDistribution(0, 0.5, step=0.1),
    "size": IntDistribution(4, 12, step=4),
    "kind": CategoricalDistribution(["lstm", "cnn"]),
}


@pytest.mark.parametrize(
    "configuration",
    [
        {},
        {"share": 0},
        {"share": 0.3, "size": 8, "kind": "cnn"},
        {"share": 0.1 + 0.2},
        {"size": 12, "colour": "not of the space"},
    ],
)
def test_a_configuration_that_fits_has_no_misfits(configuration: dict[str, object]) -> None:
    assert misfits(RANGES, configuration) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", -0.1),
        ("share", float("nan")),
        ("share", None),
        ("size", 8.0),
        ("size", "8"),
        ("kind", "LSTM"),
        ("kind", ["lstm"]),
    ],
)
def test_a_misfit_is_told_with_its_range(name: str, value: object) -> None:
    assert misfits(RANGES, {"share": 0.1, "size": 4, name: value}) == [f"{name}={value} outside {RANGES[name]}"]


def test_all_misfits_are_told_in_the_spaces_order() -> None:
    found = misfits(RANGES, {"kind": "gru", "size": 4, "share": 2})
    assert [text.split(" outside ")[0] for text in found] == ["share=2", "kind=gru"]


def test_a_space_is_loaded_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from optuna.distributions import IntDistribution\n"
        "from search_spaces import SearchSpace\n"
        "SPACE = SearchSpace({'hops': IntDistribution(1, 2)}, {'hops': 2})\n"
    )
    assert load(str(path)) == SearchSpace({"hops": IntDistribution(1, 2)}, {"hops": 2})


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    for baseline in (1, 2):
        path.write_text(
            "from optuna.distributions import IntDistribution\n"
            "from search_spaces import SearchSpace\n"
            f"SPACE = SearchSpace({{'hops': IntDistribution(1, 2)}}, {{'hops': {baseline}}})\n"
        )
        assert load(str(path)).baseline == {"hops": baseline}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("1 / 0", r"cannot be run: ZeroDivisionError\('division by zero'\) \(.*mine\.py, line 1\)"),
        ("SPACE = 3", r"must set SPACE to a search_spaces\.SearchSpace, but it is 3"),
        (
            "from search_spaces import SearchSpace\nSPACE = SearchSpace({}, {'hops': 1})",
            "mine.py: baseline must name the space's parameters , but names hops",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SearchSpaceError, match=message):
        load(str(path))


def test_numbers_of_numpy_and_rounding_errors_are_taken_for_what_they_mean() -> None:
    with warnings.catch_warnings(record=True):  # Optuna's own, of choices of NumPy
        warnings.simplefilter("always")
        decay = CategoricalDistribution([np.float64(0.0), np.float32(0.5)])
    space = SearchSpace(
        parameters={"dropout": FloatDistribution(0, 0.3), "hops": IntDistribution(1, 3), "weight_decay": decay},
        baseline={"dropout": 0.1 + 0.2, "hops": np.int64(2), "weight_decay": np.float64(0.5)},
    )
    assert space.baseline == {"dropout": 0.3, "hops": 2, "weight_decay": 0.5}
    assert [type(value) for value in space.baseline.values()] == [float, int, float]
    json.dumps([space.describe(), space.baseline])
    steps = SearchSpace({"dropout": FloatDistribution(0, 0.5, step=0.1)}, {"dropout": 0.1 + 0.2})
    assert steps.baseline["dropout"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (0.25, "share=0.25 is not 0.0 plus a whole number of steps of 0.1"),
        (0.05 + 0.2, "share=0.25 is not 0.0 plus a whole number of steps of 0.1"),
        (0.55, "share=0.55 is more than 0.5, where the steps of 0.1 from 0.0 end"),
        (0.7, f"share=0.7 outside {RANGES['share']}"),
    ],
)
def test_the_rule_that_is_broken_is_told(value: float, rule: str) -> None:
    assert misfits(RANGES, {"share": value}) == [rule]


@pytest.mark.parametrize(
    ("only_if", "message"),
    [
        (
            {"kind": {"size": [4]}, "size": {"kind": ["cnn"]}},
            "only_if of size names kind, accepted: a parameter before it: share",
        ),
        ({"kind": {"size": [5]}}, "only_if of kind has size=5 is not 4 plus a whole number of steps of 4"),
        ({"other": {"size": [4]}}, "only_if of other names size, accepted: a parameter before it: "),
    ],
)
def test_a_condition_names_a_parameter_before_and_its_values(
    only_if: dict[str, dict[str, list[int]]], message: str
) -> None:
    with pytest.raises(SearchSpaceError, match=re.escape(message)):
        SearchSpace(RANGES, {"share": 0.1, "size": 4, "kind": "cnn"}, only_if)


def test_a_parameter_has_a_meaning_where_its_condition_holds() -> None:
    space = SearchSpace(RANGES, {"share": 0.1, "size": 4, "kind": "cnn"}, {"kind": {"size": [4, 8]}})
    assert space.has_meaning("kind", {"size": 8})
    assert not space.has_meaning("kind", {"size": 12})
    assert not space.has_meaning("kind", {})
    assert space.has_meaning("share", {})
    assert space.only(["kind", "share"]).only_if == {}
    assert space.only(["kind", "size"]) == SearchSpace(
        {name: RANGES[name] for name in ("size", "kind")}, {"size": 4, "kind": "cnn"}, space.only_if
    )


@pytest.mark.filterwarnings("ignore")  # Optuna warns of choices of other kinds
@pytest.mark.parametrize(
    "make", [lambda: FloatDistribution(1e-5, 1e-2, log={0}), lambda: CategoricalDistribution([object(), 1])]
)
def test_a_range_that_a_run_folder_cannot_hold_is_refused(make: Callable[[], BaseDistribution]) -> None:
    accepted = "accepted: numbers, texts, True, False and None in a range"
    with pytest.raises(SearchSpaceError, match=rf"^size is .*, {accepted}"):
        SearchSpace(parameters={"size": make()}, baseline={"size": 1})
