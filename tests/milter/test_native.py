"""The engine of our own on a transport that is none: what can't be seen from the other end of a socket, or not soon."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.milter.fakes import Hosting, Listener
from tests.milter.mta import CLIENT, OLD, POSTFIX, Mail, events
from vaglio.daemon.sockets import Access, open_listeners
from vaglio.examination import Message, Needs
from vaglio.milter import native, wire
from vaglio.milter.native import Connection, Server
from vaglio.milter.wire import Answer, Command, Options
from vaglio.verdict import Verdict

CONTINUE = wire.packet(Answer.CONTINUE)
BEGIN = wire.with_strings(Command.MAIL, b"<a@tizio.it>") + wire.with_strings(Command.RCPT, b"<anna@caio.it>")
MAIL = b"".join(packet for command, packet in events(Mail()) if command is not Command.DATA)


class Wire(asyncio.Transport):
    """A transport that notes what becomes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self._reading, self._closing, self._aborted = True, False, False

    def is_reading(self) -> bool:
        return self._reading

    def is_closing(self) -> bool:
        return self._closing

    def was_aborted(self) -> bool:
        return self._aborted

    def write(self, data: Any) -> None:
        assert not self._closing
        self.written.append(bytes(data))

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        self._closing = self._aborted = True


class Bench:
    """A server with one connection, over which a client was told of."""

    def __init__(self, offer: Options = POSTFIX) -> None:
        self.now, self.warnings = 0.0, list[str]()
        self.check = Listener()
        self.server = Server(lambda: self.now, self.warnings.append)
        self.server.host = Hosting(self.check).host
        self.go = asyncio.Event()
        self.wire, self.connection = self.connect(offer)

    def connect(self, offer: Options = POSTFIX) -> tuple[Wire, Connection]:
        transport, connection = Wire(), self.server()
        connection.connection_made(transport)
        connection.data_received(wire.options(offer))
        connection.data_received(wire.connect(CLIENT) + wire.with_strings(Command.HELO, b"h"))
        transport.written.clear()
        return transport, connection

    def slow(self) -> None:
        """Have the check wait for ``go``."""

        async def judge(message: Message) -> Verdict:
            await self.go.wait()
            return self.check.given

        self.check.judge = judge  # type: ignore[method-assign]

    async def settled(self) -> None:
        """Give everything that can go on now the time to."""
        for _ in range(10):
            await asyncio.sleep(0)


def run(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(play())


def test_all_answers_to_what_came_at_once_are_written_at_once() -> None:
    async def play() -> None:
        bench = Bench(OLD)
        bench.connection.data_received(MAIL)
        assert bench.wire.written == [CONTINUE * 7]

    run(play)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=12), st.lists(st.integers(0, len(MAIL) + 12), max_size=8))
def test_a_conversation_may_be_cut_anywhere(garbage: bytes, cuts: list[int]) -> None:
    stream = MAIL + garbage

    def said(places: Sequence[int]) -> tuple[bytes, bool, list[str]]:
        bench = Bench(OLD)
        for start, end in itertools.pairwise((0, *places, len(stream))):
            if start < end and not bench.wire.is_closing():
                bench.connection.data_received(stream[start:end])
        return b"".join(bench.wire.written), bench.wire.was_aborted(), bench.warnings

    async def play() -> None:
        whole, aborted, warnings = said(())
        for places in (sorted(min(cut, len(stream)) for cut in cuts), range(1, len(stream))):
            answers, *more = said(places)
            assert more == [aborted, warnings]
            assert answers.startswith(whole)  # what was garbled came later, and the answers before it were out

    run(play)


def test_a_forgery_is_found_among_fields_that_are_passed_over() -> None:
    async def play() -> None:
        bench = Bench()
        bench.server.host = Hosting(Listener(needs=Needs.NOTHING)).host
        names = (b"Subject", b"ARC-Seal", b"authentication-Results", b"X-Authentication-Results")
        for name in names:
            bench.wire, bench.connection = bench.connect()
            field = wire.with_strings(Command.HEADER, name, b" mx.caio.it; spf=pass")
            bench.connection.data_received(BEGIN + field + wire.packet(Command.END_OF_MESSAGE))
            [answer] = bench.wire.written
            assert (answer[4] == Answer.CHANGE_HEADER) == (name == b"authentication-Results")
        bench.wire, bench.connection = bench.connect()
        bench.connection.data_received(wire.with_strings(Command.HEADER, b"Subject", b" hello"))
        assert bench.wire.was_aborted()  # there was no MAIL

    run(play)


def test_while_an_answer_is_awaited_nothing_is_read_and_what_was_read_waits_its_turn() -> None:
    async def play() -> None:
        bench = Bench()
        bench.slow()
        bench.connection.data_received(MAIL + MAIL)
        bench.connection.data_received(MAIL)
        await bench.settled()
        answered = len(bench.wire.written)
        assert not bench.wire.is_reading()
        assert len(bench.check.heard) == 1
        bench.go.set()
        await bench.settled()
        assert bench.wire.is_reading()
        assert len(bench.check.heard) == 3
        assert b"".join(bench.wire.written[answered:]) == CONTINUE * 5, "two recipients and three messages"

    run(play)


def test_garbage_behind_an_awaited_answer_is_complained_about_after_it() -> None:
    async def play() -> None:
        for first, second in ((MAIL + b"\0\0\0\0L", b""), (MAIL, b"\0\0\0\0L")):
            bench = Bench()
            bench.slow()
            bench.connection.data_received(first)
            if second:
                bench.connection.data_received(second)
                assert not bench.wire.was_aborted()
            bench.go.set()
            await bench.settled()
            assert bench.wire.was_aborted()
            assert bench.warnings == ["closing a milter connection: a packet of 0 bytes"]

    run(play)


def test_who_goes_away_while_its_message_is_judged_ends_the_judgement() -> None:
    async def play() -> None:
        bench = Bench()
        bench.slow()
        bench.connection.data_received(MAIL)
        await bench.settled()
        bench.connection.connection_lost(None)
        await bench.settled()
        assert bench.check.last.calls[-2:] == ["verdict", "close"]
        assert bench.server.connections == 0
        await bench.server.drain()

    run(play)


def test_who_takes_no_answers_is_not_read_until_it_does() -> None:
    async def play() -> None:
        bench = Bench()
        bench.slow()
        bench.connection.pause_writing()
        assert not bench.wire.is_reading()
        bench.connection.data_received(MAIL)
        bench.connection.resume_writing()
        assert not bench.wire.is_reading(), "an answer is awaited, too"
        bench.connection.pause_writing()
        bench.go.set()
        await bench.settled()
        assert not bench.wire.is_reading()
        bench.connection.resume_writing()
        assert bench.wire.is_reading()

    run(play)


def test_a_silent_connection_is_closed_after_hours_and_one_that_speaks_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "SWEEP", 0.001)

    async def play() -> None:
        bench = Bench()
        other, speaking = bench.connect()
        bench.now = native.SILENT + 1
        speaking.data_received(wire.packet(Command.ABORT))
        while not bench.warnings:
            await asyncio.sleep(0.001)
        assert bench.wire.was_aborted()
        assert not other.was_aborted()
        assert "nothing was said for 7210 s" in bench.warnings[0]
        for connection in (bench.connection, speaking):
            connection.connection_lost(None)

    run(play)


def test_a_drain_waits_for_messages_and_closes_the_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "LINGER", 0.001)

    async def play() -> None:
        bench = Bench()
        idle, lazy = bench.connect()
        _, begun = bench.connect()
        bench.slow()
        begun.data_received(MAIL[: len(MAIL) // 2])
        bench.connection.data_received(MAIL)
        drain = asyncio.create_task(bench.server.drain())
        while not idle.is_closing():
            await asyncio.sleep(0.001)
        assert not bench.wire.is_closing()
        lazy.connection_lost(None)
        begun.data_received(wire.packet(Command.ABORT))
        begun.connection_lost(None)
        assert not drain.done()
        bench.go.set()
        await bench.settled()
        assert bench.wire.written[-1] == CONTINUE
        assert bench.wire.is_closing()
        bench.connection.connection_lost(None)
        await drain

    run(play)


def test_macros_are_kept_only_of_events_that_are_looked_at_and_hold_for_one() -> None:
    async def play() -> None:
        bench = Bench()
        for command in range(256):
            bench.connection.data_received(wire.macros(command, {b"{auth_authen}": b"anna"}))
        bench.connection.data_received(MAIL + MAIL)
        assert [one.facts.session.sasl_username for one in bench.check.heard] == ["anna", ""]

    run(play)


def test_agreements_are_remembered_by_what_matters_in_an_offer() -> None:
    async def play() -> None:
        native.agreement.cache_clear()
        for number in range(5):
            bench = Bench(POSTFIX._replace(macros={number: "x" * 1000}))
            bench.connection.connection_lost(None)
        assert native.agreement.cache_info().currsize == 1

    run(play)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_answers_over_tcp_do_not_wait_for_each_others_receipt(loop: str) -> None:
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if loop == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop

    async def play() -> None:
        server = Server(lambda: 0.0, print)
        server.host = Hosting().host
        (listener,) = open_listeners(["inet:127.0.0.1:0"], Access())
        with socket.create_connection(listener.sock.getsockname()):
            taken, _ = listener.sock.accept()
            taken.setblocking(False)
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(server, taken)
            sock = cast(socket.socket, transport.get_extra_info("socket"))
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            transport.close()
            await server.drain()
        listener.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(play())
