"""Every program searches the squares for a moment."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("psutil")

from benchmarks import searches
from benchmarks.curves import Search
from benchmarks.plain import PlainStep
from benchmarks.rivals.plain_training import PlainTraining, epochs, shape_of
from benchmarks.rivals.task import Task
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from search_spaces import load


@pytest.fixture
def task(tiny_data: PreparedData, tmp_path: Path) -> Task:
    return Task(
        str(tiny_data.folder), "san", seed=0, trials=3, epochs=2, log=str(tmp_path / "log"), folder=str(tmp_path)
    )


def test_plain_training_learns_and_notes_every_epoch(task: Task) -> None:
    params = {"learning_rate": 1e-3, "momentum": 0.5, "dropout": 0.1, "embedding_size": 16}
    found = list(epochs(replace(task, epochs=12), "a", params))
    noted = [json.loads(line) for line in Path(task.log).read_text().splitlines()]
    assert [(line["epoch"], line["score"]) for line in noted] == found
    assert {line["trial"] for line in noted} == {"a"}
    assert found[-1][1] > 0.6  # always the commonest answer: 0.25 + 0.25 * 0.75
    assert [line["seconds"] for line in noted] == sorted(line["seconds"] for line in noted)


def test_plain_training_scores_every_validation_question(tiny_data: PreparedData) -> None:
    """A network that always gives one answer is right as often as that answer is asked for."""
    config = TrainingConfig.from_dict({**tiny_data.training_defaults, "embedding_size": 4, "learning_rate": 1e-9})
    training = PlainTraining(config, tiny_data)
    with torch.no_grad():
        training._step.model.classify.weight.zero_()
        training._step.model.classify.bias.zero_()
        training._step.model.classify.bias[2] = 1.0
    right = (tiny_data.split("validation").answers == 2).mean()
    assert training.run_epoch(1) == pytest.approx(right)


def test_plain_network_has_the_sizes_of_ours(tiny_data: PreparedData) -> None:
    config = TrainingConfig.from_dict({**tiny_data.training_defaults, **load("san").baseline})
    ours = sum(weight.numel() for weight in shape_of(config, tiny_data).network().parameters())
    plain = PlainStep(shape_of(config, tiny_data)).model
    assert sum(weight.numel() for weight in plain.parameters()) in {ours, ours + 4 * config.hidden_size}  # two biases


@pytest.mark.long
@pytest.mark.rare
@pytest.mark.parametrize("system", searches.SYSTEMS)
def test_search_notes_all_its_trials(system: str, task: Task, tmp_path: Path) -> None:
    if importlib.util.find_spec(searches.SYSTEMS[system]) is None:
        pytest.skip(f"{searches.SYSTEMS[system]} is not installed; the extra `bench` brings it")
    log = tmp_path / "logs" / f"{system}.jsonl"
    log.parent.mkdir()
    searches.run(system, task, seconds=1200, log=log)
    found = Search.read(log)
    assert found.trials >= task.trials
    assert {noted.epoch for noted in found.epochs} == {1, 2}
    assert all(0 <= noted.score <= 1 and noted.at > noted.seconds > 0 for noted in found.epochs)
    assert [path.name for path in log.parent.iterdir()] == [log.name]


def test_search_that_fails_leaves_what_it_printed_and_no_log(task: Task, tmp_path: Path) -> None:
    log = tmp_path / "optuna_alone-0.jsonl"
    with pytest.raises(InputError, match=r"failed \(exit code 1\); .*optuna_alone-0\.out has what it printed"):
        searches.run("optuna_alone", replace(task, space="nowhere"), seconds=1200, log=log)
    assert not log.exists()
    assert "unknown search space" in log.with_suffix(".out").read_text()


def test_search_is_ended_with_all_its_processes_when_its_time_is_up(task: Task, tmp_path: Path) -> None:
    log = tmp_path / "optuna_alone-0.jsonl"
    searches.run("optuna_alone", task, seconds=0.01, log=log)
    assert Search.read(log).epochs == []


def test_log_from_before_is_kept_unless_it_is_of_another_search(task: Task, tmp_path: Path) -> None:
    log = tmp_path / "kept.jsonl"
    given = searches.head("here", task, 60)
    assert not searches.kept(log, given)
    log.write_text(json.dumps({"at": 0.0, **given}) + "\n")
    assert searches.kept(log, given)
    with pytest.raises(InputError, match=r"kept\.jsonl is of a search with limit 60, but this is one with 90"):
        searches.kept(log, searches.head("here", task, 90))


def test_comparison_is_printed_and_saved(
    tiny_data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Systems take turns, seed by seed; a second call runs nothing."""
    turns = []

    def run(system: str, task: Task, seconds: float, log: Path) -> None:
        turns.append((system, task.seed))
        slow = 1 if system == "here" else 8
        begun = {"at": 5.0 + 10 * slow, "trial": 0, "epoch": 1, "score": 0.5, "seconds": 10 * slow}
        lines = [{"at": 0.0, **searches.head(system, task, seconds)}, begun]
        log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    monkeypatch.setattr(searches, "run", run)
    given = ["--data", str(tiny_data.folder), "--seeds", "2", "--systems", "optuna_alone", "--logs", str(tmp_path)]
    assert searches.main([*given, "--save", str(tmp_path / "out" / "found.json")]) == 0
    assert turns == [("here", 0), ("optuna_alone", 0), ("here", 1), ("optuna_alone", 1)]
    shown = capsys.readouterr().out
    assert "this project" in shown
    assert "target 50.00%" in shown
    ours, theirs = json.loads((tmp_path / "out" / "found.json").read_text())
    assert (ours["system"], ours["ratio"], theirs["ratio"]) == ("here", 1.0, pytest.approx(85 / 15))
    assert theirs["ratio without start"] == 8
    assert searches.main([*given, "--json"]) == 0
    assert len(turns) == 4
    assert len(json.loads(capsys.readouterr().out)) == 2
