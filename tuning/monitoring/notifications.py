"""Tells a URL how a search goes: `--notify`. docs/searching.md lists what is posted."""

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
from san_core import command_line
from tuning.monitoring.background import Background
from tuning.monitoring.progress import baseline_score
from tuning.study.study import Study

BEST, END, FAILED, INTERRUPTED = "best", "end", "failed", "interrupted"
"""What is told of: a new best trial, and how the search came to its end."""

ENDS = {0: END, 1: FAILED, command_line.INTERRUPTED: INTERRUPTED}
"""How a search ended, by exit code."""

TIMEOUT = 5.0
"""Seconds that the other side may take to answer."""

PATIENCE = 10.0
"""Seconds that the end of the search waits for what is not yet posted."""


def web_address(text: str) -> str:
    """An argument type: the URL, or an error that shows nothing of it that may be secret."""
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
    """A command's arguments with the word URL in the place of the URL, which may hold a password."""
    before = ["", *arguments]
    return [
        "URL" if earlier == "--notify" else "--notify=URL" if argument.startswith("--notify=") else argument
        for earlier, argument in zip(before, arguments, strict=False)
    ]


def conceal_url() -> None:
    """Takes the URL out of this program's command line, which `ps` and Ray's dashboard show to others."""
    setproctitle(shlex.join([sys.executable, "-m", "tuning.search", *without_url(sys.argv[1:])]))


class Notifier:
    """Posts a JSON line for each new best trial and for the end of a search, in order, in a thread of its own.

    As a context it tells of a failure that leaves it. Nothing that goes wrong with posting reaches the search.

    Args:
        url: where to; None posts nothing.
        run: the search's folder.
    """

    def __init__(self, url: str | None, run: RunFolder) -> None:
        self._run, self._metric = str(run.path), run.setting("metric")
        self._study: Study | None = None
        self._baseline: float | None = None
        self._target = _target(url) if url else None
        self._over = False
        self._background = Background(f"notifying {urlsplit(url).hostname}") if url else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._tell_once(INTERRUPTED, "")
        elif error is not None:
            self._tell_once(FAILED, str(error) or type(error).__name__)
        if self._background:
            self._background.close(PATIENCE)

    def watch(self, study: Study) -> list[Callback]:
        """What Ray Tune is to tell of the trials of the search whose events these are."""
        self._study = study
        return [_News(study, self._note_baseline, lambda: self._tell(BEST))] if self._background else []

    def tell_end(self, exit_code: int) -> None:
        """Posts how the search ended: 0 done, 1 without a complete trial, 130 interrupted."""
        reasons = {END: self._study.over if self._study else "", FAILED: "no trial is complete"}
        self._tell_once(ENDS[exit_code], reasons.get(ENDS[exit_code], ""))

    def tell_death(self, reason: str) -> None:
        """Posts that the search failed, before the program ends on the spot."""
        self._tell_once(FAILED, reason)
        if self._background:
            self._background.close(PATIENCE)

    def _tell_once(self, event: str, reason: str) -> None:
        if not self._over:
            self._over = True
            self._tell(event, reason)

    def _tell(self, event: str, reason: str = "") -> None:
        if self._background and self._target:
            line = json.dumps(self._event(event, reason)) + "\n"
            self._background.do(partial(_post, *self._target, line.encode()))

    def _note_baseline(self) -> None:
        """Notes the baseline's score, which the study forgets of a trial that is interrupted."""
        if self._study and (score := baseline_score(self._study)) is not None:
            self._baseline = score

    def _event(self, event: str, reason: str) -> dict[str, Any]:
        """What is posted."""
        self._note_baseline()
        study = self._study
        best = study.best if study else None
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


class _News(Callback):
    """Notices when an epoch is over, and when a trial that ends is the best so far."""

    def __init__(self, study: Study, note: Callable[[], object], tell: Callable[[], object]) -> None:
        self._study, self._note, self._tell = study, note, tell
        self._best: FrozenTrial | None = study.best

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: object
    ) -> None:
        """Has what may have changed noted."""
        del iteration, trials, trial, result, info
        self._note()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Tells of a new best."""
        del iteration, trials, trial, info
        if self._study.best is not self._best:
            self._best = self._study.best
            self._tell()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's own snapshots: the journal holds it."""
        return {}


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else, since the password would go there too."""

    def redirect_request(self, *_: object) -> None:
        """Takes a redirection for an error."""


_OPENER = urllib.request.build_opener(_StayHere)


def _target(url: str) -> tuple[str, dict[str, str]]:
    """URL and headers of a request, with user and password of the URL where HTTP has them."""
    parts = urlsplit(url)
    secret, _, host = parts.netloc.rpartition("@")
    headers = {"Content-Type": "application/json", "User-Agent": "san-tuner"}
    if secret:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(secret).encode()).decode()}"
    return parts._replace(netloc=host, fragment="").geturl(), headers


def _post(url: str, headers: Mapping[str, str], line: bytes) -> None:
    request = urllib.request.Request(url, line, dict(headers), method="POST")
    _OPENER.open(request, timeout=TIMEOUT).close()
