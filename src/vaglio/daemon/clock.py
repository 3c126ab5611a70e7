"""Time as the system tells it: the only file that imports ``time``.

What needs the time gets it passed in (``vaglio.ports.Clock``), so that a test can live through weeks at once.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

monotonic = time.monotonic
"""Seconds since some moment, never set back; systemd's clock too (CLOCK_MONOTONIC)."""

wall = time.time
"""Unix time in seconds."""

timer = time.perf_counter
"""Seconds for measuring how long something took."""


class SystemClock:
    """The clock of a running daemon (``vaglio.ports.Clock``)."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return wall()

    async def sleep(self, seconds: float) -> None:
        """Wait; returns early, or at once, when ``stop`` was called."""
        await asyncio.sleep(0)  # a check's first step may run outside of any task (vaglio.eager): no timeout there
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    def stop(self) -> None:
        """End all sleeps, those under way and those to come: the daemon is asked to stop."""
        self._stopped.set()
