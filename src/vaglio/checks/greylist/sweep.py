"""Forgetting: goes through greylisting's tables in small steps, so that no answer has to wait.

A triplet that was never retried is counted to its pool and to the day: it is the best sign of spam there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from vaglio.checks.greylist.decide import (
    DAYS,
    POOLS,
    TRIPLETS,
    Day,
    PoolRecord,
    Triplet,
    expired,
    forgettable,
)
from vaglio.checks.greylist.keys import Keys
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.checks.greylist.tally import add_to_day
from vaglio.ports import Store, Table, Transaction

STEP = 200
"""Records looked at in one step: about a millisecond."""
PAUSE = 0.05
"""Seconds between steps: a million triplets are gone through in five minutes."""
REST = 600.0
"""Seconds between one sweep and the next."""
DAYS_KEPT = 400
"""Days that reports can look back."""


class Sweep:
    """One walk after the other over all tables; ``rows`` counts what the last whole walk left.

    ``note`` takes a line for the log.
    """

    _ORDER: Final[tuple[Table[Any], ...]] = (TRIPLETS, POOLS, DAYS)

    def __init__(self, settings: GreylistSettings, store: Store, keys: Keys, note: Callable[[str], None]) -> None:
        self._settings = settings
        self._store = store
        self._keys = keys
        self._note = note
        self._at = 0  # index of the table
        self._after = b""
        self._kept = 0
        self.rows: Mapping[str, float] = {}

    async def step(self, now: int) -> float:
        """Look at the next few records, forget what has expired; return the seconds until the next step."""
        table = self._ORDER[self._at]
        found = await self._store.scan(table, self._after, STEP)
        old = [key for key, record in found if self._expired(record, now)]
        if old:
            lost = await self._store.transact(lambda tx: self._forget(tx, table, old, now))
            for triplet in lost:
                self._note(
                    f"event=never-retried pool={triplet.pool} from={triplet.sender!a} to={triplet.recipient!a} "
                    f"attempts={triplet.attempts} first={triplet.first}"
                )
        self._kept += len(found) - len(old)
        if len(found) == STEP:
            self._after = found[-1][0]
            return PAUSE
        return self._next_table(table)

    def _next_table(self, table: Table[Any]) -> float:
        self.rows = {**self.rows, table.name: float(self._kept)}
        self._after, self._kept = b"", 0
        self._at = (self._at + 1) % len(self._ORDER)
        return REST if self._at == 0 else PAUSE

    def _expired(self, record: object, now: int) -> bool:
        match record:
            case Triplet():
                return expired(record, now, self._settings)
            case PoolRecord():
                return forgettable(record, now, self._settings)
            case Day():
                return record.day < now // 86400 - DAYS_KEPT
            case _:
                raise TypeError(f"{type(record).__name__} is none of greylisting's records")

    def _forget(self, tx: Transaction, table: Table[Any], keys: Sequence[bytes], now: int) -> list[Triplet]:
        lost = []
        for key in keys:
            record = tx.get(table, key)
            if record is None or not self._expired(record, now):
                continue  # another worker was faster, or it was seen again just now
            tx.delete(table, key)
            if isinstance(record, Triplet) and not record.passed:
                self._count_lost(tx, record)
                lost.append(record)
        return lost

    def _count_lost(self, tx: Transaction, triplet: Triplet) -> None:
        pool_key = self._keys.pool(triplet.pool)
        pool = tx.get(POOLS, pool_key) or PoolRecord(name=triplet.pool, last=triplet.last)
        tx.put(POOLS, pool_key, pool._replace(lost=pool.lost + 1))
        add_to_day(tx, triplet.first // 86400, Counter(lost=1))  # the day of its first contact
