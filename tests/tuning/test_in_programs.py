"""`search()` in people's programs: what it takes, and what it leaves as it was. Scores of trials are invented."""

import contextlib
import json
import multiprocessing
import random
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import FloatDistribution, IntDistribution

import san_core
from results.run_folder import RunFolder
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.training import train_fn
from search_spaces import SearchSpace
from tests.docs.without_ray import replace_ray
from tuning import search as command
from tuning.options.search_options import FROM_PYTHON
from tuning.search import search

SPACE = SearchSpace(
    {"learning_rate": FloatDistribution(1e-4, 1e-2, log=True), "hops": IntDistribution(1, 2)},
    {"learning_rate": 4e-4, "hops": 1},
)


@pytest.fixture(autouse=True)
def _without_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    replace_ray(monkeypatch)
    monkeypatch.setattr("tuning.search.ray_session", lambda *_, **__: contextlib.nullcontext(""))
    monkeypatch.setattr("tuning.search.write_examples", lambda _: None)
    monkeypatch.chdir(tmp_path)


def test_a_space_and_first_trials_may_be_objects(tiny_data: PreparedData) -> None:
    options = {"trials": 3, "epochs": 1, "confirm": 0, "no_dashboard": True}
    first = {"learning_rate": 2e-3, "hops": 2}
    run = search(data=tiny_data, space=SPACE, run=Path("mine"), try_first=[first], **options)
    assert run.path.samefile("mine")
    assert [trial.params for trial in run.study().trials[:2]] == [SPACE.baseline, first]
    assert run.setting("space") == FROM_PYTHON
    assert search(resume=run, trials=4, no_dashboard=True).path == run.path
    assert len(run.study().trials) == 4
    wider = SearchSpace({**SPACE.parameters, "hops": IntDistribution(1, 3)}, SPACE.baseline)
    with pytest.raises(InputError, match=r"hops is 1 to 3, but was 1 to 2"):
        search(resume=run, space=wider, trials=5, no_dashboard=True)


def test_first_trials_that_are_objects_are_checked(tiny_data: PreparedData) -> None:
    with pytest.raises(InputError, match="try_first does not fit the search space: configuration 1: hops=7 outside"):
        search(data=tiny_data, space=SPACE, try_first=[{"hops": 7}])
    with pytest.raises(InputError, match="try_first must hold a list of objects"):
        search(data=tiny_data, space=SPACE, try_first=[1])


def test_a_space_file_finds_the_modules_beside_it(tiny_data: PreparedData, tmp_path: Path) -> None:
    folder = tmp_path / "spaces"
    folder.mkdir()
    (folder / "my_ranges.py").write_text("HOPS = (1, 2)")
    (folder / "my_space.py").write_text(
        "from optuna.distributions import IntDistribution\nfrom my_ranges import HOPS\n"
        "from search_spaces import SearchSpace\n"
        "SPACE = SearchSpace({'hops': IntDistribution(*HOPS)}, {'hops': 1})\n"
    )
    run = search(data=tiny_data, space=folder / "my_space.py", run="beside", trials=1, epochs=1, confirm=0)
    assert run.study().trials[0].params == {"hops": 1}


def test_a_space_file_that_prints_leaves_json_alone(
    tiny_data: PreparedData, tmp_path: Path, run_here: Callable[..., "CompletedProcess[str]"]
) -> None:
    (tmp_path / "loud.py").write_text(
        "from search_spaces.san import SPACE\nprint('loud')\n__import__('sys').stdout.write('louder')"
    )
    options = ["--trials", "1", "--epochs", "1", "--confirm", "0", "--no-dashboard", "--run", "loud"]
    ended = run_here(command.main, "--data", tiny_data.folder, "--space", "loud.py", "--json", *options)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["run"].endswith("loud")
    assert "louder" in ended.stderr


def _next_numbers() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(1))  # noqa: NPY002, S311


def test_random_states_and_optunas_verbosity_are_the_programs(
    tiny_data: PreparedData, tiny_config: TrainingConfig, tiny_model: Path
) -> None:
    def numbers_after(call: Callable[[], object]) -> tuple[float, float, float]:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)
        call()
        return _next_numbers()

    expected = numbers_after(lambda: None)
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        assert numbers_after(lambda: train_fn(tiny_config, tiny_data)) == expected
        assert numbers_after(lambda: san_core.load(tiny_model)) == expected
        assert numbers_after(lambda: search(data=tiny_data, run="seeds", trials=2, epochs=1, confirm=0)) == expected
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_a_run_can_be_read_and_resumed_from_any_folder(
    tiny_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here" / "data").symlink_to(tiny_data.folder)
    monkeypatch.chdir(tmp_path / "here")
    run = search(data="data/", run="mine", trials=1, epochs=1, confirm=0, no_dashboard=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run.report_page.is_file()
    assert len(run.study().trials) == 1
    assert len(search(resume=run, trials=2, no_dashboard=True).study().trials) == 2
    again = search(resume=str(tmp_path / "here" / "runs" / "mine"), trials=3, no_dashboard=True)
    assert isinstance(again, RunFolder)
    assert len(again.study().trials) == 3


def _search_in_a_process(data: str, answer: "multiprocessing.Queue[str]") -> None:
    try:
        search(data=data, run="forked", trials=1, epochs=1, confirm=0)
    except InputError as error:
        answer.put(str(error))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_was_forked_after_a_search_is_told_to_spawn(tiny_data: PreparedData) -> None:
    search(data=tiny_data, run="before", trials=1, epochs=1, confirm=0, no_dashboard=True)
    forking = multiprocessing.get_context("fork")
    answer = forking.Queue()
    process = forking.Process(target=_search_in_a_process, args=(str(tiny_data.folder), answer))
    process.start()
    assert "accepted: a process that is spawned" in answer.get(timeout=600)
    process.join()
    assert search(resume="before", trials=2, no_dashboard=True).path.is_dir()  # this process goes on
