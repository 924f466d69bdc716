"""Posts the progress of a search to a URL: `--notify`. docs/monitoring.md lists what is posted."""

import base64
import json
import re
import shlex
import sys
import urllib.request
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, unquote, urlsplit

from optuna.trial import FrozenTrial
from ray.tune import Callback
from ray.tune.experiment import Trial
from setproctitle import setproctitle

from results.run_folder import RunFolder
from san_core.signals import is_interrupted
from tuning.monitoring.background_thread import BackgroundThread
from tuning.monitoring.progress import baseline_score
from tuning.study.study import Study
from tuning.study.tune_interface import NotInSnapshots

EVENT_BEST, EVENT_END, EVENT_FAILED, EVENT_INTERRUPTED = "best", "end", "failed", "interrupted"
"""Events that are posted: a new best trial, and the three ways in which a search ends."""

REQUEST_TIMEOUT = 5.0
"""Seconds that the server may take to answer."""

CLOSE_TIMEOUT = 10.0
"""Seconds that the end of the search waits for what is not posted yet."""


def web_address(text: str) -> str:
    """An argument type: the URL, or an error that does not show the text, since it may hold a password."""
    if re.fullmatch(r"[\x21-\x7e]+", text):
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError:
            parts = SplitResult("", "", "", "", "")
        if parts.scheme in ("http", "https") and parts.hostname:
            return text
    raise ArgumentTypeError("must be a URL such as https://HOST/PATH, without spaces; what was given is not shown")


def without_url(arguments: Sequence[str]) -> list[str]:
    """A command's arguments with the word URL in place of the URL, since the URL may hold a password."""
    before = ["", *arguments]
    return [
        "URL" if earlier == "--notify" else "--notify=URL" if argument.startswith("--notify=") else argument
        for earlier, argument in zip(before, arguments, strict=False)
    ]


def conceal_url() -> None:
    """Removes the URL from this program's command line, which `ps` and Ray's dashboard show to others."""
    setproctitle(shlex.join([sys.executable, "-m", "tuning.search", *without_url(sys.argv[1:])]))


class Notifier:
    """Posts a JSON line for each new best trial and for the end of a search, in order.

    It posts in a thread of its own; a failure of posting is a warning and does not reach the search. Used as a context,
    it also posts when an exception leaves the context.

    Args:
        url: address to post to; None posts nothing.
        run: folder of the search.
    """

    def __init__(self, url: str | None, run: RunFolder) -> None:
        self._run, self._metric = str(run.path), run.setting("metric")
        self._study: Study | None = None
        self._baseline: float | None = None
        self._target = _target(url) if url else None
        self._ended = False
        self._best: FrozenTrial | None = None
        self._thread = BackgroundThread(f"notifying {urlsplit(url).hostname}") if url else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._post_end(EVENT_INTERRUPTED, "")
        elif error is not None:
            self._post_end(EVENT_FAILED, str(error) or type(error).__name__)
        if self._thread:
            self._thread.close(CLOSE_TIMEOUT)

    def callbacks(self, study: Study) -> list[Callback]:
        """Callbacks for Ray Tune while it runs the study of this search."""
        self._study = study
        return (
            [_BestTrialCallback(study, self._update_baseline, lambda: self._post(EVENT_BEST))] if self._thread else []
        )

    def notify_end(self, exit_code: int, best: FrozenTrial | None = None) -> None:
        """Posts how the search ended.

        Args:
            exit_code: 0 done, 1 without a complete trial, above 128 interrupted.
            best: the best trial, which fresh seeds may have chosen; None for that with the best score of the search.
        """
        self._best = best
        event = EVENT_INTERRUPTED if is_interrupted(exit_code) else EVENT_FAILED if exit_code else EVENT_END
        reasons = {EVENT_END: self._study.stop_reason if self._study else "", EVENT_FAILED: "no trial is complete"}
        self._post_end(event, reasons.get(event, ""))

    def notify_ray_death(self, reason: str) -> None:
        """Posts that the search failed because Ray died, before the program ends at once."""
        self._post_end(EVENT_FAILED, reason)
        if self._thread:
            self._thread.close(CLOSE_TIMEOUT)

    def _post_end(self, event: str, reason: str) -> None:
        """Posts how the search ended, the first time it is called."""
        if not self._ended:
            self._ended = True
            self._post(event, reason)

    def _post(self, event: str, reason: str = "") -> None:
        if self._thread and self._target:
            line = json.dumps(self._describe(event, reason)) + "\n"
            self._thread.submit(partial(_send, *self._target, line.encode()))

    def _update_baseline(self) -> None:
        """Keeps the baseline's best score. The study does not know it any more when the trial was interrupted."""
        if self._study and (score := baseline_score(self._study)) is not None:
            self._baseline = score

    def _describe(self, event: str, reason: str) -> dict[str, Any]:
        """The object that is posted."""
        self._update_baseline()
        study = self._study
        best = self._best or (study.best if study else None)
        return {
            "event": event,
            "run": self._run,
            "trial": best.number if best else None,
            "score": best.value if best else None,
            "metric": self._metric,
            "baseline": self._baseline,
            "settings": best.params if best else None,
            "trials_ended": len(study.ended) if study else None,
            "reason": reason,
            "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        }


class _BestTrialCallback(NotInSnapshots, Callback):
    """Calls functions after each epoch, and when the study has a new best trial."""

    def __init__(self, study: Study, on_epoch: Callable[[], object], on_new_best: Callable[[], object]) -> None:
        self._study, self._on_epoch, self._on_new_best = study, on_epoch, on_new_best
        self._best: FrozenTrial | None = study.best

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: object
    ) -> None:
        """Is called after each epoch."""
        del iteration, trials, trial, result, info
        self._on_epoch()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Is called when a trial has ended."""
        del iteration, trials, trial, info
        if self._study.best is not self._best:
            self._best = self._study.best
            self._on_new_best()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, because the password would be sent there too."""

    def redirect_request(self, *_: object) -> None:
        """Makes urllib raise the redirection as an error."""


_OPENER = urllib.request.build_opener(_NoRedirects)


def _target(url: str) -> tuple[str, dict[str, str]]:
    """URL and headers of a request; user and password of the URL go into a header."""
    parts = urlsplit(url)
    secret, _, host = parts.netloc.rpartition("@")
    headers = {"Content-Type": "application/json", "User-Agent": "san-tuner"}
    if secret:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(secret).encode()).decode()}"
    return parts._replace(netloc=host, fragment="").geturl(), headers


def _send(url: str, headers: Mapping[str, str], line: bytes) -> None:
    request = urllib.request.Request(url, line, dict(headers), method="POST")
    _OPENER.open(request, timeout=REQUEST_TIMEOUT).close()
