"""Says what a path or a file is that a person took for something else: an address, an archive, a Git LFS pointer."""

import re
from pathlib import Path

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""First bytes of the small text file that Git leaves in the place of a large one, if Git LFS has not fetched that."""

KINDS = {
    LFS_POINTER: "a Git LFS pointer, not the file itself; git lfs pull fetches that",
    b"PK\x03\x04": "a ZIP archive; unpack it first",
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it first",
    b"Rar!": "a RAR archive; unpack it first",
    b"%PDF": "a PDF",
    b"<!DOCTYPE html": "a web page, as a failed download leaves it",
    b"<!doctype html": "a web page, as a failed download leaves it",
    b"<html": "a web page, as a failed download leaves it",
}
"""What a file is, by its first bytes."""

LONGEST_START = max(map(len, KINDS))

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/+(?P<rest>.*)", re.DOTALL)


def kind_of_content(start: bytes) -> str | None:
    """What a file is, by its first bytes, as the end of a sentence; None if they are of no kind known here."""
    return next((kind for first, kind in KINDS.items() if start.startswith(first)), None)


def why_missing(path: Path) -> str:
    """Why there is nothing at a path, as the end of a sentence: see `mistaken_path`, or it `does not exist`."""
    return mistaken_path(path) or "does not exist"


def mistaken_path(path: Path) -> str | None:
    """What a path is that names no file, as the end of a sentence: an address, or standard input; None for others."""
    if str(path) == "-":
        return "is no file: standard input is not read; write it to a file first"
    address = _ADDRESS.fullmatch(str(path))
    if address is None:
        return None
    if address["scheme"].lower() == "file":
        return f"is an address; accepted: the path alone, /{address['rest']}"
    return "is an address, and nothing is downloaded here; download it first, and give its path"
