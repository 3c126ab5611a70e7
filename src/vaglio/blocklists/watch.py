"""Keeps watch over lists: shares with the other workers what is known of them, probes them, tells the admin.

Which lists are asked, and what about, is for whoever holds them (``Panel``); it leaves out what ``Health`` suspends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from vaglio.blocklists.answers import AnyList
from vaglio.blocklists.health import Health, News
from vaglio.blocklists.probe import probe
from vaglio.ports import Clock, FreshResolver, Store, StoreError

PROBE_EVERY = 3600
"""Seconds between two probes of a list in order."""


class Asking(Protocol):
    """Whoever asks the lists; ``names`` are those that are asked at the moment."""

    @property
    def names(self) -> frozenset[str]:
        """The lists that are asked at the moment."""

    def refresh(self) -> None:
        """Leave out what is suspended, take back what is not any more."""


class Watch:
    """The watch of one worker. ``told`` hears of lists that are suspended or back; ``suspend_for`` in seconds."""

    def __init__(
        self,
        lists: Sequence[AnyList],
        health: Health,
        asking: Asking,
        suspend_for: int,
        store: Store,
        resolver: FreshResolver,
        clock: Clock,
        told: Callable[[News], None],
    ) -> None:
        self._lists, self._health, self._asking, self._suspend_for = lists, health, asking, suspend_for
        self._store, self._resolver, self._clock, self._told = store, resolver, clock, told

    async def begin(self) -> None:
        """Take in what is known of the lists; to be called before the first question."""
        await self._tell(self._health.begin)

    async def share(self) -> None:
        """Share what is known of the lists with the other workers. Raises StoreError."""
        await self._tell(self._health.share)

    async def probe(self) -> None:
        """Probe the lists whose time has come, also when the store fails; raises StoreError then."""
        now = int(self._clock.now())
        with suppress(StoreError):  # lists are probed all the same, and then it is raised
            await self.share()
        due = self._health.due(now, PROBE_EVERY, self._suspend_for)
        if due:
            findings = await asyncio.gather(*(probe(one, self._resolver) for one in due))
            for one, finding in zip(due, findings, strict=True):
                self._health.probed(one.name, finding.trouble, finding.detail, now)
            await self.share()

    async def _tell(self, share: Callable[[Store, int], Awaitable[list[News]]]) -> None:
        """Share, tell what is news, and ask those lists alone that are in order; also when the store fails."""
        before = self._asking.names
        try:
            for news in await share(self._store, int(self._clock.now())):
                self._told(news)
        finally:
            self._asking.refresh()
            for one in self._lists:
                if one.name in self._asking.names - before:  # what it said before it was in trouble, or while it was
                    self._resolver.forget(one.suffix)
