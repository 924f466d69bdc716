"""The live screen in a real terminal: tmux, whose window is resized and left in the middle."""

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux (apt-get install tmux)"),
]

SEARCH = """
import time
from pathlib import Path
from san_core.command_line import print_message
from tests.tuning.studies import ask, searching
from tuning.monitoring.progress import show_progress
from results.run_folder import RunFolder
from tuning.study.live_trial import Epoch

folder = Path({folder!r})
settings = {{"seed": 3, "sampler": "random", "pruner": "none", "fixed": {{"epochs": 1}}}}
study = searching(RunFolder.create(folder / "run", settings, {{}}), trials=30)
print_message("before the search")
with show_progress(study, "searching a space on a data set of a rather long name for narrow windows"):
    for _ in range(30):
        number = ask(study).trial.number
        study.report(number, Epoch(1, 0.5 + number / 100, 1.0))
        study.finish(number)
        if number == 9:
            print_message("warning: something is out of reach")
            while not (folder / "go on").exists():
                time.sleep(0.1)
print("the final table")
"""


class Tmux:
    """A tmux server of its own with one window."""

    def __init__(self, socket: Path) -> None:
        self._command = ["tmux", "-S", str(socket), "-f", "/dev/null"]

    def __call__(self, *arguments: str) -> str:
        return subprocess.run(
            [*self._command, *arguments], check=True, capture_output=True, text=True, timeout=600
        ).stdout

    def screen(self, *options: str) -> list[str]:
        """What is on the screen, or with `-S -` what one can scroll up to as well."""
        return [line.rstrip() for line in self("capture-pane", "-p", *options).rstrip().splitlines()]

    def wait(self, until: Callable[[list[str]], bool], *options: str) -> list[str]:
        """The screen as soon as it is as it should be."""
        end = time.monotonic() + 600
        while time.monotonic() < end:
            if until(lines := self.screen(*options)):
                return lines
            time.sleep(0.2)
        pytest.fail("\n".join(self.screen(*options)))


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    tmux = Tmux(tmp_path / "socket")
    (tmp_path / "search.py").write_text(SEARCH.format(folder=str(tmp_path)))
    here = Path(__file__).parent
    paths = shlex.quote(f"{here.parents[1]}:{here}")
    # Python's readline puts a size into the environment of pytest's children, which would count as the user's wish.
    program = shlex.join([sys.executable, str(tmp_path / "search.py")])
    search = f"env -u COLUMNS -u LINES PYTHONPATH={paths} {program}"
    tmux("new-session", "-d", "-x", "100", "-y", "30", f"{search}; sleep 600")
    yield tmux
    tmux("kill-server")


def test_the_screen_follows_the_window_and_leaves_only_where_the_search_stands(tmux: Tmux, tmp_path: Path) -> None:
    lines = tmux.wait(lambda lines: any("10 of 30 ended" in line for line in lines) and len(lines) == 15)
    assert lines[0].startswith("searching a space")
    assert "warning: something is out of reach" in lines[3]
    assert [line.split()[1] for line in lines[5:]] == [str(number) for number in range(9, -1, -1)]

    tmux("resize-window", "-x", "60", "-y", "30")
    lines = tmux.wait(lambda lines: len(lines) > 1 and lines[1] == "narrow windows")
    assert sum(line.startswith("searching") for line in lines) == 1

    tmux("resize-window", "-x", "60", "-y", "10")
    lines = tmux.wait(lambda lines: len(lines) == 9 and "trial   9" in lines[6])
    assert lines[0].startswith("searching a space")

    tmux("resize-window", "-x", "100", "-y", "30")
    tmux.wait(lambda lines: len(lines) == 15 and lines[0].endswith("narrow windows"))
    (tmp_path / "go on").touch()
    lines = tmux.wait(lambda lines: "the final table" in lines, "-S", "-")
    assert lines[:2] == [
        "before the search",
        "searching a space on a data set of a rather long name for narrow windows",
    ]
    assert "30 of 30 ended: 30 complete" in lines[2]
    assert lines[3:] == [
        "best 79.00% (trial 29), baseline 50.00%",
        "warning: something is out of reach",
        "the final table",
    ]
