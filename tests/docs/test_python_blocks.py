"""The Python blocks of the documents, run in order on squares that pass for easy-VQA, without Ray."""

import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from san_core.data.raw_dataset import RawDataset

REPOSITORY = Path(__file__).parents[2]

PREAMBLE = """
import pickle
import pytest
from san_core.data.readers import READERS
from tests.docs.without_ray import replace_ray
replace_ray(pytest.MonkeyPatch())
with open("squares.pickle", "rb") as file:
    squares = pickle.load(file)
READERS["easy-vqa"] = lambda *_: squares
"""


def _script(page: Path) -> str:
    """The blocks of a page as one program, in which a line has the number it has on the page."""
    blocks = re.finditer(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines: list[str] = []
    for block in blocks:
        above = block.string.count("\n", 0, block.start()) + 1
        lines += [""] * (above - len(lines)) + block[1].splitlines()
    assert lines
    return "\n".join(lines) + "\n"


def _run(page: Path, folder: Path, source: RawDataset) -> str:
    """What the page's blocks print, run in a folder that holds a picture and nothing else."""
    squares = replace(source, name="easy-vqa", training_defaults={"hidden_size": 32, "attention_size": 16})
    (folder / "squares.pickle").write_bytes(pickle.dumps(squares))
    (folder / "picture.png").write_bytes(source.images["test/40"].read_bytes())
    program = folder / page.name
    program.write_text(_script(page), encoding="utf-8")
    start = f"{PREAMBLE}exec(compile(open({page.name!r}).read(), {page.name!r}, 'exec'))"
    done = subprocess.run(
        [sys.executable, "-c", start],
        cwd=folder,
        env={**os.environ, "HOME": str(folder / "home"), "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_block_of_the_readme_trains(tmp_path: Path, tiny_dataset: RawDataset) -> None:
    printed = _run(REPOSITORY / "README.md", tmp_path, tiny_dataset)
    assert [int(epoch) for epoch in re.findall(r"EpochResult\(epoch=(\d)", printed)] == [1, 2]


@pytest.mark.long
def test_the_page_for_python_users_goes_from_data_to_answers(tmp_path: Path, tiny_dataset: RawDataset) -> None:
    printed = _run(REPOSITORY / "docs" / "python.md", tmp_path, tiny_dataset)
    run = tmp_path / "runs" / "mine"
    assert {path.name for path in run.iterdir()} >= {"journal.log", "report.html", "best.json", "tested.json"}
    assert (run / "retrained" / "best" / "README.md").is_file()
    assert (tmp_path / "looked.png").is_file()
    assert re.search(r"/runs/mine/retrained/best test$", printed, re.MULTILINE)
    assert len(re.findall(r"^ *\d+\.\d%  \w+$", printed, re.MULTILINE)) == 5 + 5
    assert "question_encoder" in printed
