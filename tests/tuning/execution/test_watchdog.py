"""What ends a program whose Ray is dead, or says nothing any more."""

import os
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import ray

from tuning.execution import watchdog
from tuning.execution.watchdog import exit_if_ray_dies


class _Context:
    def get_node_id(self) -> str:
        return "this"


class FakeRay:
    """What Ray answers.

    Attributes:
        nodes: what it says of its nodes.
        silent: whether it does not answer.
        fails: whether it raises an error instead.
        exits: codes that the program was ended with.
    """

    def __init__(self) -> None:
        self.nodes = [{"NodeID": "this", "Alive": True}]
        self.silent, self.fails = False, False
        self.exits: list[int] = []
        self.over = threading.Event()

    def answer(self) -> list[dict[str, object]]:
        if self.silent:
            self.over.wait()
        if self.fails:
            raise RuntimeError("GCS is unavailable")
        return self.nodes

    def exit(self, code: int) -> None:
        self.exits.append(code)
        self.over.wait()  # the thread goes no further

    def has_ended(self) -> bool:
        deadline = time.monotonic() + 60
        while not self.exits and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.exits == [2]


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    fake = FakeRay()
    monkeypatch.setattr(watchdog, "SECONDS_BETWEEN", 0.02)
    monkeypatch.setattr(watchdog, "CHECKS_WITHOUT_ANSWER", 10)
    monkeypatch.setattr(watchdog, "SECONDS_TO_END", 0.1)
    monkeypatch.setattr(ray, "nodes", fake.answer)
    monkeypatch.setattr(ray, "get_runtime_context", _Context)
    monkeypatch.setattr(os, "_exit", fake.exit)
    yield fake
    fake.over.set()


@pytest.mark.parametrize("how", ["silent", "fails"])
def test_a_ray_that_does_not_answer_ends_the_program_in_time(
    fake_ray: FakeRay, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    reasons: list[str] = []
    with exit_if_ray_dies("go on with --resume", reasons.append):
        time.sleep(1)
        assert fake_ray.exits == []  # it answers
        setattr(fake_ray, how, True)
        assert fake_ray.has_ended()
    assert reasons == ["Ray has not answered for 0.2 s"]
    assert "error: Ray has not answered for 0.2 s; go on with --resume\n" in capfd.readouterr().err


def test_a_ray_that_answers_late_is_waited_for(fake_ray: FakeRay) -> None:
    with exit_if_ray_dies(""):
        fake_ray.fails = True
        time.sleep(0.06)
        fake_ray.fails = False
        time.sleep(0.5)
    assert fake_ray.exits == []


def test_a_node_that_left_the_cluster_ends_the_program(fake_ray: FakeRay, capfd: pytest.CaptureFixture[str]) -> None:
    with exit_if_ray_dies("go on"):
        fake_ray.nodes = [{"NodeID": "this", "Alive": False}, {"NodeID": "other", "Alive": True}]
        assert fake_ray.has_ended()
    assert "error: this machine is no longer part of the Ray cluster; go on\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("died", "exits"), [("raylet", [2]), ("gcs_server", [2]), ("log_monitor", []), ("dashboard", [])]
)
def test_only_a_process_that_a_search_needs_ends_the_program(
    fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch, died: str, exits: list[int]
) -> None:
    node = SimpleNamespace(dead_processes=lambda: [(died, None)])
    monkeypatch.setattr(ray._private.worker, "_global_node", node)
    with exit_if_ray_dies("go on"):
        time.sleep(0.5)
    assert fake_ray.exits == exits
