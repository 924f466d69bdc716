"""Whether the head of a cluster can be reached."""

from types import SimpleNamespace

import pytest
import ray

from tuning.execution.nodes import SECONDS_TO_REACH, head_is_reachable


class _Gcs:
    """What a program has that calls the head, and what the head answers.

    Attributes:
        dead: whether the head does not answer.
        asked: seconds that each call would have waited.
    """

    def __init__(self, *, dead: bool) -> None:
        self.dead = dead
        self.asked: list[float] = []

    def get_all_node_info(self, timeout: float) -> dict[str, object]:
        self.asked.append(timeout)
        if self.dead:
            raise TimeoutError
        return {}


@pytest.mark.parametrize("dead", [False, True])
def test_a_head_on_another_machine_is_asked_with_a_time_limit(dead: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    gcs = _Gcs(dead=dead)
    monkeypatch.setattr(ray._private.worker, "_global_node", SimpleNamespace(is_head=lambda: False))
    monkeypatch.setattr(ray._private.worker, "global_worker", SimpleNamespace(gcs_client=gcs))
    assert head_is_reachable() is not dead
    assert gcs.asked == [SECONDS_TO_REACH]


def test_a_ray_that_the_program_has_started_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    gcs = _Gcs(dead=True)
    monkeypatch.setattr(ray._private.worker, "_global_node", SimpleNamespace(is_head=lambda: True))
    monkeypatch.setattr(ray._private.worker, "global_worker", SimpleNamespace(gcs_client=gcs))
    assert head_is_reachable()
    assert gcs.asked == []
