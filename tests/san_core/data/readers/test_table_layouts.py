from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

from san_core import prepare as command
from san_core.data.prepared import PreparedData
from tests.docs.stand_ins import COLOURS, colour
from tests.san_core.table_layouts import LAYOUTS, TEST, TRAIN, VALIDATION, ask

QUICK = ["--encoder", "small-cnn", "--image-size", "16", "--out", "prepared"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_row_of_a_published_layout_is_prepared_with_its_picture(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_here: Callable[..., "CompletedProcess[str]"]
) -> None:
    layout = LAYOUTS[name](tmp_path)
    monkeypatch.chdir(tmp_path)
    done = run_here(command.main, layout.reader, *layout.arguments, *QUICK)
    assert done.returncode == 0, done.stderr
    data = PreparedData.open(tmp_path / "prepared")
    found = {split: data.questions_of(split) for split in data.manifest["counts"]}
    pictures = data.image_files
    wanted = {row.question: row for row in ask(range(10))}
    for split, questions in found.items():
        for question in questions:
            row = wanted[question.text]
            assert question.answer.lower() == ("" if split == "unanswered" else row.answer)
            assert _colour_of(Path(pictures[question.image])) == colour(row.picture)
    asked = {split: {wanted[question.text].picture for question in questions} for split, questions in found.items()}
    if layout.given_validation:
        assert (asked["train"], asked["validation"]) == (set(TRAIN), set(VALIDATION))
    if layout.test:
        assert asked["test"] >= set(TEST) or asked["test"] == set(VALIDATION)
    assert {len(question.human_answers) for question in found["train"]} == {layout.people}
    assert all(len({question.id for question in questions}) == len(questions) for questions in found.values())


def _colour_of(path: Path) -> str:
    with Image.open(path) as picture:
        shade = np.asarray(picture.convert("RGB"))[20, 20]
    shades = {name: np.asarray(Image.new("RGB", (1, 1), name))[0, 0] for name in COLOURS}
    return min(shades, key=lambda name: int(np.abs(shades[name].astype(int) - shade.astype(int)).sum()))
