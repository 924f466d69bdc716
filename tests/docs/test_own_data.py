"""From a table of twenty rows and a folder of mixed pictures to answers, by the commands of the page, on Ray."""

import csv
import json
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, commands
from tests.docs.sandbox import clone, run
from tests.docs.stand_ins import environment, photos, project, table


@pytest.mark.long
def test_three_commands_answer_what_was_left_open_and_a_fourth_any_question(tmp_path: Path) -> None:
    sandbox, surroundings = clone(tmp_path), environment(tmp_path)
    project(sandbox)
    table(sandbox / "mine.csv")
    photos(sandbox / "photos")
    with (sandbox / "mine.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert len({Path(row["image"]).suffix for row in rows}) > 4
    first = commands(ROOT / "docs" / "own-data.md")[:4]
    assert [command.text.split()[2] for command in first] == [
        "san_core.prepare",
        "tuning.search",
        "tuning.retrain",
        "san_core.predict",
    ]
    outcome = None
    for command in first:
        outcome = run(command.text, sandbox, surroundings)
        assert outcome.code == 0, f"{command.text}\n{outcome.output}"
    known = {row["answer"] for row in rows} - {""}
    assert outcome is not None
    assert set(outcome.output.split()) & known
    model = sandbox / "runs" / "mine" / "retrained" / "best"
    answered = json.loads((model / "vqa-results-unanswered.json").read_text())
    assert len(answered) == sum(not row["answer"] for row in rows) == 2
    assert {entry["answer"] for entry in answered} <= known
