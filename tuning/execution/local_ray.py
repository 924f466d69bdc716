"""Starts Ray on this machine, for this machine: on the loopback address, on all cores, with room for its sockets."""

import contextlib
import faulthandler
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
import torch
from ray._private import parameter, ray_constants, worker

from san_core.command_line import print_message
from san_core.errors import InputError
from san_core.machine_limits import AFFINITY_VARIABLES, free_processes, usable_cores
from tuning.execution.gcs_stand_in import stop_answering
from tuning.execution.ray_folder import folder_notice, ray_folder
from tuning.execution.ray_processes import dead_processes
from tuning.execution.replaced import replaced
from tuning.execution.watchdog import end_start_if_ray_dies
from tuning.monitoring.dashboard import Dashboard, make_token

START_ATTEMPTS = 3
"""How often Ray is started before a search gives up."""

SECONDS_TO_START = 30
"""Seconds that the raylet has to get ready."""

OBJECT_STORE = 128 * 2**20
"""Bytes of Ray's shared memory. Data and checkpoints are files: only settings and scores go through it."""

RAY_THREADS, DASHBOARD_THREADS, WORKER_THREADS = 180, 210, 27
"""Processes and threads of Ray with the program that starts it, of its dashboard, and of a worker: as counted on two
cores. On more cores there are more."""

_LOOPBACK_VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def check_local_ray(workers: int, *, dashboard: bool) -> None:
    """Checks that Ray's folder can be written, and that as many processes may be started as Ray needs, unless it runs.

    Args:
        workers: number of workers at once.
        dashboard: whether Ray's dashboard is started.

    Raises:
        InputError: if not; the message names the folder or the limit.
    """
    if ray.is_initialized():
        return
    ray_folder()
    needed = RAY_THREADS + workers * WORKER_THREADS + (DASHBOARD_THREADS if dashboard else 0)
    if (limit := free_processes()) and limit[0] < needed:
        raise InputError(
            f"too few processes may be started: {limit[1]}, which leaves {limit[0]}, but Ray and {workers} "
            f"worker{'s' if workers > 1 else ''} need about {needed}, threads included; raise the limit"
            f"{', or try --no-dashboard' if dashboard else ''}{', or a smaller --concurrent' if workers > 1 else ''}"
        )


@contextlib.contextmanager
def local_ray(
    cpus: int, dashboard: Dashboard | None, before_exit: Callable[[], object] = lambda: None
) -> Iterator[str]:
    """Ray on this machine for as long as the context lasts.

    Args:
        cpus: number of cores that Ray may use.
        dashboard: address to serve Ray's dashboard at; None for no dashboard.
        before_exit: function called before the program ends because Ray died while it started.

    Yields:
        The dashboard's address; empty if there is none.

    Raises:
        InputError: if Ray does not start.
    """
    make_token()
    check_local_ray(1, dashboard=dashboard is not None)
    folder, served = ray_folder(), dashboard or Dashboard()
    if notice := folder_notice(folder):
        print_message(notice)
    with _all_cores(), _on_loopback(), _agent_on_free_port():
        try:
            context = _init(
                before_exit,
                address="local",
                num_cpus=cpus,
                num_gpus=torch.cuda.device_count(),
                object_store_memory=OBJECT_STORE,
                include_dashboard=dashboard is not None,
                dashboard_host=served.host,
                dashboard_port=served.port,
                log_to_driver=False,
                _temp_dir=str(folder),
            )
        except Exception as error:  # Ray raises errors of many kinds, bare Exception among them
            ray.shutdown()
            raise InputError(
                f"Ray did not start: {_in_one_line(error)}; {folder}/session_latest/logs has the details"
            ) from error
        try:
            yield f"http://{context.dashboard_url}" if dashboard else ""
        finally:
            ray.shutdown()
            stop_answering()


def _init(before_exit: Callable[[], object], **arguments: Any) -> Any:  # noqa: ANN401 - arguments, result of ray.init
    """Starts Ray, again if a busy machine took longer than the 30 seconds that Ray waits for itself.

    Raises:
        TimeoutError: if it took longer each of `START_ATTEMPTS` times.
    """
    for _ in range(START_ATTEMPTS):
        try:
            with keep_sigterm_handler(), end_start_if_ray_dies(before_exit), _connecting_when_ready():
                return ray.init(**arguments)
        except Exception as error:
            if type(error) is not Exception or "timed out during startup" not in str(error):  # Ray raises it bare
                raise
            ray.shutdown()
    raise TimeoutError(f"it was not ready after 30 s, {START_ATTEMPTS} times in a row; the machine may be too busy")


@contextlib.contextmanager
def _connecting_when_ready() -> Iterator[None]:
    """Has `ray.init` connect to the raylet that it has started only if that is ready.

    If it has died meanwhile, Ray's library would wait for it, hold the interpreter so that nobody could tell, and end
    the program. Here the watchdog has time to find out.
    """
    connect = worker.connect

    def connect_when_ready(node: Any, *given: Any, **named: Any) -> None:  # noqa: ANN401 - as Ray has it
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline and not _is_ready(node):
            time.sleep(0.02)
        connect(node, *given, **named)

    with replaced(worker, "connect", connect_when_ready):
        yield


def _is_ready(node: Any) -> bool:  # noqa: ANN401 - as Ray has it
    """Whether GCS knows the raylet of the node that this program has started, and both live."""
    if dead_processes():
        return False
    with contextlib.suppress(Exception):  # Ray raises errors of many kinds; the watchdog tells if GCS is dead
        return bool(node.get_gcs_client().get_all_node_info(timeout=1))
    return False


@contextlib.contextmanager
def keep_sigterm_handler() -> Iterator[None]:
    """Puts the handlers of SIGTERM and of crashes back that there were: `ray.init` sets its own."""
    before, traces = signal.getsignal(signal.SIGTERM), faulthandler.is_enabled()
    try:
        yield
    except SystemExit:  # Ray's own handler raises it
        if callable(before):
            before(signal.SIGTERM, None)
        raise
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
        if not traces:
            faulthandler.disable()


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else f"{text[:200]} ... {text[-200:]}"  # what GCS wrote last is at the end


@contextlib.contextmanager
def _all_cores() -> Iterator[None]:
    """Gives this thread, and the processes it starts, the cores from before OpenMP bound the thread to one of them.

    The processes do not see the variables that told OpenMP to do so, since they would be bound to the same core each.
    """
    variables = {name: os.environ[name] for name in AFFINITY_VARIABLES if name in os.environ}
    if not variables or not hasattr(os, "sched_setaffinity"):
        yield
        return
    bound = os.sched_getaffinity(0)
    os.sched_setaffinity(0, usable_cores())
    for name in variables:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(variables)
        os.sched_setaffinity(0, bound)


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Has a Ray that is started take 127.0.0.1 for this machine's address, and listen there only.

    Ray has a setting for that, meant for macOS and Windows. It would put the machine's own address in place of an
    explicit 127.0.0.1.
    """
    before, variable = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(_LOOPBACK_VARIABLE)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[_LOOPBACK_VARIABLE] = False, "0"
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        if variable is None:
            del os.environ[_LOOPBACK_VARIABLE]
        else:
            os.environ[_LOOPBACK_VARIABLE] = variable


def _agent_on_free_port() -> contextlib.AbstractContextManager[None]:
    """Has the agent of a Ray that is started listen on any free port. The dashboard reads the trials' logs through it.

    Ray's own choice is one port for all. If another Ray of this machine has it, the agent goes without, and the
    dashboard shows no logs.
    """
    on_free_port = functools.partial(parameter.RayParams, dashboard_agent_listen_port=0)
    return replaced(parameter, "RayParams", on_free_port)
