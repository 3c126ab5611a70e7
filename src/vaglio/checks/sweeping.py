"""The walk of forgetting: goes through a check's tables in small steps, so that no answer has to wait.

Which records have expired, and what else follows from one that is forgotten, is for each check to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vaglio.ports import Record, Store, Table, Transaction

STEP = 200
"""Records looked at in one step: about a millisecond."""
PAUSE = 0.05
"""Seconds between steps: a million records are gone through in five minutes."""
REST = 600.0
"""Seconds between one walk and the next."""


class Step(NamedTuple):
    """What one step saw: the records of ``table`` that stay, those that it forgot, whether they were the table's last,
    and the seconds until the next step.
    """

    table: Table[Any]
    kept: Sequence[Record]
    forgotten: Sequence[Record]
    ended: bool
    rest: float


class Walk:
    """One walk after the other over all tables; ``rows`` counts what the last whole walk of each left.

    ``expired`` judges a record; ``on_forget`` follows from one, within the transaction that deletes it.
    """

    def __init__(
        self, store: Store, tables: Sequence[Table[Any]], expired: Callable[[Any, int], bool],
        on_forget: Callable[[Transaction, Any], None] | None = None,
    ) -> None:  # fmt: skip
        self._store, self._tables = store, tables
        self._expired, self._on_forget = expired, on_forget
        self._at = 0  # index of the table
        self._after = b""
        self._kept = 0
        self.rows: Mapping[str, float] = {}

    async def step(self, now: int) -> Step:
        """Look at the next few records, forget what has expired."""
        table = self._tables[self._at]
        found = await self._store.scan(table, self._after, STEP)
        old, kept = [], []
        for key, record in found:
            if self._expired(record, now):
                old.append(key)
            else:
                kept.append(record)
        forgotten = await self._store.transact(lambda tx: self._forget(tx, table, old, now)) if old else []
        self._kept += len(kept)
        ended = len(found) < STEP
        if ended:
            return Step(table, kept, forgotten, ended, self._next_table(table))
        self._after = found[-1][0]
        return Step(table, kept, forgotten, ended, PAUSE)

    def _next_table(self, table: Table[Any]) -> float:
        self.rows = {**self.rows, table.name: float(self._kept)}
        self._after, self._kept = b"", 0
        self._at = (self._at + 1) % len(self._tables)
        return PAUSE if self._at else REST

    def _forget(self, tx: Transaction, table: Table[Any], keys: Sequence[bytes], now: int) -> list[Record]:
        forgotten = []
        for key in keys:
            record = tx.get(table, key)
            if record is None or not self._expired(record, now):
                continue  # another worker was faster, or it was seen again just now
            tx.delete(table, key)
            if self._on_forget:
                self._on_forget(tx, record)
            forgotten.append(record)
        return forgotten
