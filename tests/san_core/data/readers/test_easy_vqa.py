import easy_vqa as package
import pytest

from san_core.data.images.reading import brightness_remark, open_picture, to_pixels
from san_core.data.readers import easy_vqa
from san_core.errors import InputError


def test_package_whose_lists_differ_in_length_is_refused_with_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, answers, images = package.get_train_questions()
    monkeypatch.setattr(package, "get_train_questions", lambda: (texts, answers[:-1], images))
    expected = "easy-vqa is damaged: its train split has 38,575 questions, 38,574 answers, 38,575 images; install"
    with pytest.raises(InputError, match=expected):
        easy_vqa.read()


@pytest.mark.parametrize("number", [414, 593, 804])
def test_small_shapes_on_nearly_white_are_no_problem(number: int) -> None:
    """The pictures with the largest share of nearly white pixels, 98.5 %."""
    picture = open_picture(easy_vqa.read().images[f"train/{number}"])
    assert brightness_remark(to_pixels(picture, 128)) is None
