"""Forgetting in greylisting's tables, and what is learned from it.

A triplet that was never retried is counted to its pool and to the day: it is the best sign of spam there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

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
from vaglio.checks.sweeping import Walk
from vaglio.ports import Store, Transaction

DAYS_KEPT = 400
"""Days that reports can look back."""


class Sweep:
    """Housekeeping, step by step. ``note`` takes a line for the log."""

    def __init__(self, settings: GreylistSettings, store: Store, keys: Keys, note: Callable[[str], None]) -> None:
        self._settings = settings
        self._keys = keys
        self._note = note
        self._walk = Walk(store, (TRIPLETS, POOLS, DAYS), self._expired, self._count_lost)

    @property
    def rows(self) -> Mapping[str, float]:
        """The rows of each table, as of the last whole walk."""
        return self._walk.rows

    async def step(self, now: int) -> float:
        """Look at the next few records, forget what has expired; return the seconds until the next step."""
        step = await self._walk.step(now)
        for record in step.forgotten:
            if isinstance(record, Triplet) and not record.passed:
                self._note(
                    f"event=never-retried pool={record.pool} from={record.sender!a} to={record.recipient!a} "
                    f"attempts={record.attempts} first={record.first}"
                )
        return step.rest

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

    def _count_lost(self, tx: Transaction, record: object) -> None:
        if not isinstance(record, Triplet) or record.passed:
            return
        pool_key = self._keys.pool(record.pool)
        pool = tx.get(POOLS, pool_key) or PoolRecord(name=record.pool, last=record.last)
        tx.put(POOLS, pool_key, pool._replace(lost=pool.lost + 1))
        add_to_day(tx, record.first // 86400, Counter(lost=1))  # the day of its first contact
