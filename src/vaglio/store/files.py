"""Files of SQLite: made with the right modes, and set aside when they are damaged. Never deleted.

Only one process at a time opens or sets aside the files of a directory (a lock on the directory itself, which
leaves no lock file behind and dies with its holder); work on an open file takes no such lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

Identity = tuple[int, int]
"""Device and inode: which file it is, whatever its name."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock. Raises OSError."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def create(path: Path) -> None:
    """Create an empty file that the daemon's user writes, its group reads, and others don't see. Raises OSError,
    also for a file that is there and may only be read: SQLite would tell at the first change.

    SQLite gives the files beside it the same mode and owner. A file that is there is left alone, not even opened:
    closing it would drop the locks that SQLite holds on it in this process
    (https://www.sqlite.org/howtocorrupt.html 2.2).
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    except FileExistsError:
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from None
        return
    try:
        os.fchmod(handle, 0o640)
        if os.geteuid() == 0:  # An admin's command may come before the daemon's first start.
            home = path.parent.stat()
            os.fchown(handle, home.st_uid, home.st_gid)
    finally:
        os.close(handle)


def identity(path: Path) -> Identity | None:
    """Return which file is at ``path``, None if there is none or it can't be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def beside(path: Path, ending: str) -> Path:
    """Return the path of one of the files that SQLite keeps beside its database: "-wal" or "-shm"."""
    return path.with_name(path.name + ending)


def set_aside(path: Path, now: float) -> Path:
    """Rename the damaged file and the files beside it; return the new path. The caller holds the lock.

    The write-ahead log goes first: were it left behind, the new file would take it for its own. Whoever has the
    files open goes on with them under their new names, and SQLite sees that they moved and leaves the new ones alone.
    """
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    target = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while any(beside(target, ending).exists() for ending in ("", "-wal", "-shm")):
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    for ending in ("-wal", "-shm", ""):
        if beside(path, ending).exists():
            beside(path, ending).rename(beside(target, ending))
    return target
