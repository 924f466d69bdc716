"""What ends a search whose Ray is dead, or says nothing any more."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType, SimpleNamespace

import pytest
import ray

from tuning.execution import watchdog
from tuning.execution.watchdog import RayDiedError, check_alive, end_if_ray_dies


class _Context:
    def get_node_id(self) -> str:
        return "this"


class FakeRay:
    """What Ray answers.

    Attributes:
        is_alive: whether it says that this node is.
        silent: whether it does not answer.
        fails: whether it raises an error instead.
        exits: codes that the program was ended with.
    """

    def __init__(self) -> None:
        self.is_alive, self.silent, self.fails = True, False, False
        self.exits: list[int] = []
        self.over = threading.Event()

    def answer(self, node_id: str) -> bool:
        assert node_id == "this"
        if self.silent:
            self.over.wait()
        if self.fails:
            raise RuntimeError("GCS is unavailable")
        return self.is_alive

    def exit(self, code: int) -> None:
        self.exits.append(code)
        self.over.wait()  # the thread goes no further

    def has_ended(self) -> bool:
        deadline = time.monotonic() + 600
        while not self.exits and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.exits == [2]


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    fake = FakeRay()
    monkeypatch.setattr(watchdog, "SECONDS_BETWEEN", 0.02)
    monkeypatch.setattr(watchdog, "CHECKS_WITHOUT_ANSWER", 1000)  # a busy machine may let the answers wait
    monkeypatch.setattr(watchdog, "SECONDS_TO_END", 0.1)
    monkeypatch.setattr(watchdog, "_is_alive", fake.answer)
    monkeypatch.setattr(watchdog, "is_command", lambda: True)
    monkeypatch.setattr(ray, "get_runtime_context", _Context)
    monkeypatch.setattr(os, "_exit", fake.exit)
    yield fake
    fake.over.set()


@pytest.mark.parametrize("how", ["silent", "fails"])
def test_a_ray_that_does_not_answer_ends_the_program_in_time(
    fake_ray: FakeRay, how: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons: list[str] = []
    with end_if_ray_dies("go on with --resume", reasons.append):
        time.sleep(1)
        assert fake_ray.exits == []  # it answers
        setattr(fake_ray, how, True)
        monkeypatch.setattr(watchdog, "CHECKS_WITHOUT_ANSWER", 10)
        assert fake_ray.has_ended()
    assert reasons == ["Ray has not answered for 0.2 s"]
    assert "error: Ray has not answered for 0.2 s; go on with --resume\n" in capfd.readouterr().err


def test_the_head_of_a_cluster_that_was_joined_is_given_less_time_than_rays_library_gives_it(
    fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (watchdog.CHECKS_WITHOUT_HEAD + watchdog.SECONDS_FOR_ANSWER) < 60
    joined = SimpleNamespace(dead_processes=list, is_head=lambda: False)
    monkeypatch.setattr(ray._private.worker, "_global_node", joined)
    monkeypatch.setattr(watchdog, "CHECKS_WITHOUT_HEAD", 20)
    fake_ray.silent = True
    with end_if_ray_dies("go on"):
        assert fake_ray.has_ended()
    assert "error: Ray has not answered for 0.4 s; go on\n" in capfd.readouterr().err


def test_a_ray_that_answers_late_is_waited_for(fake_ray: FakeRay) -> None:
    with end_if_ray_dies(""):
        fake_ray.fails = True
        time.sleep(0.06)
        fake_ray.fails = False
        time.sleep(0.5)
    assert fake_ray.exits == []


def test_a_node_that_left_the_cluster_ends_the_program(fake_ray: FakeRay, capfd: pytest.CaptureFixture[str]) -> None:
    with end_if_ray_dies("go on"):
        fake_ray.is_alive = False
        assert fake_ray.has_ended()
    assert "error: this machine is no longer part of the Ray cluster; go on\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("died", "exits"), [("raylet", [2]), ("gcs_server", [2]), ("log_monitor", []), ("dashboard", [])]
)
def test_only_a_process_that_a_search_needs_ends_the_program(
    fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch, died: str, exits: list[int]
) -> None:
    node = SimpleNamespace(dead_processes=lambda: [(died, None)], is_head=lambda: True)
    monkeypatch.setattr(ray._private.worker, "_global_node", node)
    with end_if_ray_dies("go on"):
        time.sleep(0.5)
    assert fake_ray.exits == exits


@pytest.fixture
def in_a_program(fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """A Ray that has died under a function that a program called."""
    monkeypatch.setattr(watchdog, "is_command", lambda: False)
    fake_ray.is_alive = False
    return fake_ray


def _search(seen: list[str]) -> None:
    """A program that Ray's death interrupts, while it waits and does not look."""
    try:
        with end_if_ray_dies("search(resume=...) goes on", seen.append):
            try:
                for _ in range(6000):
                    time.sleep(0.01)
            except Exception:  # noqa: BLE001 - as Tune does before it goes on
                seen.append("swallowed")
            seen.append("went on")
    except RayDiedError as error:
        seen.append(str(error))
    finally:
        seen.append("finally")


REASON = "this machine is no longer part of the Ray cluster"
CAUGHT = [REASON, f"{REASON}; search(resume=...) goes on", "finally"]


def test_a_program_gets_an_exception_and_its_handler_of_ctrl_c_back(in_a_program: FakeRay) -> None:
    before, seen = signal.getsignal(signal.SIGINT), list[str]()
    _search(seen)
    assert seen == CAUGHT
    assert in_a_program.exits == []
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_of_a_program_gets_the_exception(in_a_program: FakeRay) -> None:
    seen: list[str] = []
    thread = threading.Thread(target=_search, args=[seen])
    thread.start()
    thread.join(60)
    assert seen == CAUGHT
    assert in_a_program.exits == []


def test_ctrl_c_does_what_it_did_while_ray_lives(fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "is_command", lambda: False)
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        del frame
        heard.append(number)

    before = signal.signal(signal.SIGINT, hear)
    try:
        with end_if_ray_dies(""):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is hear
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
    assert fake_ray.exits == []


def test_a_ray_that_died_before_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    check_alive()
    node = SimpleNamespace(dead_processes=lambda: [("gcs_server", None)])
    monkeypatch.setattr(ray._private.worker, "_global_node", node)
    with pytest.raises(RayDiedError, match=r"gcs_server process on this machine died; accepted: .* after ray.shutdown"):
        check_alive()
