"""Power cuts, simulated: what was not synced is gone. Below a real file system is shut down."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """What a disk is sure to hold of the files below a folder, by the calls of `fsync`.

    The content of a file is there as it was when it was synced last, and its name as it was when its folder was.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._contents = root, dict[int, bytes]()
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}
        self._sync_folder(root)

    def sync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            self._sync_folder(path)
        else:
            self._contents[path.stat().st_ino] = path.read_bytes()

    def files(self) -> dict[str, bytes]:
        """The content of each file after a power cut now, by its path below the folder."""
        return dict(self._below(self._root.stat().st_ino, ""))

    def _sync_folder(self, path: Path) -> None:
        self._names[path.stat().st_ino] = {
            entry.name: (entry.stat().st_ino, entry.is_dir()) for entry in path.iterdir()
        }

    def _below(self, inode: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        for name, (child, is_folder) in self._names.get(inode, {}).items():
            if is_folder:
                yield from self._below(child, f"{prefix}{name}/")
            else:
                yield prefix + name, self._contents.get(child, b"")


@contextmanager
def disk_below(root: Path) -> Iterator[Disk]:
    """The disk while the block runs. Waiting for it is left out, since that takes a while."""
    disk = Disk(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", disk.sync)
        yield disk


def files_below(root: Path) -> dict[str, bytes]:
    """The content of each file below a folder, by its path there."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
