import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from san_core.data.prepared import PreparedData, Split
from san_core.data.raw_dataset import RawDataset
from san_core.errors import InputError


@pytest.fixture
def copy(tiny_data: PreparedData, tmp_path: Path) -> Path:
    """A prepared folder of one's own, to damage."""
    return Path(shutil.copytree(tiny_data.folder, tmp_path / "copy"))


def test_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    expected = f"{tmp_path} is not a prepared data set: it has no manifest.json"
    with pytest.raises(InputError, match=re.escape(expected)):
        PreparedData.open(tmp_path)


def test_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none is not a prepared data set"):
        PreparedData.open(tmp_path / "none")


@pytest.mark.parametrize("text", ["", '{"format": 4, "wor', "[]", "7", b"\xff\xfe\x00", '{"format": 4}'], ids=repr)
def test_damaged_manifest_is_named(text: str | bytes, copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=re.escape(f"{path} is damaged (")) as raised:
        PreparedData.open(copy)
    assert str(raised.value).endswith(f"delete {copy} and prepare the data again")


@pytest.mark.parametrize("found", [0, 2, 3, None, "4"])
def test_other_format_is_refused(found: object, copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": found}))
    expected = f"{copy} has format {found}, accepted: 4; delete it and prepare the data again"
    with pytest.raises(InputError, match=re.escape(expected)):
        PreparedData.open(copy)


@pytest.mark.parametrize("lost", ["features.npy", "questions.npy", "test.npz", "validation.parquet"])
def test_missing_file_is_named(lost: str, copy: Path) -> None:
    (copy / lost).unlink()
    expected = f"{copy} is damaged: it lacks {lost}; delete it and prepare the data again"
    with pytest.raises(InputError, match=re.escape(expected)):
        PreparedData.open(copy)


def test_missing_split_names_the_existing_ones(tiny_data: PreparedData) -> None:
    for method in (tiny_data.split, tiny_data.questions_of):
        with pytest.raises(InputError, match="has no unanswered split; accepted: train, validation, test"):
            method("unanswered")


def test_questions_are_kept_in_words_in_the_order_of_the_split(
    tiny_data: PreparedData, tiny_dataset: RawDataset
) -> None:
    assert tiny_data.questions_of("test") == tiny_dataset.test
    validation, numbers = tiny_data.questions_of("validation"), tiny_data.split("validation")
    assert [tiny_data.answers[number] for number in numbers.answers] == [question.answer for question in validation]


def test_word_vectors_are_none_unless_prepared_with_them(tiny_data: PreparedData) -> None:
    assert tiny_data.word_vectors is None


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of mapped files")
def test_images_are_mapped_from_the_file(copy: Path) -> None:
    data = PreparedData.open(copy)
    assert data.images.shape[0] == 52
    mapped = Path("/proc/self/maps").read_text()
    assert str((copy / "features.npy").resolve()) in mapped


def test_images_may_be_larger_than_memory(copy: Path) -> None:
    rows = 3 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (4 * 1280 * 2)
    with (copy / "features.npy").open("wb") as file:
        header = {"descr": "<i2", "fortran_order": False, "shape": (rows, 4, 1280)}
        np.lib.format.write_array_header_2_0(file, header)
        file.truncate(file.tell() + rows * 4 * 1280 * 2)  # a hole, which takes no space
    images = PreparedData.open(copy).images
    assert images.shape == (rows, 4, 1280)
    assert images[-1].count_nonzero() == 0
    images[-1, 0, 0] = 1  # in memory only
    assert images[-1].count_nonzero() == 1


def test_properties_say_what_the_data_were_prepared_from(tiny_data: PreparedData, tiny_pixels: PreparedData) -> None:
    assert (tiny_data.name, tiny_data.encoder, tiny_data.image_size) == ("tiny", "efficientnet-lite0", 64)
    assert (tiny_data.fine_tune, tiny_pixels.fine_tune) == (False, True)


def test_opened_folder_equals_the_prepared_one(tiny_data: PreparedData) -> None:
    opened = PreparedData.open(tiny_data.folder)
    assert opened.manifest == tiny_data.manifest
    assert torch.equal(opened.images, tiny_data.images)
    assert torch.equal(opened.questions, tiny_data.questions)


def test_writing_to_images_in_memory_leaves_the_file_alone(copy: Path) -> None:
    PreparedData.open(copy).images.zero_()
    assert PreparedData.open(copy).images.count_nonzero() > 0


def test_batch_rows_lead_back_to_image_question_and_answer(tiny_pixels: PreparedData, tiny_dataset: RawDataset) -> None:
    split = tiny_pixels.split("test")  # keeps the order of the source
    rows = np.array([9, 0, 3, 8, 40, 9, 2])
    batch = tiny_pixels.batch(split, rows)
    for i, row in enumerate(rows):
        question = tiny_dataset.test[row]
        with Image.open(tiny_dataset.images[question.image]) as image:
            np.testing.assert_array_equal(batch.images[batch.image_rows[i]].numpy(), np.asarray(image))
        tokens = batch.tokens[batch.question_rows[i]]
        words = [tiny_pixels.words.words[number - 2] for number in tokens[tokens > 0].tolist()]
        assert words == question.text.lower().strip("?").split()
        answer = int(split.answers[row])
        assert (tiny_pixels.answers[answer] if answer >= 0 else "white") == question.answer


def test_batch_holds_each_image_and_question_once(tiny_data: PreparedData) -> None:
    batch = tiny_data.batch(tiny_data.split("test"), np.array([0, 1, 2, 3, 4, 8, 0]))
    assert len(batch.images) == 3  # four questions each: rows 0-3, 4-7, 8-11
    assert len(batch.tokens) == 4
    assert len(batch.image_rows) == len(batch.question_rows) == 7
    assert batch.tokens.dtype == torch.int64
    assert [part.data_ptr() for part in batch.inputs] == [
        part.data_ptr() for part in (batch.images, batch.image_rows, batch.tokens, batch.question_rows)
    ]


def test_answer_outside_the_vocabulary_is_minus_one(tiny_data: PreparedData, tiny_dataset: RawDataset) -> None:
    expected = [question.answer == "white" for question in tiny_dataset.test]
    assert (tiny_data.split("test").answers == -1).tolist() == expected
    assert sum(expected) == 4
    assert tiny_data.split("train").answers.min() == 0


def test_splits_are_joined_in_order(tiny_data: PreparedData) -> None:
    train, test = tiny_data.split("train"), tiny_data.split("test")
    both = train + test
    assert len(both) == len(train) + len(test)
    for column in ("images", "questions", "answers", "people"):
        expected = [*getattr(train, column), *getattr(test, column)]
        assert getattr(both, column).tolist() == expected


@pytest.fixture
def three_questions() -> Split:
    columns = ([0, 1, 1], [4, 5, 6], [2, -1, 0], [[2, 2], [-1, 1], [0, -1]])
    return Split(*(np.array(column, dtype=np.int32) for column in columns))


def test_split_survives_its_file(three_questions: Split, tmp_path: Path) -> None:
    three_questions.save(tmp_path, "part")
    loaded = Split.load(tmp_path, "part")
    for column in ("images", "questions", "answers", "people"):
        found, expected = getattr(loaded, column), getattr(three_questions, column)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.int32


def test_part_of_a_split_keeps_all_columns(three_questions: Split) -> None:
    part = three_questions.where(np.array([True, False, True]))
    assert len(part) == 2
    assert (part.questions.tolist(), part.answers.tolist()) == ([4, 6], [2, 0])
    assert part.people.tolist() == [[2, 2], [0, -1]]
