"""The networks of a configuration tested together, and a model folder that answers with all of them."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import san_core
from results.run_folder import RunFolder
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError
from san_core.training import train_fn
from tests.docs.without_ray import replace_ray
from tests.tuning.finished import BEST, BEST_EPOCH, finished_search
from tuning import retrain as command
from tuning.retrain import retrain
from tuning.retraining import training
from tuning.retraining.held_out_guard import models_tested
from tuning.study.seeds import RETRAINING_SEEDS, derive_seed

SEEDS = [derive_seed(3, RETRAINING_SEEDS, repeat) for repeat in range(2)]


@pytest.fixture
def run(
    tmp_path: Path, tiny_data: PreparedData, tiny_config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> RunFolder:
    """Networks are trained and tested one after the other in this process."""
    replace_ray(monkeypatch)
    monkeypatch.setattr(command, "run_jobs", training.run_jobs)
    return finished_search(tmp_path / "run", tiny_data, tiny_config)


def test_the_folder_answers_as_was_tested_and_tables_tell_it_apart(run: RunFolder, tiny_dataset: RawDataset) -> None:
    done = retrain(run, seeds=2, ensemble=True)
    assert done.folder == run.retrained / "best-ensemble"
    overall = done.scores[done.scores["kind"] == "all"].set_index("configuration")
    assert overall["networks"].to_dict() == {
        "best": 1,
        "baseline": 1,
        "best, ensemble of 2": 2,
        "baseline, ensemble of 2": 2,
    }
    assert [len(values) for values in overall["values"]] == [2, 2, 1, 1]
    saved = json.loads((done.folder / "scores-test.json").read_text())["scores"]
    assert {row["networks"] for row in saved} == {1, 2}

    predictions = pd.read_parquet(done.folder / "predictions-test.parquet")
    right = (predictions["answer"] == predictions["predicted"]).mean()
    assert overall.loc["best, ensemble of 2", "mean"] == pytest.approx(right)
    model = san_core.load(done.folder)
    assert (model.networks, model.description["seeds"]) == (2, SEEDS)
    assert model.description["metrics"]["scores"] == {"accuracy": pytest.approx(right)}
    replies = model.ask_all([(tiny_dataset.images[each.image], each.text) for each in tiny_dataset.test], top=1)
    assert [reply.answers[0].text for reply in replies] == list(predictions["predicted"])
    curves = pd.read_csv(done.folder / "learning_curves.csv")
    assert set(curves["configuration"]) == {"best", "baseline"}


def test_its_test_goes_on_after_an_interruption_and_is_one_use_of_the_split(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    test, tests = training._test, []

    def interrupted(*given: Any) -> object:  # noqa: ANN401
        tests.append(1)
        if len(tests) == 2:
            raise KeyboardInterrupt
        return test(*given)

    monkeypatch.setattr(training, "_test", interrupted)
    with pytest.raises(KeyboardInterrupt):
        retrain(run, seeds=2, ensemble=True)
    with pytest.raises(InputError, match="has used its test split before"):
        retrain(run, seeds=2)
    monkeypatch.setattr(training, "_train", lambda *_: pytest.fail("trained again"))
    done = retrain(run, seeds=2, ensemble=True)
    assert models_tested(run) == [str(done.folder)]
    assert not run.retraining.exists()


@pytest.mark.parametrize("finished", [True, False])
def test_an_ensemble_of_networks_that_were_tested_is_a_second_test(
    finished: bool, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    if finished:
        retrain(run, seeds=2)
    else:
        monkeypatch.setattr(command, "complete_folder", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            retrain(run, seeds=2)
    with pytest.raises(InputError, match=r"has used its test split before \(.*/retrained/best.*--again tests all"):
        retrain(run, seeds=2, ensemble=True)


def test_on_validation_the_test_split_is_not_used(
    run: RunFolder, tiny_data: PreparedData, tiny_config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted, real = [], training.predict_together
    monkeypatch.setattr(training, "predict_together", lambda *given: predicted.append(len(given[2])) or real(*given))
    done = retrain(run, seeds=2, ensemble=True, on="validation")
    questions = tiny_data.manifest["counts"]
    assert set(predicted) == {questions["validation"]} != {questions["test"]}
    assert (done.split, models_tested(run)) == ("validation", [])
    assert done.folder == run.retrained / "best-ensemble-validation"
    assert retrain(run, seeds=2, ensemble=True).folder == run.retrained / "best-ensemble"  # the test is still to be had

    losses: list[float] = []
    config = TrainingConfig.from_dict({**tiny_config.to_dict(), **BEST, "seed": SEEDS[0]})
    train_fn(config, tiny_data, lambda epoch: losses.append(epoch.loss) or epoch.epoch < BEST_EPOCH, score_on=None)
    curves = pd.read_csv(done.folder / "learning_curves.csv")
    found = curves[(curves["configuration"] == "best") & (curves["seed"] == SEEDS[0])]["loss"]
    assert list(found) == pytest.approx(losses, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--seeds", "1"], "--ensemble needs the networks of two seeds or more, but got --seeds 1"),
        (["--check"], "--ensemble does not go with --check, which trains one network"),
        (["--on", "validation", "--top", "2"], "--top 2 does not go with --ensemble: it is for one configuration"),
    ],
)
def test_what_does_not_go_with_it_is_told_in_one_line(
    options: Sequence[str],
    problem: str,
    run: RunFolder,
    run_here: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    done = run_here(command.main, run.path, "--ensemble", *options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"python -m tuning.retrain: {problem}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        ({"seeds": 1, "ensemble": True}, "an ensemble needs the networks of two seeds or more, but got seeds=1"),
        ({"on": "train"}, "on is 'train'; accepted: 'test' or 'validation'"),
    ],
)
def test_the_function_refuses_it_too(choice: dict[str, Any], problem: str, run: RunFolder) -> None:
    with pytest.raises(InputError, match=f"^{problem}$"):
        retrain(run, **choice)
