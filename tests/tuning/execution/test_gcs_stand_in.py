"""What is answered in the place of a GCS that has died."""

import socket
from types import SimpleNamespace

import grpc  # type: ignore[import-untyped]
import pytest
import ray

from tuning.execution import gcs_stand_in


def test_calls_to_a_dead_gcs_are_answered_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that a call has failed would end the program: Ray's library checks that some calls succeed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    node = SimpleNamespace(dead_processes=lambda: [("gcs_server", None)], gcs_address=address)
    monkeypatch.setattr(ray._private.worker, "_global_node", node)
    try:
        gcs_stand_in.answer_for_gcs()
        with grpc.insecure_channel(address) as channel:
            resources = channel.unary_unary("/ray.rpc.NodeResourceInfoGcsService/GetAllTotalResources")
            news = channel.unary_unary("/ray.rpc.ControlPlanePubSubGcsService/GcsSubscriberPoll").future(b"any")
            assert resources(b"any", timeout=600, wait_for_ready=True) == b""
            assert not news.done()  # it waits, as there is none
            news.cancel()
    finally:
        gcs_stand_in.stop_answering()
    assert gcs_stand_in._servers == []
