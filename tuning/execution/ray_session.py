"""Starts Ray on this machine, joins a Ray cluster, or uses the Ray that the program has already."""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
import torch
from ray._private import worker

from san_core.environment_variables import environment_variables
from san_core.errors import InputError
from san_core.machine_limits import free_memory, usable_cpus
from tuning.execution import cluster_watch
from tuning.execution.cluster_token import token_if_asked
from tuning.execution.cluster_watch import alive_machines
from tuning.execution.local_ray import keep_sigterm_handler, local_ray
from tuning.execution.placement import Machine
from tuning.execution.shipped_code import code_environment
from tuning.execution.watchdog import check_alive
from tuning.monitoring.dashboard import Dashboard

RAY_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it sends no usage data
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a worker without a GPU sees no GPU
    "RAY_AUTH_MODE": None,
    "PYTHONBREAKPOINT": None,
}
"""Environment variables that Ray reads when it starts, and those that it sets itself: they hold while it runs."""


def machines(address: str | None, *, wait_for_gpu: bool = False) -> list[Machine]:
    """The machines that can run trials: this one, or those of the Ray cluster at an address.

    A program that called `ray.init` itself has those of that Ray.

    Args:
        address: address of the cluster.
        wait_for_gpu: whether to wait until a node of the cluster has a GPU.

    Raises:
        InputError: if no cluster can be joined there, or the program's Ray is dead.
    """
    if ray.is_initialized():
        check_alive()
        return alive_machines()
    if address is None:
        return [Machine(usable_cpus(), torch.cuda.device_count(), free_memory())]
    with environment_variables(RAY_VARIABLES), _joined(address):
        if wait_for_gpu:
            cluster_watch.wait_for_gpu()
        return alive_machines()


def has_other_nodes() -> bool:
    """Whether trials may run on other machines than this one: Ray is a cluster that was joined, or has other nodes."""
    return bool(_joined_addresses) or len(alive_machines()) > 1


def same_address() -> str:
    """The option that joins the same cluster again, after a space; empty if none was joined."""
    return f" --address {_joined_addresses[-1]}" if _joined_addresses else ""


@contextlib.contextmanager
def ray_session(
    log: Path,
    *,
    dashboard: Dashboard | None = None,
    address: str | None = None,
    cpus: int | None = None,
    on_failed_start: Callable[[], object] = lambda: None,
) -> Iterator[str]:
    """Ray for as long as the context lasts; its log output goes to a file.

    If the program has called `ray.init` already, that Ray is used and left running: only a Ray that was started here is
    shut down here.

    Args:
        log: file for Ray's log output.
        dashboard: address to serve Ray's dashboard at; None for no dashboard. A cluster that is joined has its own.
        address: address of a running cluster to join; None starts Ray on this machine.
        cpus: number of cores that Ray may use; None for all that this process may use.
        on_failed_start: function called when Ray could not be started or joined, so that nothing has run.

    Yields:
        The dashboard's address; empty if there is none.

    Raises:
        InputError: if Ray does not start, or the cluster cannot be joined.
    """
    if ray.is_initialized():
        session = _found()
    else:
        session = _joined(address) if address else local_ray(cpus or usable_cpus(), dashboard, on_failed_start)
    with environment_variables(RAY_VARIABLES), _log_output_to(log), _messages_to_log(), contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(session)
        except InputError:
            on_failed_start()
            raise
        yield url


_found_sessions = 0
_joined_addresses: list[str] = []


def ray_stays() -> bool:
    """Whether Ray runs on when the session ends, since the program had started it before."""
    return _found_sessions > 0


@contextlib.contextmanager
def _found() -> Iterator[str]:
    """The Ray that the program has started or joined.

    Raises:
        InputError: if the program is a client of a cluster (`ray://`), which Tune cannot use from here.
    """
    global _found_sessions  # noqa: PLW0603
    if ray.util.client.ray.is_connected():  # type: ignore[no-untyped-call]
        raise InputError("a search cannot run through a Ray client (ray://); accepted: ray.init without that address")
    _found_sessions += 1
    try:
        yield ""
    finally:
        _found_sessions -= 1


@contextlib.contextmanager
def joined(address: str | None) -> Iterator[None]:
    """A cluster that is joined for as long as the context lasts; None for the Ray that the program has.

    Raises:
        InputError: if no cluster can be joined there.
    """
    with contextlib.nullcontext() if address is None or ray.is_initialized() else _joined(address):
        yield


@contextlib.contextmanager
def _joined(address: str) -> Iterator[str]:
    _check_reachable(address)
    with token_if_asked(address), _joined_with_token(address) as url:
        yield url


@contextlib.contextmanager
def _joined_with_token(address: str) -> Iterator[str]:
    try:
        with keep_sigterm_handler():
            context = ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=code_environment()
            )
    except (RuntimeError, ConnectionError, ValueError, ray.exceptions.RayError) as error:
        ray.shutdown()
        raise InputError(
            f"no Ray cluster can be joined at {address!r}: {' '.join(str(error).split())}; one that asks for a token "
            "is joined with its token in ~/.ray/auth_token"
        ) from error
    _joined_addresses.append(address)
    try:
        yield f"http://{context.dashboard_url}" if context.dashboard_url else ""
    finally:
        _joined_addresses.pop()
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Checks that a cluster listens at an address. Ray itself would try for minutes.

    Raises:
        InputError: if it is neither `auto` nor HOST:PORT, or there is no answer.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise InputError(f"--address must be HOST:PORT of a Ray cluster, or auto, but got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster can be joined at {address!r}: {error}") from error


@contextlib.contextmanager
def _messages_to_log() -> Iterator[None]:
    """Sends messages of Ray's processes to Ray's log: that a node has died, for example. Ray prints them to stdout."""
    before = worker.print_to_stdstream

    def log(data: Mapping[str, Any], ignore_prefix: bool) -> None:
        del ignore_prefix
        logging.getLogger("ray").error("\n".join(data["lines"]))

    worker.print_to_stdstream = log
    try:
        yield
    finally:
        worker.print_to_stdstream = before


class _LogFile(logging.FileHandler):
    """A log file. A record that cannot be written, for example because the disk is full, is left out silently."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Does nothing: the record is left out."""
        del record

    def close(self) -> None:
        """Closes the file."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def _log_output_to(log: Path) -> Iterator[None]:
    """Sends the log output of Ray's modules to a file and nowhere else."""
    try:
        handler = _LogFile(log, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {log}: {error}") from error
    names = [name for name in logging.root.manager.loggerDict if name == "ray" or name.startswith("ray.")]
    before = {name: logging.getLogger(name).handlers for name in names}
    for name in names:
        logging.getLogger(name).handlers = [handler] if name == "ray" or before[name] else []
    try:
        yield
    finally:
        for name in names:
            logging.getLogger(name).handlers = before[name]
        handler.close()
