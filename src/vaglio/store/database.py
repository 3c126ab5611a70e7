"""A SQLite file on a disk: opened, created, brought up to date, looked after while it is in use, set aside when it is
damaged. The one home of all this for stores and for the journal; what stands in the file is theirs.

WAL mode: readers never wait for writers nor writers for readers, and with synchronous = NORMAL what was committed
outlives the death of any process; a power cut may take the last moments, never the rest
(https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from vaglio.ports import StoreCorrupt, StoreError
from vaglio.store import files
from vaglio.store.checkpoint import CHANGES, LOG_LIMIT, Checkpointer
from vaglio.store.trouble import explain, is_corrupt, is_denied, unreadable

Prepare = Callable[[sqlite3.Connection, int], None]
"""Makes a file of the given format into one of ours, within a transaction, and reads a little to see that it can."""

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA wal_autocheckpoint = 0",  # the Checkpointer's work
    f"PRAGMA journal_size_limit = {2 * LOG_LIMIT}",  # what a long look by somebody else let it grow to is given back
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",  # a damaged page is to be found, not believed
)


class Database:
    """The file at ``path``, for the one thread that writes through ``connection``; nothing is opened before ``open``.

    ``version`` is the format that ``prepare`` makes, in ``PRAGMA user_version``; a new file begins at 0. ``lock_wait``
    is how many seconds to wait for another process's transaction. ``warn`` hears what the admin should know although
    work goes on; ``now`` (Unix seconds) names a file that is set aside. ``cache`` is how many KiB of pages are kept.
    """

    connection: sqlite3.Connection | None = None
    checkpointer: Checkpointer
    """Looks after the file while ``connection`` is there."""
    _checkpointed: int

    def __init__(
        self,
        path: Path,
        version: int,
        prepare: Prepare,
        lock_wait: float,
        *,
        warn: Callable[[str], None],
        now: Callable[[], float],
        cache: int = 8192,
    ) -> None:
        self._cache = cache
        self._path, self._version, self._prepare, self._lock_wait = path, version, prepare, lock_wait
        self._warn, self._now = warn, now

    def open(self) -> sqlite3.Connection:
        """Connect to what is at the path now: a file, or nothing yet. A damaged file is set aside and a new one begun.

        Raises StoreError.
        """
        if self.connection is not None:
            self._warn(f"{self._path} was moved or removed while in use; its place is looked at anew")
            self.close()
        try:
            with files.locked(self._path.parent):
                connection = self._connect()
        except (sqlite3.Error, OSError) as error:
            raise explain(error, self._path) from error
        self.connection = connection
        self.checkpointer = Checkpointer(self._path, self._warn)
        self._checkpointed = 0
        return connection

    def committed(self) -> None:
        """To be called after a commit: has the log written back now and then."""
        assert self.connection is not None
        changes = self.connection.total_changes
        if changes - self._checkpointed >= CHANGES:
            self._checkpointed = changes
            self.checkpointer.wake()
        if self.checkpointer.full:
            with suppress(sqlite3.Error):  # All is committed; the thread tells when its next try fails too.
                self.checkpointer.restart(self.connection, self._lock_wait)

    def failure(self, error: sqlite3.Error) -> StoreError:
        """Return the error to raise in place of ``error``. If the file is damaged, it has been set aside: ``open``
        begins a new one.
        """
        failure = explain(error, self._path)
        if isinstance(failure, StoreCorrupt):
            self._retire(error)
        return failure

    def close(self) -> None:
        """Let go of the file; what was not committed is undone."""
        if self.connection is not None:
            self.checkpointer.close()
            self.connection.close()
            self.connection = None

    def _connect(self, again: bool = True) -> sqlite3.Connection:
        """Open or create the file and bring it up to date; if it is damaged, begin a new one, once. The caller holds
        the directory's lock. Raises StoreError, sqlite3.Error or OSError.
        """
        files.create(self._path)
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=self._lock_wait)
        try:
            _refuse_newer(connection, self._path, self._version)  # before the pragmas: they may write
            for pragma in (*_PRAGMAS, f"PRAGMA cache_size = -{self._cache}"):
                connection.execute(pragma)
            bring_up_to_date(connection, self._version, self._prepare)
        except (sqlite3.Error, StoreError) as error:
            with closing(connection):  # Only after it was set aside: SQLite then lets its log alone.
                if not (again and isinstance(error, sqlite3.Error) and is_corrupt(error)):
                    raise
                self._set_aside(error)
            return self._connect(again=False)
        return connection

    def _retire(self, error: sqlite3.Error) -> None:
        """Set the open file aside, unless another process has already, and let go of it."""
        if self.connection is None:
            return
        try:
            with files.locked(self._path.parent):
                if not self.checkpointer.look():
                    self._set_aside(error)
        except OSError as trouble:
            self._warn(f"{self._path} is damaged and can't be set aside: {explain(trouble, self._path)}")
        self.close()

    def _set_aside(self, error: sqlite3.Error) -> None:
        aside = files.set_aside(self._path, self._now())
        self._warn(
            f"{self._path} is damaged ({error}) and was set aside as {aside.name}; a new, empty one takes its place. "
            f"What can be read of the old one: sqlite3 {aside} .recover"
        )


def bring_up_to_date(connection: sqlite3.Connection, version: int, prepare: Prepare) -> None:
    """Make a file of format ``version`` of this one, or change nothing.

    Raises sqlite3.Error if the file is damaged or can't be written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = version_of(connection)  # only now: another process may have been faster
        prepare(connection, found)
        if found < version:
            connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    finally:
        connection.rollback()


def version_of(connection: sqlite3.Connection) -> int:
    """Return the format of the file; 0 if it is empty."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def _refuse_newer(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Raise StoreError if the file is of a format that a later Vaglio wrote."""
    found = version_of(connection)
    if found > version:
        raise StoreError(
            f"{path}: it has format {found}, and this Vaglio knows formats up to {version}: "
            "install the newer Vaglio again, or move the file away to begin a new one"
        )


def look_into(path: Path, version: int) -> sqlite3.Connection:
    """Open the file for looking only; it must be of format ``version``. Nothing is created, brought up to date or set
    aside, and no right to write is needed. Raises StoreError.
    """
    try:
        path.stat()  # SQLite's own words don't tell a file that is missing from one that is not for us
        connection = _connect_to_read(path)
    except (sqlite3.Error, OSError) as error:
        raise unreadable(error, path) from error
    try:
        _refuse_newer(connection, path, version)
        _refuse_older(connection, path, version)
    except StoreError:
        connection.close()
        raise
    return connection


def _refuse_older(connection: sqlite3.Connection, path: Path, version: int) -> None:
    found = version_of(connection)
    if found == 0:
        raise StoreError(f"{path}: it is empty: no daemon has written to it yet")
    if found < version:
        raise StoreError(f"{path}: it has format {found}: restart the daemon, which brings it to {version}")


def _connect_to_read(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        return _read_only(uri)
    except sqlite3.OperationalError as error:
        if not is_denied(error) or files.beside(path, "-wal").exists():
            raise
        # No daemon has it open, and we may not make the companion files of WAL mode: take the file as it lies.
        return _read_only(f"{uri}&immutable=1")


def _read_only(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        version_of(connection)  # opens the file in earnest
    except sqlite3.Error:
        connection.close()
        raise
    return connection
