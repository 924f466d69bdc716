"""What the README of a model folder says, and of what it warns."""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from results.run_folder import RunFolder
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.evaluation import Score
from tests.tuning.finished import finished_search
from tuning.retraining.model_card import Card, write_card
from tuning.retraining.score_tables import spread
from tuning.retraining.training import chosen_trial, plan_jobs

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
    return Card(run, tiny_data, Path("models/mine"), plan_jobs(run, "best", chosen_trial(run, None), 1), False, [])


@pytest.fixture
def text_of(tmp_path: Path) -> Callable[[Card], str]:
    def write(card: Card) -> str:
        folder = tmp_path / "model"
        folder.mkdir()
        scores = spread([(job.name, job.trial, job.epochs) for job in card.jobs], [SCORES] * len(card.jobs))
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


def test_a_trial_asked_for_is_not_called_the_best(card: Card, run: RunFolder, text_of: Text) -> None:
    jobs = plan_jobs(run, "trial-1", chosen_trial(run, 1), 1)
    text = text_of(replace(card, jobs=jobs, asked_for=True))
    assert "- *trial-1* is trial 1, which was asked for by its number: validation accuracy 75.00 %" in text
    assert "- *baseline* is trial 0: validation accuracy 40.00 %" in text


def test_the_baseline_alone_has_one_column(card: Card, run: RunFolder, text_of: Text) -> None:
    text = text_of(replace(card, jobs=plan_jobs(run, "best", chosen_trial(run, 0), 1)))
    assert "| setting | baseline |" in text
    assert "The weights are those of *baseline*" in text


def test_validation_scores_are_said_to_flatter(card: Card, text_of: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedData, "splits", property(lambda _: ["train", "validation"]))
    text = text_of(card)
    assert (
        "**The data have no test split.** The search chose by the validation questions, so these scores flatter."
        in text
    )
    assert "| validation | 32 | 8 | these scores |" in text
    assert "Every right answer of the" not in text


def test_awkward_names_can_be_pasted(card: Card, text_of: Text) -> None:
    folder = Path('my "models"/it\'s')
    text = text_of(replace(card, folder=folder))
    command = re.search(r"^python -m san_core\.predict .*$", text, re.MULTILINE)
    assert command is not None
    assert shlex.split(command[0])[3:6] == [str(folder), "picture.png", "What colour is it?"]
    loaded: list[str] = []
    code = re.search(r"```python\nimport san_core\nmodel = san_core\.load(.*)\n", text)
    assert code is not None
    exec(f"loaded.append{code[1]}", {"loaded": loaded})
    assert loaded == [str(folder)]


def test_what_is_known_of_the_data_is_told(card: Card, text_of: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedData, "name", property(lambda _: "daquar-all (all pairs)"))
    text = text_of(card)
    assert "Language of the questions: English. Pictures: photographs of indoor scenes" in text
    assert "- source: Malinowski and Fritz, " in text
    assert "should add them" not in text
