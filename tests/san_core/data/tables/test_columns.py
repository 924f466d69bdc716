from pathlib import Path

import pytest

from san_core.data.tables.column_names import split_of_file, split_of_word
from san_core.data.tables.columns import Columns, find_columns
from san_core.data.tables.records import Rows
from san_core.errors import InputError


def _rows(*columns: str, empty: tuple[str, ...] = ()) -> Rows:
    row = {name: None if name in empty else "x" for name in columns}
    return Rows(Path("t.csv"), [row], [2], [1], "line", columns)


@pytest.mark.parametrize("question", ["question", "Question ", "QUESTION", "query", "sent", "text"])
@pytest.mark.parametrize("answer", ["answer", "Answers", "multiple_choice_answer", "label", "ground truth"])
@pytest.mark.parametrize(
    "image", ["image", "image_id", "image_name", "image_filename", "img_name", "imageId", "Picture"]
)
def test_names_that_people_use(question: str, answer: str, image: str) -> None:
    found = find_columns(_rows("more", question, answer, image))
    assert (found.question, found.answers, found.image) == (question, (answer,), image)


def test_other_columns_that_are_used() -> None:
    columns = _rows("question", "image", "img_id", "answer", "qid", "answer_type", "content_type", "set_name")
    assert find_columns(columns) == Columns(
        question="question",
        image="image",
        answers=("answer",),
        id="qid",
        answer_type="answer_type",
        question_type="content_type",
        split="set_name",
    )
    assert str(find_columns(columns)) == (
        "question = question, answer = answer, image = image, id = qid, answer_type = answer_type, "
        "question_type = content_type, split = set_name"
    )


def test_answers_of_people() -> None:
    found = find_columns(_rows("question", "image", "answer_10", "Answer 2", "answer1"))
    assert found.answers == ("answer1", "Answer 2", "answer_10")
    found = find_columns(_rows("question", "image", "answers", "multiple_choice_answer"))
    assert (found.answers, found.right_answer) == (("answers",), "multiple_choice_answer")


def test_a_column_without_values_counts_as_missing() -> None:
    found = find_columns(_rows("question", "image", "image_id", "answer", "answers", empty=("image", "answers")))
    assert (found.image, found.answers) == ("image_id", ("answer",))


def test_columns_that_the_user_names() -> None:
    chosen = {"question": ["Frage"], "answer": ["a", "b"], "image": ["datei"]}
    found = find_columns(_rows("Frage", "question", "a", "b", "answer", "Datei"), chosen)
    assert (found.question, found.answers, found.image) == ("Frage", ("a", "b"), "Datei")
    assert find_columns(_rows("Frage", "Datei"), chosen).answers == ()  # a test file may have none


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (("a", "b", "image"), "t.csv: no column is known as that of the question; .*; its columns: a, b, image"),
        (("question", "{}"), r"no column is known as that of the image; --column image=NAME names it; its .* \{\}"),
        (("question", "image", "answer", "answers"), r"several columns may be that of the answer \(answer, answers\)"),
        (("question", "image", "answer", "answer_1"), r"the answer \(answer, answer_1\); --column answer=NAME"),
        (("question", "image", "label", "answer_1", "answer_2"), r"the answer \(answer_1, answer_2, label\)"),
        (("question", "image (column 1)", "image (column 3)"), r"image \(image \(column 1\), image \(column 3\)\)"),
        (("question", "sent", "text", "image", "picture"), r"the image \(image, picture\)"),
    ],
)
def test_missing_and_ambiguous_columns_are_one_line(columns: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        find_columns(_rows(*columns))


def test_a_named_column_must_be_there() -> None:
    with pytest.raises(InputError, match="--column image=x fits no column; .*; its columns: question, image"):
        find_columns(_rows("question", "image"), {"image": ["x"]})


def test_names_are_shortened_in_messages() -> None:
    with pytest.raises(InputError) as error:
        find_columns(_rows(*(f"{n}{'x' * 9999}" for n in range(99))))
    assert len(str(error.value)) < 2000


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("val2014", "validation"),
        ("VALID", "validation"),
        ("dev", "validation"),
        ("test-dev", "test"),
        ("Testing ", "test"),
        ("freeform", None),
        ("", None),
    ],
)
def test_words_for_splits(text: str, split: str | None) -> None:
    assert split_of_word(text) == split


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00003-a1b2.parquet", "train"),
        ("validation-00000-of-00001.parquet", "validation"),
        ("v2_OpenEnded_mscoco_val2014_questions.json", "validation"),
        ("TextVQA_0.5.1_test.json", "test"),
        ("train_and_test.csv", None),
        ("contest.csv", None),
        ("VQA_RAD Dataset Public.json", None),
    ],
)
def test_names_of_files_for_splits(name: str, split: str | None) -> None:
    assert split_of_file(name) == split
