"""What follows when Ray ends workers because the machine's memory runs low."""

import pytest
import ray

from san_core.errors import InputError
from tuning.execution.low_memory import ATTEMPTS_ALONE, FewerAtOnce, LowMemoryError, low_memory
from tuning.execution.placement import Placement
from tuning.execution.trial_setup import TrialSetup
from tuning.execution.tune_errors import describe_error, find_low_memory

KILLED = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 10.0.0.7, ID: ab12) was "
    "29.50GB used / 31.00GB limit (0.951613), which exceeds the memory usage threshold. Refer to the documentation on "
    "how to address the out of memory issue: https://docs.ray.io.\n\tTo adjust the kill threshold, set the environment "
    "variable `RAY_memory_usage_threshold` when starting Ray."
)


def rule(at_once: int, cohort: int = 1) -> FewerAtOnce:
    placement = Placement(cpus=1, gpus=0, max_concurrent=at_once)
    return FewerAtOnce(TrialSetup("", "", {}, placement, show_in_dashboard=False, cohort=cohort))


def test_what_ray_says_is_understood_wherever_it_is_said() -> None:
    assert str(low_memory(KILLED)) == "29.50 of 31.00 GB in use on 10.0.0.7"
    assert low_memory("the worker process died") is None
    of_a_task = RuntimeError("Caught unexpected exception")  # which Tune raises then
    of_a_task.__cause__ = ray.exceptions.OutOfMemoryError(KILLED)
    assert str(find_low_memory(of_a_task)) == "29.50 of 31.00 GB in use on 10.0.0.7"
    assert describe_error(of_a_task) == "the machine's memory ran low: 29.50 of 31.00 GB in use on 10.0.0.7"
    assert find_low_memory(RuntimeError("CUDA out of memory")) is None


@pytest.mark.parametrize(("at_once", "steps"), [(2, [1]), (5, [4, 3, 2, 1]), (64, [48, 36, 27])])
def test_fewer_trials_run_at_once_each_time(at_once: int, steps: list[int]) -> None:
    fewer = rule(at_once)
    for expected in steps:
        told = fewer.reduce(LowMemoryError("9 of 9 GB in use"), 0, "resume")
        assert fewer.setup.placement.max_concurrent == expected
        trials = "1 trial" if expected == 1 else f"{expected} trials"
        assert told == (
            f"memory ran low (9 of 9 GB in use): running trials were put back; from now on {trials} at once, "
            "1 core each"
        )


def test_cohorts_are_fewer_and_then_smaller() -> None:
    fewer, found = rule(2, cohort=4), []
    for _ in range(3):
        fewer.reduce(LowMemoryError(""), 0, "resume")
        found.append((fewer.setup.placement.max_concurrent, fewer.setup.cohort))
    assert found == [(1, 4), (1, 2), (1, 1)]


def test_a_trial_that_alone_is_too_much_ends_the_search_in_one_line() -> None:
    fewer = rule(1)
    error = LowMemoryError("30 of 31 GB in use")
    for _ in range(ATTEMPTS_ALONE - 1):
        assert fewer.reduce(error, 5, "resume") == (
            "memory ran low (30 of 31 GB in use): the running trial was put back, and is started again"
        )
    fewer.reduce(error, 6, "resume")  # it has trained an epoch since
    fewer.reduce(error, 6, "resume")
    with pytest.raises(InputError) as ended:
        fewer.reduce(error, 6, "run again with --resume")
    assert str(ended.value) == (
        "memory ran low (30 of 31 GB in use) 3 times in a row with one trial at once; end other programs or search "
        "smaller networks; run again with --resume"
    )
