"""What the pages point to is there: links, anchors, pictures, files, options."""

import re
import string
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, commands, prose
from tuning.options.search_options import declared_options

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
PATH = re.compile(r"`(?P<path>(?:\.ci|benchmarks|docs|results|san_core|search_spaces|tests|tuning)/[\w./-]*)`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
MODULE = re.compile(r"python -m (?P<module>(?:benchmarks|results|san_core|tuning)[\w.]*)")

CODE = ("benchmarks", "results", "san_core", "tuning")
ELSEWHERE = {"--head", "--help", "--logdir", "--preload", "--backend-store-uri"}
ELSEWHERE |= {"--constraint", "--generate", "--init", "--num-cpus", "--num-gpus", "--shm-size"}
"""Options of other programs, or of all."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    kept = string.ascii_lowercase + string.digits + "-_ "
    return {"".join(c for c in heading.lower() if c in kept).replace(" ", "-") for heading in headings}


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for found in LINK.finditer(prose(page)):
        file, _, anchor = found["target"].partition("#")
        if "://" in file:
            continue
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(found["target"])
    assert lost == []


@each_page
def test_every_file_and_module_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    modules = [found["module"].rstrip(".").replace(".", "/") for found in MODULE.finditer(text)]
    lost = [
        name for name in modules if not (ROOT / f"{name}.py").exists() and not (ROOT / name / "__main__.py").exists()
    ]
    lost += [found["path"] for found in PATH.finditer(text) if not (ROOT / found["path"]).exists()]
    assert lost == []


@each_page
def test_every_option_that_is_named_exists(page: Path) -> None:
    code = "".join(path.read_text(encoding="utf-8") for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    ours = {*re.findall(r'"(--[a-z-]+)"', code), *(option.flag for option in declared_options().values())}
    negated = {option.replace("--", "--no-", 1) for option in ours}
    assert set(OPTION.findall(prose(page))) - ours - negated - ELSEWHERE == set()


def test_every_page_is_in_the_index() -> None:
    listed = set(LINK.findall((ROOT / "docs" / "README.md").read_text(encoding="utf-8")))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - listed == {"README.md"}


def test_commands_start_where_the_pages_say() -> None:
    """A page that calls a bare `python` would leave the reader outside the environment."""
    outside = [
        str(command) for page in PAGES for command in commands(page) if command.text.startswith(("python", "pip"))
    ]
    assert outside == []
