import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from san_core.data.problems import Problems
from san_core.data.raw_dataset import RawDataset
from san_core.data.readers import daquar
from san_core.errors import InputError
from tests.san_core.data_sets import SHARED, flaws, needs_daquar, write_daquar

TEST = ["what is red in the image9 ?", "lamp"]


def _read(
    root: Path, problems: Problems | None = None, *, size: str = "all", single_answers: bool = False
) -> RawDataset:
    return daquar.read(size, root, problems or Problems(), single_answers=single_answers)


def test_lines_become_questions_with_image_answer_and_place(tmp_path: Path) -> None:
    train = ["what is on the desk in the image3 ?", "tape_dispenser", "what is blue in the image1 ?", "sofa, book ,cup"]
    problems = Problems()
    source = _read(write_daquar(tmp_path, train, TEST), problems)
    one, several = source.train
    assert (one.text, one.answer, one.image) == ("what is on the desk", "tape_dispenser", "image3")
    assert (one.id, one.answer_type) == ("qa.894.raw.train:1", "one thing")
    assert (several.answer, several.answer_type) == ("book, cup, sofa", "several things")
    assert [question.text for question in source.test] == ["what is red"]
    assert source.images == {f"image{n}": tmp_path / "images" / f"image{n}.png" for n in (1, 3, 9)}
    assert flaws(problems) == []
    assert source.metrics[0] == "accuracy"


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("how many chairs are in the image7 ?", "how many chairs are"),
        ("what is left of the image7?", "what is left"),
        ("what is in this image7 ?", "what is"),
        ("what is the largest thing on th eimage7 ?", "what is the largest thing"),
        ("what is behind the image on the wall in the image7", "what is behind the image on the wall"),
        ("what is image7 ?", "what is"),
    ],
)
def test_mention_of_the_image_is_no_part_of_the_question(text: str, question: str, tmp_path: Path) -> None:
    source = _read(write_daquar(tmp_path, [text, "2"], TEST))
    assert (source.train[0].text, source.train[0].image) == (question, "image7")


def test_single_answers_leave_out_what_is_several_things(tmp_path: Path) -> None:
    train = ["what is on it in the image1 ?", "book, cup", "what is red in the image2 ?", "book"]
    test = [*TEST, "what are they in the image4 ?", "chair, table"]
    source = _read(write_daquar(tmp_path, train, test), single_answers=True)
    assert [question.image for question in (*source.train, *source.test)] == ["image2", "image9"]
    assert set(source.images) == {"image2", "image9"}
    assert source.name != _read(tmp_path).name


@needs_daquar
@pytest.mark.parametrize(
    ("size", "single_answers", "train", "test", "several"),
    [
        ("all", False, 6_795, 5_673, (646, 597)),
        ("all", True, 6_149, 5_076, (0, 0)),
        ("reduced", False, 3_876, 297, (51, 7)),
        ("reduced", True, 3_825, 290, (0, 0)),
    ],
)
def test_official_files_hold_what_is_published(
    size: str, single_answers: bool, train: int, test: int, several: tuple[int, int]
) -> None:
    problems = Problems(strict=True)
    source = _read(SHARED / "daquar", problems, size=size, single_answers=single_answers)
    assert (len(source.train), len(source.test)) == (train, test)
    types = [Counter(q.answer_type for q in part) for part in (source.train, source.test)]
    assert tuple(count["several things"] for count in types) == several
    assert all(path.is_file() for path in source.images.values())
    if size == "reduced":
        assert len({question.image for question in source.test}) == 25


@needs_daquar
def test_official_answers_are_those_the_literature_counts() -> None:
    source = _read(SHARED / "daquar", single_answers=True)
    known = {question.answer for question in source.train}
    assert len(known) == 459
    assert round(sum(q.answer in known for q in source.test) / len(source.test), 3) == 0.975
    reduced = _read(SHARED / "daquar", size="reduced", single_answers=True)
    shares = [sum(q.answer == "2" for q in part) / len(part) for part in (source.test, reduced.test)]
    assert [round(share, 3) for share in shares] == [0.056, 0.079]


@needs_daquar
@pytest.mark.parametrize("part", ["train", "test"])
def test_official_questions_are_about_the_images_of_their_split(part: str) -> None:
    source = _read(SHARED / "daquar")
    names = set((SHARED / "daquar" / f"{part}.txt").read_text().split())
    unasked = {"train": {"image366"}, "test": {"image190"}}  # listed by the authors, without a question in their files
    assert {question.image for question in getattr(source, part)} == names - unasked[part]


GOOD = ["what is red in the image1 ?", "cup", "what is blue in the image2 ?", "sofa"]


@pytest.mark.parametrize(
    ("lines", "place", "kind", "left"),
    [
        ([*GOOD, "what is in the image3 ?"], "line 5", "question without an answer", ["cup", "sofa"]),
        ([*GOOD[:1], *GOOD[2:]], "line 1", "question without an answer, left out", ["sofa"]),
        ([*GOOD[:1], "what is that ?", *GOOD[3:]], "line 1", "question without an answer, left out", []),
        ([*GOOD[:2], "", *GOOD[2:]], "line 3", "blank line, ignored", ["cup", "sofa"]),
        ([*GOOD[:2], "more cup", *GOOD[2:]], "line 3", "answer without a question, left out", ["cup", "sofa"]),
        (["what is red in the image1 ?", "", *GOOD[2:]], "line 1", "question without an answer", ["sofa"]),
        (["what is red in the image1 ?", " , ", *GOOD[2:]], "line 1", "question without an answer", ["sofa"]),
        ([*GOOD[:2], "what is that ?", "sofa"], "line 3", "question names no image", ["cup"]),
        (["in the image1 ?", "cup", *GOOD[2:]], "line 1", "empty question", ["cup", "sofa"]),
    ],
    ids=[
        "last",
        "answer lost",
        "answer lost, next question damaged",
        "blank line",
        "line too many",
        "empty",
        "commas",
        "no image",
        "no words",
    ],
)
def test_flawed_lines_are_told_and_the_rest_is_used(
    lines: list[str], place: str, kind: str, left: list[str], tmp_path: Path
) -> None:
    write_daquar(tmp_path, lines, TEST)
    problems = Problems()
    assert [question.answer for question in _read(tmp_path, problems).train] == left
    told = flaws(problems)
    assert len(told) == (2 if not left else 1)
    assert told[0].startswith(f"{tmp_path / 'qa.894.raw.train.txt'} {place}: {kind}")
    with pytest.raises(InputError, match=re.escape(f"{place}: {kind}")):
        _read(tmp_path, Problems(strict=True))


@pytest.mark.parametrize("damage", ["deleted", "twice", "blank", "without its image", "cut"])
def test_one_damaged_line_never_gives_a_question_the_answer_of_another(damage: str, tmp_path: Path) -> None:
    right = {f"what is {n} things left of": f"thing_{n}" for n in range(6)}
    lines = [line for n in range(6) for line in (f"what is {n} things left of in the image{n + 1} ?", f"thing_{n}")]
    for place, line in enumerate(lines):
        replaced = {
            "deleted": [],
            "twice": [line, line],
            "blank": [""],
            "without its image": [line.partition(" in the image")[0]],
            "cut": [line[:4]],
        }[damage]
        problems = Problems()
        read = _read(
            write_daquar(tmp_path, [*lines[:place], *replaced, *lines[place + 1 :]], TEST), problems=problems
        ).train
        wrong = {q.text: q.answer for q in read if right.get(q.text) != q.answer}
        assert len(wrong) <= (damage == "cut" and place % 2 == 1)  # a cut answer is wrong, but no other question's
        assert set(wrong.values()) <= {line[:4]}
        assert len(read) >= 5
        lost = len(right) - len(read)
        assert sum(problem.lost for problem in problems.found) >= lost


def test_lines_left_out_are_a_share_of_the_pairs_of_their_file(tmp_path: Path) -> None:
    lines = [line for n in range(40) for line in (f"what is in the image{n} ?", "" if n % 4 else "cup")]
    problems = Problems()
    _read(write_daquar(tmp_path, lines, TEST), problems)
    with pytest.raises(InputError, match=re.escape("30 of 40 entries of ") + ".*30 x question without an answer"):
        problems.check_losses()


def test_latin_1_file_is_read_and_told(tmp_path: Path) -> None:
    write_daquar(tmp_path, GOOD, TEST)
    (tmp_path / "qa.894.raw.train.txt").write_bytes("what is on it in the image1 ?\ncafé\n".encode("latin-1"))
    problems = Problems()
    assert _read(tmp_path, problems).train[0].answer == "café"
    assert flaws(problems) == [
        f"{tmp_path / 'qa.894.raw.train.txt'} line 2: not UTF-8, read as Windows-1252 (byte 0xe9)",
    ]


def test_files_may_lie_in_folders_and_images_be_jpeg(tmp_path: Path) -> None:
    write_daquar(tmp_path / "questions", GOOD, TEST, images=0)
    pictures = tmp_path / "nyu_depth_images"
    pictures.mkdir()
    (pictures / "image1.jpg").touch()
    assert _read(tmp_path).images["image1"] == pictures / "image1.jpg"


@pytest.mark.parametrize("lost", ["qa.894.raw.train.txt", "qa.894.raw.test.txt", "images"])
def test_missing_file_is_named(lost: str, tmp_path: Path) -> None:
    write_daquar(tmp_path, GOOD, TEST)
    (tmp_path / lost).rename(tmp_path / "elsewhere")
    expected = rf"{re.escape(str(tmp_path))} holds no .*; accepted, there or in a folder of it: {re.escape(lost)}"
    with pytest.raises(InputError, match=expected):
        _read(tmp_path)


def test_root_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'none'} is not a folder")):
        _read(tmp_path / "none")


def test_images_of_any_format_are_found_and_those_that_are_not_are_told(tmp_path: Path) -> None:
    lines = [line for number in range(1, 6) for line in (f"what is in the image{number} ?", "cup")]
    root = write_daquar(tmp_path / "daquar", lines, lines[:2], images=5)
    images = root / "images"
    (images / "image2.png").rename(images / "image2.JPG")
    (images / "image3.png").rename(images / "image3.webp")
    shutil.copy(images / "image4.png", images / "image4.jpg")
    (images / "image5.png").rename(images / "image55.png")
    dataset = daquar.read("all", root, Problems(), single_answers=False)
    assert {key: dataset.images[key].name for key in ("image1", "image2", "image3")} == {
        "image1": "image1.png",
        "image2": "image2.JPG",
        "image3": "image3.webp",
    }
    assert dataset.not_found == {"image4": "several pictures: image4.jpg, image4.png", "image5": "no such picture"}
