"""Ray for a while: the one that is there, or one that is started; `test_local_ray.py` tests how."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
import ray

from tuning.execution import ray_session as module
from tuning.execution.ray_session import ray_session


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is called of a Ray that does nothing."""
    called: list[str] = []

    class Context:
        dashboard_url = ""

    def init(**_: object) -> Context:
        called.append("init")
        return Context()

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: called.append("shutdown"))
    return called


def test_a_ray_that_the_program_had_started_is_never_shut_down(
    called: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`test_early_end.py` has a real one."""
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
    called: list[str], handled: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
