"""A store in memory, for tests and rehearsals: it is empty at every start and belongs to one process."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from vaglio.ports import R, Record, Schema, T, Table, Transaction
from vaglio.store.overlay import Overlay


class MemoryStore:
    """Dictionaries behind the ``Store`` port. Nothing can fail here, so ``settle`` has nothing to do."""

    def __init__(self, schema: Schema) -> None:
        self._tables: dict[str, dict[bytes, Record]] = {table.name: {} for table in schema.tables}

    async def transact(self, step: Callable[[Transaction], T]) -> T:
        """Run ``step``; its changes take place when it has returned."""
        overlay = Overlay(self._read)
        result = step(overlay)
        for (name, key), record in overlay.writes.items():
            if record is None:
                self._tables[name].pop(key, None)
            else:
                self._tables[name][key] = record
        return result

    async def scan(self, table: Table[R], after: bytes, limit: int) -> Sequence[tuple[bytes, R]]:
        """Return up to ``limit`` records with a key greater than ``after``; looks at all keys each time."""
        rows: dict[bytes, Any] = self._tables[table.name]
        return [(key, rows[key]) for key in heapq.nsmallest(limit, (key for key in rows if key > after))]

    async def count(self, table: Table[Any]) -> int:
        """Return the number of records."""
        return len(self._tables[table.name])

    def settle(self) -> None:
        """Do nothing: memory is as durable as it gets."""

    def close(self) -> None:
        """Do nothing."""

    def _read(self, table: Table[Any], key: bytes) -> Record | None:
        return self._tables[table.name].get(key)
