import os
import re
import time
import unicodedata
from pathlib import Path

import pytest

from san_core.data.images.folder import ImageFolder
from san_core.errors import InputError

COCO = "COCO_train2014_000000000004.jpg"


def _make(folder: Path, *files: str) -> ImageFolder:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"")
    return ImageFolder(folder)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "a.jpg"),
        (" a.jpg ", "a.jpg"),
        ("a", "a.JPG"),
        ("A", "a.webp"),
        ("a.jpg", "A.JPG"),
        ("a.jpeg", "a.JPG"),
        ("a.tif", "a.tiff"),
        ("a.b", "a.b.png"),
        ("no ending", "no ending"),
        ("a.jpg", "deep/down/a.jpg"),
        ("down/a.jpg", "deep/down/a.jpg"),
        ("down/a", "deep/down/a.bmp"),
        ("./a.jpg", "a.jpg"),
        ("deep\\down\\a.jpg", "deep/down/a.jpg"),
        ("C:\\Users\\me\\pictures\\a.jpg", "a.jpg"),
        ("/elsewhere/down/a.jpg", "down/a.jpg"),
        ("images/a.jpg", "a.jpg"),  # the folder of the test is called images
        (4, "4.jpg"),
        (4.0, "4.jpg"),
        ("4", "4.PNG"),
        ("4.0", "4.jpg"),
        (4, "0004.tif"),
        ("000000000004", COCO),
        ("007", "7.jpg"),
        (4, COCO),
        (4, "deep/CLEVR_val_000004.png"),
        (0, "VizWiz_train_00000000.jpg"),
        (0, "0.jpg"),
        ("COCO_train2014_000000000004", COCO),
        (131074, "COCO_val2014_000000131074.jpg"),
    ],
)
def test_picture_is_found_by_any_of_its_names(name: str | int | float, file: str, tmp_path: Path) -> None:
    others = ["14.jpg", "40.jpg", "b.jpg", "aa.jpg", "COCO_train2014_000000000044.jpg", "down/b.jpg", ".4.jpg"]
    folder = tmp_path / "images"
    found = _make(folder, file, *others).find(name)
    assert found.is_file()
    assert found.relative_to(folder).as_posix() == file


@pytest.mark.parametrize(
    ("name", "files"),
    [
        (1, ["11.jpg", "21.jpg", "10.jpg", "COCO_train2014_000000000011.jpg", "a1.jpg", "a_1.jpg"]),
        ("a", ["aa.jpg", "ba.jpg", "a.jpg.txt"]),
        ("a.jpg", ["aa.jpg", "a.jpg.jpg", "b/aa.jpg"]),
        ("4.jpg", ["04.jpg", COCO]),  # a name with an extension is not a number
        ("b/a.jpg", ["a/a.jpg", "ab/a.jpg"]),
        ("4", [".4.jpg", ".hidden/4.jpg"]),
        ("", ["a.jpg"]),
        ("nan", ["a.jpg"]),
        (4.5, ["4.jpg", "5.jpg"]),
        (-4, ["4.jpg"]),
        ("a\0b", ["a.jpg"]),
        ("a" * 300, ["a.jpg"]),
        ("9" * 5000, ["9.jpg"]),
        ("train", ["train/a.jpg"]),
        (4, ["20240131_000004.jpg"]),  # a date and a number
    ],
)
def test_no_other_picture_is_taken_for_a_missing_one(name: str | int | float, files: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^no such picture(, but there is [ab/.jpg, ]+)?$"):
        _make(tmp_path, *files).find(name)


def test_a_picture_in_another_format_is_named(tmp_path: Path) -> None:
    folder = _make(tmp_path, "a.png", "b/a.webp")
    with pytest.raises(InputError, match=r"^no such picture, but there is a\.png, b/a\.webp$"):
        folder.find("a.jpg")


@pytest.mark.parametrize(
    ("name", "files", "several"),
    [
        ("a", ["a.jpg", "a.png"], "a.jpg, a.png"),
        ("a.jpg", ["train/a.jpg", "test/a.jpg"], "test/a.jpg, train/a.jpg"),
        ("A.jpg", ["a.JPG", "a.jpg"], "a.JPG, a.jpg"),
        (4, ["4.jpg", COCO], f"4.jpg, {COCO}"),
        (4, ["04.jpg", COCO], f"04.jpg, {COCO}"),
        (4, ["04.jpg", "004.jpg"], "004.jpg, 04.jpg"),
        (4, [COCO, "COCO_val2014_000000000004.jpg"], f"{COCO}, COCO_val2014_000000000004.jpg"),
        ("a", [f"{n}/a.jpg" for n in range(9)], "0/a.jpg, 1/a.jpg, 2/a.jpg, ..."),
    ],
)
def test_several_pictures_of_a_name_are_an_error(
    name: str | int, files: list[str], several: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"^several pictures: {re.escape(several)}$"):
        _make(tmp_path, *files).find(name)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("a.jpg", ["a.jpg", "a.JPG", "a.jpeg", "b/a.jpg"]),
        ("A", ["A.jpg", "a.png"]),
        ("b/a.jpg", ["b/a.jpg", "c/b/a.jpg"]),
        (4, ["4.jpg", "04.jpg", "44.jpg"]),
        ("04", ["04.jpg", "4.jpg"]),
    ],
)
def test_exact_name_goes_before_looser_ones(name: str | int, files: list[str], tmp_path: Path) -> None:
    assert _make(tmp_path, *files).find(name) == tmp_path / files[0]


@pytest.mark.parametrize(("data", "disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_composed_and_decomposed_letters_are_equal(data: str, disk: str, tmp_path: Path) -> None:
    file = "Mädchen/Übung é한.jpg"
    for name in (file, "Übung é한.jpg", "Übung é한", "übung É한"):
        folder = _make(tmp_path, unicodedata.normalize(disk, file))  # type: ignore[arg-type]
        found = folder.find(unicodedata.normalize(data, name))  # type: ignore[arg-type]
        assert found == tmp_path / unicodedata.normalize(disk, file)  # type: ignore[arg-type]
        assert found.is_file()


def test_path_may_start_beside_the_table(tmp_path: Path) -> None:
    _make(tmp_path, "scans/a.jpg", "pictures/b.jpg", "pictures/scans/c.jpg", "scans/c.jpg")
    folder = ImageFolder(tmp_path / "pictures", beside=tmp_path / "table.csv")
    assert folder.find("scans/a.jpg") == tmp_path / "scans" / "a.jpg"
    assert folder.find("pictures/b.jpg") == tmp_path / "pictures" / "b.jpg"
    assert folder.find(str(tmp_path / "scans" / "a.jpg")) == tmp_path / "scans" / "a.jpg"
    with pytest.raises(InputError, match="several pictures: .*pictures/scans/c.jpg, .*scans/c.jpg"):
        folder.find("scans/c.jpg")


def test_same_names_in_two_folders_of_the_data_are_not_one_picture(tmp_path: Path) -> None:
    folder = _make(tmp_path, "1.jpg", "2.jpg", "deep/3.jpg")
    assert folder.find("/data/train/1.jpg") == tmp_path / "1.jpg"
    assert folder.find("/data/train/deep/3.jpg") == tmp_path / "deep" / "3.jpg"
    with pytest.raises(InputError, match=r"no such picture; 1.jpg has its name, but pictures of 'data/train' were"):
        folder.find("/data/test/1.jpg")


@pytest.mark.parametrize("names", [("6.jpg", "6.JPG"), ("6.jpeg", "6.jpg"), ("6", "06"), ("06", "6.0"), ("a", "A")])
def test_a_file_is_given_to_one_of_two_names_that_are_nearly_equal(names: tuple[str, str], tmp_path: Path) -> None:
    folder = _make(tmp_path, "6.jpg", "a.jpg")
    first = folder.find(names[0])
    for _ in range(2):
        with pytest.raises(
            InputError, match=rf"no such picture; {first.name} was found for '{names[0]}', which may be"
        ):
            folder.find(names[1])
    assert folder.find(names[0]) == first


def test_a_file_may_be_called_by_names_of_different_kinds(tmp_path: Path) -> None:
    folder = _make(tmp_path, "b/6.jpg")
    for name in ("6", "6.0", 6, 6.0, "6.jpg", "b/6.jpg", "b\\6.jpg", str(tmp_path / "b" / "6.jpg"), "/old/b/6.jpg"):
        assert folder.find(name) == tmp_path / "b" / "6.jpg"


def test_tables_share_a_folder_with_their_own_starts_of_paths(tmp_path: Path) -> None:
    _make(tmp_path, "a/x/1.jpg", "b/x/1.jpg", "p/2.jpg")
    folder = ImageFolder(tmp_path / "p")
    for name in ("a", "b"):
        assert folder.find("x/1.jpg", beside=tmp_path / name / "t.csv") == tmp_path / name / "x" / "1.jpg"
    assert folder.find("/data/train/2.jpg", beside=tmp_path / "a" / "t.csv") == tmp_path / "p" / "2.jpg"
    with pytest.raises(InputError, match="but pictures of 'data/train' were found there"):
        folder.find("/data/test/2.jpg", beside=tmp_path / "b" / "t.csv")


def test_many_files_of_one_name_take_no_longer(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"{number:06d}").mkdir()
        (tmp_path / f"{number:06d}" / "image.jpg").touch()
    folder = ImageFolder(tmp_path)
    start = time.process_time()
    for number in range(1500):
        name = f"{number:06d}/image.jpg"
        assert folder.find(f"{number:06d}/image") == folder.find(f"/old/{name}") == tmp_path / name
        with pytest.raises(
            InputError, match=r"but there is 000000/image.jpg, 000001/image.jpg, 000002/image.jpg, ...$"
        ):
            folder.find(f"{number:06d}/other/image.jpg")
    assert time.process_time() - start < 2


def test_pattern_goes_first_and_then_the_search(tmp_path: Path) -> None:
    _make(tmp_path, COCO, "4.jpg", "named.jpg", "5.jpg", "CAT_0007.jpg", "07.jpg")
    pattern = "COCO_train2014_{image_id:012d}.jpg"
    folder = ImageFolder(tmp_path, pattern=pattern)
    for name in (4, "4", 4.0, "4.0"):
        assert folder.find(name) == tmp_path / COCO
    assert folder.find("named.jpg") == tmp_path / "named.jpg"
    assert folder.find(5) == tmp_path / "5.jpg"
    assert ImageFolder(tmp_path, pattern="CAT_{image_id:>04}.jpg").find("7") == tmp_path / "CAT_0007.jpg"
    assert ImageFolder(tmp_path, pattern="{image_id}.jpg").find("07") == tmp_path / "07.jpg"
    with pytest.raises(InputError, match=r"^no such picture, nor COCO_train2014_000000000009.jpg$"):
        folder.find(9)
    with pytest.raises(InputError, match=f"^no such picture, and {re.escape(repr(pattern))} does not fit$"):
        folder.find("cat")


@pytest.mark.parametrize("pattern", ["COCO.png", "{}", "{0:012d}", "{image}.png", "{image_id", "{image_id.real}", "}{"])
def test_pattern_that_is_none_is_named(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"--image-name must be a Python format .*got {re.escape(repr(pattern))}"):
        ImageFolder(tmp_path, pattern=pattern)


def test_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"image folder {tmp_path / 'none'} does not exist")):
        ImageFolder(tmp_path / "none")


def test_links_are_followed_and_a_circle_ends(tmp_path: Path) -> None:
    _make(tmp_path / "store", "1.jpg", "sub/2.jpg")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.jpg").symlink_to(tmp_path / "store" / "1.jpg")
    (tmp_path / "images" / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "circle").symlink_to(tmp_path / "images")
    folder = ImageFolder(tmp_path / "images")
    assert folder.find("one") == tmp_path / "images" / "one.jpg"
    assert folder.find(2) == tmp_path / "images" / "linked" / "sub" / "2.jpg"


def test_a_large_folder_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2000):
        (tmp_path / f"COCO_val2014_{number:012d}.jpg").touch()
    opened = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (opened.append(path), scan(path))[1])
    folder = ImageFolder(tmp_path)
    start = time.process_time()
    assert [folder.find(number).name for number in range(2000)] == sorted(path.name for path in tmp_path.iterdir())
    assert time.process_time() - start < 2
    assert opened[0] == tmp_path / ""
    assert len(opened) <= 2  # the other by this test
