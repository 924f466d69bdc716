"""Finds the image files of a folder by what the data call them: a path, a name or an id."""

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from string import Formatter

from san_core.data.images.names import NUMBER, WAYS_TO_BE_EQUAL, ImageName, key_of, number_of
from san_core.errors import InputError
from san_core.files import is_file, is_folder

_NAMED_IN_ERROR = 3
_DIGITS = 20
"""Longest number that a pattern is given; Python cannot read one of thousands of digits."""


class ImageFolder:
    """The image files of a folder and of the folders in it, found by what the data call them.

    A name is looked for in this order. The first way that finds a file decides, and there it must be the only one:

    1. the file that `pattern` makes of it;
    2. a path: absolute, relative to the folder, or relative to the folder of `beside`; a Windows path is one too;
    3. the end of a file's path: `b/4.jpg` is `a/b/4.jpg`, `4.jpg` is also `a/b/4.jpg`. A name is, from exact to loose,
       equal; equal but for capitals; equal but for the extension that the data leave out; that but for capitals; equal
       but for another extension of the same format, as .jpg and .jpeg are;
    4. a path that ends as a file's path in the folder does, as `/elsewhere/images/4.jpg` does for `4.jpg`, equal in the
       same ways. What stands before (`/elsewhere/images`) must be the same for all names found so;
    5. a whole number (4, "4", "4.0", "0004"): the file whose name is that number with more or fewer zeros (`0004.jpg`)
       or ends in it with six or more digits (`COCO_train2014_000000000004.jpg`). Such a file must not be beside one
       that 3 finds (`4.jpg`): the data may mean either.

    Unicode's composed (NFC) and decomposed (NFD) letters are equal. Hidden files and folders are left out. A number is
    never found in a part of another one: 1 is not `11.jpg`.

    Args:
        folder: folder of the images. Its list of files is read once, when a name is first not found by 1 or 2.
        pattern: Python format of a file name, such as `COCO_val2014_{image_id:012d}.jpg`; None to only search.
        beside: file of the data (a table) whose folder relative paths may start from.

    Raises:
        InputError: if the folder does not exist, or `pattern` is not a Python format with {image_id}.
    """

    def __init__(self, folder: Path, *, pattern: str | None = None, beside: Path | None = None) -> None:
        if not is_folder(folder):
            raise InputError(f"image folder {folder} does not exist")
        if pattern is not None:
            _check_pattern(pattern)
        self.folder = folder
        self._pattern = pattern
        self._starts = [folder, *([beside.parent] if beside else [])]
        self._elsewhere: str | None = None
        self._found: dict[str, Path] = {}

    def find(self, name: str | int | float) -> Path:
        """Returns the image file that the data call `name`.

        Args:
            name: a path, a name with or without extension, or an id.

        Raises:
            InputError: if there is none, or more than one; it gives the reason without the name.
        """
        if str(name) not in self._found:
            self._found[str(name)] = self._search(name)
        return self._found[str(name)]

    def expected(self, name: str | int | float) -> Path:
        """The file that `name` would be if it were found by `pattern`, or else by its path."""
        return next(iter(self._made_by_pattern(name)), self.folder / str(name))

    def _search(self, name: str | int | float) -> Path:
        made = self._made_by_pattern(name)
        text = str(name).strip().replace("\\", "/")
        if path := next((path for path in made if is_file(path)), None) or self._at_path(str(name), text):
            return path
        wanted = ImageName.read(text)
        found = self._by_end_of_path(wanted) or self._by_end_of_name(wanted)
        found += self._by_number(wanted, padded=not found)
        if not found:
            raise InputError(self._nothing(wanted, made))
        return self.folder / _only(found).path

    def _at_path(self, *texts: str) -> Path | None:
        """The file at a path, as it is written or with slashes; None if there is none.

        Raises:
            InputError: if there are two, one in the folder and one beside the data.
        """
        for text in texts:
            found = [path for start in self._starts if text and is_file(path := start / text)]
            if len({path.resolve() for path in found}) > 1:
                raise InputError(f"several pictures: {_listed([str(path) for path in found])}")
            if found:
                return found[0]
        return None

    def _made_by_pattern(self, name: str | int | float) -> list[Path]:
        """The files that the pattern makes of an id: as it is, and of the number it is."""
        if self._pattern is None:
            return []
        number = NUMBER.fullmatch(str(name))
        ids = [name] if isinstance(name, int | str) else []
        made = []
        for image_id in [*ids, *([int(number[1])] if number and len(number[1]) < _DIGITS else [])]:
            with suppress(ValueError, TypeError, LookupError):  # the pattern is for numbers, and this is a text
                made.append(self.folder / self._pattern.format(image_id=image_id))
        return list(dict.fromkeys(made))

    def _by_end_of_path(self, wanted: ImageName) -> list[ImageName]:
        alike = self._by_stem.get(key_of(wanted), [])
        for equal in WAYS_TO_BE_EQUAL:
            if found := [f for f in alike if equal(f, wanted) and _ends((*self._above, *f.folders), wanted.folders)]:
                return found
        return []

    def _by_end_of_name(self, wanted: ImageName) -> list[ImageName]:
        alike = self._by_stem.get(key_of(wanted), [])
        for equal in WAYS_TO_BE_EQUAL:
            if found := [f for f in alike if equal(f, wanted) and _ends(wanted.folders, f.folders)]:
                self._check_elsewhere(wanted, _only(found))
                return found
        return []

    def _check_elsewhere(self, wanted: ImageName, found: ImageName) -> None:
        """Checks that not two folders of the data are looked for in one folder here.

        Raises:
            InputError: if so.
        """
        start = "/".join(wanted.folders[: len(wanted.folders) - len(found.folders)])
        if self._elsewhere not in {None, start}:
            raise InputError(
                f"no such picture; {found.path} has its name, but pictures of {self._elsewhere!r} were found there"
            )
        self._elsewhere = start

    def _by_number(self, wanted: ImageName, *, padded: bool) -> list[ImageName]:
        """Files whose names end in the number wanted, and those whose names are it, if `padded`."""
        number = NUMBER.fullmatch(wanted.path)
        found = self._by_numbers.get(number[1], []) if number else []
        return [file for file in found if padded or not file.stem.isdecimal()]

    def _nothing(self, wanted: ImageName, made: Sequence[Path]) -> str:
        """Why nothing was found, with what may have been meant."""
        if alike := sorted(file.path for file in self._by_stem.get(key_of(wanted), [])):
            return f"no such picture, but there is {_listed(alike)}"
        if self._pattern is None:
            return "no such picture"
        return (
            f"no such picture, nor {made[-1].name}" if made else f"no such picture, and {self._pattern!r} does not fit"
        )

    @cached_property
    def _above(self) -> tuple[str, ...]:
        """Names of the folder itself and of those it is in."""
        return ImageName.read(f"{self.folder.absolute().as_posix()}/.").folders

    @cached_property
    def _files(self) -> list[ImageName]:
        return [ImageName.read(path) for path in _scan(self.folder)]

    @cached_property
    def _by_stem(self) -> dict[str, list[ImageName]]:
        return _group(self._files, key_of)

    @cached_property
    def _by_numbers(self) -> dict[str, list[ImageName]]:
        return _group((file for file in self._files if number_of(file)), number_of)


def same_but_for_unicode(path: Path) -> Path:
    """The file or folder of a path; if there is none, the one that differs only in composed letters (NFC or NFD)."""
    if str(path).isascii() or is_file(path) or is_folder(path):
        return path
    folder, composed = same_but_for_unicode(path.parent), unicodedata.normalize("NFC", path.name)
    with suppress(OSError):
        return next((file for file in folder.iterdir() if unicodedata.normalize("NFC", file.name) == composed), path)
    return path


def _ends(folders: Sequence[str], end: Sequence[str]) -> bool:
    """Whether the folders of a path end in those of another; capitals do not count."""
    last = folders[len(folders) - len(end) :] if len(end) <= len(folders) else None
    return last is not None and [name.casefold() for name in last] == [name.casefold() for name in end]


def _only(found: Sequence[ImageName]) -> ImageName:
    if len(found) > 1:
        raise InputError(f"several pictures: {_listed(sorted(file.path for file in found))}")
    return found[0]


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(paths[:_NAMED_IN_ERROR]) + (", ..." if len(paths) > _NAMED_IN_ERROR else "")


def _group(files: Iterable[ImageName], key: Callable[[ImageName], str]) -> dict[str, list[ImageName]]:
    groups: dict[str, list[ImageName]] = {}
    for file in files:
        groups.setdefault(key(file), []).append(file)
    return groups


def _scan(folder: Path) -> Iterator[str]:
    """Yields the path of every file in the folder and its folders, relative to it; hidden ones are left out.

    Raises:
        InputError: if a folder cannot be read.
    """
    waiting, seen = [""], {os.path.realpath(folder)}
    while waiting:
        start = waiting.pop()
        try:
            with os.scandir(folder / start) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    path = f"{start}{entry.name}"
                    if not entry.is_dir():
                        yield path
                    elif not entry.is_symlink() or _is_new(entry.path, seen):  # a link may lead back to its own folder
                        waiting.append(f"{path}/")
        except OSError as error:
            raise InputError(f"image folder {folder / start} cannot be read: {error.strerror}") from error


def _is_new(path: str, seen: set[str]) -> bool:
    real, before = os.path.realpath(path), len(seen)
    seen.add(real)
    return len(seen) > before


def _check_pattern(pattern: str) -> None:
    try:
        fields = {field for _, field, _, _ in Formatter().parse(pattern) if field is not None}
    except ValueError:
        fields = set()
    if fields != {"image_id"}:
        raise InputError(
            f"--image-name must be a Python format with {{image_id}}, such as COCO_val2014_{{image_id:012d}}.jpg, "
            f"but got {pattern!r}"
        )
