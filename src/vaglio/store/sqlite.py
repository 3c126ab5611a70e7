"""The embedded store: one SQLite file in WAL mode for each schema, shared by the worker processes of this host.

Changes of one turn (``vaglio.turn``) share a transaction, which ``settle`` commits before the answers go out: ten in
one commit cost half of what ten commits cost. The file itself is looked after in ``database.py``.

A store is opened after the fork and used from one thread. What it does not do: expire records (the check does, by
``scan`` and ``delete``) or retry (the check's failure policy answers when an error is raised here).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from vaglio.ports import R, Record, Schema, StoreError, T, Table, Transaction
from vaglio.store.database import Database
from vaglio.store.layout import VERSION, bring_up_to_date, layout
from vaglio.store.overlay import Overlay, Writes
from vaglio.store.trouble import code, explain

LOCK_WAIT = 2.0
"""Seconds to wait for another worker's transaction before giving up."""

_NAP = 1
"""Milliseconds that SQLite itself waits for another writer. Left alone it sleeps up to 100 ms at a time: beside a
worker that is never idle it missed the pauses between turns, now and then for all of the 2 s (measured; in naps 0.1 s
at most). What else it waits for is seldom and soon over, and has all of the time.
"""


class SqliteStore:
    """A ``Store`` (see ports) in the file ``path``.

    A damaged file is set aside and a new one begun: at opening at once, while running with StoreCorrupt for the
    request that met it; the next one finds the new store. The same holds for a file that was moved or removed by
    hand. ``warn`` hears of both; ``now`` (Unix seconds) names the file set aside.

    Raises StoreError if the file can't be opened or is of a newer version.
    """

    _execute: Callable[..., sqlite3.Cursor]

    def __init__(self, path: Path, schema: Schema, *, warn: Callable[[str], None], now: Callable[[], float]) -> None:
        self._path = path
        self._layouts = {table.name: layout(table) for table in schema.tables}
        prepare = partial(bring_up_to_date, layouts=self._layouts.values())
        self._file = Database(path, VERSION, prepare, LOCK_WAIT, warn=warn, now=now)
        self._closed = False
        self._writing = False
        """A transaction with this turn's changes is open."""
        self._reading = False
        """A view of one moment is open; this turn has changed nothing yet."""
        self._lost: StoreError | None = None
        """Why changes of this turn are gone already."""
        self._usable()

    async def transact(self, step: Callable[[Transaction], T]) -> T:
        """Run ``step`` atomically; never suspends. Call ``settle`` soon: until then no other worker can write if it
        wrote, and later steps see the store as it was at the first.
        """
        try:
            if not self._writing:
                return self._alone(step)
            overlay = Overlay(self._read)
            result = step(overlay)
            if overlay.writes:
                self._join(overlay.writes)
            return result
        except sqlite3.Error as error:
            raise self._failure(error) from error

    async def scan(self, table: Table[R], after: bytes, limit: int) -> Sequence[tuple[bytes, R]]:
        """Return up to ``limit`` records with a key greater than ``after``, by key."""
        try:
            rows = self._usable().execute(self._layouts[table.name].scan, (after, limit)).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return [(row[0], tuple.__new__(table.record, row[1:])) for row in rows]

    async def count(self, table: Table[Any]) -> int:
        """Return the number of records; reads the whole table (about 0.1 s for a million)."""
        try:
            found: int = self._usable().execute(self._layouts[table.name].count).fetchone()[0]
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return found

    def settle(self) -> None:
        """Commit what this turn has changed; costs nothing when that is nothing. Raises StoreError if any of it could
        not be kept: then none of it is, and the next turn begins afresh.
        """
        if self._lost is not None:
            lost, self._lost = self._lost, None
            self._rollback()
            self._writing = False
            raise lost
        if self._reading:
            self._reading = False
            self._rollback()
        if self._file.connection is None or not self._writing:
            return
        self._writing = False
        try:
            self._execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            raise self._failure(error) from error
        self._file.committed()

    def close(self) -> None:
        """Settle, write the log back if nobody is in the way, and let go of the file."""
        self._closed = True
        try:
            self.settle()
        finally:
            with suppress(sqlite3.Error):  # The log stays then; the next opening finds all in it.
                self._execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._file.close()

    def _alone(self, step: Callable[[Transaction], T]) -> T:
        """Run ``step`` while the turn has written nothing yet. If it writes, its transaction stays open as the turn's;
        if it only reads, so does the view of that moment: to begin and end one for each step costs as much as a read.
        """
        execute = self._usable().execute
        if not self._reading:
            execute("BEGIN")
            self._reading = True
        overlay = Overlay(self._read)
        result = step(overlay)
        if not overlay.writes:
            return result
        execute(f"PRAGMA busy_timeout = {_NAP}")
        try:
            if not self._lock_and_apply(overlay.writes):
                execute("ROLLBACK")
                self._lock()
                overlay = Overlay(self._read)
                result = step(overlay)
                self._apply(overlay.writes)
            self._writing = bool(overlay.writes)
            return result
        finally:
            self._reading = False
            if not self._writing:
                self._rollback()
            execute(f"PRAGMA busy_timeout = {int(LOCK_WAIT * 1000)}")

    def _lock_and_apply(self, writes: Writes) -> bool:
        """Make the first changes of a turn. False: another worker writes, or has written since we read."""
        try:
            self._apply(writes)
        except sqlite3.OperationalError as error:
            if code(error) == sqlite3.SQLITE_BUSY:
                return False
            raise
        return True

    def _lock(self) -> None:
        """Begin a transaction that nobody else writes in; wait for whoever does."""
        naps = max(int(LOCK_WAIT * 1000 / _NAP), 1)
        while True:
            try:
                self._execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                naps -= 1
                if code(error) != sqlite3.SQLITE_BUSY or not naps:
                    raise
            else:
                return

    def _join(self, writes: Writes) -> None:
        """Add changes to those of the turn. If that fails midway, all of the turn's are given up."""
        try:
            self._apply(writes)
        except sqlite3.Error:
            self._rollback()
            raise

    def _apply(self, writes: Writes) -> None:
        for (name, key), record in writes.items():
            if record is None:
                self._execute(self._layouts[name].delete, (key,))
            else:
                self._execute(self._layouts[name].put, (key, *record))

    def _read(self, table: Table[Any], key: bytes) -> Record | None:
        row = self._execute(self._layouts[table.name].get, (key,)).fetchone()
        return None if row is None else tuple.__new__(table.record, row)

    def _rollback(self) -> None:
        with suppress(sqlite3.Error):  # Grave errors have rolled back already.
            self._execute("ROLLBACK")

    def _failure(self, error: sqlite3.Error) -> StoreError:
        """Return the error to raise, after putting in order what ``error`` leaves behind."""
        failure = self._file.failure(error)
        if self._file.connection is None or not self._file.connection.in_transaction:
            self._reading = False
            if self._writing:
                self._writing, self._lost = False, failure
        return failure

    def _usable(self) -> sqlite3.Connection:
        """Return the connection, to a new file if the old one is gone."""
        connection = self._file.connection
        if connection is None or (self._file.checkpointer.moved and not self._writing and not self._reading):
            connection = self._open()
        return connection

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed")
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise explain(error, self._path) from error
        connection = self._file.open()
        self._execute = connection.execute
        return connection
