import math
import re
from pathlib import Path

import pytest

from san_core.data.images.folder import ImageFolder
from san_core.data.images.of_row import DifferentPicturesError, find_picture, picture_names
from san_core.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> ImageFolder:
    for name in ("7.jpg", "8.jpg", "a.png"):
        (tmp_path / name).touch()
    return ImageFolder(tmp_path)


@pytest.mark.parametrize(
    ("image", "image_id", "file"),
    [
        ("a.png", None, "a.png"),
        ("a.png", 99, "a.png"),
        ("http://example.com/x?y=1", 7, "7.jpg"),
        ("http://example.com/7.jpg", 7.0, "7.jpg"),
        (None, "7", "7.jpg"),
        ("", 7, "7.jpg"),
        (math.nan, 7, "7.jpg"),
        (7.0, math.nan, "7.jpg"),
        ({"path": "a.png", "bytes": None}, None, "a.png"),
        (["a.png"], None, "a.png"),
        ("a\0.png", 7, "7.jpg"),
    ],
)
def test_picture_is_found_by_its_image_or_else_by_its_image_id(
    image: object, image_id: object, file: str, folder: ImageFolder
) -> None:
    assert find_picture(folder, image, image_id).name == file


def test_picture_of_the_table_itself_is_the_picture(folder: ImageFolder) -> None:
    assert find_picture(folder, Path("embedded/x.png"), 7) == Path("embedded/x.png")


def test_image_and_image_id_of_different_pictures_are_refused(folder: ImageFolder) -> None:
    with pytest.raises(DifferentPicturesError, match=re.escape("its image is 8.jpg, but its image_id is 7.jpg")):
        find_picture(folder, "http://example.com/8.jpg", 7)


def test_every_name_that_is_not_found_is_told(folder: ImageFolder) -> None:
    with pytest.raises(InputError, match=re.escape("'b.png': no such picture; '9': no such picture")):
        find_picture(folder, "b.png", 9)
    with pytest.raises(InputError, match=r"^'9': no such picture$"):
        find_picture(folder, 9, 9)
    with pytest.raises(InputError, match="names no picture"):
        find_picture(folder, None, math.nan)
    assert picture_names(["a.png", "b.png"], None) == []
