"""`--notify` with real HTTP servers: one that listens, one that is slow, one that is dead."""

import argparse
import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ray.tune import Callback

from results.run_folder import RunFolder
from san_core.errors import InputError
from tests.tuning.studies import ask, searching
from tuning.monitoring import notifications as notify
from tuning.monitoring.notifications import Notifier, web_address, without_url
from tuning.study.live_trial import Epoch
from tuning.study.study import Study
from tuning.study.tune_interface import EPOCHS


@dataclass
class Inbox:
    """A server that keeps what is posted. It answers nothing before `answers` is set."""

    status: int = 204
    answers: threading.Event = field(default_factory=threading.Event)
    answered: int = 0
    posts: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(body) for _, _, body in self.posts]

    def url(self, path: str = "/hook", user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.port}{path}"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    inbox.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802 - the library's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            inbox.posts.append((self.path, dict(self.headers), body))
            inbox.answers.wait(60)
            inbox.answered += 1
            self.send_response(inbox.status)
            self.send_header("Location", inbox.url("/elsewhere"))
            self.end_headers()

        def do_GET(self) -> None:  # noqa: N802 - the library's name
            inbox.posts.append((self.path, dict(self.headers), b""))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield inbox
    inbox.answers.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(make_run: Callable[..., RunFolder]) -> RunFolder:
    return make_run(fixed={"epochs": 1}, metric="accuracy")


@pytest.fixture
def study(run: RunFolder) -> Study:
    return searching(run, trials=9)


def end_trials(study: Study, notifier: Notifier, scores: Sequence[float]) -> None:
    """Watches a study of which trials with these scores end."""
    callbacks = notifier.callbacks(study)
    for score in scores:
        end_trial(study, score, callbacks)


def end_trial(study: Study, score: float, callbacks: list[Callback]) -> None:
    number = ask(study).trial.number
    study.report(number, Epoch(1, score, 1.0))
    study.finish(number)
    for callback in callbacks:
        callback.on_trial_complete(0, [], None)  # type: ignore[arg-type]


def test_each_new_best_and_the_end_are_posted_in_order(inbox: Inbox, run: RunFolder, study: Study) -> None:
    with Notifier(inbox.url("/hook?key=1"), run) as notifier:
        end_trials(study, notifier, (0.5, 0.7, 0.6, 0.8))
        notifier.notify_end(0)
    assert [(event["event"], event["trial"], event["score"]) for event in inbox.events] == [
        ("best", 0, 0.5),
        ("best", 1, 0.7),
        ("best", 3, 0.8),
        ("end", 3, 0.8),
    ]
    path, headers, body = inbox.posts[2]
    assert path == "/hook?key=1"
    assert headers["Content-Type"] == "application/json"
    assert body.endswith(b"}\n")
    assert body.count(b"\n") == 1
    event = inbox.events[2]
    assert event["run"] == str(run.path)
    assert event["metric"] == "accuracy"
    assert event["baseline"] == 0.5
    assert event["settings"] == study.optuna_study.trials[3].params
    assert event["trials_ended"] == 4


def test_the_end_names_the_trial_that_fresh_seeds_chose(inbox: Inbox, run: RunFolder, study: Study) -> None:
    with Notifier(inbox.url(), run) as notifier:
        end_trials(study, notifier, (0.5, 0.7, 0.69))
        notifier.notify_end(0, study.ended[2])
    assert (inbox.events[-1]["event"], inbox.events[-1]["trial"], inbox.events[-1]["score"]) == ("end", 2, 0.69)


def test_of_trials_that_end_together_the_best_is_posted_once(inbox: Inbox, run: RunFolder, study: Study) -> None:
    with Notifier(inbox.url(), run) as notifier:
        (callback,) = notifier.callbacks(study)
        numbers = [ask(study).trial.number for _ in range(3)]
        epochs = {number: Epoch(1, score, 1.0) for number, score in zip(numbers, (0.5, 0.7, 0.6), strict=True)}
        for number, epoch in epochs.items():
            study.report(number, epoch)
        callback.on_trial_result(0, [], None, {EPOCHS: list(epochs.items())})  # type: ignore[arg-type]
        for number in numbers:
            study.finish(number)
        callback.on_trial_complete(0, [], None)  # type: ignore[arg-type]
    (event,) = inbox.events
    assert (event["event"], event["trial"], event["score"]) == ("best", 1, 0.7)
    assert (event["baseline"], event["trials_ended"]) == (0.5, 3)


def test_an_interrupted_search_posts_the_last_score_of_its_baseline(inbox: Inbox, run: RunFolder, study: Study) -> None:
    study.epochs = 2
    with Notifier(inbox.url(), run) as notifier:
        (callback,) = notifier.callbacks(study)
        study.report(ask(study).trial.number, Epoch(1, 0.5, 1.0))
        callback.on_trial_result(iteration=0, trials=[], trial=None, result={})  # type: ignore[arg-type]
        study.finish_or_interrupt_trials()
        notifier.notify_end(130)
    (event,) = inbox.events
    assert (event["event"], event["trial"], event["baseline"]) == ("interrupted", None, 0.5)


def test_a_resumed_search_does_not_post_its_old_best_again(inbox: Inbox, run: RunFolder, study: Study) -> None:
    end_trial(study, 0.5, [])
    with Notifier(inbox.url(), run) as notifier:
        callbacks = notifier.callbacks(searching(run, trials=9))
        callbacks[0].on_trial_complete(0, [], None)  # type: ignore[arg-type]
    assert inbox.events == []


@pytest.mark.parametrize(
    ("error", "event", "reason"),
    [(InputError("the disk is full"), "failed", "the disk is full"), (KeyboardInterrupt(), "interrupted", "")],
)
def test_a_failure_is_posted_and_raised(
    error: BaseException, event: str, reason: str, inbox: Inbox, run: RunFolder
) -> None:
    with pytest.raises(type(error)), Notifier(inbox.url(), run):
        raise error
    assert [(posted["event"], posted["reason"], posted["trial"]) for posted in inbox.events] == [(event, reason, None)]


@pytest.mark.parametrize("code", [130, 143, 129], ids=["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_an_interrupted_search_posts_one_end(code: int, inbox: Inbox, run: RunFolder) -> None:
    notifier = Notifier(inbox.url(), run)
    notifier.notify_end(code)
    with pytest.raises(KeyboardInterrupt), notifier:
        raise KeyboardInterrupt
    assert [event["event"] for event in inbox.events] == ["interrupted"]


def test_user_and_password_go_into_a_header_and_never_elsewhere(inbox: Inbox, run: RunFolder) -> None:
    inbox.status = 302
    with Notifier(inbox.url(user="me:pa%20ss@"), run) as notifier:
        notifier.notify_end(1)
    ((path, headers, _),) = inbox.posts  # the redirection was not followed
    assert path == "/hook"
    assert headers["Host"] == f"127.0.0.1:{inbox.port}"
    assert headers["Authorization"] == f"Basic {base64.b64encode(b'me:pa ss').decode()}"


def test_a_dead_server_is_one_warning_without_the_url(
    run: RunFolder, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}/token"
        with Notifier(url, run) as notifier:
            end_trials(study, notifier, (0.5, 0.7))
            notifier.notify_end(0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: notifying 127.0.0.1: URLError: ")
    assert "secret" not in line
    assert "token" not in line


def test_a_slow_server_does_not_delay_the_search(
    inbox: Inbox, run: RunFolder, study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notify, "CLOSE_TIMEOUT", 0.5)
    monkeypatch.setattr(notify, "REQUEST_TIMEOUT", 60)
    inbox.answers.clear()
    with Notifier(inbox.url(), run) as notifier:
        end_trials(study, notifier, (0.0, 0.1, 0.2, 0.3, 0.4))
        notifier.notify_end(0)
    assert inbox.answered == 0
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_after_a_timeout_the_next_event_is_posted(
    inbox: Inbox, run: RunFolder, study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notify, "REQUEST_TIMEOUT", 0.2)
    monkeypatch.setattr(notify, "CLOSE_TIMEOUT", 60)
    inbox.answers.clear()
    with Notifier(inbox.url(), run) as notifier:
        end_trials(study, notifier, (0.0, 0.1))
        notifier.notify_end(0)
    assert inbox.answered == 0
    assert [event["event"] for event in inbox.events] == ["best", "best", "end"]
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    ["ftp://me:secret@host/x", "host/x", "http://", "http://:80/x", "http://host:port/", "http://a b/", "http://[x"],
)
def test_a_text_that_is_no_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be a URL such as https://HOST/PATH") as refused:
        web_address(url)
    assert "secret" not in str(refused.value)


def test_a_command_is_recorded_without_the_url() -> None:
    assert web_address("https://me:secret@host:8443/x?y") == "https://me:secret@host:8443/x?y"
    given = ["--run", "x", "--notify", "http://me:secret@host", "--notify=http://me:secret@host", "--json"]
    assert without_url(given) == ["--run", "x", "--notify", "URL", "--notify=URL", "--json"]
