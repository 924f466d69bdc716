"""`test_local_ray.py` has how Ray is started, `test_early_end.py` a real Ray that the program had started."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
import ray

from tuning.execution import ray_session as module
from tuning.execution.ray_session import ray_session


class FakeRay:
    """A Ray that takes the handler of SIGTERM at its start, as the real one does.

    Attributes:
        called: what was called.
    """

    dashboard_url = ""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called: list[str] = []
        monkeypatch.setattr(ray, "init", self.init)
        monkeypatch.setattr(ray, "shutdown", lambda: self.called.append("shutdown"))

    def init(self, **_: object) -> "FakeRay":
        signal.signal(signal.SIGTERM, _exit)
        self.called.append("init")
        return self


def _exit(number: int, _: FrameType | None) -> None:
    raise SystemExit(number)


def test_a_ray_that_the_program_had_started_is_never_shut_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay(monkeypatch)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with ray_session(tmp_path / "log") as url:
        assert url == ""
        assert module.ray_stays()
    assert fake.called == []
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
    fake = FakeRay(monkeypatch)
    with ray_session(tmp_path / "log"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert handled == [signal.SIGTERM]
    assert fake.called == ["init", "shutdown"]
