"""Finds the image files of a folder by what the data call them: a path, a name or an id."""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import TypeVar

from san_core.data.images.names import NUMBER, WAYS_TO_BE_EQUAL, ImageName, key_of, number_of
from san_core.errors import InputError
from san_core.file_kinds import why_missing
from san_core.files import is_file, is_folder

_Key = TypeVar("_Key")
_NAMED_IN_ERROR = 3
_DIGITS = 20
"""Longest number that a pattern is given; Python cannot read one of thousands of digits."""


class ImageFolder:
    r"""The image files of a folder and of the folders in it, found by what the data call them.

    A name is looked for in these ways. The first that finds a file decides, and there it must be the only one:

    | way                              | name                 | file                              | found            |
    | -------------------------------- | -------------------- | --------------------------------- | ---------------- |
    | 1. `pattern` makes the file name | `4`                  | `c_004.jpg` (`c_{image_id:03d}.jpg`) | yes           |
    | 2. a path, absolute or relative  | `b/4.jpg`            | `b/4.jpg`                         | yes              |
    |    to `folder` or `beside`       | `b\4.jpg`            | `b/4.jpg`                         | yes              |
    | 3. the end of a file's path      | `b/4.jpg`, `4.jpg`   | `a/b/4.jpg`                       | yes              |
    |                                  | `c/4.jpg`            | `a/b/4.jpg`                       | no               |
    | 4. a path that ends as a file's  | `/old/images/4.jpg`  | `4.jpg`                           | yes              |
    |    path does                     | `/old/other/5.jpg`   | `5.jpg`, after the line above     | no: other folder |
    | 5. a whole number                | `4`, `4.0`, `04`     | `0004.jpg`                        | yes              |
    |                                  | `4`                  | `COCO_train2014_000000000004.jpg` | yes              |
    |                                  | `4`                  | both this and `4.jpg`             | no: several      |
    |                                  | `4`                  | `14.jpg`, `a_4.jpg`               | no               |

    In 3 and 4 two names are equal in these ways, from exact to loose:

    | way                                    | name    | file     |
    | -------------------------------------- | ------- | -------- |
    | equal                                  | `a.jpg` | `a.jpg`  |
    | but for capitals                       | `A.jpg` | `a.JPG`  |
    | but for the extension, which `name` lacks | `a`  | `a.jpg`  |
    | but for that and capitals              | `A`     | `a.jpg`  |
    | but for another extension of the format | `a.jpg` | `a.jpeg` |

    Two names that differ only so (`6.jpg` and `6.JPG`, `6` and `06`) may be two pictures, of which one is missing here:
    the second of them that would be given the same file is not found. `6` and `6.jpg` may be the same picture.

    Unicode's composed (NFC) and decomposed (NFD) letters are equal. Hidden files and folders are left out.

    Args:
        folder: folder of the images. Its list of files is read once, when a name is first not found by 1 or 2.
        pattern: Python format of a file name, such as `COCO_val2014_{image_id:012d}.jpg`; None to only search.
        beside: file of the data (a table) whose folder relative paths may start from; `find` may name another one.

    Raises:
        InputError: if the folder does not exist, or `pattern` is not a Python format with {image_id}.
    """

    def __init__(self, folder: Path, *, pattern: str | None = None, beside: Path | None = None) -> None:
        if not is_folder(folder):
            raise InputError(f"image folder {folder} {why_missing(folder)}")
        if pattern is not None:
            _check_pattern(pattern)
        self.folder = folder
        self._pattern = pattern
        self._beside = beside
        self._elsewhere: str | None = None
        self._found: dict[tuple[str, Path | None], Path | str] = {}
        self._name_of: dict[tuple[Path, str], str] = {}
        self._by_end: dict[int, dict[tuple[str, ...], list[ImageName]]] = {}

    def find(self, name: str | int | float, *, beside: Path | None = None) -> Path:
        """Returns the image file that the data call `name`.

        Args:
            name: a path, a name with or without extension, or an id.
            beside: file of the data that has the name, where it is another one than that of the folder.

        Raises:
            InputError: if there is none, or more than one; it gives the reason without the name.
        """
        beside = beside or self._beside
        start = beside.parent if beside else None
        key = str(name), start
        if key not in self._found:
            try:
                self._found[key] = self._search(name, [self.folder, *([start] if start else [])])
            except InputError as error:
                self._found[key] = str(error)
        found = self._found[key]
        if isinstance(found, str):
            raise InputError(found)
        return found

    def expected(self, name: str | int | float) -> Path:
        """The file that `name` would be if it were found by `pattern`, or else by its path."""
        return next(iter(self._made_by_pattern(name)), self.folder / str(name))

    def _search(self, name: str | int | float, starts: Sequence[Path]) -> Path:
        made = self._made_by_pattern(name)
        if path := next((path for path in made if is_file(path)), None):
            return path
        text = str(name).strip().replace("\\", "/")
        wanted = ImageName.read(text)
        path = _at_path(starts, str(name), text) or self.folder / self._in_list(wanted, made).path
        if isinstance(name, str):
            self._check_other_name(wanted, path)
        return path

    def _in_list(self, wanted: ImageName, made: Sequence[Path]) -> ImageName:
        found = self._by_end_of_path(wanted) or self._by_end_of_name(wanted)
        found += self._by_number(wanted, padded=not found)
        if not found:
            raise InputError(self._nothing(wanted, made))
        return _only(found)

    def _check_other_name(self, wanted: ImageName, path: Path) -> None:
        """Checks that a file is not two pictures of the data, of which one is missing here.

        Raises:
            InputError: if it was found for another name of the same kind, such as `6.JPG` for `6.jpg`.
        """
        number = NUMBER.fullmatch(wanted.name)
        kind = "number" if number else "extension" if wanted.extension else "stem"
        name = wanted.name.partition(".")[0] if number else wanted.name
        other = self._name_of.setdefault((path, kind), name)
        if other != name:
            raise InputError(f"no such picture; {path.name} was found for {other!r}, which may be another one")

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
        """Files whose path ends in the name wanted."""
        count = len(wanted.folders)
        if count not in self._by_end:
            paths = [((*self._above, *file.folders), file) for file in self._files]
            self._by_end[count] = _group(
                (_key(above[len(above) - count :], file), file) for above, file in paths if len(above) >= count
            )
        return _most_equal(self._by_end[count].get(_key(wanted.folders, wanted), []), wanted)

    def _by_end_of_name(self, wanted: ImageName) -> list[ImageName]:
        """Files whose path is the end of the name wanted."""
        ends = [wanted.folders[start:] for start in range(len(wanted.folders) + 1)]
        found = _most_equal([file for end in ends for file in self._by_path.get(_key(end, wanted), [])], wanted)
        if found:
            self._check_elsewhere(wanted, _only(found))
        return found

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
        if alike := self._by_stem.get(key_of(wanted), [])[: _NAMED_IN_ERROR + 1]:
            return f"no such picture, but there is {_listed([file.path for file in alike])}"
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
        return [ImageName.read(path) for path in sorted(_scan(self.folder))]

    @cached_property
    def _by_path(self) -> dict[tuple[str, ...], list[ImageName]]:
        return _group((_key(file.folders, file), file) for file in self._files)

    @cached_property
    def _by_stem(self) -> dict[str, list[ImageName]]:
        return _group((key_of(file), file) for file in self._files)

    @cached_property
    def _by_numbers(self) -> dict[str, list[ImageName]]:
        return _group((number, file) for file in self._files if (number := number_of(file)))


def same_but_for_unicode(path: Path) -> Path:
    """The file or folder of a path; if there is none, the one that differs only in composed letters (NFC or NFD)."""
    if str(path).isascii() or is_file(path) or is_folder(path):
        return path
    folder, composed = same_but_for_unicode(path.parent), unicodedata.normalize("NFC", path.name)
    with suppress(OSError):
        return next((file for file in folder.iterdir() if unicodedata.normalize("NFC", file.name) == composed), path)
    return path


def _at_path(starts: Iterable[Path], *texts: str) -> Path | None:
    """The file at a path, as it is written or with slashes; None if there is none.

    Raises:
        InputError: if there are two, one in the folder and one beside the data.
    """
    for text in texts:
        found = [path for start in starts if text and is_file(path := start / text)]
        if len({path.resolve() for path in found}) > 1:
            raise InputError(f"several pictures: {_listed([str(path) for path in found])}")
        if found:
            return found[0]
    return None


def _key(folders: Iterable[str], file: ImageName) -> tuple[str, ...]:
    """What paths have in common that may be equal: the folders in small letters, and the `key_of` the name."""
    return (*(folder.casefold() for folder in folders), key_of(file))


def _most_equal(files: Sequence[ImageName], wanted: ImageName) -> list[ImageName]:
    """The files whose names are equal to the one wanted in the most exact way that any is."""
    ways = ([file for file in files if equal(file, wanted)] for equal in WAYS_TO_BE_EQUAL)
    return next(filter(None, ways), [])


def _only(found: Sequence[ImageName]) -> ImageName:
    if len(found) > 1:
        raise InputError(f"several pictures: {_listed(sorted(file.path for file in found))}")
    return found[0]


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(paths[:_NAMED_IN_ERROR]) + (", ..." if len(paths) > _NAMED_IN_ERROR else "")


def _group(files: Iterable[tuple[_Key, ImageName]]) -> dict[_Key, list[ImageName]]:
    groups: dict[_Key, list[ImageName]] = {}
    for key, file in files:
        groups.setdefault(key, []).append(file)
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
