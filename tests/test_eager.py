"""Coroutines run side by side: no tasks but for those that wait, results in order, and all given up together."""

from __future__ import annotations

import asyncio

import pytest

from vaglio.eager import together


async def at_once(value: int) -> int:
    return value


async def later(value: int, seconds: float = 0) -> int:
    await asyncio.sleep(seconds)
    return value


def test_what_need_not_wait_needs_no_loop() -> None:
    work = together(at_once(1), at_once(2))
    with pytest.raises(StopIteration) as done:
        work.send(None)
    assert done.value.value == [1, 2]


def test_results_come_in_order_whoever_waits() -> None:
    async def play() -> list[int]:
        return await together(later(1, 0.001), at_once(2), later(3))

    assert asyncio.run(play()) == [1, 2, 3]


def test_who_gives_up_gives_up_all() -> None:
    async def play() -> int:
        task = asyncio.create_task(together(later(1, 60), later(2, 60)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return len(asyncio.all_tasks())

    assert asyncio.run(play()) == 1
