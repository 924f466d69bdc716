"""What ends Tune before the study ends, in a program that had started Ray itself: real Ray, workers that only fail."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune

from results.run_folder import RunFolder
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from tests.tuning.execution.test_low_memory import KILLED
from tests.tuning.studies import searching
from tuning.execution.placement import Placement
from tuning.execution.ray_session import machines, ray_session
from tuning.execution.run_trials import Callbacks, run_trials
from tuning.execution.trial_setup import Limits, TrialSetup
from tuning.study.study import Study

pytestmark = pytest.mark.long

MakeRun = Callable[..., RunFolder]


@ray.remote(num_cpus=0)
class Counter:
    """An actor of the program's own; workers count their attempts in it."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, name: str) -> int:
        self._counts[name] = self._counts.get(name, 0) + 1
        return self._counts[name]

    def counts(self) -> dict[str, int]:
        return self._counts


@pytest.fixture(scope="module")
def counter() -> Iterator[Any]:
    import tests  # noqa: PLC0415

    cloudpickle.register_pickle_by_value(tests)
    ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    yield Counter.options(name="counter").remote()
    ray.shutdown()
    cloudpickle.unregister_pickle_by_value(tests)


def goes_well() -> Callable[[int, int], None]:
    """What a worker does that trains."""
    return lambda _, __: None


def probe(behaviour: Callable[[int, int], None]) -> type[tune.Trainable]:
    """A worker that calls `behaviour` with a trial's number and how often it was started, and else trains an epoch."""

    name = str(id(behaviour))

    class Probe(tune.Trainable):
        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
            del config
            return tune.PlacementGroupFactory([{"CPU": 1}])

        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            (self._number,) = new_config["trials"]
            self._epoch = 0
            return True

        def step(self) -> dict[str, Any]:
            import ray  # noqa: PLC0415

            from tuning.study.live_trial import Epoch  # noqa: PLC0415

            if not self._epoch:
                started = ray.get(ray.get_actor("counter").add.remote(f"{name} {self._number}"))
                behaviour(self._number, started)
            self._epoch += 1
            return {"epochs": [(self._number, Epoch(self._epoch, 0.5, float(self._epoch)))]}

    return Probe


@pytest.fixture
def execute(counter: Any, make_run: MakeRun, tiny_data: PreparedData) -> Callable[..., Study]:  # noqa: ANN401
    """execute(behaviour, trials=, at_once=, callback=): runs a study; the program's actor must be there afterwards."""

    def run(behaviour: Callable[[int, int], None], *, at_once: int = 1, callback: tune.Callback | None = None) -> Study:
        folder = make_run(pruner="none", sampler="random")
        study = searching(folder, trials=4)
        setup = TrialSetup(str(tiny_data.folder), "accuracy", {}, Placement(1, 0, at_once), show_in_dashboard=False)
        callbacks = Callbacks([callback] if callback else [])
        try:
            with ray_session(folder.log):
                run_trials(study, setup, Limits(max_failures=1), folder, worker=probe(behaviour), callbacks=callbacks)
        finally:
            assert ray.is_initialized()
            assert ray.get(counter.counts.remote()) is not None
            waiting = [group for group in ray.util.placement_group_table().values() if group["state"] != "REMOVED"]
            assert waiting == []
        return study

    return run


def test_a_program_that_started_ray_has_its_machines(counter: object) -> None:
    del counter
    assert [machine.cpus for machine in machines(None)] == [3]


def test_memory_that_runs_low_puts_trials_back_and_runs_fewer_at_once(
    execute: Callable[..., Study], capsys: pytest.CaptureFixture[str]
) -> None:
    def behaviour(number: int, started: int) -> None:
        if number == 1 and started <= 2:
            raise RuntimeError(KILLED)

    study = execute(behaviour, at_once=3)
    assert [trial.state.name for trial in study.optuna_study.trials] == ["COMPLETE"] * 4
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("memory")]
    assert told == [
        "memory ran low (29.50 of 31.00 GB in use on 10.0.0.7): running trials were put back; from now on "
        f"{at_once} at once, 1 core each"
        for at_once in ("2 trials", "1 trial")
    ]


def test_a_trial_that_is_too_much_alone_is_one_line(execute: Callable[..., Study]) -> None:
    def behaviour(number: int, _: int) -> None:
        if number == 1:
            raise RuntimeError(KILLED)

    with pytest.raises(InputError, match=r"memory ran low \(29.50 of 31.00 GB.*3 times in a row.*--resume") as ended:
        execute(behaviour)
    assert "\n" not in str(ended.value)


def test_the_same_failure_in_a_row_is_one_line(execute: Callable[..., Study]) -> None:
    def behaviour(number: int, _: int) -> None:
        if number:
            raise OSError(5, "Input/output error", f"/scratch/{number}")

    with pytest.raises(InputError, match=r"3 trials in a row failed: .*Input/output error.*--resume .*run to go on"):
        execute(behaviour)


class Raising(tune.Callback):
    """Raises an error when a trial has reported its first epoch."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def on_trial_result(self, *_: object, **__: object) -> None:
        raise self._error


def test_an_error_inside_of_tune_is_one_line_and_the_log_has_the_rest(
    execute: Callable[..., Study], tmp_path: Path
) -> None:
    with pytest.raises(InputError) as ended:
        execute(goes_well(), callback=Raising(ZeroDivisionError("a callback is broken")))
    message = str(ended.value)
    assert message.startswith("Ray ended with an error: ZeroDivisionError: a callback is broken; ")
    assert "run again with --resume" in message
    assert "\n" not in message
    assert "Traceback" in (tmp_path / "run" / "search.log").read_text()


def test_ctrl_c_leaves_nothing_of_the_search_in_the_programs_ray(execute: Callable[..., Study]) -> None:
    with pytest.raises(KeyboardInterrupt):
        execute(goes_well(), at_once=2, callback=Raising(KeyboardInterrupt()))
