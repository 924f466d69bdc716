"""What `--cohort auto` comes to on machines with and without GPUs; nothing is measured."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from tuning.execution.placement import Placement
from tuning.planning import cohort
from tuning.planning.cohort import chosen_cohort


@pytest.fixture
def gpu_here(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], list[float]]:
    """gpu_here(there): whether this machine has a GPU; returns the shares of it that are measured with, 16 wide."""

    def pretend(there: bool) -> list[float]:
        shares: list[float] = []

        def measure(_: TrainingConfig, __: PreparedData, gpus: float, ___: str | None) -> int:
            shares.append(gpus)
            return 16

        monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
        monkeypatch.setattr(cohort, "measure_cohort_width", measure)
        return shares

    return pretend


@pytest.mark.parametrize("share", [1, 0.5])
def test_auto_measures_with_a_cohorts_share_of_a_gpu(
    share: float, gpu_here: Callable[[bool], list[float]], tiny_data: PreparedData, tiny_config: TrainingConfig
) -> None:
    shares = gpu_here(True)
    assert chosen_cohort("auto", tiny_config, tiny_data, Placement(1, share, 2)) == 16
    assert shares == [share]


@pytest.mark.parametrize(("trials", "gpus", "width"), [(None, 1, 16), (64, 1, 16), (24, 1, 4), (24, 8, 2), (3, 1, 1)])
def test_auto_leaves_the_sampler_something_to_learn_from_and_each_gpu_a_cohort(
    trials: int | None,
    gpus: int,
    width: int,
    gpu_here: Callable[[bool], list[float]],
    tiny_data: PreparedData,
    tiny_config: TrainingConfig,
) -> None:
    gpu_here(True)
    assert chosen_cohort("auto", tiny_config, tiny_data, Placement(1, 1, gpus), trials) == width


def test_a_width_that_is_given_is_taken_without_measuring(
    gpu_here: Callable[[bool], list[float]], tiny_data: PreparedData, tiny_config: TrainingConfig
) -> None:
    shares = gpu_here(True)
    assert [chosen_cohort(width, tiny_config, tiny_data, Placement(1, 1, 1)) for width in (1, 64)] == [1, 64]
    assert shares == []


def test_auto_is_1_without_measuring_where_trials_get_no_gpu_or_cannot_be_trained_together(
    gpu_here: Callable[[bool], list[float]],
    tiny_data: PreparedData,
    tiny_pixels: PreparedData,
    tiny_config: TrainingConfig,
) -> None:
    shares = gpu_here(True)
    assert chosen_cohort("auto", tiny_config, tiny_data, Placement(1, 0, 2)) == 1
    assert chosen_cohort("auto", tiny_config, tiny_pixels, Placement(1, 1, 1)) == 1
    assert chosen_cohort("auto", replace(tiny_config, device_step="off"), tiny_data, Placement(1, 1, 1)) == 1
    assert shares == []


def test_auto_measures_where_only_other_machines_have_gpus(
    gpu_here: Callable[[bool], list[float]], tiny_data: PreparedData, tiny_config: TrainingConfig
) -> None:
    shares = gpu_here(False)
    assert chosen_cohort("auto", tiny_config, tiny_data, Placement(1, 1, 8), address="host:6379") == 16
    assert shares == [1]
