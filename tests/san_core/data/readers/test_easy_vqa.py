import easy_vqa as package
import pytest

from san_core.data.readers import easy_vqa
from san_core.errors import InputError


def test_package_whose_lists_differ_in_length_is_refused_with_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, answers, images = package.get_train_questions()
    monkeypatch.setattr(package, "get_train_questions", lambda: (texts, answers[:-1], images))
    expected = "easy-vqa is damaged: its train split has 38,575 questions, 38,574 answers, 38,575 images; install"
    with pytest.raises(InputError, match=expected):
        easy_vqa.read()
