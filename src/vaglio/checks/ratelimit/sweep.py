"""Forgets keys that sent nothing for long, and recipients that nobody wrote to for long, a few rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vaglio.checks.ratelimit.decide import ATTACK
from vaglio.checks.ratelimit.rules import Rules
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.ratelimit.usage import SEEN, USAGE, Seen, Usage, decode
from vaglio.ports import Store, Table, Transaction

STEP = 200
"""Rows looked at in one step: about a millisecond."""
PAUSE = 0.05
"""Seconds between steps."""
REST = 600.0
"""Seconds between one walk and the next."""
SEEN_FOR = 180 * 86400
"""Seconds for which a recipient stays known after it was last written to."""


class Sweep:
    """One walk after the other over both tables. ``rows`` is what the last whole walk left, ``keys_over`` the keys by
    rule that were refused something within the last day.
    """

    _ORDER: Final[tuple[Table[Any], ...]] = (USAGE, SEEN)

    def __init__(self, settings: RatelimitSettings, rules: Rules, store: Store) -> None:
        longest = max((rule.longest for group in rules.groups for rule in group.rules), default=0)
        self._keep = max(settings.forget_after, longest)
        self._names = {rule.tag: rule.name for group in rules.groups for rule in group.rules}
        self._store = store
        self._at = 0  # index of the table
        self._after = b""
        self._kept = 0
        self._over = dict.fromkeys(self._names.values(), 0.0)
        self.rows: dict[str, float] = {}
        self.keys_over: dict[str, float] = {}

    async def step(self, now: int) -> float:
        """Look at the next few rows; return the seconds until the next step."""
        table = self._ORDER[self._at]
        found = await self._store.scan(table, self._after, STEP)
        old = [key for key, record in found if self._expired(record, now)]
        if old:
            await self._store.transact(lambda tx: self._forget(tx, table, old, now))
        for _, record in found:
            self._count_over(record, now)
        self._kept += len(found) - len(old)
        if len(found) == STEP:
            self._after = found[-1][0]
            return PAUSE
        return self._next_table(table)

    def _next_table(self, table: Table[Any]) -> float:
        self.rows = {**self.rows, table.name: float(self._kept)}
        self._after, self._kept = b"", 0
        self._at = (self._at + 1) % len(self._ORDER)
        if self._at:
            self.keys_over, self._over = self._over, dict.fromkeys(self._over, 0.0)
            return PAUSE
        return REST

    def _expired(self, record: object, now: int) -> bool:
        if isinstance(record, Usage):
            silent = now - record.last
            return silent > self._keep and silent > _longest(record)
        assert isinstance(record, Seen)
        return now - record.last > SEEN_FOR

    def _forget(self, tx: Transaction, table: Table[Any], keys: Sequence[bytes], now: int) -> None:
        for key in keys:
            record = tx.get(table, key)
            if record is not None and self._expired(record, now):  # another worker may have used it just now
                tx.delete(table, key)

    def _count_over(self, record: object, now: int) -> None:
        if not isinstance(record, Usage) or not record.state:
            return
        for tag, counts in decode(record.state).items():
            if counts.over and now - counts.over_last < ATTACK and tag in self._names:
                self._over[self._names[tag]] += 1


def _longest(record: Usage) -> int:
    """Return the seconds of the longest window that is kept for a key: an override's may be longer than any rule's."""
    return max((seconds for counts in decode(record.state).values() for seconds in counts.windows), default=0)
