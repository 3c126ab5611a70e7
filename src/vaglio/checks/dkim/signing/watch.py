"""Holds the keys that sign against their records in the DNS, at the start and once a day: a step for each key.

It tells, and changes nothing: a key whose record was not seen may be right all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from vaglio.checks.dkim.signing.published import compare
from vaglio.checks.dkim.signing.record import record_name
from vaglio.checks.dkim.signing.sign import PrivateKey
from vaglio.checks.dkim.signing.tables import Entry
from vaglio.ports import Clock, Resolver
from vaglio.verdict import Fact

DAY = 86400.0
AGAIN = 600.0
"""Seconds until a key is looked for again whose record the DNS did not tell."""

_STEP = 0.2
_TRIES = 3


class _Keys(Protocol):
    def entries(self) -> Sequence[tuple[Entry, PrivateKey]]:
        """Return all that sign."""


class Watch:
    """``upkeep`` is a step of housekeeping. ``warn`` is told what an admin should see, ``alarm`` too, with values."""

    def __init__(
        self,
        keys: _Keys,
        resolver: Resolver,
        clock: Clock,
        warn: Callable[[str], None],
        alarm: Callable[[str, str, Mapping[str, Fact]], None],
    ) -> None:
        self._keys, self._resolver, self._clock, self._warn, self._alarm = keys, resolver, clock, warn, alarm
        self._seen: dict[tuple[str, str, str], float] = {}
        self._failed: dict[tuple[str, str, str], int] = {}

    async def upkeep(self) -> float:
        """Compare one key, the first that is due; return the seconds until the next step."""
        now = self._clock.now()
        due = {_id(entry, key): (entry, key) for entry, key in self._keys.entries()}
        self._seen = {one: when for one, when in self._seen.items() if one in due}
        waiting = [one for one in due if self._seen.get(one, 0) <= now]
        if not waiting:
            return max(_STEP, min([AGAIN, *(when - now for when in self._seen.values())]))
        entry, key = due[waiting[0]]
        self._seen[waiting[0]] = now + await self._compare(waiting[0], entry, key)
        return _STEP

    async def _compare(self, one: tuple[str, str, str], entry: Entry, key: PrivateKey) -> float:
        """Return the seconds until the key is looked at again."""
        found = await compare(entry.domain, entry.selector, key, self._resolver)
        tries = self._failed.pop(one, 0)
        if found.temporary and tries < _TRIES:
            self._failed[one] = tries + 1
            return AGAIN
        if not found.fits:
            name = record_name(entry.domain, entry.selector)
            text = f"the key {entry.file} and the DNS record {name} do not fit: {found.words}"
            self._warn(f"dkim.sign: {text}; vaglio dkim check {entry.domain} tells more")
            facts = {"domain": entry.domain, "selector": entry.selector, "problem": found.words}
            self._alarm(f"the DKIM key of {entry.domain}", text, facts)
        return DAY


def _id(entry: Entry, key: PrivateKey) -> tuple[str, str, str]:
    return entry.domain, entry.selector, key.public
