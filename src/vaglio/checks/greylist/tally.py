"""What a worker keeps in memory, so that an answer costs fewer looks and writes: pools read lately, and counts.

Nothing here is needed after a crash: pools are read again after FRESH seconds (and always before they are written),
counts of the day are added to the store every few seconds. The first contacts of a pool that were not followed by a
retry are counted by each worker for itself: that is a defence against floods, not a record.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

from vaglio.checks.greylist.decide import DAYS, POOLS, Day, Decision, PoolRecord, Reason
from vaglio.checks.greylist.keys import day_key
from vaglio.ports import Store, StoreError, Transaction

FRESH = 5
"""Seconds for which a pool's record is taken as read."""

REMEMBERED = 10_000
"""Pools kept at most: some megabytes."""

_COUNTED = {Reason.FIRST: "contacts", Reason.EARLY: "early", Reason.RETRIED: "retried", Reason.TOO_MANY: "crowded"}


class Pools:
    """Records of pools, and how many first contacts of each had no retry yet.

    ``window`` is the retry window in seconds. Contacts are counted in two generations, so that each is forgotten
    after the window at the latest, and after half of it at the earliest, whatever becomes of it.
    """

    def __init__(self, window: int) -> None:
        self._read: OrderedDict[bytes, tuple[int, PoolRecord | None]] = OrderedDict()
        self._generation = window // 2 or 1
        self._born = 0
        self._young: OrderedDict[bytes, int] = OrderedDict()
        self._old: OrderedDict[bytes, int] = OrderedDict()

    def at_hand(self, key: bytes, now: int) -> PoolRecord | None:
        """Return the record if it was read within FRESH seconds."""
        found = self._read.get(key)
        return found[1] if found and 0 <= now - found[0] < FRESH else None

    def recent(self, tx: Transaction, key: bytes, now: int) -> PoolRecord | None:
        """Return the record, as of FRESH seconds ago at the earliest."""
        found = self._read.get(key)
        if found and 0 <= now - found[0] < FRESH:
            return found[1]
        record = tx.get(POOLS, key)
        self.remember(key, record, now)
        return record

    def remember(self, key: bytes, record: PoolRecord | None, now: int) -> None:
        """Take note of what the store has under ``key``."""
        self._read[key] = now, record
        if len(self._read) > REMEMBERED:
            self._read.popitem(last=False)

    def pending(self, key: bytes, now: int) -> int:
        """Return the pool's first contacts that this worker saw, and saw no retry let in for, within the window."""
        if not 0 <= now - self._born < self._generation:
            self._old = self._young if 0 <= now - self._born < 2 * self._generation else OrderedDict()
            self._young, self._born = OrderedDict(), now
        return self._young.get(key, 0) + self._old.get(key, 0)

    def came(self, key: bytes) -> None:
        """Count a first contact in."""
        self._young[key] = self._young.get(key, 0) + 1
        if len(self._young) > REMEMBERED:
            self._young.popitem(last=False)

    def left(self, key: bytes) -> None:
        """Count out one that was let in."""
        for counts in (self._old, self._young):
            if key in counts:
                counts[key] -= 1
                if counts[key] <= 0:
                    del counts[key]
                return


class Days:
    """Counts by day that are not in the store yet; ``rehearse`` where nobody is really deferred."""

    def __init__(self, rehearse: bool) -> None:
        self._rehearse = rehearse
        self._waiting: dict[int, Counter[str]] = {}

    def count(self, decision: Decision, now: int) -> None:
        """Count an event. A known triplet is none."""
        kind = _COUNTED.get(decision.reason)
        if kind is None:
            return
        day = self._waiting.setdefault(now // 86400, Counter())
        day[kind] += 1
        if self._rehearse and decision.reason is Reason.FIRST:
            day["rehearsed"] += 1
        if decision.reason is Reason.RETRIED:
            day["waited"] += decision.waited
        if decision.lost:
            day["lost"] += 1

    async def write_back(self, store: Store) -> None:
        """Add the counts to the store; they wait for the next time when it takes no changes."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            await store.transact(lambda tx: _add(tx, waiting))
        except StoreError:
            for number, counts in waiting.items():
                self._waiting.setdefault(number, Counter()).update(counts)
            raise


def _add(tx: Transaction, waiting: dict[int, Counter[str]]) -> None:
    for number, counts in waiting.items():
        add_to_day(tx, number, counts)


def add_to_day(tx: Transaction, number: int, counts: Counter[str]) -> None:
    """Add ``counts`` to the record of day ``number``."""
    day = tx.get(DAYS, day_key(number)) or Day(day=number)
    tx.put(DAYS, day_key(number), day._replace(**{kind: getattr(day, kind) + count for kind, count in counts.items()}))
