"""A disk of the lab that can be filled up and made read-only: a tmpfs of its own.

The kernel makes nothing read-only while a file on it is open for writing, and neither can the lab.
"""

from __future__ import annotations

import errno
from pathlib import Path

from lab.space import Space

_BLOCK = 4096


class Disk:
    """A small disk, mounted on ``where``, a path of the lab."""

    def __init__(self, space: Space, where: str, size: str = "8m") -> None:
        self._space, self._where = space, where
        space.path(where).mkdir(exist_ok=True)
        space.run("mount", "-t", "tmpfs", "-o", f"size={size}", "vaglio-disk", where)

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
        """Take no more writes; LabError while a file is open for writing."""
        self._space.run("mount", "-o", "remount,ro", self._where)

    def writable(self) -> None:
        """Take writes again."""
        self._space.run("mount", "-o", "remount,rw", self._where)

    def remove(self) -> None:
        """Unmount it; what was on it is gone."""
        self._space.run("umount", self._where)
