"""Changes are settled at the end of the turn that made them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import NamedTuple

import pytest
import uvloop

from vaglio.daemon.turns import TurnStore
from vaglio.eager import start
from vaglio.facts import Facts
from vaglio.policy.serve import MAX_AT_ONCE, Server
from vaglio.ports import Schema, StoreError, T, Table, Transaction
from vaglio.store.memory import MemoryStore
from vaglio.turn import Turn
from vaglio.verdict import Action, Verdict


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
                store.settle_turn()
            except StoreError as error:
                heard.append(error)

        await store.transact(write)
        turn.at_end(answer)  # as the server does, after the check
        await ended(turn)
        assert [str(error) for error in heard] == ["the disk is full"]
        store.settle_turn()
        await ended(turn)

    asyncio.run(scenario())


def test_a_failure_that_concerns_no_answer_is_a_warning_and_no_later_answers_trouble() -> None:
    warned: list[str] = []

    async def scenario() -> None:
        turn = Turn()
        store = TurnStore(Counting(fails=True), turn, warned.append)
        await store.transact(write)
        await ended(turn)
        await ended(turn)
        store.settle_turn()
        store.close()

    asyncio.run(scenario())
    assert warned == ["store: the disk is full"]


def test_the_answers_of_the_turn_hear_of_a_failure_in_its_midst_as_well() -> None:
    """One that settles before it waits loses what all the others rest on."""

    async def scenario() -> None:
        turn = Turn()
        store = TurnStore(Counting(fails=True), turn, pytest.fail)
        await store.transact(write)
        with pytest.raises(StoreError):
            store.settle()
        with pytest.raises(StoreError):
            store.settle_turn()
        store.settle_turn()
        await ended(turn)
        await ended(turn)

    asyncio.run(scenario())


class Lossy(Counting):
    """A store whose second commit of changes fails."""

    def __init__(self) -> None:
        super().__init__()
        self._changes = self.commits = 0

    async def transact(self, step: Callable[[Transaction], T]) -> T:
        self._changes += 1
        return await super().transact(step)

    def settle(self) -> None:
        if self._changes:
            self._changes = 0
            self.commits += 1
            if self.commits == 2:
                raise StoreError("the disk is full")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_no_answer_goes_out_whose_changes_were_lost_between_two_turns(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """The first answer of a turn rests on nothing, so that the server's end comes before the store's: what it judges
    then, for the next turn, is settled by the store's end of this one.
    """

    async def scenario() -> list[str]:
        inner, turn, reasons, asked = Lossy(), Turn(), list[str](), iter(range(10**6))
        store = TurnStore(inner, turn, pytest.fail)

        async def answer(_: Facts) -> Verdict:
            if next(asked):
                await store.transact(write)
            return Verdict(Action.PASS, "test", "kept")

        def record(_facts: Facts, verdict: Verdict, _seconds: float) -> None:
            reasons.append(verdict.reason)

        server = Server(
            turn, store.settle_turn, lambda facts, error: Verdict(Action.PASS, "test", "lost"), record, lambda: 0.0,
            pytest.fail,
        )  # fmt: skip
        server.answer = lambda facts: start(answer(facts))
        ours, theirs = socket.socketpair()
        with theirs:
            await asyncio.get_running_loop().create_connection(server, sock=ours)
            theirs.sendall(b"request=smtpd_access_policy\nprotocol_state=RCPT\n\n" * (MAX_AT_ONCE + 1))
            async with asyncio.timeout(10):
                while len(reasons) <= MAX_AT_ONCE:
                    await asyncio.sleep(0)
        await server.drain()
        assert inner.commits == 2
        return reasons

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(scenario()) == ["kept"] * MAX_AT_ONCE + ["lost"]
