"""Every command of the pages is run, word for word and in the order of its page."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.docs.exceptions import NOT_RUN, REFUSED_WITHOUT
from tests.docs.pages import PAGES, ROOT, Command, blocks, commands
from tests.docs.sandbox import Outcome, SmallRun, read_arguments, run_page

AT_ONCE = 3
"""Pages whose commands run side by side: one more than two cores, since starting Ray is half waiting."""

ALL = [command for page in PAGES for command in commands(page)]
Pages = Mapping[str, Future[dict[Command, Outcome]]]


@pytest.fixture(scope="module")
def pages_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The outcomes of the pages of the tests that were asked for."""
    requested = (item.callspec.params.get("command") for item in request.session.items if hasattr(item, "callspec"))
    names = {command.page for command in requested if isinstance(command, Command)}
    small_run = SmallRun(tmp_path_factory.mktemp("small") / "run")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(run_page, ROOT / name, tmp_path_factory.mktemp(Path(name).stem), small_run)
            for name in sorted(names)
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("command", ALL, ids=str)
def test_the_command_works(command: Command, pages_run: Pages) -> None:
    outcomes = pages_run[command.page].result()
    if command not in outcomes:
        pytest.fail(f"not reached, because an earlier command of the page failed: {command.text}")
    outcome = outcomes[command]
    assert outcome.good(command), f"{command.text}\n{outcome.output}"


def test_every_exception_is_of_a_command_that_is_shown() -> None:
    shown = {command.bare for command in ALL}
    assert {*NOT_RUN, *REFUSED_WITHOUT} - shown == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_marked_as_such(page: Path) -> None:
    unmarked = [block for block in blocks(page) if block.info not in {"sh"} and not block.file]
    starts = ("python ", ".venv/bin/", "make ", "ray ", "pip ", "git ", "apt-get ")
    found = [
        f"{page.name}:{b.line}: {line}" for b in unmarked for line in b.body.splitlines() if line.startswith(starts)
    ]
    assert found == [], "blocks of commands start with ```sh"


def test_a_command_that_is_not_run_must_be_readable(tmp_path: Path) -> None:
    outcome = read_arguments(".venv/bin/python -m tuning.search --trails 3", tmp_path, {"PYTHONPATH": str(ROOT)})
    assert outcome.code == 2
    assert "--trails" in outcome.output
