"""`test_local_ray.py` has how Ray is started, `test_early_end.py` a real Ray that the program had started."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
import ray
from ray._private import worker

from results.run_folder import RunFolder
from tuning.execution import ray_session as module
from tuning.execution.ray_session import ray_session
from tuning.execution.run_trials import how_to_go_on


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


def test_what_ray_says_of_a_node_that_died_goes_to_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeRay(monkeypatch)
    before = worker.print_to_stdstream
    said = {"lines": ["The node with node id: 3 has been marked dead"], "pid": "raylet", "is_err": False}
    with ray_session(tmp_path / "log"):
        worker.print_to_stdstream(said, ignore_prefix=False)
    assert worker.print_to_stdstream is before
    assert capsys.readouterr().out == ""
    assert "The node with node id: 3 has been marked dead" in (tmp_path / "log").read_text()


def test_the_command_to_go_on_joins_the_same_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeRay(monkeypatch)
    run = RunFolder(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as gcs:
        address = f"127.0.0.1:{gcs.getsockname()[1]}"
        monkeypatch.setattr(module, "token_if_asked", lambda _: contextlib.nullcontext())
        with ray_session(tmp_path / "log", address=address):
            assert how_to_go_on(run).endswith(f"run again with --resume {run.shown} --address {address} to go on")
    assert how_to_go_on(run).endswith(f"run again with --resume {run.shown} to go on")
