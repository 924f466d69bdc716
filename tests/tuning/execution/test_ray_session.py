import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
import ray

from san_core.errors import InputError
from tuning.execution import ray_session as module
from tuning.execution.ray_session import ray_session

BUSY = "The current node timed out during startup. This could happen because some of the raylet failed to startup."


def _failing(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> list[str]:
    """Makes Ray's start fail with each error in turn, and then succeed; returns what was called."""
    called: list[str] = []
    left = list(errors)

    class Context:
        dashboard_url = ""

    def init(**_: object) -> Context:
        called.append("init")
        if left:
            raise left.pop(0)
        return Context()

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: called.append("shutdown"))
    return called


def test_a_start_that_a_busy_machine_delays_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = _failing(monkeypatch, Exception(BUSY), Exception(BUSY))
    with ray_session(tmp_path / "log"):
        assert called == ["init", "shutdown", "init", "shutdown", "init"]


def test_a_machine_that_is_too_busy_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(monkeypatch, *[Exception(BUSY)] * module.START_ATTEMPTS)
    with (
        pytest.raises(InputError, match="Ray did not start: it was not ready after 30 s, 3 times in a row"),
        ray_session(tmp_path / "log"),
    ):
        pass


def test_another_failure_is_one_line_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = _failing(monkeypatch, RuntimeError("no space left"))
    with pytest.raises(InputError, match="Ray did not start: no space left"), ray_session(tmp_path / "log"):
        pass
    assert called == ["init", "shutdown"]


def test_a_ray_that_the_program_had_started_is_never_shut_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`test_early_end.py` has a real one."""
    called = _failing(monkeypatch)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with ray_session(tmp_path / "log") as url:
        assert url == ""
        assert module.ray_stays()
    assert called == []
    assert not module.ray_stays()


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """The signals that reach the program's own handler of SIGTERM."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


def test_the_programs_handler_of_sigterm_stays(
    handled: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = _failing(monkeypatch)
    init: Callable[..., object] = ray.init

    def as_ray_does(**arguments: object) -> object:
        signal.signal(signal.SIGTERM, _exit)
        return init(**arguments)

    monkeypatch.setattr(ray, "init", as_ray_does)
    with ray_session(tmp_path / "log"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert handled == [signal.SIGTERM]
    assert called == ["init", "shutdown"]


def _exit(number: int, _: FrameType | None) -> None:
    raise SystemExit(number)
