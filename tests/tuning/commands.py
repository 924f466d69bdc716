"""Runs the project's commands as a user does, in a folder and a home of their own."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

PATIENCE = 1800
"""Seconds that a command may take. On a quiet machine none needs two minutes; a machine may be busy."""

SMALL = ["--epochs", "2"]
for setting in ("questions_per_image=16", "hidden_size=64", "attention_size=32"):
    SMALL += ["--set", setting]


def _heed_ctrl_c() -> None:
    """A shell that runs the tests in the background makes its children deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Project:
    """An empty folder to run commands in, with an empty home."""

    folder: Path
    environment: dict[str, str] = field(repr=False)

    @classmethod
    def in_folder(cls, folder: Path, **environment: str) -> Self:
        """Makes both inside of a folder."""
        place, home = folder / "project", folder / "home"
        place.mkdir()
        home.mkdir()
        own = {"HOME": str(home), "COLUMNS": "120", "SAN_DASHBOARD_DELAY": "1"}
        return cls(place, {**os.environ, **own, **environment})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_ctrl_c,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def ask_dashboard(self, url: str) -> Any:  # noqa: ANN401 - JSON
        """What Ray's dashboard answers to whoever has the token."""
        token = Path(self.environment["HOME"], ".ray", "auth_token").read_text()
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)


def announced_dashboard(process: subprocess.Popen[str], seen: list[str]) -> str:
    """The address of Ray's dashboard, which a search prints; what it printed is added to `seen`."""
    assert process.stderr is not None
    for line in process.stderr:
        seen.append(line)
        if line.startswith("Ray dashboard: "):
            return line.split()[2]
    pytest.fail("no dashboard was announced:\n" + "".join(seen))


@dataclass
class LiveSearch:
    """A search that runs as long as a module's tests do, its trials one after the other.

    Attributes:
        project: project that it was started in; the run is called `live`.
        pid: id of its process.
        address: address of Ray's dashboard.
        announcement: the line that says so.
        session: folder of what Ray knows.
    """

    project: Project
    pid: int
    address: str
    announcement: str
    session: Path
