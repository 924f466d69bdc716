"""Data in the layouts of published data sets, from the files to a tested model; one Ray serves all searches."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import san_core
from results.run_folder import RunFolder
from san_core import prepare as prepare_command
from tests.docs.stand_ins import paint
from tests.san_core.table_layouts import LAYOUTS
from tests.tuning.small_searches import small_search
from tuning import retrain as retrain_command
from tuning import search as search_command

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("one_ray")]

PICTURES = ["--encoder", "small-cnn", "--image-size", "16"]
SMALL = small_search(batch_size=8)


@pytest.mark.parametrize("name", LAYOUTS)
def test_data_in_a_published_layout_are_prepared_searched_and_retrained(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_here: Callable[..., "CompletedProcess[str]"]
) -> None:
    layout = LAYOUTS[name](tmp_path)
    monkeypatch.chdir(tmp_path)
    for command, *arguments in (
        (prepare_command.main, layout.reader, *layout.arguments, *PICTURES, "--out", "data/mine"),
        (search_command.main, "--data", "data/mine", "--run", "mine", *SMALL),
        (retrain_command.main, "mine", "--seeds", "1"),
    ):
        done = run_here(command, *arguments)
        assert done.returncode == 0, done.stderr
    run = RunFolder(tmp_path / "runs" / "mine")
    assert len(run.study().trials) == 2
    scores = "scores-test.json" if layout.test else "scores-validation.json"
    assert (run.retrained / "best" / scores).is_file()
    paint(tmp_path / "asked.png", 1)
    reply = san_core.load(run.retrained / "best").ask(tmp_path / "asked.png", "what colour has square 1?")
    assert reply.answers[0].text.lower() in {"red", "green", "blue", "yellow", "yes", "no"}
