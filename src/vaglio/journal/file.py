"""The journal's file as a thing on a disk: opened, created, brought up to date, set aside when it is corrupt.

It knows no entries; see ``schema.py``. SQLite in WAL mode: readers never wait for writers nor writers for readers,
and with ``synchronous = NORMAL`` a killed process loses nothing that was committed.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from vaglio.journal.schema import MIGRATIONS, VERSION

FileId = tuple[int, int]
"""Device and inode: what a path leads to."""

BUSY_TIMEOUT = 0.05
"""Seconds to wait for another writer; a daemon answers nobody meanwhile."""
_WAL_LIMIT = 16 * 1024 * 1024  # bytes of write-ahead log that stay on the disk when it has been used up
_AUTOCHECKPOINT = 8000  # pages (32 MB) of it, where ``checkpoint`` did not come in time


class JournalError(Exception):
    """The journal can't be used; the message tells an admin why and what to do."""


def create_file(path: Path) -> None:
    """Make an empty file, if there is none, that only owner and group can read: it will be full of mail addresses.

    Raises OSError.
    """
    # Never open a file that is there: closing it again would drop the locks that SQLite holds on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640))


def open_file(path: Path) -> sqlite3.Connection:
    """Open the journal for writing; bring an empty or older one up to date.

    Raises sqlite3.Error, or JournalError when it was written by a newer version.
    """
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA wal_autocheckpoint = {_AUTOCHECKPOINT}")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        _migrate(db, path)
    except (sqlite3.Error, JournalError):
        db.close()
        raise
    return db


def checkpoint(path: Path) -> None:
    """Move the write-ahead log into the file. Waits for the disk, so run it in a thread; others write meanwhile."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as db:  # writers will complain
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of the table's layout; 0 for an empty file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def check_version(version: int, path: Path) -> None:
    """Raise JournalError if a file of ``version`` is not ours to understand."""
    if version > VERSION:
        raise JournalError(f"{path} was written by a newer version of Vaglio: upgrade, or move the file away")


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    check_version(version_of(db), path)
    if version_of(db) == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    for statements in MIGRATIONS[version_of(db) :]:  # read again: another process may have been faster
        for statement in statements:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


def used_bytes(db: sqlite3.Connection) -> int:
    """Return what the file's contents take; pages that purged rows left free are not counted, they are used again."""
    names = ("page_size", "page_count", "freelist_count")
    size, pages, free = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int(size * (pages - free))


def file_id(path: Path) -> FileId:
    """Return what ``path`` leads to now; raises OSError if to nothing."""
    found = path.stat()
    return found.st_dev, found.st_ino


def set_aside(path: Path, corrupt: FileId, now: float) -> Path | None:
    """Rename the file ``corrupt`` at ``path`` and its companions; return its new name.

    Returns None if another process was faster and ``path`` is another file by now. Raises OSError.
    """
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    aside, number = path.with_name(f"{path.name}.corrupt-{stamp}"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # on the corrupt file itself: whoever waits here finds another one at path
        if file_id(path) != corrupt:
            return None
        for companion in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{path}{companion}").rename(f"{aside}{companion}")
        path.rename(aside)
    return aside


def is_busy(error: Exception) -> bool:
    """Return whether another connection holds the lock: this passes."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_corrupt(error: Exception) -> bool:
    """Return whether the file is not what it should be: this does not pass."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_denied(error: Exception) -> bool:
    """Return whether the file, or one that SQLite wants beside it, may not be opened or written."""
    return _code(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF  # without the extended part
