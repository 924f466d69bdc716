"""How Ray is started on this machine; `tests/tuning/monitoring/test_dashboard.py` looks at one that runs."""

import os
from typing import Any

import pytest
import ray
from ray._private import parameter, services
from ray._private.ray_constants import DEFAULT_DASHBOARD_AGENT_LISTEN_PORT

from san_core.errors import InputError
from tuning.execution import local_ray as module
from tuning.execution.local_ray import check_local_ray, local_ray

BUSY = "The current node timed out during startup. This could happen because some of the raylet failed to startup."


class FakeRay:
    """A Ray whose start fails with each error in turn, and then succeeds.

    Attributes:
        errors: those that are left.
        called: what was called.
        arguments: of the last start.
        seen: what the last start saw of its process: address, cores, and variables that bind threads.
        agent_port: port that the last start chose for the node's agent; 0 for any free one.
    """

    dashboard_url = ""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.called: list[str] = []
        self.arguments: dict[str, Any] = {}
        self.seen: tuple[str, set[int], list[str]] = ("", set(), [])
        self.agent_port = -1

    def init(self, **arguments: object) -> "FakeRay":
        self.called.append("init")
        self.arguments = arguments
        address = services.get_node_ip_address()  # type: ignore[no-untyped-call]
        variables = [name for name in os.environ if name.startswith(("OMP_P", "GOMP", "KMP"))]
        self.seen = (address, os.sched_getaffinity(0), variables)
        self.agent_port = parameter.RayParams().dashboard_agent_listen_port
        if self.errors:
            raise self.errors.pop(0)
        return self

    def shutdown(self) -> None:
        self.called.append("shutdown")


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setattr(ray, "init", fake.init)
    monkeypatch.setattr(ray, "shutdown", fake.shutdown)
    return fake


def test_a_start_that_a_busy_machine_delays_is_repeated(fake_ray: FakeRay) -> None:
    fake_ray.errors = [Exception(BUSY), Exception(BUSY)]
    with local_ray(1, None):
        assert fake_ray.called == ["init", "shutdown", "init", "shutdown", "init"]


def test_a_machine_that_is_too_busy_is_one_line(fake_ray: FakeRay) -> None:
    fake_ray.errors = [Exception(BUSY)] * module.START_ATTEMPTS
    with (
        pytest.raises(InputError, match="Ray did not start: it was not ready after 30 s, 3 times in a row"),
        local_ray(1, None),
    ):
        pass


def test_another_failure_is_one_line_at_once(fake_ray: FakeRay) -> None:
    fake_ray.errors = [RuntimeError("first\nlines " + "x" * 1000 + "\nthe reason")]
    with pytest.raises(InputError) as refused, local_ray(1, None):
        pass
    assert str(refused.value).startswith("Ray did not start: first lines xxx")
    assert "the reason; /" in str(refused.value)
    assert len(str(refused.value)) < 600
    assert fake_ray.called == ["init", "shutdown"]


def test_ray_takes_the_loopback_address_for_the_machines(fake_ray: FakeRay) -> None:
    before = services.get_node_ip_address()  # type: ignore[no-untyped-call]
    with local_ray(1, None):
        pass
    assert fake_ray.seen[0] == "127.0.0.1"
    assert services.get_node_ip_address() == before  # type: ignore[no-untyped-call]


def test_the_agent_listens_on_any_free_port(fake_ray: FakeRay) -> None:
    with local_ray(1, None):
        assert fake_ray.agent_port == 0
    assert parameter.RayParams().dashboard_agent_listen_port == DEFAULT_DASHBOARD_AGENT_LISTEN_PORT


def test_ray_takes_little_memory_for_its_objects(fake_ray: FakeRay) -> None:
    with local_ray(3, None):
        pass
    assert fake_ray.arguments["object_store_memory"] == 128 * 2**20
    assert fake_ray.arguments["num_cpus"] == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no threads")
def test_ray_gets_the_cores_that_openmp_took_from_the_main_thread_and_no_orders_to_do_so(
    fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_cores = os.sched_getaffinity(0)
    for name in ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setattr(module, "usable_cores", lambda: all_cores)
    os.sched_setaffinity(0, {min(all_cores)})
    try:
        with local_ray(1, None):
            assert fake_ray.seen[1:] == (all_cores, [])
        assert os.sched_getaffinity(0) == {min(all_cores)}
        assert os.environ["OMP_PROC_BIND"] == os.environ["KMP_AFFINITY"] == "true"
    finally:
        os.sched_setaffinity(0, all_cores)


@pytest.mark.parametrize(
    ("dashboard", "needed", "advice"),
    [
        (False, 180 + 4 * 27, ", or a smaller --concurrent"),
        (True, 390 + 4 * 27, ", or try --no-dashboard, or a smaller "),
    ],
)
def test_too_few_processes_for_ray_are_told_with_the_limit(
    monkeypatch: pytest.MonkeyPatch, *, dashboard: bool, needed: int, advice: str
) -> None:
    monkeypatch.setattr(module, "free_processes", lambda: (needed, "pids.max is 500"))
    check_local_ray(4, dashboard=dashboard)
    monkeypatch.setattr(module, "free_processes", lambda: (needed - 1, "pids.max is 500"))
    message = f"pids.max is 500, which leaves {needed - 1}, but Ray and 4 workers need .*; raise the limit{advice}"
    with pytest.raises(InputError, match=message):
        check_local_ray(4, dashboard=dashboard)
    monkeypatch.setattr(module, "free_processes", lambda: None)
    check_local_ray(4, dashboard=dashboard)
