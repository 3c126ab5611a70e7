"""Forgets what has expired, a few rows at a time: hints that hold no more, counts of days long past."""

from __future__ import annotations

from typing import Any

from vaglio.blocklists.health import STATUS
from vaglio.checks.dnsbl.tally import COUNTS, KEEP_DAYS
from vaglio.hints import HINTS, LONGEST, Hint
from vaglio.ports import Schema, Store, Table, Transaction

SCHEMA = Schema("dnsbl", (STATUS, COUNTS))

STEP = 200
"""Rows looked at in one step."""
REST = 10.0
"""Seconds between steps; the checks of the lists go by it too."""
AGAIN = 0.2
"""Seconds to the next step while there is more."""


class Sweep:
    """Walks through both stores, over and over. ``rows`` is how many hints there were at the last walk, ``hits_today``
    the hits of each list on this day (UTC).
    """

    def __init__(self, store: Store, hints: Store) -> None:
        self._store, self._hints = store, hints
        self._after = b""
        self._seen = 0
        self.rows: dict[str, float] = {}
        self.hits_today: dict[str, float] = {}

    async def step(self, now: int) -> float:
        """Take one step; return the seconds until the next."""
        found = await self._hints.scan(HINTS, self._after, STEP)
        stale = [key for key, hint in found if _is_stale(hint, now)]
        if stale:
            await self._hints.transact(lambda tx: _forget(tx, HINTS, stale))
        self._seen += len(found) - len(stale)
        if len(found) == STEP:
            self._after = found[-1][0]
            return AGAIN
        self.rows = {"hints": self._seen}
        self._after, self._seen = b"", 0
        await self._forget_days(now // 86400 - KEEP_DAYS)
        today = await self._store.scan(COUNTS, (now // 86400).to_bytes(4, "big"), STEP)
        self.hits_today = {count.name: count.hits for _, count in today if count.name}
        return REST

    async def _forget_days(self, before: int) -> None:
        """Days sort by their key, so the oldest come first."""
        found = await self._store.scan(COUNTS, b"", STEP)
        old = [key for key, count in found if count.day < before]
        if old:
            await self._store.transact(lambda tx: _forget(tx, COUNTS, old))


def _is_stale(hint: Hint, now: int) -> bool:
    return not now < hint.until <= now + LONGEST


def _forget(tx: Transaction, table: Table[Any], keys: list[bytes]) -> None:
    for key in keys:
        tx.delete(table, key)
