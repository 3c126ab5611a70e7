"""Counts how often one signature comes: somebody who got a signed message can send it again to a million others, and
every copy passes (DKIM replay; RFC 6376 8.6).

A copy is told by its b= and d=, which no two messages share. Mailing lists that hand one signed message to each
subscriber by itself look the same, so nothing is counted unless the admin says so. A store that fails counts nothing:
mail goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from vaglio.checks.dkim.settings import Replay
from vaglio.checks.dkim.signature import Signature
from vaglio.checks.sweeping import Walk
from vaglio.config.types import format_duration
from vaglio.ports import Clock, Schema, Store, StoreError, Table, Transaction


class Seen(NamedTuple):
    """How many times messages came with a signature since a time (Unix seconds), and until when they count."""

    times: int = 0
    since: int = 0
    until: int = 0


SEEN = Table("seen", Seen)
SCHEMA = Schema("dkim", (SEEN,))


class Replays:
    """The counts. ``warn`` is told of a store that fails."""

    def __init__(self, settings: Replay, store: Store, clock: Clock, warn: Callable[[str], None]) -> None:
        self._settings, self._store, self._clock, self._warn = settings, store, clock, warn
        self._exempt = frozenset(settings.exempt_domains)
        self._walk = Walk(store, SCHEMA.tables, lambda seen, now: seen.until <= now)

    @property
    def window(self) -> str:
        """The window, in words."""
        return format_duration(self._settings.window)

    async def beyond(self, signature: Signature) -> int:
        """Count a message with this signature; return which one it is within the window where these are more than may
        be, else 0.
        """
        if signature.domain in self._exempt:
            return 0
        key = blake2b(signature.value + signature.domain.encode(), digest_size=16).digest()
        now, window = int(self._clock.now()), self._settings.window

        def step(tx: Transaction) -> int:
            seen = tx.get(SEEN, key)
            if seen is None or not seen.since <= now < seen.until:
                seen = Seen(0, now, now + window)
            seen = seen._replace(times=seen.times + 1)
            tx.put(SEEN, key, seen)
            return seen.times

        try:
            count = await self._store.transact(step)
            self._store.settle()
        except StoreError as error:
            self._warn(f"dkim.verify.replay: nothing is counted: {error}")
            return 0
        return count if count > self._settings.limit else 0

    async def upkeep(self) -> float:
        """Forget the next few that no longer count; return the seconds until the next step. Raises StoreError."""
        return (await self._walk.step(int(self._clock.now()))).rest
