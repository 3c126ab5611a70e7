"""Disks of the lab: one that can be filled up and made read-only (a tmpfs), and one that breaks down (ext4).

Nobody makes a disk read-only while a file on it is open for writing, except ext4 itself when it finds an error.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from lab.space import HOME, Space
from lab.waiting import LabError, Unavailable, until

_BLOCK = 4096
_IMAGE = f"{HOME}/disk.img"


class Disk:
    """A small disk, mounted on ``where``, a path of the lab."""

    def __init__(self, space: Space, where: str) -> None:
        self._space, self._where = space, where
        space.path(where).mkdir(exist_ok=True)
        self._mount()

    def _mount(self) -> None:
        self._space.run("mount", "-t", "tmpfs", "-o", "size=8m", "vaglio-disk", self._where)

    @property
    def root(self) -> Path:
        """Where our process finds the disk."""
        return self._space.path(self._where)

    @property
    def _ballast(self) -> Path:
        return self.root / "ballast"

    def fill(self) -> None:
        """Leave not a block free."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(_BLOCK))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Give back what ``fill`` took."""
        self._ballast.unlink()

    def read_only(self) -> None:
        """Take no more writes, as soon as no file is open for writing: those of a process that was killed are for a
        moment. LabError if one stays open.
        """
        until(self._is_read_only, "a disk on which nothing is open for writing", 20)

    def _is_read_only(self) -> bool:
        self._space.run("mount", "-o", "remount,ro", self._where, check=False)
        return bool(os.statvfs(self.root).f_flag & os.ST_RDONLY)

    def writable(self) -> None:
        """Take writes again."""
        self._space.run("mount", "-o", "remount,rw", self._where)


class BrittleDisk(Disk):
    """A disk that can break down under open files. Unavailable where no ext4 can be made or mounted."""

    def _mount(self) -> None:
        try:
            self._space.run("truncate", "-s", "16M", _IMAGE)
            self._space.run("mkfs.ext4", "-q", _IMAGE)
            self._space.run("mount", "-o", "loop", _IMAGE, self._where)
        except (LabError, FileNotFoundError) as error:
            raise Unavailable(f"no ext4 here: {error}") from error

    def fail(self) -> None:
        """Have ext4 believe that it met a grave error: nothing is written any more."""
        self._space.run("mount", "-o", "remount,abort", self._where)

    def mend(self) -> None:
        """Do as an admin does: unmount it, check it, mount it; LabError while a file on it is open."""
        self._space.run("umount", self._where)
        self._space.run("e2fsck", "-p", _IMAGE, check=False)  # its status says that there was something to mend
        self._space.run("mount", "-o", "loop", _IMAGE, self._where)
