import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from results import live
from results.run_folder import RunFolder
from san_core.errors import InputError
from tests.results.journals import MakeRun, complete


@pytest.fixture
def run(make_run: MakeRun) -> RunFolder:
    return make_run([complete(0.5), complete(0.75)])


@pytest.fixture
def address(run: RunFolder) -> Iterator[str]:
    """Where a dashboard of the run is served."""
    pytest.importorskip("optuna_dashboard")
    command = [sys.executable, "-m", "results", str(run.path), "--live", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        try:
            yield next(word for word in line.split() if word.startswith("http://"))
        finally:
            process.terminate()


def ask(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_dashboard_shows_a_search_that_goes_on(run: RunFolder, address: str) -> None:
    assert address.startswith("http://127.0.0.1:")
    studies = json.loads(ask(f"{address}api/studies")[1])["study_summaries"]
    assert [study["study_name"] for study in studies] == ["search"]
    detail = f"{address}api/studies/{studies[0]['study_id']}"
    assert len(json.loads(ask(detail)[1])["trials"]) == 2

    run.study().add_trial(complete(0.9))

    end = time.monotonic() + 600  # the dashboard looks again every ten seconds
    while not (found := json.loads(ask(f"{detail}?after=2")[1])["trials"]) and time.monotonic() < end:
        time.sleep(0.5)
    assert [trial["number"] for trial in found] == [2]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "api/studies/0", None),
        ("POST", "api/studies", b'{"study_name": "x", "directions": ["minimize"]}'),
        ("PUT", "api/studies/0/note", b'{"body": "x", "version": 1}'),
        ("POST", "api/trials/0/tell", b'{"state": "Fail"}'),
    ],
)
def test_the_dashboard_never_changes_the_journal(
    run: RunFolder, address: str, method: str, path: str, body: bytes | None
) -> None:
    before = run.journal.read_bytes()

    status, said = ask(address + path, method, body)

    assert (status, json.loads(said)["reason"]) == (
        403,
        "this dashboard only reads: a search may be writing the journal",
    )
    assert run.journal.read_bytes() == before


def test_the_journal_itself_refuses_to_be_written(run: RunFolder) -> None:
    bottle = pytest.importorskip("bottle")
    before = run.journal.read_bytes()

    with pytest.raises(bottle.HTTPError) as refused:
        live.ReadOnlyJournal(str(run.journal)).append_logs([{}, {}])
    assert refused.value.status_code == 403
    assert run.journal.read_bytes() == before


def test_a_missing_dashboard_is_told_with_the_command_that_installs_it(run: RunFolder) -> None:
    script = (
        "import sys; sys.modules['optuna_dashboard'] = None\n"
        "import importlib.util as u; u.find_spec = lambda name: None\n"
        "from results.live import serve; from results.run_folder import RunFolder; from pathlib import Path\n"
        "from san_core.command_line import run_command\n"
        f"run_command(lambda: serve(RunFolder(Path({str(run.path)!r})), 0, print))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == (
        "error: --live needs optuna-dashboard, which is missing; to install it: pip install optuna-dashboard\n"
    )


def test_a_port_that_is_taken_is_an_error(run: RunFolder, address: str) -> None:
    port = int(address.rstrip("/").rsplit(":", 1)[1])

    with pytest.raises(InputError, match=rf"cannot serve on port {port}: Address already in use; choose another"):
        live.serve(run, port, print)
