"""What the pages of the documentation hold: commands, files, links.

A block that starts with ```sh holds commands: each line is one (a backslash at its end joins the next line to it), but
for empty lines and comments. A block whose language is followed by a file name, such as ```python my_space.py, is
that file: the reader saves it. All other blocks are output or illustration.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        line: number of the page's line at which the body starts.
        info: text after the opening fence.
        body: text inside the block.
    """

    line: int
    info: str
    body: str

    @property
    def file(self) -> str | None:
        """The file it is to be saved as."""
        return self.info.partition(" ")[2].strip() or None


@dataclass(frozen=True)
class Command:
    """A command as the page shows it."""

    page: str
    line: int
    text: str

    @property
    def bare(self) -> str:
        """The command without the comment behind it."""
        return re.sub(r"\s+#.*", "", self.text)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, found.start("body")) + 1, found["info"].strip(), found["body"])
        for found in _BLOCK.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def steps(page: Path) -> list[Command | Block]:
    """The commands to run and the files to save, in their order on the page."""
    found: list[Command | Block] = []
    for block in blocks(page):
        if block.info == "sh":
            found += _commands(page.relative_to(ROOT).as_posix(), block)
        elif block.file:
            found.append(block)
    return found


def commands(page: Path) -> list[Command]:
    return [step for step in steps(page) if isinstance(step, Command)]


def _commands(page: str, block: Block) -> list[Command]:
    found, text, start = [], "", block.line
    for number, line in enumerate(block.body.splitlines(), start=block.line):
        start = start if text else number
        text += line.lstrip() if text else line
        if text.endswith("\\"):
            text = text[:-1].rstrip() + " "
        elif text.strip() and not text.lstrip().startswith("#"):
            found.append(Command(page, start, text.strip()))
            text = ""
        else:
            text = ""
    return found
