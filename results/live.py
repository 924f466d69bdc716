"""Optuna's dashboard for a run. It can read the run's journal but not write it."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import WSGIApplication

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from results.run_folder import RunFolder
from san_core.errors import InputError

HOST = "127.0.0.1"
"""The dashboard has no login, so only this machine may reach it."""


class ReadOnlyJournal(JournalFileBackend):
    """A journal file that is never written: the dashboard could delete a study under a running search."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:  # noqa: ARG002 - as the base class has it
        """Refuses to write.

        Raises:
            bottle.HTTPError: always, with status 403: the dashboard answers the request with it.
        """
        from bottle import HTTPError  # the web framework of optuna-dashboard, which is an extra

        raise HTTPError(403, "this dashboard only reads: a search may be writing the journal")


def dashboard(run: RunFolder) -> WSGIApplication:
    """The dashboard as a WSGI application. A request that would change the journal is answered with 403.

    Raises:
        InputError: if optuna-dashboard is not installed.
    """
    if find_spec("optuna_dashboard") is None:
        raise InputError("--live needs optuna-dashboard, which is missing; to install it: pip install optuna-dashboard")
    from optuna_dashboard import wsgi  # an extra

    return wsgi(JournalStorage(ReadOnlyJournal(str(run.journal))))  # type: ignore[no-any-return]


def serve(run: RunFolder, port: int, print_line: Callable[[str], None]) -> None:
    """Serves the dashboard until it is interrupted.

    Args:
        run: the search, which may be running.
        port: port on this machine; 0 takes a free one.
        print_line: function called with a line that names the address.

    Raises:
        InputError: if optuna-dashboard is missing, the journal has no search, or the port is taken.
    """
    run.study()  # raises now if the journal cannot be read
    try:
        server = make_server(HOST, port, dashboard(run), handler_class=_QuietHandler)
    except OSError as error:
        raise InputError(f"cannot serve on port {port}: {error.strerror}; choose another with --port") from error
    with server:
        print_line(f"Optuna dashboard of {run.shown}: http://{HOST}:{server.server_port}/ (Ctrl-C ends it)")
        server.serve_forever()


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002 - as the base class has it
        """Does not print a line for each request."""
