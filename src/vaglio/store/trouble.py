"""What went wrong with the file, in a sentence that tells an admin what to do.

Result codes: https://www.sqlite.org/rescode.html. Nothing is decided here.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from vaglio.ports import StoreCorrupt, StoreError

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_DENIED = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SENTENCES = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space in {directory}; work then goes on by itself",
    sqlite3.SQLITE_IOERR: "the disk does not take or give data ({error}): look at its space and quota (df, quota) "
    "and at the kernel's log",
    sqlite3.SQLITE_READONLY: "it can't be written: give the daemon's user the right to write the file and "
    "{directory}, and see that the file system is not mounted read-only",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened: give the daemon's user the right to write the file and "
    "{directory}, and see that no directory is in the file's place",
    sqlite3.SQLITE_BUSY: "another process has locked it for too long: find it with 'fuser {path}'",
}
_SENTENCES[sqlite3.SQLITE_PERM] = _SENTENCES[sqlite3.SQLITE_READONLY]
_SENTENCES[sqlite3.SQLITE_LOCKED] = _SENTENCES[sqlite3.SQLITE_BUSY]

_WHO = "see that it is a file, and run this as root or as the daemon's user"


class StoreBusy(StoreError):
    """Another process holds the lock: this passes."""


def code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; 0 for an error that comes from Python's module itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_corrupt(error: sqlite3.Error) -> bool:
    """Tell whether the file is damaged or no database at all."""
    return code(error) in _CORRUPT


def is_denied(error: sqlite3.Error) -> bool:
    """Tell whether the file, or one that SQLite wants beside it, may not be opened or written."""
    return code(error) in _DENIED


def explain(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """Return the error to raise in place of ``error``, which came up while working on the file ``path``."""
    if isinstance(error, OSError):
        place = error.filename or path
        return StoreError(
            f"{path}: {error.strerror}: {place}: see that it can be used, that the daemon's user may write there, "
            "and that the file system is not mounted read-only"
        )
    if is_corrupt(error):
        return StoreCorrupt(f"{path}: damaged ({error}); it is set aside, never deleted, and a new one begun")
    sentence = _SENTENCES.get(code(error), "SQLite says: {error}")
    text = f"{path}: {sentence.format(error=error, path=path, directory=path.parent)}"
    return StoreBusy(text) if code(error) in _BUSY else StoreError(text)


def unreadable(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """Return the error to raise in place of ``error``, which came up while only looking into the file ``path``."""
    if isinstance(error, FileNotFoundError):
        return StoreError(f"{path}: there is no such file: no daemon has written one there yet")
    if isinstance(error, OSError):
        return StoreError(f"{path}: {error.strerror}: {_WHO}")
    if is_denied(error):
        return StoreError(f"{path}: {error}: {_WHO}")
    if is_corrupt(error):
        return StoreCorrupt(
            f"{path}: damaged ({error}), and left as it is: a daemon that meets the damage sets the file aside and "
            f"begins a new one. What can be read of it: sqlite3 {path} .recover"
        )
    return explain(error, path)
