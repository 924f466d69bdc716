"""The width of cohorts: where widening ends, and that it is measured, on a CPU too."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from tuning.execution import cohort_width
from tuning.execution.cohort_width import Measurement, expected_memory, measure_cohort_width, measured_width, widest
from tuning.execution.trial_setup import WIDTHS


def _measured(
    per_second: Callable[[int], float], memory: Callable[[int], int] = lambda _: 0, fails_at: int = 128
) -> tuple[Callable[[int], Measurement | None], list[int]]:
    """A measurement that is computed, and the widths that it was asked for."""
    asked: list[int] = []

    def measure(width: int) -> Measurement | None:
        asked.append(width)
        return Measurement(per_second(width), memory(width)) if width < fails_at else None

    return measure, asked


def test_a_step_that_takes_as_long_at_every_width_is_widened_to_the_end() -> None:
    measure, asked = _measured(lambda width: 1000.0 * width)
    assert widest(measure, inf) == 64
    assert asked == list(WIDTHS)


@pytest.mark.parametrize(
    ("gain", "width"), [(1.11, 64), (1.09, 1), (0.5, 1)], ids=["just enough", "too little", "slower"]
)
def test_a_width_pays_if_it_sees_a_tenth_more_examples_per_second(gain: float, width: int) -> None:
    measure, _ = _measured(lambda width: 1000 * gain ** WIDTHS.index(width))
    assert widest(measure, inf) == width


def test_widening_ends_at_the_first_width_that_does_not_pay() -> None:
    per_second = {1: 100.0, 2: 190.0, 4: 330.0, 8: 500.0, 16: 540.0, 32: 9999.0}
    measure, asked = _measured(lambda width: per_second[width])
    assert widest(measure, inf) == 8
    assert asked == [1, 2, 4, 8, 16]


def test_out_of_memory_ends_the_widening() -> None:
    measure, asked = _measured(lambda width: 1000.0 * width, fails_at=8)
    assert widest(measure, inf) == 4
    assert asked == [1, 2, 4, 8]


def test_not_even_one_trial_fits() -> None:
    assert widest(_measured(float, fails_at=1)[0], inf) == 0
    assert widest(_measured(float, memory=lambda _: 100)[0], 99) == 0
    assert widest(_measured(float, memory=lambda _: 100)[0], 100) > 0


@pytest.mark.parametrize(("memory", "width", "asked"), [(169, 16, 5), (90, 16, 5), (89, 8, 4), (49, 4, 3), (22, 2, 2)])
def test_a_width_that_is_expected_not_to_fit_is_not_tried(memory: float, width: int, asked: int) -> None:
    """10 for what all share, 5 for the first step, 2.5 for each further member: steps of all widths stay."""
    used = {1: 15, 2: 20, 4: 30, 8: 50, 16: 90, 32: 170, 64: 330}
    measure, tried = _measured(lambda width: 1000.0 * width, memory=used.__getitem__)
    assert widest(measure, memory) == width
    assert len(tried) == asked


def test_the_expected_memory_lies_on_the_line_through_the_last_two_widths() -> None:
    assert expected_memory([]) == expected_memory([15]) == 0
    assert expected_memory([15, 20]) == 30
    assert expected_memory([15, 20, 30]) == 50


def test_the_width_is_measured_by_training(tiny_data: PreparedData, tiny_config: TrainingConfig) -> None:
    assert measured_width(tiny_config, tiny_data.folder, gpus=0) in WIDTHS


def test_all_members_count_and_an_epoch_shorter_than_the_steps_is_enough(
    tiny_data: PreparedData, tiny_config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of 10 ms whatever the width, and 5 ms of an epoch besides; 128 questions are 4 steps of 32."""
    steps_taken: list[int] = []

    def seconds(_: object, steps: int) -> float:
        steps_taken.append(steps)
        return 0.005 + 0.010 * steps

    monkeypatch.setattr(cohort_width, "_seconds", seconds)
    measure = cohort_width._Measuring(tiny_config, tiny_data, cohort_width.best_device())
    questions = len(tiny_data.split("train"))
    steps = questions // 32
    for width in (1, 4):
        found = measure(width)
        assert found is not None
        assert found.per_second == pytest.approx(width * 32 / 0.010)
    assert set(steps_taken) == {0, steps}
    whole = cohort_width._Measuring(
        replace(tiny_config, batch_size=10 * questions), tiny_data, cohort_width.best_device()
    )(1)
    assert whole is not None
    assert whole.per_second == pytest.approx(questions / 0.010)


@pytest.mark.long
def test_it_is_measured_in_a_process_of_its_own(
    tiny_data: PreparedData, tiny_config: TrainingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure_cohort_width(tiny_config, tiny_data) in WIDTHS
    assert capsys.readouterr().err == "measuring how many trials to train together\n"
