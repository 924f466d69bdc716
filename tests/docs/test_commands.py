"""Every command of the pages is run, word for word and in the order of its page."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.docs.exceptions import NOT_RUN, REFUSED_WITHOUT
from tests.docs.pages import PAGES, ROOT, Command, blocks, commands
from tests.docs.sandbox import TUTORIAL, Outcome, clone, module_and_arguments, run_page
from tests.docs.stand_ins import environment
from tests.docs.without_ray import read_arguments, run_without_ray

ALL = [command for page in PAGES for command in commands(page)]
Outcomes = Mapping[Command, Outcome]


@pytest.fixture(scope="module")
def pages_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcomes]:
    """The outcomes of a page's commands. The other pages use the run of the tutorial."""
    tutorial = tmp_path_factory.mktemp("tutorial")

    @cache
    def outcomes(page: str) -> Outcomes:
        folder = tutorial if page == TUTORIAL else tmp_path_factory.mktemp(Path(page).stem)
        return run_page(ROOT / page, folder, finished_run)

    def finished_run() -> Path:
        outcomes(TUTORIAL)
        return clone(tutorial) / "runs" / "tutorial"

    return outcomes


@pytest.mark.parametrize("command", ALL, ids=str)
def test_the_command_works(command: Command, pages_run: Callable[[str], Outcomes]) -> None:
    outcomes = pages_run(command.page)
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


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("tuning.search --trails 3", "unrecognized arguments: --trails 3"),
        ("tuning.search --trials -3", "argument --trials"),
        ("tuning.search --data nowhere", "unknown data set 'nowhere'"),
        ("tuning.retrain nowhere", "nowhere"),
        ("results nowhere", "nowhere"),
        ("san_core.predict nowhere picture.png 'is it red?'", "nowhere"),
    ],
)
def test_a_wrong_command_fails(wrong: str, told: str, tmp_path: Path) -> None:
    surroundings = environment(tmp_path)
    module = module_and_arguments(f".venv/bin/python -m {wrong}", tmp_path, surroundings)
    code, output = run_without_ray(module, tmp_path, surroundings)
    assert code == 2
    assert told in output


def test_a_command_that_is_not_run_must_be_readable(tmp_path: Path) -> None:
    code, output = read_arguments(["tuning.search", "--trails", "3"], tmp_path, environment(tmp_path))
    assert code == 2
    assert "--trails" in output
