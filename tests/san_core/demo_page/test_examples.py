import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from san_core.data.prepared import IMAGE_FILES, PreparedData
from san_core.demo_page.examples import COUNT, find_examples


def _describe(data: PreparedData, **changed: str) -> dict[str, str]:
    return {"data_folder": str(data.folder), "data_fingerprint": data.fingerprint, **changed}


def _without_pictures(data: PreparedData, folder: Path) -> PreparedData:
    shutil.copytree(data.folder, folder)
    files = {key: str(path.with_name("gone.png")) for key, path in data.image_files.items()}
    (folder / IMAGE_FILES).write_text(json.dumps(files))
    return PreparedData.open(folder)


def test_examples_are_of_the_validation_split_each_with_another_picture(tiny_data: PreparedData) -> None:
    examples, note = find_examples(_describe(tiny_data))
    asked = {(tiny_data.image_files[q.image], q.text, q.answer) for q in tiny_data.questions_of("validation")}
    assert note == ""
    assert {(e.picture, e.question, e.answer) for e in examples} <= asked
    assert len({e.picture for e in examples}) == len(examples) == min(COUNT, len({path for path, *_ in asked}))
    assert len({e.question for e in examples}) == len({question for _, question, _ in asked})


def test_they_are_always_the_same(tiny_data: PreparedData) -> None:
    first, second = (
        [(e.picture, e.question) for e in find_examples(_describe(tiny_data), folder)[0]]
        for folder in (None, tiny_data.folder)
    )
    assert first == second


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"data_folder": None}, "No examples: this model does not say where its data are; --data FOLDER names "),
        ({"data_folder": "/nowhere"}, "No examples: /nowhere is not a prepared data set: it does not exist; --d"),
        ({"data_fingerprint": "other"}, " holds other data than the model was trained on; --data FOLDER names the "),
    ],
)
def test_why_there_are_none_is_told(tiny_data: PreparedData, changed: dict[str, str], told: str) -> None:
    examples, note = find_examples(_describe(tiny_data, **changed))
    assert examples == []
    assert told in note


def test_pictures_that_are_not_there_any_more_are_told(tiny_data: PreparedData, tmp_path: Path) -> None:
    data = _without_pictures(tiny_data, tmp_path / "moved")
    note = f"No examples: the pictures that {data.folder} names are not there any more."
    assert find_examples(_describe(data)) == ([], note)


def test_prepared_pixels_stand_in_for_their_files(tiny_pixels: PreparedData, tmp_path: Path) -> None:
    files, pixels = tiny_pixels.image_files, tiny_pixels.images.numpy()
    stored, _ = find_examples(_describe(_without_pictures(tiny_pixels, tmp_path / "moved")))
    original, _ = find_examples(_describe(tiny_pixels))
    assert [e.question for e in stored] == [e.question for e in original]
    for example, same in zip(stored, original, strict=True):
        assert isinstance(example.picture, Image.Image)
        assert same.picture in files.values()
        with Image.open(str(same.picture)) as image:
            np.testing.assert_array_equal(np.asarray(example.picture), np.asarray(image))
        assert any(np.array_equal(np.asarray(example.picture), one) for one in pixels)
