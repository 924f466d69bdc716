"""Starts Ray on this machine, or joins a Ray cluster."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import ray
import torch

from san_core.errors import InputError
from tuning.execution.local_ray import local_ray
from tuning.execution.machine_limits import free_memory, usable_cpus
from tuning.execution.placement import Machine
from tuning.monitoring.dashboard import Dashboard

# Ray reads these when it starts: it sends no usage data, and a worker without a GPU sees no GPU.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")


class RayNotStartedError(InputError):
    """Ray could not be started or joined, so nothing has run."""


def machines(address: str | None) -> list[Machine]:
    """The machines that can run trials: this one, or those of the Ray cluster at an address.

    Raises:
        InputError: if no cluster can be joined there.
    """
    if address is None:
        return [Machine(usable_cpus(), torch.cuda.device_count(), free_memory())]
    with _joined(address):
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return [Machine(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]


@contextlib.contextmanager
def ray_session(
    log: Path, *, dashboard: Dashboard | None = None, address: str | None = None, cpus: int | None = None
) -> Iterator[str]:
    """Ray for as long as the context lasts; its log output goes to a file.

    Args:
        log: file for Ray's log output.
        dashboard: address to serve Ray's dashboard at; None for no dashboard. A cluster that is joined has its own.
        address: address of a running cluster to join; None starts Ray on this machine.
        cpus: number of cores that Ray may use; None for all that this process may use.

    Yields:
        The dashboard's address; empty if there is none.

    Raises:
        RayNotStartedError: if Ray does not start, or the cluster cannot be joined.
    """
    started = _joined(address) if address else local_ray(cpus or usable_cpus(), dashboard)
    with _log_output_to(log), contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(started)
        except InputError as error:
            raise RayNotStartedError(str(error)) from error
        yield url


@contextlib.contextmanager
def _joined(address: str) -> Iterator[str]:
    _check_reachable(address)
    try:
        context = ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (RuntimeError, ConnectionError, ValueError) as error:
        ray.shutdown()
        raise InputError(
            f"no Ray cluster can be joined at {address!r}: {' '.join(str(error).split())}; one that asks for a token "
            "is joined with RAY_AUTH_MODE=token in the environment and its token in ~/.ray/auth_token"
        ) from error
    try:
        yield f"http://{context.dashboard_url}" if context.dashboard_url else ""
    finally:
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
