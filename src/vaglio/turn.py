"""A turn: all that comes in while the event loop still finds more, and what is done once at its end. Knows no protocol.

What is done once for many requests (a commit, a wake-up) costs each the less, the more there are. But clients go each
at their own pace, so that one look at the sockets finds three requests where ten are on the way. So a turn ends when
another look finds no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MOST = 32
"""Requests with which a turn ends in any case; the last look may bring more."""


class Turn:
    """The turns of an event loop, one after the other."""

    def __init__(self) -> None:
        self._ends: list[Callable[[], None]] = []
        self._answered = 0

    def answered(self) -> None:
        """Take note of a request that has its answer, which waits for the end."""
        self._answered += 1

    def at_end(self, end: Callable[[], None]) -> None:
        """Call this once at the end of the turn, after those that were given before."""
        if not self._ends:
            asyncio.get_running_loop().call_soon(self._look, 0)
        self._ends.append(end)

    def _look(self, before: int) -> None:
        """End the turn unless requests were answered since the last look."""
        loop = asyncio.get_running_loop()
        if before < self._answered < MOST:
            loop.call_soon(self._look, self._answered)
            return
        ends, self._ends = self._ends, []
        self._answered = 0
        for end in ends:
            loop.call_soon(end)  # each by itself: one that fails keeps no other from being called
