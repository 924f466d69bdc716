"""Ray's dashboard: the address where it is served, and the token that it asks for."""

import contextlib
import ipaddress
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from san_core.errors import InputError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Dashboard:
    """The address where the dashboard is served.

    Attributes:
        host: host name or IP address it listens on.
        port: None for the first free port from 8265.
    """

    host: str = LOOPBACK
    port: int | None = None


class DashboardOptions(Protocol):
    """The options of a search that say where its dashboard is served."""

    @property
    def no_dashboard(self) -> bool:
        """Leaves the dashboard out."""

    @property
    def dashboard_host(self) -> str | None:
        """The address it listens on."""

    @property
    def dashboard_port(self) -> int | None:
        """Its port."""

    @property
    def address(self) -> str | None:
        """Of a running Ray cluster to join, which has a dashboard of its own."""


def dashboard_of(options: DashboardOptions) -> Dashboard | None:
    """The dashboard that a search's options ask for; None for no dashboard.

    Raises:
        InputError: if it cannot be served there, or if it would be open to other machines without a token.
    """
    addresses = {"--dashboard-host": options.dashboard_host, "--dashboard-port": options.dashboard_port}
    if given := [f"{option} {value}" for option, value in addresses.items() if value is not None]:
        if options.no_dashboard:
            raise InputError(f"{given[0]} places the dashboard that --no-dashboard leaves out: give one of the two")
        if options.address:
            raise InputError(
                f"{given[0]} places the dashboard of a search that starts Ray itself; the cluster at "
                f"{options.address} has its own: leave one of the two options out"
            )
    if options.no_dashboard:
        return None
    host = LOOPBACK if options.dashboard_host is None else options.dashboard_host
    dashboard = Dashboard(host, options.dashboard_port)
    _check(dashboard)
    return dashboard


def asks_for_token() -> bool:
    """Whether a Ray that is started on this machine asks its users for a token (its default since 2.60)."""
    return os.environ.get("RAY_AUTH_MODE", "token").lower() == "token"


def make_token() -> None:
    """Creates the token that users of this machine's Ray need, unless there is one; only the user can read the file.

    Ray itself would create a file that everybody can read (2.60), and whoever has the token can run code.

    Raises:
        InputError: if it cannot be written.
    """
    token = Path.home() / ".ray" / "auth_token"
    elsewhere = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ
    try:
        if asks_for_token() and not elsewhere:
            token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                token.touch(mode=0o600, exist_ok=False)
                token.write_text(secrets.token_hex(32))
        if token.is_file():
            token.chmod(0o600)
    except OSError as error:
        raise InputError(
            f"cannot write {token}, the token of Ray's dashboard: {error.strerror}; make it writable, or name another "
            "file in RAY_AUTH_TOKEN_PATH"
        ) from error


def _check(dashboard: Dashboard) -> None:
    """Checks that the dashboard can be served at its address, and that a token protects it from other machines.

    Raises:
        InputError: if one of the two fails; the message says why.
    """
    host, port = dashboard.host, dashboard.port
    try:
        if not host:
            raise UnicodeError  # as for other names that are not valid; Ray would listen on all addresses
        found = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)
        for family, kind, _, _, address in found:
            with socket.socket(family, kind) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise InputError(
            f"--dashboard-host {host!r}{f' --dashboard-port {port}' if port else ''}: Ray's dashboard cannot be served "
            f"there: {reason}; accepted: an address of this machine, such as {LOOPBACK} or 0.0.0.0 (all), and a free "
            "port"
        ) from error
    open_to_others = any(not ipaddress.ip_address(address[0]).is_loopback for *_, address in found)
    if open_to_others and not asks_for_token():
        raise InputError(
            f"--dashboard-host {host} is refused, because RAY_AUTH_MODE={os.environ['RAY_AUTH_MODE']!r} lets anybody "
            f"in who reaches the dashboard, and whoever is in can run code; accepted: {LOOPBACK}, or "
            "RAY_AUTH_MODE=token"
        )
