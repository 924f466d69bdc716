"""Encoded images as rows of a .npy file, which a later run finds again by the content of each image."""

import io
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from san_core.files import sync

LOG = "encoded.jsonl"
"""File that lists the image of each row."""

ROWS = ("encoded-1.npy", "encoded-2.npy")
"""Files of rows; there are two only while the rows are sorted."""

Remarks = list[tuple[str, str]]
"""The kind and detail of each problem of an image."""

_SECONDS_BETWEEN_SAVES = 5


class EncodedRows:
    """Rows of equal shape, one for each encoded image, and a log with a line for each row.

    The first line of the log holds what the rows depend on besides the images, and the name of the file of rows; each
    other line the hash of an image's content and its remarks. A line is written once its row is on the disk, so that
    the log says after any interruption which rows are whole. Rows that depend on something else are deleted.

    Plain writes are used, not a memory map: with a full disk they raise an error, where a map would kill the process.

    Args:
        folder: folder of both files; it may hold those of an earlier run.
        inputs: what the rows depend on besides the images, as plain values.
        shape: shape of a row.
        dtype: type of its values.

    Attributes:
        hashes: hash of the image of each row.
        remarks: remarks on each image, by its hash.
    """

    def __init__(self, folder: Path, inputs: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.hashes: list[str] = []
        self.remarks: dict[str, Remarks] = {}
        self._folder, self._shape, self._dtype = folder, shape, dtype
        self._inputs = json.loads(json.dumps(inputs))
        self._row_bytes = dtype.itemsize * int(np.prod(shape))
        self._path, log_bytes = self._read_log()
        for name in ROWS:
            if name != self._path.name:
                (folder / name).unlink(missing_ok=True)
        self._file: BinaryIO = self._path.open("r+b" if self.hashes else "wb")
        self._write_header()
        self._file.truncate(self._start_of(len(self.hashes)))
        self._file.seek(0, os.SEEK_END)
        if not self.hashes:
            self._write_log(self._path, [])
        else:
            os.truncate(folder / LOG, log_bytes)
        self._logged = len(self.hashes)
        self._saved_at = time.monotonic()

    def append(self, rows: NDArray[Any], hashes: Sequence[str], remarks: Sequence[Remarks]) -> None:
        """Writes further rows with the hashes of their images and remarks on them; every few seconds saves the log."""
        self._file.write(np.ascontiguousarray(rows).data)
        self.hashes += hashes
        self.remarks |= zip(hashes, remarks, strict=True)
        if time.monotonic() - self._saved_at > _SECONDS_BETWEEN_SAVES:
            self.save()

    def save(self) -> None:
        """Writes the lines of new rows to the log, once the rows are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        with (self._folder / LOG).open("a", encoding="utf-8") as log:
            log.writelines(self._lines(self.hashes[self._logged :]))
        self._logged = len(self.hashes)
        self._saved_at = time.monotonic()

    def sort(self, order: Sequence[str]) -> None:
        """Brings the rows in the order of their images' hashes; rows of other images are dropped.

        Args:
            order: a hash for each row wanted, all of them in `hashes`.
        """
        if self.hashes == list(order):
            return
        self.save()
        row_of = {found: row for row, found in enumerate(self.hashes)}
        other = next(self._folder / name for name in ROWS if name != self._path.name)
        with other.open("wb") as target:
            target.write(self._header())
            for found in order:
                self._file.seek(self._start_of(row_of[found]))
                target.write(self._file.read(self._row_bytes))
        sync(other)
        self._write_log(other, order)  # from here on the other file counts
        self._file.close()
        self._path.unlink()
        self._file = other.open("r+b")
        self._path, self.hashes, self._logged = other, list(order), len(order)

    def close(self) -> None:
        """Closes the file and leaves the log, so that after a later interruption no image is encoded again."""
        try:
            self._write_header()
            self.save()
        finally:
            self._file.close()

    def move_to(self, path: Path) -> None:
        """Gives the closed file of rows its final name, and deletes the log."""
        self._path.replace(path)
        (self._folder / LOG).unlink()

    def _header(self) -> bytes:
        """The header of the .npy file; its length does not depend on the number of rows."""
        header = io.BytesIO()
        kind = np.lib.format.dtype_to_descr(self._dtype)
        shape = (len(self.hashes), *self._shape)
        np.lib.format.write_array_header_2_0(header, {"descr": kind, "fortran_order": False, "shape": shape})
        return header.getvalue()

    def _write_header(self) -> None:
        self._file.seek(0)
        self._file.write(self._header())

    def _start_of(self, row: int) -> int:
        return len(self._header()) + row * self._row_bytes

    def _lines(self, hashes: Sequence[str]) -> list[str]:
        return [json.dumps([found, self.remarks[found]]) + "\n" for found in hashes]

    def _write_log(self, rows: Path, hashes: Sequence[str]) -> None:
        partial = self._folder / f"{LOG}.partial"
        first = json.dumps({"inputs": self._inputs, "file": rows.name}) + "\n"
        partial.write_text("".join([first, *self._lines(hashes)]), encoding="utf-8")
        sync(partial)
        partial.replace(self._folder / LOG)

    def _read_log(self) -> tuple[Path, int]:
        """Reads the rows of an earlier run from the log.

        Returns:
            The file of rows, and the number of bytes of the log that belong to rows on the disk.
        """
        with suppress(OSError, ValueError, TypeError, KeyError), (self._folder / LOG).open("rb") as log:
            line = log.readline()
            first = json.loads(line)
            path = self._folder / ROWS[ROWS.index(first["file"])]
            rows = (path.stat().st_size - len(self._header())) // self._row_bytes
            if first["inputs"] == self._inputs:
                return path, len(line) + self._read_lines(log, rows)
        self.hashes, self.remarks = [], {}
        return self._folder / ROWS[0], 0

    def _read_lines(self, log: BinaryIO, rows: int) -> int:
        """Reads up to `rows` lines of the log, and returns their number of bytes."""
        size = 0
        with suppress(ValueError, TypeError):  # after a power cut the last line may be incomplete
            for line in log:
                if len(self.hashes) >= rows or not line.endswith(b"\n"):
                    break
                found, remarks = json.loads(line)
                self.remarks[str(found)] = [(kind, detail) for kind, detail in remarks]
                self.hashes.append(str(found))
                size += len(line)
        return size


def has_rows(folder: Path) -> bool:
    """Whether a folder holds encoded images of an earlier run."""
    with suppress(OSError), (folder / LOG).open("rb") as log:
        return len(log.readlines(1_000_000)) > 1
    return False
