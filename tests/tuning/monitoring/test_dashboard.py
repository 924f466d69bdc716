"""Ray's dashboard: who gets in, and what a browser shows of a search that runs."""

import argparse
import contextlib
import ipaddress
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from san_core.errors import InputError
from tests.browser import By, TimeoutException, WebDriverWait, webdriver
from tests.tuning.commands import LiveSearch
from tuning import search
from tuning.monitoring.dashboard import Dashboard, dashboard_of, make_token

RAYS_OWN = (
    "api/grafana_health - Failed to load resource",  # Grafana is not there
    "api/prometheus_health - Failed to load resource",
    "api/serve/applications/ - Failed to load resource",  # Ray Serve is not installed
    "api/v0/platform_events - Failed to load resource",
    "Cluster Status Error",
)
"""What Ray's page logs as errors after the login, whatever runs on Ray."""


def parsed_options(**options: object) -> argparse.Namespace:
    nothing = {"dashboard_host": None, "dashboard_port": None, "no_dashboard": False, "address": None}
    return argparse.Namespace(**{**nothing, **options})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and nothing said about tokens."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("mode", ["disabled", "", "something"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_dashboard_without_login_is_not_served_to_others(
    home: Path, monkeypatch: pytest.MonkeyPatch, mode: str, host: str
) -> None:
    del home
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(InputError, match=f"--dashboard-host {host} is refused, because RAY_AUTH_MODE='{mode}' lets"):
        dashboard_of(parsed_options(dashboard_host=host))
    assert dashboard_of(parsed_options(dashboard_host="localhost")) == Dashboard("localhost")
    assert dashboard_of(parsed_options()) == Dashboard("127.0.0.1")
    monkeypatch.setenv("RAY_AUTH_MODE", "Token")
    assert dashboard_of(parsed_options(dashboard_host=host)) == Dashboard(host)


def test_a_dashboard_with_login_is_served_at_the_given_address(home: Path) -> None:
    del home
    assert dashboard_of(parsed_options(dashboard_host="0.0.0.0")) == Dashboard("0.0.0.0")
    assert dashboard_of(parsed_options(no_dashboard=True)) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dashboard_host": "192.0.2.250"}, "--dashboard-host '192.0.2.250': .* Cannot assign requested address; acc"),
        ({"dashboard_host": ""}, "--dashboard-host '': .* not a host name; accepted: an address of this machine"),
        ({"dashboard_host": "a" * 70}, "cannot be served there: .*; accepted"),
        ({"dashboard_host": "::1", "no_dashboard": True}, "--dashboard-host ::1 places the dashboard that --no-dash"),
        (
            {"dashboard_port": 8300, "address": "auto"},
            "--dashboard-port 8300 places .* the cluster at auto has ",
        ),
    ],
)
def test_an_address_where_it_cannot_be_served_is_an_error(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dashboard_of(parsed_options(**options))


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"--dashboard-port {port}: .* Address already in use"):
            dashboard_of(parsed_options(dashboard_port=port))


def test_the_token_is_private_from_the_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    write = Path.write_text

    def note(path: Path, text: str) -> int:
        modes.append(path.stat().st_mode)
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", note)
    make_token()
    token = home / ".ray" / "auth_token"
    text = token.read_text()
    assert [stat.S_IMODE(mode) for mode in (*modes, token.stat().st_mode)] == [0o600, 0o600]
    assert re.fullmatch("[0-9a-f]{64}", text)

    token.chmod(0o644)  # as Ray leaves it
    make_token()
    assert (token.read_text(), stat.S_IMODE(token.stat().st_mode)) == (text, 0o600)


@pytest.mark.parametrize(
    "given", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "ab"}, {"RAY_AUTH_TOKEN_PATH": "elsewhere"}]
)
def test_no_token_is_created_without_need(home: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    make_token()
    assert list(home.iterdir()) == []


def test_a_token_that_cannot_be_written_is_an_error(home: Path) -> None:
    (home / ".ray").write_text("a file")
    with pytest.raises(InputError, match=r"cannot write .*/\.ray/auth_token, .*: File exists; make it writable, or"):
        make_token()


def test_a_search_refuses_before_it_writes_anything(
    home: Path, monkeypatch: pytest.MonkeyPatch, run_here: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.chdir(home)
    refused = run_here(search.main, "--dashboard-host", "0.0.0.0")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert re.fullmatch("error: --dashboard-host 0.0.0.0 is refused, .*\n", refused.stderr)
    assert list(home.iterdir()) == []


EPOCHS_OF_LIVE_SEARCH = 10_000
"""The trial that is looked at does not end, however slow the machine is."""


def test_ray_lists_a_running_trial_by_number_and_parameters(live_search: LiveSearch) -> None:
    name = "trial 0: learning_rate=0.0004, momentum=0.9, dropout=0.5, embedding_size=1000"
    shown: list[str] = []
    end = time.monotonic() + 600
    while not any(found.startswith(name) for found in shown):
        assert time.monotonic() < end, shown
        actors = live_search.project.ask_dashboard(f"{live_search.address}/logical/actors")["data"]["actors"]
        shown = [actor["reprName"] or "" for actor in actors.values()]
        time.sleep(0.2)


def _processes(live_search: LiveSearch) -> list[psutil.Process]:
    """Those of the search, and of the Ray that it started."""
    search = psutil.Process(live_search.pid)
    return [search, *search.children(recursive=True)]


def test_no_process_of_a_search_listens_beyond_this_machine(live_search: LiveSearch) -> None:
    found: dict[str, str] = {}
    for process in _processes(live_search):
        with contextlib.suppress(psutil.Error):
            sockets = [each for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN]
            found |= {f"{process.name()}:{each.laddr.port}": each.laddr.ip.removeprefix("::ffff:") for each in sockets}
    assert len(found) >= 8, found  # of Ray's servers and the dashboard; on a busy machine agents come later
    assert {name: ip for name, ip in found.items() if not ipaddress.ip_address(ip).is_loopback} == {}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds threads to cores")
def test_a_worker_may_use_all_cores_though_openmp_was_to_bind_threads(live_search: LiveSearch) -> None:
    workers = [process for process in _processes(live_search) if process.name().startswith("ray::SANWorker")]
    assert workers
    for worker in workers:
        assert worker.cpu_affinity() == psutil.Process().cpu_affinity()
        assert "OMP_PROC_BIND" not in worker.environ()


def test_a_browser_finds_a_running_trial_and_its_epochs(browser: webdriver.Chrome, live_search: LiveSearch) -> None:
    browser.set_window_size(1600, 1000)
    browser.get(f"{live_search.address}/#/actors")
    _log_in(browser, live_search)
    name = "trial 0: learning_rate=0.0004, momentum=0.9, dropout=0.5, embedding_size=1000"
    _wait(browser, lambda: name in _text(browser))
    row = next(row for row in browser.find_elements(By.CSS_SELECTOR, "tbody tr") if name in row.text)
    browser.execute_script("arguments[0].click()", row.find_element(By.LINK_TEXT, "Log"))
    _wait(browser, lambda: _has_log(browser))

    assert re.search(r"epoch \d+: loss \d+\.\d{4}, accuracy \d+\.\d\d%, \d[\d,]* examples/s", _text(browser))
    _wait(browser, lambda: "trial 0 of live, search" in _top_of_log(browser))
    assert "learning_rate = 0.0004\n" in _top_of_log(browser)
    assert _errors(browser) == []


_EPOCH = re.compile(r"epoch \d+: ")


def _has_log(browser: webdriver.Chrome) -> bool:
    """Whether a log with an epoch is shown. Ray has none to show until the node's agent has started."""
    text = _text(browser)
    if not _EPOCH.search(text) and "Logs" in text:
        _errors(browser)  # forgets what that led to
        browser.refresh()
        _wait(browser, lambda: bool(_EPOCH.search(_text(browser))) or "Failed to load" in _text(browser))
    return bool(_EPOCH.search(_text(browser)))


def _top_of_log(browser: webdriver.Chrome) -> str:
    """What is shown when the log is scrolled to its first lines; a page holds only those that are seen."""
    browser.execute_script("document.querySelectorAll('*').forEach(each => { each.scrollTop = 0 })")
    return _text(browser)


def _log_in(browser: webdriver.Chrome, live_search: LiveSearch) -> None:
    """Does what the search says: pastes what the command prints."""
    found = re.search(r"\(to log in, paste what this prints: (.*)\)", live_search.announcement)
    assert found is not None
    project = live_search.project
    printed = subprocess.run(
        found[1], shell=True, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=True
    )
    _wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "input[type=password]"))
    browser.find_element(By.CSS_SELECTOR, "input[type=password]").send_keys(printed.stdout)
    browser.find_element(By.XPATH, "//button[text()='Submit']").click()
    _wait(browser, lambda: not browser.find_elements(By.CSS_SELECTOR, "input[type=password]"))
    _errors(browser)  # forgets that everything was refused so far


def _errors(browser: webdriver.Chrome) -> list[str]:
    """What the pages logged as errors since the last call, without what Ray's logs anyway."""
    messages = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return [message for message in messages if not any(known in message for known in RAYS_OWN)]


def _text(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def _wait(browser: webdriver.Chrome, ready: Callable[[], object]) -> None:
    try:
        WebDriverWait(browser, 300).until(lambda _: ready())
    except TimeoutException:
        pytest.fail(f"{browser.current_url} shows:\n{_text(browser)}")
