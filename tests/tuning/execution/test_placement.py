import pytest

from san_core.errors import InputError
from tuning.execution.placement import Machine, Placement, place_trials


@pytest.mark.parametrize(
    ("machine", "options", "expected"),
    [
        ((2, 0), {}, Placement(cpus=1, gpus=0, max_concurrent=2)),
        ((8, 0), {"cpus_per_trial": 3}, Placement(cpus=3, gpus=0, max_concurrent=2)),
        ((8, 0), {"concurrent": 5}, Placement(cpus=1, gpus=0, max_concurrent=5)),
        ((8, 0), {"concurrent": 50}, Placement(cpus=1, gpus=0, max_concurrent=8)),
        ((16, 1), {}, Placement(cpus=16, gpus=1, max_concurrent=1)),
        ((16, 4), {}, Placement(cpus=4, gpus=1, max_concurrent=4)),
        ((16, 4), {"gpus_per_trial": 0.5}, Placement(cpus=2, gpus=0.5, max_concurrent=8)),
        ((16, 4), {"gpus_per_trial": 0.3}, Placement(cpus=1, gpus=0.3, max_concurrent=12)),
        ((16, 4), {"gpus_per_trial": 0.1}, Placement(cpus=1, gpus=0.1, max_concurrent=16)),
        ((16, 4), {"gpus_per_trial": 0}, Placement(cpus=1, gpus=0, max_concurrent=16)),
        ((2, 4), {}, Placement(cpus=1, gpus=1, max_concurrent=2)),
    ],
)
def test_a_machine_is_divided_among_trials(
    machine: tuple[int, int], options: dict[str, float], expected: Placement
) -> None:
    assert place_trials([Machine(*machine)], **options) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("placement", "cohort", "words"),
    [
        (Placement(1, 0, 2), 1, "2 trials at once, 1 core each"),
        (Placement(8, 0.5, 1), 1, "1 trial at once, 0.5 GPU and 8 cores each"),
        (Placement(8, 1, 1), 16, "1 cohort of up to 16 trials at once, 1 GPU and 8 cores each"),
        (Placement(1, 0, 2), 4, "2 cohorts of up to 4 trials at once, 1 core each"),
    ],
)
def test_a_placement_is_told_in_words(placement: Placement, cohort: int, words: str) -> None:
    assert placement.describe(cohort) == words


GIB = 2**30


@pytest.mark.parametrize(
    ("memory", "options", "at_once", "why"),
    [
        (None, {}, 8, ""),
        (8 * GIB, {}, 8, ""),
        (8 * GIB - 1, {}, 7, ": 8.0 GiB of memory are free, 1 GiB for each (--concurrent N overrides this)"),
        (int(2.5 * GIB), {}, 2, ": 2.5 GiB of memory are free, 1 GiB for each (--concurrent N overrides this)"),
        (int(2.5 * GIB), {"concurrent": 2}, 2, ""),
        (0, {}, 1, ": 0.0 GiB of memory are free, 1 GiB for each (--concurrent N overrides this)"),
        (0, {"cpus_per_trial": 8}, 1, ""),
        (0, {"heed_memory": False}, 8, ""),
    ],
)
def test_no_more_trials_run_at_once_than_free_memory_allows(
    memory: int | None, options: dict[str, int], at_once: int, why: str
) -> None:
    placement = place_trials([Machine(8, 0, memory)], **options)  # type: ignore[arg-type]
    assert placement.max_concurrent == at_once
    assert placement.describe().partition(" each")[2] == why


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpus_per_trial": 3}, "--cpus-per-trial must be <= 2, the cores of a machine, but got 3"),
        ({"gpus_per_trial": 0.5}, "--gpus-per-trial must be <= 0, the GPUs there are, but got 0.5"),
    ],
)
def test_more_than_the_machine_has_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        place_trials([Machine(2, 0)], **options)  # type: ignore[arg-type]


def test_more_than_one_gpu_for_a_trial_is_refused() -> None:
    with pytest.raises(InputError, match=r"must be <= 1, since a trial trains on one GPU, but got 2"):
        place_trials([Machine(8, 2)], gpus_per_trial=2)


def test_a_trial_of_a_cluster_fits_on_one_of_its_machines() -> None:
    cluster = [Machine(4, 0)] * 3
    assert place_trials(cluster, cpus_per_trial=4).max_concurrent == 3
    with pytest.raises(InputError, match="must be <= 4, the cores of a machine, but got 5"):
        place_trials(cluster, cpus_per_trial=5)


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        ([Machine(16, 0), Machine(16, 1)], Placement(cpus=16, gpus=1, max_concurrent=1)),
        ([Machine(16, 0), Machine(16, 4)], Placement(cpus=4, gpus=1, max_concurrent=4)),
        ([Machine(16, 4), Machine(4, 4)], Placement(cpus=1, gpus=1, max_concurrent=8)),
        ([Machine(16, 4), Machine(2, 4)], Placement(cpus=1, gpus=1, max_concurrent=6)),
    ],
)
def test_trials_on_gpus_get_cores_of_the_machines_that_have_them(cluster: list[Machine], expected: Placement) -> None:
    assert place_trials(cluster) == expected
