"""Serves the page to this machine, or to others who have the login."""

import ipaddress
import logging
import os
import socket
import sys
import webbrowser
from typing import TYPE_CHECKING

from san_core.errors import InputError

if TYPE_CHECKING:
    from starlette.applications import Starlette

FIRST_PORT, PORTS = 7860, 100
"""The usual port of such pages, and how many are tried from it on."""


def listen(host: str, port: int | None, *, login: bool) -> socket.socket:
    """A socket that listens.

    Args:
        host: name or address.
        port: None takes the next free one from `FIRST_PORT` on.
        login: whether the page asks for a login; without one only this machine may reach it.

    Raises:
        InputError: if the host is not one of this machine, others could reach it without a login, or the port is used.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host else []
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise InputError(f"--host {host!r} is not known; accepted: a name or address of this machine")
    family, *_, (address, *_) = found[0]
    if not login and not ipaddress.ip_address(address).is_loopback:
        raise InputError(f"--host {host} lets others reach the page; then --auth USER:PASSWORD is needed")
    for tried in [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            return socket.create_server((str(address), tried), family=family)
        except OSError as error:
            failure = os.strerror(error.errno or 0)  # its own text repeats the address
    asked = f"port {port}" if port else f"the ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1}"
    raise InputError(f"cannot serve on {asked} of {host}: {failure}; choose another with --port")


def address_of(listener: socket.socket) -> str:
    """The address of the page; with the name of this machine where the socket listens on all its addresses."""
    host, port = listener.getsockname()[:2]
    name = socket.gethostname() if ipaddress.ip_address(host).is_unspecified else host
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def open_browser(address: str) -> None:
    """Opens the page in the user's browser; not without a screen, where a browser would take over the terminal."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(address)


def serve(app: "Starlette", listener: socket.socket) -> None:
    """Serves an application until Ctrl-C, which is raised as a KeyboardInterrupt."""
    import uvicorn  # from the extra

    config = uvicorn.Config(
        app, log_config=None, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    logging.getLogger("uvicorn.error").addFilter(lambda _: not server.should_exit)  # of requests that Ctrl-C cuts off
    server.run(sockets=[listener])
