"""A small file system for a run folder, which can be filled, and shut down as by a power cut."""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Literal

SIZE = 200 * 2**20
"""Bytes of the file system."""

_SHUT_DOWN = 0x8004587D
"""FS_IOC_SHUTDOWN of Linux's `ext4.h`."""

_LOSE_UNWRITTEN = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH: what was not synced is lost, as in a power cut."""


class Disk:
    """A file system of its own in a folder: ext4 in a file, else tmpfs; if neither can be mounted, a mere folder.

    Args:
        folder: an existing folder.

    Attributes:
        path: where it is mounted.
        type: what is mounted; empty for nothing.
        is_down: whether it was shut down.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "disk"
        self.path.mkdir()
        self._image = folder / "disk.ext4"
        self._ballast = self.path / "ballast"
        self.type: Literal["ext4", "tmpfs", ""] = self._mount()
        self.is_down = False

    def _mount(self) -> Literal["ext4", "tmpfs", ""]:
        with self._image.open("wb") as image:
            image.truncate(SIZE)
        if _succeeds("mkfs.ext4", "-q", "-m", "0", str(self._image)) and self._mount_image():
            return "ext4"
        return "tmpfs" if _succeeds("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.path)) else ""

    def _mount_image(self) -> bool:
        return _succeeds("mount", "-o", "loop", str(self._image), str(self.path))

    def fill(self) -> None:
        """Takes all free space."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            with contextlib.suppress(OSError):
                space = os.statvfs(self.path)
                os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize)
            file.seek(0, os.SEEK_END)
            while True:
                file.write(b"\0" * 4096)

    def shut_down(self) -> None:
        """From now on it cannot be read or written, until `repair`; what was not synced is lost. Needs ext4."""
        self.is_down = True
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUT_DOWN, struct.pack("I", _LOSE_UNWRITTEN))
        finally:
            os.close(descriptor)

    def repair(self) -> None:
        """Mounts it again if it was shut down, and frees the space that was filled. No process may use it.

        Raises:
            RuntimeError: if it cannot be mounted again.
        """
        if self.is_down and not (_succeeds("umount", str(self.path)) and self._mount_image()):
            raise RuntimeError(f"{self.path} cannot be mounted again")
        self.is_down = False
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmounts it, and deletes what was in it."""
        if self.type:
            _succeeds("umount", "--lazy", str(self.path))
        shutil.rmtree(self.path, ignore_errors=True)
        self._image.unlink(missing_ok=True)


def _succeeds(*command: str) -> bool:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    program = shutil.which(command[0], path=path)
    if program is None:
        return False
    return subprocess.run([program, *command[1:]], capture_output=True, check=False).returncode == 0
