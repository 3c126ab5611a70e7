"""Changes are settled at the end of the turn of the event loop that made them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest

from vaglio.daemon.turns import TurnStore
from vaglio.ports import Schema, StoreError, Table, Transaction
from vaglio.store.memory import MemoryStore
from vaglio.turn import Turn


class Row(NamedTuple):
    number: int = 0


ROWS = Table("rows", Row)


class Counting(MemoryStore):
    """A store in memory that counts how often it was settled, or says that it can't be."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__(Schema("test", (ROWS,)))
        self.settled = 0
        self.fails = fails

    def settle(self) -> None:
        self.settled += 1
        if self.fails:
            self.fails = False
            raise StoreError("the disk is full")


async def ended(turn: Turn) -> None:
    end = asyncio.Event()
    turn.at_end(end.set)
    await end.wait()


def write(tx: Transaction) -> None:
    tx.put(ROWS, b"0" * 16, Row(1))


def test_what_a_turn_changed_is_settled_once_at_its_end_with_nobody_asking() -> None:
    async def scenario() -> int:
        inner, turn = Counting(), Turn()
        store = TurnStore(inner, turn, pytest.fail)
        await store.transact(write)
        await store.transact(write)
        assert inner.settled == 0
        await ended(turn)
        assert await store.count(ROWS) == 1
        assert len(await store.scan(ROWS, b"", 10)) == 1
        return inner.settled

    assert asyncio.run(scenario()) == 1


def test_the_answers_of_the_turn_hear_of_a_failure() -> None:
    async def scenario() -> None:
        turn = Turn()
        store = TurnStore(Counting(fails=True), turn, pytest.fail)
        heard: list[StoreError] = []

        def answer() -> None:
            try:
                store.settle()
            except StoreError as error:
                heard.append(error)

        await store.transact(write)
        turn.at_end(answer)  # as the server does, after the check
        await ended(turn)
        assert [str(error) for error in heard] == ["the disk is full"]
        store.settle()
        await asyncio.sleep(0)

    asyncio.run(scenario())


def test_a_failure_that_concerns_no_answer_is_a_warning_and_no_later_answers_trouble() -> None:
    warned: list[str] = []

    async def scenario() -> None:
        turn = Turn()
        store = TurnStore(Counting(fails=True), turn, warned.append)
        await store.transact(write)
        await ended(turn)
        await asyncio.sleep(0)
        store.settle()
        store.close()

    asyncio.run(scenario())
    assert warned == ["store: the disk is full"]
