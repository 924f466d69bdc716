"""Run folders without a search, and a search that runs."""

import contextlib
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray._private.ray_constants import DEFAULT_DASHBOARD_AGENT_LISTEN_PORT

from results.run_folder import RunFolder
from san_core.data.prepared import PreparedData
from tests.tuning.commands import LiveSearch, Project, announced_dashboard
from tests.tuning.studies import EPOCHS
from tuning.execution.ray_session import ray_session


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFolder]:
    """make_run(name="run", **settings)"""

    def make(name: str = "run", **settings: Any) -> RunFolder:  # noqa: ANN401
        chosen = {"seed": 3, "sampler": "tpe", "pruner": "halving", "fixed": {"epochs": EPOCHS}, **settings}
        return RunFolder.create(tmp_path / name, chosen, {})

    return make


@pytest.fixture(scope="module")
def live_search(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: PreparedData, request: pytest.FixtureRequest
) -> Iterator[LiveSearch]:
    """Trials of the module's EPOCHS_OF_LIVE_SEARCH epochs, of a second or more each; trial 0 is the baseline.

    OpenMP is told to bind threads to cores, as it is on many clusters. The port that every Ray's agent would listen on
    is taken, as it is beside another Ray.
    """
    epochs = str(request.module.EPOCHS_OF_LIVE_SEARCH)
    ray = tempfile.mkdtemp()  # of its own, so that no other search is taken for it; sockets want a short name
    project = Project.in_folder(tmp_path_factory.mktemp("live"), RAY_TMPDIR=ray, OMP_PROC_BIND="true")
    options = ["--run", "live", "--trials", "1000", "--concurrent", "1", "--pruner", "none", "--epochs", epochs]
    for setting in ("batch_size=1", "hidden_size=64", "attention_size=32"):
        options += ["--set", setting]
    with (
        _taken(DEFAULT_DASHBOARD_AGENT_LISTEN_PORT),
        project.start("tuning.search", "--data", str(tiny_data.folder), *options) as process,
    ):
        try:
            printed: list[str] = []
            address = announced_dashboard(process, printed)
            yield LiveSearch(project, process.pid, address, printed[-1], Path(ray, "ray", "session_latest").resolve())
        finally:
            process.send_signal(signal.SIGINT)
            sys.stderr.writelines(process.communicate(timeout=900))  # shown where a test failed
            shutil.rmtree(ray, ignore_errors=True)


def _taken(port: int) -> contextlib.AbstractContextManager[object]:
    """A port of the loopback address that somebody listens on for as long as the context lasts."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:  # somebody does
        return contextlib.nullcontext()


@pytest.fixture(scope="module")
def one_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray that the searches and retrainings of a module use instead of one of their own."""
    with pytest.MonkeyPatch.context() as patch, ray_session(tmp_path_factory.mktemp("ray") / "ray.log", cpus=2):
        for module in ("tuning.search", "tuning.retraining.training"):
            patch.setattr(f"{module}.ray_session", lambda *_, **__: contextlib.nullcontext(""))
        yield
