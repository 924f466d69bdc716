import re
from collections import Counter
from pathlib import Path

import pytest

from san_core.data.problems import Problems
from san_core.data.readers import coco_qa
from san_core.errors import InputError
from tests.san_core.data_sets import SHARED, Row, flaws, needs_coco, write_coco_qa

TRAIN: list[Row] = [
    ("what is flying", "airplane", 561524, 0),
    ("how many cats are there", "two", 7, 1),
    ("what is the color of the bus", "red", 7, 2),
]
TEST: list[Row] = [("what is in the grass", "dog", 42, 0), ("where is it", "kitchen", 561524, 3)]


def test_lines_of_the_four_files_become_questions(tmp_path: Path) -> None:
    problems = Problems()
    source = coco_qa.read(write_coco_qa(tmp_path, TRAIN, TEST), problems)
    rows = [(q.id, q.text, q.answer, q.answer_type) for q in (*source.train, *source.test)]
    assert rows == [
        ("train:1", "what is flying", "airplane", "object"),
        ("train:2", "how many cats are there", "two", "number"),
        ("train:3", "what is the color of the bus", "red", "colour"),
        ("test:1", "what is in the grass", "dog", "object"),
        ("test:2", "where is it", "kitchen", "location"),
    ]
    assert flaws(problems) == []


def test_pictures_are_those_of_coco_and_of_the_split(tmp_path: Path) -> None:
    source = coco_qa.read(write_coco_qa(tmp_path, TRAIN, TEST), Problems())
    files = [source.images[question.image] for question in (*source.train, *source.test)]
    assert files == [
        tmp_path / "train2014" / "COCO_train2014_000000561524.jpg",
        tmp_path / "train2014" / "COCO_train2014_000000000007.jpg",
        tmp_path / "train2014" / "COCO_train2014_000000000007.jpg",
        tmp_path / "val2014" / "COCO_val2014_000000000042.jpg",
        tmp_path / "val2014" / "COCO_val2014_000000561524.jpg",
    ]
    assert len(source.images) == 4


@pytest.mark.parametrize(
    ("file", "line", "told", "left"),
    [
        ("img_ids.txt", "img_ids.txt line 2: not an image number, left out ('many')", "many", 2),
        ("answers.txt", "answers.txt line 2: question without an answer, left out", "", 2),
        ("questions.txt", "questions.txt line 2: empty question", "", 3),
        ("types.txt", "types.txt line 2: unknown type of question ('9')", "9", 3),
    ],
)
def test_flawed_line_is_told_and_the_rest_is_used(file: str, line: str, told: str, left: int, tmp_path: Path) -> None:
    path = write_coco_qa(tmp_path, TRAIN, TEST) / "train" / file
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], told, lines[2]]))
    problems = Problems()
    source = coco_qa.read(tmp_path, problems)
    assert len(source.train) == left
    assert source.train[-1].answer == "red"
    assert flaws(problems) == [f"{path.parent / line}"]
    with pytest.raises(InputError, match=re.escape(line)):
        coco_qa.read(tmp_path, Problems(strict=True))


@pytest.mark.parametrize("file", ["questions", "answers", "img_ids", "types"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_file_that_lacks_a_line_is_refused_with_the_counts(part: str, file: str, tmp_path: Path) -> None:
    path = write_coco_qa(tmp_path, TRAIN, TEST) / part / f"{file}.txt"
    lines = path.read_text().splitlines()
    for left in (lines[1:], lines[:1] + lines[2:], lines[:-1], [*lines, "more"], []):
        path.write_text("".join(f"{line}\n" for line in left))
        problems = Problems(allowed_loss=0.9)
        with pytest.raises(InputError, match="files with different numbers of lines") as raised:
            coco_qa.read(tmp_path, problems)
        assert f"{path.parent} has files" in str(raised.value)
        assert f"{file}.txt {len(left)}" in str(raised.value)


def test_blank_lines_at_the_end_are_no_lines_unless_a_question_lacks_its_answer(tmp_path: Path) -> None:
    folder = write_coco_qa(tmp_path, TRAIN, TEST) / "train"
    with (folder / "questions.txt").open("a") as file:
        file.write("\n \n")
    problems = Problems(strict=True)
    assert len(coco_qa.read(tmp_path, problems).train) == 3
    (folder / "answers.txt").write_text("airplane\ntwo\n\n")
    problems = Problems()
    assert [question.answer for question in coco_qa.read(tmp_path, problems).train] == ["airplane", "two"]
    assert flaws(problems) == [f"{folder / 'answers.txt'} line 3: question without an answer, left out"]


def test_lines_left_out_are_a_share_of_those_of_the_split(tmp_path: Path) -> None:
    folder = write_coco_qa(tmp_path, TRAIN * 20, TEST) / "train"
    (folder / "img_ids.txt").write_text("7\nseven\n" * 30)
    problems = Problems()
    coco_qa.read(tmp_path, problems)
    with pytest.raises(
        InputError, match=re.escape(f"30 of 60 entries of {folder} (50.0%) would be left out: 30 x not")
    ):
        problems.check_losses()


@pytest.mark.parametrize("lost", ["train/questions.txt", "test/questions.txt", "train/types.txt", "val2014"])
def test_missing_file_is_named(lost: str, tmp_path: Path) -> None:
    write_coco_qa(tmp_path, TRAIN, TEST)
    (tmp_path / lost).rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=re.escape(lost)):
        coco_qa.read(tmp_path, Problems())


@needs_coco
def test_sample_of_the_real_data_is_counted_as_its_files_say() -> None:
    problems = Problems(strict=True)
    source = coco_qa.read(SHARED / "coco_sample", problems)
    kinds = ["object", "number", "colour", "location"]
    for name, part, count in (("train", source.train, 303), ("test", source.test, 166)):
        folder = SHARED / "coco_sample" / "cocoqa" / name
        types = (folder / "types.txt").read_text().split()
        assert len(part) == len(types) == count
        assert Counter(question.answer_type for question in part) == Counter(kinds[int(kind)] for kind in types)
        assert Counter(question.answer for question in part) == Counter((folder / "answers.txt").read_text().split())
        assert len({question.image for question in part}) == len(set((folder / "img_ids.txt").read_text().split()))
    assert all(path.is_file() for path in source.images.values())
