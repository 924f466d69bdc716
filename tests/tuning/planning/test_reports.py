"""After how many training steps trials are scored."""

from types import SimpleNamespace
from typing import cast

import pytest
from optuna.distributions import BaseDistribution, IntDistribution

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from search_spaces import load
from tuning.planning.reports import with_reports


def _data(train: int, validation: int) -> PreparedData:
    return cast("PreparedData", SimpleNamespace(manifest={"counts": {"train": train, "validation": validation}}))


@pytest.mark.parametrize(
    ("train", "validation", "parts"),
    [
        (1_500, 350, 1),
        (38_575, 9_637, 1),
        (99_900, 10_000, 1),  # 999 steps
        (100_000, 10_000, 2),
        (443_757, 40_000, 9),
        (443_757, 214_354, 2),  # an epoch has at least as many questions as are scored after it
        (248_349, 300_000, 1),
    ],
)
def test_auto_divides_long_passes(train: int, validation: int, parts: int, capsys: pytest.CaptureFixture[str]) -> None:
    baseline = TrainingConfig(epochs=20, step_epochs=5)
    found = with_reports("auto", baseline, _data(train, validation), load("san").parameters)
    assert (found.epochs_per_pass, found.epochs, found.step_epochs) == (parts, 20 * parts, 5 * parts)
    told = capsys.readouterr().err
    if parts == 1:
        assert told == ""
    else:
        assert f"it counts as {parts} epochs, after each of which trials are scored; 20 passes are" in told


def test_a_number_of_steps_is_met_as_nearly_as_whole_parts_of_a_pass_allow() -> None:
    found = with_reports(40, TrainingConfig(epochs=10), _data(10_000, 1_000), {})  # 100 steps
    assert (found.epochs_per_pass, found.epochs) == (2, 20)
    assert with_reports(1_000, TrainingConfig(), _data(10_000, 1_000), {}) == TrainingConfig()


def test_an_epoch_has_two_batches_of_the_largest_size_that_is_searched() -> None:
    searched: dict[str, BaseDistribution] = {"batch_size": IntDistribution(50, 1_000)}
    with pytest.raises(InputError, match="--report-every 10 .* of 1000 questions; accepted: at least 20"):
        with_reports(10, TrainingConfig(), _data(10_000, 1_000), searched)
    assert with_reports(20, TrainingConfig(), _data(10_000, 1_000), searched).epochs_per_pass == 5


def test_auto_leaves_alone_what_is_divided_or_has_a_schedule_that_is_searched() -> None:
    divided = TrainingConfig(epochs_per_pass=3)
    assert with_reports("auto", divided, _data(500_000, 10_000), {}) == divided
    searched: dict[str, BaseDistribution] = {"step_epochs": IntDistribution(1, 10)}
    assert with_reports("auto", TrainingConfig(), _data(500_000, 10_000), searched) == TrainingConfig()
