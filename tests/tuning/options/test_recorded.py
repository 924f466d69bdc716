"""What settings.json keeps of the options, and what may change when a search is resumed."""

import pytest

from tuning.options.command_line import parse_options
from tuning.options.option import OnResume, Recorded
from tuning.options.recorded import changed_options, recorded_options, replaced_options, unchangeable_options
from tuning.options.search_options import BOUNDS, SearchOptions, declared_options

CANNOT_CHANGE = {
    *("space", "metric", "preset", "epochs", "set", "sampler", "pruner", "seed", "baseline_first", "try_first"),
    *("prior", "gpus_per_trial", "cpus_per_trial", "storage", "folds", "report_every"),
}
UNDER_THEIR_NAMES = {
    *("data", "space", "metric", "try_first", "prior", "concurrent", "cpus_per_trial", "gpus_per_trial"),
    *("sampler", "pruner", "baseline_first", "confirm", "seed", "storage", "max_failures", "keep", "track"),
    *("trials", "budget", "gpu_hours", "patience", "cohort", "folds"),
}
"""As run folders have them that were written before options were declared; `cohort` and `folds` are newer."""


def test_the_bounds_are_those_that_end_a_search() -> None:
    assert BOUNDS == ("trials", "budget", "gpu_hours", "patience")


def test_run_folders_keep_the_keys_that_they_always_had() -> None:
    assert unchangeable_options(SearchOptions()).keys() == CANNOT_CHANGE
    used = {name: None for name, each in declared_options().items() if each.option.recorded is Recorded.AS_USED}
    assert recorded_options(SearchOptions(), used).keys() == UNDER_THEIR_NAMES


def test_what_an_option_came_to_must_be_given() -> None:
    with pytest.raises(ValueError, match=r"used must hold \['budget', .* but holds \['data'\]"):
        recorded_options(SearchOptions(), {"data": "data/mine"})


def test_every_option_that_is_kept_can_change_or_is_compared() -> None:
    """Else a resumed search would silently go on with the earlier value."""
    for name, each in declared_options().items():
        if each.option.on_resume is OnResume.THIS_TIME:
            assert each.option.recorded is Recorded.NOT or name == "concurrent"


def test_values_replace_earlier_ones_only_where_they_may() -> None:
    options = parse_options(
        ["--keep", "1", "--confirm", "2", "--trials", "9", "--seed", "0", "--json", "--cohort", "4"]
    )
    assert replaced_options(options) == {"keep": 1, "confirm": 2, "cohort": 4}


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (["--seed", "3", "--set", "hops=1", "--metric", "accuracy", "--cpus-per-trial", "2", "--trials", "9"], []),
        (["--gpus-per-trial", "auto"], []),
        (["--gpus-per-trial", "0.25"], []),
        (["--gpus-per-trial", "0.5"], [("--gpus-per-trial", "auto", 0.5)]),
        (["--metric", "vqa"], [("--metric", "accuracy", "vqa")]),
        (["--set", "hops=2", "--seed", "0"], [("--set", ["hops=1"], ["hops=2"]), ("--seed", 3, 0)]),
    ],
)
def test_options_may_be_given_again_as_they_were_or_as_what_they_came_to(
    arguments: list[str], changed: list[tuple[str, object, object]]
) -> None:
    first = parse_options(["--seed", "3", "--set", "hops=1", "--gpus-per-trial", "auto"])
    settings = {
        "options": unchangeable_options(first),
        "seed": 3,
        "metric": "accuracy",
        "cpus_per_trial": 2,
        "gpus_per_trial": 0.25,
    }
    assert list(changed_options(parse_options(arguments), settings)) == changed
