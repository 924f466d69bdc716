from collections.abc import Sequence

import pytest

from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset
from san_core.data.readers import easy_vqa
from san_core.data.splitting import split_by_image


def _questions(images: int, each: int = 3) -> list[Question]:
    return [Question(f"question {q}?", "yes", f"image {i}") for q in range(each) for i in range(images)]


def _images(questions: Sequence[Question]) -> set[str]:
    return {question.image for question in questions}


@pytest.mark.parametrize(("images", "validation_images"), [(100, 20), (10, 2), (5, 1), (13, 3), (2, 1)])
def test_one_image_in_five_goes_to_validation_with_all_its_questions(images: int, validation_images: int) -> None:
    train, validation = split_by_image(_questions(images))
    assert len(_images(validation)) == validation_images
    assert len(validation) == 3 * validation_images
    assert len(train) == 3 * (images - validation_images)


def test_no_image_is_on_both_sides_and_no_question_is_lost() -> None:
    questions = _questions(50)
    train, validation = split_by_image(questions, seed=3)
    assert not _images(train) & _images(validation)
    assert sorted(train + validation, key=questions.index) == questions


def test_questions_keep_their_order() -> None:
    questions = _questions(20)
    for part in split_by_image(questions):
        assert part == sorted(part, key=questions.index)


def test_seed_decides_which_images_are_held_out() -> None:
    questions = _questions(50)
    assert split_by_image(questions, seed=1) == split_by_image(questions, seed=1)
    assert split_by_image(questions, seed=1) != split_by_image(questions, seed=2)


def test_order_and_number_of_questions_do_not_change_which_images_are_held_out() -> None:
    _, validation = split_by_image(_questions(50), seed=4)
    _, reversed_validation = split_by_image(_questions(50, each=1)[::-1], seed=4)
    assert _images(validation) == _images(reversed_validation)


def test_share_of_validation_can_be_chosen() -> None:
    _, validation = split_by_image(_questions(40), share=0.5)
    assert len(_images(validation)) == 20


def test_copies_of_a_picture_stay_on_one_side_and_change_nothing_else() -> None:
    questions = _questions(50)
    copies = {f"image {number}": f"image {number - number % 2}" for number in range(50)}
    train, validation = split_by_image(questions, seed=3, first_copy=copies)
    sides = [{copies[image] for image in _images(part)} for part in (train, validation)]
    assert not sides[0] & sides[1]
    assert [len(side) for side in sides] == [20, 5]
    assert split_by_image(
        questions, seed=3, first_copy={f"image {n}": f"image {n}" for n in range(50)}
    ) == split_by_image(questions, seed=3)


@pytest.fixture(scope="module")
def easy() -> RawDataset:
    return easy_vqa.read()


def test_easy_vqa_is_the_data_set_its_authors_describe(easy: RawDataset) -> None:
    assert (len(easy.train), len(easy.test)) == (38_575, 9_673)
    assert (len(_images(easy.train)), len(_images(easy.test)), len(easy.images)) == (4_000, 1_000, 5_000)
    colours = {"red", "green", "blue", "black", "gray", "teal", "brown", "yellow"}
    assert {q.answer for q in easy.train} == colours | {"circle", "rectangle", "triangle", "yes", "no"}
    assert {q.answer for q in easy.test} <= {q.answer for q in easy.train}


def test_easy_vqa_keeps_train_and_test_images_apart(easy: RawDataset) -> None:
    assert not _images(easy.train) & _images(easy.test)
    assert _images(easy.train) | _images(easy.test) == set(easy.images)
    assert len(set(easy.images.values())) == 5_000
    assert all(path.is_file() for path in easy.images.values())
