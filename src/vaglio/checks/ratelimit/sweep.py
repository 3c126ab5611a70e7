"""Forgets keys that sent nothing for long, and recipients that nobody wrote to for long; counts who is over a limit."""

from __future__ import annotations

from collections.abc import Mapping

from vaglio.checks.ratelimit.decide import ATTACK
from vaglio.checks.ratelimit.rules import Rules
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.ratelimit.usage import SEEN, USAGE, Seen, Usage, decode
from vaglio.checks.sweeping import Walk
from vaglio.ports import Store

SEEN_FOR = 180 * 86400
"""Seconds for which a recipient stays known after it was last written to."""


class Sweep:
    """Housekeeping, step by step. ``keys_over`` is how many keys were refused something within the last day, by rule,
    as of the last whole walk.
    """

    def __init__(self, settings: RatelimitSettings, rules: Rules, store: Store) -> None:
        longest = max((rule.longest for group in rules.groups for rule in group.rules), default=0)
        self._keep = max(settings.forget_after, longest)
        self._names = {rule.tag: rule.name for group in rules.groups for rule in group.rules}
        self._walk = Walk(store, (USAGE, SEEN), self._expired)
        self._over = dict.fromkeys(self._names.values(), 0.0)
        self.keys_over: Mapping[str, float] = {}

    @property
    def rows(self) -> Mapping[str, float]:
        """The rows of each table, as of the last whole walk."""
        return self._walk.rows

    async def step(self, now: int) -> float:
        """Look at the next few rows; return the seconds until the next step."""
        step = await self._walk.step(now)
        for record in step.kept:
            self._count_over(record, now)
        if step.ended and step.table is USAGE:
            self.keys_over, self._over = self._over, dict.fromkeys(self._over, 0.0)
        return step.rest

    def _expired(self, record: object, now: int) -> bool:
        if isinstance(record, Usage):
            silent = now - record.last
            return silent > self._keep and silent > _longest(record)
        assert isinstance(record, Seen)
        return now - record.last > SEEN_FOR

    def _count_over(self, record: object, now: int) -> None:
        if not isinstance(record, Usage) or not record.state:
            return
        for tag, counts in decode(record.state).items():
            if counts.over and now - counts.over_last < ATTACK and tag in self._names:
                self._over[self._names[tag]] += 1


def _longest(record: Usage) -> int:
    """Return the seconds of the longest window that is kept for a key: an override's may be longer than any rule's."""
    return max((seconds for counts in decode(record.state).values() for seconds in counts.windows), default=0)
