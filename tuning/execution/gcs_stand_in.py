"""Answers in the place of Ray's GCS after its death, so that nothing waits for it for ever."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ray

from tuning.execution.ray_processes import dead_processes

SECONDS_BETWEEN = 0.1
"""Seconds between two looks whether a call that waits for news is still wanted."""


def answer_for_gcs() -> None:
    """Answers in the place of this machine's GCS, if it has died: an empty message, which says that there is nothing.

    Ray's library calls GCS in places where neither a signal nor an exception reaches it. It would try for a minute and
    then end the program. An answer ends the call; one that says that the call has failed would end the program at once.
    Who asks for news (`...Poll`) waits, as there is none: it would end the program for an empty message.
    """
    node = ray._private.worker._global_node
    if node is None or "gcs_server" not in dead_processes():
        return
    global _excepthook  # noqa: PLW0603
    import grpc  # type: ignore[import-untyped]  # it takes a while, and is needed only then

    def answer(request: bytes, context: object) -> bytes:
        del request, context
        return b""

    def let_wait(request: bytes, context: Any) -> bytes:  # noqa: ANN401 - as gRPC has it
        while context.is_active():
            time.sleep(SECONDS_BETWEEN)
        return answer(request, context)

    class Answers(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, call: Any) -> Any:  # noqa: ANN401 - as gRPC has it
            return grpc.unary_unary_rpc_method_handler(let_wait if call.method.endswith("Poll") else answer)

    server = grpc.server(
        ThreadPoolExecutor(max_workers=16, thread_name_prefix="ray-watchdog-gcs"), handlers=[Answers()]
    )
    with contextlib.suppress(RuntimeError):  # the port is taken
        server.add_insecure_port(node.gcs_address)
        server.start()
        _servers.append(server)
        if threading.excepthook is not _show_unless_of_ray:
            _excepthook, threading.excepthook = threading.excepthook, _show_unless_of_ray


_servers: list[Any] = []
"""What answers in the place of a dead GCS, until Ray has been shut down."""

_excepthook = threading.excepthook


def _show_unless_of_ray(error: threading.ExceptHookArgs) -> None:
    """Shows the error that ended a thread, unless it is Ray's: its threads end with a traceback when GCS is dead."""
    if error.thread is None or not error.thread.name.startswith("ray_"):
        _excepthook(error)


def stop_answering() -> None:
    """Ends the answers in the place of a dead GCS, since Ray has been shut down."""
    while _servers:
        _servers.pop().stop(grace=None)
    if threading.excepthook is _show_unless_of_ray:
        threading.excepthook = _excepthook
