"""The system clock."""

from __future__ import annotations

import asyncio

from vaglio.daemon.clock import SystemClock, monotonic


def test_a_sleep_ends_when_the_clock_is_stopped() -> None:
    async def scenario() -> float:
        clock = SystemClock()
        began = monotonic()
        sleeper = asyncio.ensure_future(clock.sleep(60))
        await asyncio.sleep(0)
        clock.stop()
        await sleeper
        return monotonic() - began

    assert asyncio.run(scenario()) < 5


def test_a_sleep_after_the_stop_returns_at_once() -> None:
    async def scenario() -> float:
        clock = SystemClock()
        clock.stop()
        began = monotonic()
        await clock.sleep(60)
        return monotonic() - began

    assert asyncio.run(scenario()) < 5


def test_a_sleep_lasts_as_long_as_asked() -> None:
    async def scenario() -> float:
        began = monotonic()
        await SystemClock().sleep(0.02)
        return monotonic() - began

    assert asyncio.run(scenario()) >= 0.02


def test_now_is_unix_time_in_seconds() -> None:
    assert 1_700_000_000 < SystemClock().now() < 5_000_000_000
