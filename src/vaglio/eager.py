"""Start a coroutine at once and make a task of it only if it has to wait.

Most answers need no waiting (the store is a file on this machine), and a task for each costs a quarter of the
server's speed. So ``start`` runs the coroutine up to its first suspension on the spot; ``Rest`` is what is left.

The first step runs outside of any task: ``asyncio.timeout`` and ``asyncio.current_task`` are not to be had
before the coroutine has suspended once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Rest(Generic[T]):
    """The unfinished part of a coroutine; to be awaited once, in a task on the loop it was started on."""

    __slots__ = ("_coroutine", "_pending")

    def __init__(self, coroutine: Coroutine[Any, Any, T], pending: Any) -> None:
        self._coroutine = coroutine
        self._pending = pending

    def __await__(self) -> Generator[Any, Any, T]:
        pending = self._pending
        try:
            while True:
                try:
                    value = yield pending
                except GeneratorExit:
                    self._coroutine.close()
                    raise
                except BaseException as error:  # noqa: BLE001  # passed on to whom it is for, not handled
                    pending = self._coroutine.throw(error)
                else:
                    pending = self._coroutine.send(value)
        except StopIteration as done:
            result: T = done.value
            return result


def start(coroutine: Coroutine[Any, Any, T]) -> T | Rest[T]:
    """Run ``coroutine`` to its first suspension; return its result, or the rest if it has to wait."""
    try:
        pending = coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    return Rest(coroutine, pending)


async def together(*works: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines side by side; return their results in order. Those that need not wait make no tasks."""
    begun = [start(work) for work in works]
    rests = [one for one in begun if isinstance(one, Rest)]
    late = iter(await asyncio.gather(*map(rest, rests)) if rests else ())
    return [next(late) if isinstance(one, Rest) else one for one in begun]


async def rest(rest: Rest[T]) -> T:
    """Return what the rest of a coroutine returns: tasks are made of coroutines only."""
    return await rest
