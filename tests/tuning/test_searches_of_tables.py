"""Data in the layouts of published data sets, from the files to a tested model; one Ray serves all searches."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import san_core
from results.run_folder import RunFolder
from san_core import prepare as prepare_command
from tests.docs.stand_ins import paint
from tests.san_core.table_layouts import LAYOUTS
from tuning import retrain as retrain_command
from tuning import search as search_command
from tuning.execution.ray_session import ray_session

pytestmark = pytest.mark.long

PICTURES = ["--encoder", "small-cnn", "--image-size", "16"]
SMALL = ["--trials", "2", "--epochs", "1", "--confirm", "0", "--no-dashboard", "--concurrent", "1"]
for setting in ("hidden_size=16", "attention_size=16", "embedding_size=16", "batch_size=8"):
    SMALL += ["--set", setting]


@pytest.fixture(scope="module", autouse=True)
def _one_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """To start Ray takes longer than such a search."""
    with pytest.MonkeyPatch.context() as patch, ray_session(tmp_path_factory.mktemp("ray") / "ray.log", cpus=2):
        for module in ("tuning.search", "tuning.retraining.training"):
            patch.setattr(f"{module}.ray_session", lambda *_, **__: contextlib.nullcontext(""))
        yield


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
