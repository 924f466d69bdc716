"""Starts the command that serves the page, and asks what the page's script asks."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

REPOSITORY = Path(__file__).parents[3]
PATIENCE = 600


@dataclass
class Page:
    """A page that is served; `ended` is set when it no longer is.

    Attributes:
        address: its address.
        ended: exit code and what was printed to stderr.
    """

    address: str
    ended: tuple[int, str] | None = None

    def post(self, path: str, body: bytes = b"", **query: object) -> tuple[bool, str, bytes]:
        """Whether the answer is a problem, its type and its content."""
        request = Request(f"{self.address}{path}?{urlencode(query)}", data=body, method="POST")
        with urlopen(request, timeout=PATIENCE) as response:
            return "X-Problem" in response.headers, response.headers["Content-Type"].split(";")[0], response.read()


@contextmanager
def served(model: Path, *options: str) -> Iterator[Page]:
    """The page of a model; it ends with Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "san_core.demo", str(model), "--no-browser", *options],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        page = Page(line.removeprefix("the page: ").split()[0])
        yield page
        process.send_signal(signal.SIGINT)
        page.ended = process.wait(PATIENCE), process.communicate()[1]
    finally:
        process.kill()
        process.communicate()
