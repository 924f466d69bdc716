"""A trained model in three lines of Python."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import san_core
from san_core.data.images.reading import load_pixels
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError


@pytest.fixture
def picture(tiny_dataset: RawDataset) -> Path:
    return tiny_dataset.images["test/40"]


def test_a_loaded_model_answers_as_its_network_does(tiny_model: Path, picture: Path) -> None:
    model = san_core.load(str(tiny_model))
    reply = model.ask(str(picture), "is it red?", top=3)
    expected = model.reply(load_pixels(picture, 64), "is it red?", top=3)
    assert reply.answers == expected.answers
    np.testing.assert_array_equal(reply.attention, expected.attention)


def test_a_printed_reply_is_a_line_for_each_answer(tiny_model: Path, picture: Path) -> None:
    reply = san_core.load(tiny_model).ask(picture, "is it red?", top=2)
    first, second = reply.answers
    assert (
        str(reply) == f"{100 * first.probability:5.1f}%  {first.text}\n{100 * second.probability:5.1f}%  {second.text}"
    )


def test_a_picture_in_memory_is_as_good_as_its_file(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    model = san_core.load(tiny_model)
    with Image.open(picture) as image:
        see_through = image.convert("RGBA")
    see_through.putalpha(120)
    see_through.save(tmp_path / "see-through.png")
    in_memory, in_a_file = (model.ask(source, "is it red?") for source in (see_through, tmp_path / "see-through.png"))
    assert in_memory.answers == in_a_file.answers


def test_what_cannot_be_answered_is_said_in_one_line(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    model = san_core.load(tiny_model)
    with pytest.raises(InputError, match="^the question is empty; accepted: any words$"):
        model.ask(picture, " ")
    with pytest.raises(InputError, match=f"^image {re.escape(str(tmp_path))}/none.png does not exist$"):
        model.ask(tmp_path / "none.png", "is it red?")


def test_a_wrong_folder_is_said_in_one_line(tmp_path: Path) -> None:
    wrong = (
        f"{tmp_path} is not a model folder: it has no model.json; accepted: a folder that tuning.retrain wrote, such as"
    )
    with pytest.raises(InputError, match=f"^{re.escape(wrong)} runs/NAME/retrained/best$"):
        san_core.load(tmp_path)


def test_importing_the_package_loads_no_torch() -> None:
    loaded = "import sys, san_core; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", loaded], check=True, cwd=Path(san_core.__file__).parents[1])
