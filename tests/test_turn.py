"""A turn takes in what comes while more is found, and has one end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from vaglio.turn import MOST, Turn

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
Loop = Callable[[], asyncio.AbstractEventLoop]


def run(loop: Loop, scenario: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(scenario, 10))


class Coming:
    """So many requests, each of which is found at a look of its own, and how many had come at each end."""

    def __init__(self, requests: int) -> None:
        self.turn, self.left = Turn(), requests
        self.came = 0
        self.ends: list[int] = []
        self.all_came = asyncio.Event()

    def one(self) -> None:
        self.turn.answered()
        if not self.came or (self.ends and self.ends[-1] == self.came):
            self.turn.at_end(lambda: self.ends.append(self.came))
        self.came += 1
        if self.came < self.left:
            asyncio.get_running_loop().call_soon(self.one)
        else:
            self.turn.at_end(self.all_came.set)


@LOOPS
def test_what_comes_look_by_look_is_of_one_turn(loop: Loop) -> None:
    async def scenario() -> None:
        coming = Coming(MOST // 2)
        coming.one()
        await coming.all_came.wait()
        assert coming.ends == [MOST // 2]

    run(loop, scenario())


@LOOPS
def test_a_turn_ends_when_it_has_had_enough_though_more_comes(loop: Loop) -> None:
    async def scenario() -> None:
        coming = Coming(5 * MOST)
        coming.one()
        await coming.all_came.wait()
        sizes = [end - before for before, end in zip([0, *coming.ends], coming.ends, strict=False)]
        assert sum(sizes) == 5 * MOST
        assert all(MOST <= size <= MOST + 2 for size in sizes[:-1])

    run(loop, scenario())


@LOOPS
def test_a_request_that_comes_alone_is_not_waited_with(loop: Loop) -> None:
    async def scenario() -> None:
        turn, ended = Turn(), asyncio.Event()
        turn.at_end(ended.set)
        turn.answered()
        for _ in range(4):
            await asyncio.sleep(0)
        assert ended.is_set()

    run(loop, scenario())


@LOOPS
def test_an_end_that_fails_is_told_and_keeps_no_other_from_being_called(loop: Loop) -> None:
    async def scenario() -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context["exception"])))
        turn, ended = Turn(), asyncio.Event()
        turn.at_end(lambda: list[str]().remove("nothing"))
        turn.at_end(ended.set)
        await ended.wait()
        assert told == ["list.remove(x): x not in list"]

    run(loop, scenario())


def test_ends_come_in_the_order_in_which_they_were_given_and_what_they_give_is_of_the_next_turn() -> None:
    async def scenario() -> None:
        turn, said, done = Turn(), list[str](), asyncio.Event()

        def first() -> None:
            said.append("first")
            turn.at_end(lambda: said.append("next turn"))
            turn.at_end(done.set)

        turn.at_end(first)
        turn.at_end(lambda: said.append("second"))
        await done.wait()
        assert said == ["first", "second", "next turn"]

    run(asyncio.new_event_loop, scenario())
