"""What the README of a model folder says, and of what it warns."""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from results.run_folder import RunFolder
from results.snapshot import RunSnapshot, load_snapshot
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.evaluation import Score
from tests.tuning.finished import add_trial, finished_search
from tuning.retraining.model_card import Card, write_card
from tuning.retraining.plan import Plan, chosen_trial, plan_jobs
from tuning.retraining.score_tables import spread

SCORES = [
    Score("accuracy", "all", "", 48, 0.75),
    Score("accuracy", "answer type", "a|b", 40, 0.8),
    Score("accuracy", "question type", "what is", 8, 0.5),
]


@pytest.fixture
def run(tmp_path: Path, tiny_data: PreparedData, tiny_config: TrainingConfig) -> RunFolder:
    return finished_search(tmp_path / "run", tiny_data, tiny_config)


@pytest.fixture
def card(run: RunFolder, tiny_data: PreparedData) -> Card:
    record = load_snapshot(run)
    return Card(record, tiny_data, _plan(record, "best", None), False, [])


def _plan(record: RunSnapshot, name: str, trial: int | None) -> Plan:
    return Plan(plan_jobs(record, name, chosen_trial(record, trial), 1), "test")


@pytest.fixture
def text_of(tmp_path: Path) -> Callable[[Card], str]:
    def write(card: Card) -> str:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        scores = spread([(job.name, job.trial, job.epochs, 1) for job in card.jobs], [SCORES] * len(card.jobs))
        write_card(folder, card, scores)
        return re.sub(" +", " ", (folder / "README.md").read_text())

    return write


Text = Callable[[Card], str]


def test_scores_by_type_stand_beside_the_baselines(card: Card, text_of: Text) -> None:
    text = text_of(card)
    assert "- **best**: accuracy **75.00 %** on the test split (one seed)" in text
    assert "### By answer type" in text
    assert "| accuracy | a\\|b | 40 | 80.00 % | 80.00 % |" in text
    assert "### By question type" in text
    assert "had been used before" not in text


def test_only_files_that_are_there_are_named(card: Card, text_of: Text) -> None:
    assert re.findall(r"^\| `(.+?)` \|", text_of(card), re.MULTILINE) == ["README.md"]


def test_a_test_split_used_before_is_told(card: Card, text_of: Text) -> None:
    assert "**It had been used before**, for runs/x/retrained/best: if" in text_of(
        replace(card, tested_before=["runs/x/retrained/best"])
    )


def test_a_trial_asked_for_is_not_called_the_best(card: Card, text_of: Text) -> None:
    text = text_of(replace(card, plan=_plan(card.record, "trial-1", 1), asked_for=True))
    assert "- *trial-1* is trial 1, which was asked for by its number: validation accuracy 75.00 %" in text
    assert "- *baseline* is trial 0: validation accuracy 40.00 %" in text


def test_the_baseline_alone_has_one_column(card: Card, text_of: Text) -> None:
    text = text_of(replace(card, plan=_plan(card.record, "best", 0)))
    assert "| setting | baseline |" in text
    assert "The weights are those of *baseline*" in text


def test_validation_scores_are_said_to_flatter(card: Card, text_of: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedData, "splits", property(lambda _: ["train", "validation"]))
    text = text_of(replace(card, plan=replace(card.plan, split="validation")))
    assert (
        "**The data have no test split.** The search chose by the validation questions, so these scores flatter."
        in text
    )
    assert "| validation | 32 | 8 | these scores |" in text
    assert "Every right answer of the" not in text


def test_the_commands_run_in_the_folder_wherever_it_is(
    card: Card, run: RunFolder, text_of: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None names a path of the machine on which the model was made."""
    text = text_of(replace(card, tested_before=[str(tmp_path / "elsewhere" / "mine")]))
    command = re.search(r"^python -m san_core\.predict .*$", text, re.MULTILINE)
    assert command is not None
    assert shlex.split(command[0])[3:6] == [".", "picture.png", "What colour is it?"]
    assert re.search(r"```python\nimport san_core\nmodel = san_core\.load\(\"\.\"\)\n", text)
    assert "for mine: if" in text
    assert f"python -m tuning.retrain {run.path.name} --trial 1" in text
    assert str(tmp_path) not in text
    monkeypatch.chdir(tmp_path)
    assert "python -m tuning.retrain run --trial 1" in text_of(card)


def test_a_verdict_on_another_trial_is_not_that_of_this_one(
    run: RunFolder, tiny_data: PreparedData, text_of: Text
) -> None:
    """A better trial that ends while the model is trained changes nothing; one that was better before is named."""
    record = load_snapshot(run)
    plan = _plan(record, "best", None)
    add_trial(run, [0.9, 0.95, 0.93])
    text = text_of(Card(record, tiny_data, plan, False, [], running=True))
    assert "*best* is trial 1: validation accuracy 75.00 %" in text
    assert "On validation questions: The best configuration beats the baseline by 35.00 points" in text
    assert "Run `run`: 2 trials, and it was still running when this model was trained." in text
    later = load_snapshot(run)
    text = text_of(Card(later, tiny_data, _plan(later, "trial-1", 1), True, []))
    assert "On validation questions: trial 2 was the best of the search, not trial 1; whether trial 1 is better" in text
    assert "beats" not in text


def test_what_is_known_of_the_data_is_told(card: Card, text_of: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedData, "name", property(lambda _: "daquar-all (all pairs)"))
    text = text_of(card)
    assert "Language of the questions: English. Pictures: photographs of indoor scenes" in text
    assert "- source: Malinowski and Fritz, " in text
    assert "should add them" not in text


def test_an_ensemble_is_said_to_be_one(
    run: RunFolder, tiny_data: PreparedData, tmp_path: Path, text_of: Callable[[Card], str]
) -> None:
    record = load_snapshot(run)
    jobs = plan_jobs(record, "best", chosen_trial(record, None), 2)
    for split, remark in (("test", "once for each network and ensemble"), ("validation", "**The test split was not ")):
        card = Card(record, tiny_data, Plan(jobs, split, ensemble=True), False, [])
        tested = [*((job.name, job.trial, job.epochs, 1) for job in jobs), ("best, ensemble of 2", 1, 2, 2)]
        write_card(tmp_path, card, spread(tested, [SCORES] * 5))
        text = re.sub(" +", " ", (tmp_path / "README.md").read_text())
        assert f"- **best, ensemble of 2**: accuracy **75.00 %** on the {split} split (one answer of 2 networks" in text
        assert text.startswith("# An ensemble of 2 Stacked Attention Networks for tiny\n")
        assert "This is the ensemble of all 2 networks of *best*" in text
        assert "The weights are those of" not in text
        assert "compare it with another ensemble, not with a single network." in text
        assert remark in text
        assert ("--seeds 2 --ensemble --on validation\n" in text) == (split == "validation")
    assert "ensemble" not in text_of(Card(record, tiny_data, Plan(jobs, "test"), False, []))
