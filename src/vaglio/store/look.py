"""A store that is only looked at: what the admin's commands use that change nothing.

Nothing is created, brought up to date or set aside here, and no right to write is needed. The daemons go on writing
meanwhile; a transaction sees the file as it was at one moment. A damaged file is left to the daemon, which meets the
damage itself and knows what it still has in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vaglio.ports import R, Record, Schema, StoreError, T, Table, Transaction
from vaglio.store.database import look_into
from vaglio.store.layout import VERSION, lacking, layout
from vaglio.store.overlay import Overlay
from vaglio.store.trouble import unreadable


class LookStore:
    """A ``Store`` (see ports) of the file ``path`` that takes no changes. Raises StoreError if it can't be read."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path = path
        self._layouts = {table.name: layout(table) for table in schema.tables}
        self._connection = look_into(path, VERSION)
        try:
            self._refuse_older()
        except StoreError:
            self.close()
            raise

    async def transact(self, step: Callable[[Transaction], T]) -> T:
        """Run ``step`` on one moment of the store. Raises StoreError if it wants to change anything."""
        overlay = Overlay(self._read)
        self._rows("BEGIN")
        try:
            result = step(overlay)
        finally:
            if self._connection.in_transaction:  # grave errors have ended it
                self._rows("ROLLBACK")
        if overlay.writes:
            raise StoreError(f"{self._path}: it was opened for looking only; nothing is changed")
        return result

    async def scan(self, table: Table[R], after: bytes, limit: int) -> Sequence[tuple[bytes, R]]:
        """Return up to ``limit`` records with a key greater than ``after``, by key."""
        rows = self._rows(self._layouts[table.name].scan, after, limit)
        return [(row[0], tuple.__new__(table.record, row[1:])) for row in rows]

    async def count(self, table: Table[Any]) -> int:
        """Return the number of records."""
        found: int = self._rows(self._layouts[table.name].count)[0][0]
        return found

    def settle(self) -> None:
        """Do nothing: there are no changes."""

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _read(self, table: Table[Any], key: bytes) -> Record | None:
        rows = self._rows(self._layouts[table.name].get, key)
        return tuple.__new__(table.record, rows[0]) if rows else None

    def _rows(self, sql: str, *values: object) -> list[Any]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise unreadable(error, self._path) from error

    def _refuse_older(self) -> None:
        try:
            tables = self._layouts.values()
            missing = [f"{one.name}.{name}" for one in tables for name in lacking(self._connection, one)]
        except sqlite3.Error as error:
            raise unreadable(error, self._path) from error
        if missing:
            raise StoreError(
                f"{self._path}: an earlier Vaglio wrote it, and it lacks {', '.join(missing)}: "
                "restart the daemon, which adds them"
            )
