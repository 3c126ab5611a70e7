"""Carries questions to one name server and its answers back: UDP, and TCP where an answer does not fit.

Against answers that somebody else makes up (RFC 5452) a question has a random id and leaves from one of a few random
ports, which the system picks when a socket is connected; only what comes from the server's own address reaches that
socket. A port serves many questions, one after another and at once: who wants to be taken for the server must still
guess port and id of this question, for the port tells nothing before it was found, and it is given up after a bounded
number of questions or half a minute, before a search among 28,000 ports pays. There is never more than one question
for the same name and type on its way, so that guesses do not add up (RFC 5452 5). Answers that do not fit are dropped
and counted, and the wait goes on.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from vaglio.dns.servers import Address
from vaglio.dns.wire import MAX_MESSAGE, belongs, query

PORTS = 8
"""Per server: so many that the buffer of a socket (some 90 answers) is not the bound."""
PORT_QUESTIONS = 128
PORT_SECONDS = 30.0


@dataclass(slots=True)
class Counts:
    """What happened, since the start."""

    sent: int = 0
    tcp: int = 0
    dropped: int = 0
    """Answers that came too late, or fitted no question: many of them are an attack, or a broken name server."""
    silent: int = 0
    """How often a server was found to be silent."""


class Reply(NamedTuple):
    """What came back; no ``message`` where the network says that the server can't be reached."""

    server: Server
    message: bytes


class Question:
    """One question on its way, over as many ports as it takes."""

    __slots__ = ("_places", "_replies", "_waiter", "asked")

    def __init__(self, asked: bytes) -> None:
        self.asked = asked
        self._places: list[tuple[_Port, int]] = []
        self._replies: list[Reply] = []
        self._waiter: asyncio.Future[None] | None = None

    def is_at(self, port: _Port, number: int) -> None:
        """Note where an answer may come in."""
        self._places.append((port, number))

    def deliver(self, reply: Reply) -> None:
        """Take what came back."""
        self._replies.append(reply)
        if self._waiter is not None:
            _wake(self._waiter)

    async def reply(self, until: float) -> Reply | None:
        """Return what comes next, None if nothing does until then (the loop's time)."""
        if not self._replies:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_at(until, _wake, self._waiter)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        return self._replies.pop(0) if self._replies else None

    def close(self) -> None:
        """Give up the places: what comes in later is dropped."""
        for port, number in self._places:
            port.forget(number, self)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class _Port(asyncio.DatagramProtocol):
    """One socket, connected to the server, and the questions that left from it."""

    def __init__(self, server: Server, expires: float) -> None:
        self._server = server
        self._expires = expires
        self._left = PORT_QUESTIONS
        self._pending: dict[int, Question] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._closing = False

    def is_fresh(self, now: float) -> bool:
        return self._left > 0 and now < self._expires and self._transport is not None

    def send(self, question: Question) -> None:
        if self._transport is None:
            raise ConnectionResetError("the socket was lost as soon as it was opened")
        number = secrets.randbits(16)
        while number in self._pending:
            number = secrets.randbits(16)
        self._left -= 1
        self._pending[number] = question
        question.is_at(self, number)
        self._transport.sendto(query(number, question.asked))

    def forget(self, number: int, question: Question) -> None:
        if self._pending.get(number) is question:  # else it was answered, and the id is another's by now
            del self._pending[number]
        self._close_if_idle()

    def retire(self) -> None:
        """Close the socket as soon as nothing is awaited from it any more."""
        self._closing = True
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._closing and not self._pending and self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  # the socket is connected
        number = int.from_bytes(data[:2])
        question = self._pending.get(number)
        if question is None or not belongs(data, question.asked):
            self._server.counts.dropped += 1
            return
        del self._pending[number]
        self._server.heard()
        question.deliver(Reply(self._server, data))

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002  # whatever it is, the server is not there
        pending, self._pending = self._pending, {}
        for question in pending.values():
            question.deliver(Reply(self._server, b""))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.error_received(exc or ConnectionResetError())


class Server:
    """A name server: its ports, and whether it speaks."""

    def __init__(self, address: Address, counts: Counts, now: Callable[[], float]) -> None:
        self.address = address
        self.counts = counts
        self.avoided_until = 0.0
        """It was silent: until then it is asked last."""
        self.last_heard = -math.inf
        self._now = now
        self._ports: list[_Port] = []
        self._opening = asyncio.Lock()

    def heard(self) -> None:
        """Note that it speaks."""
        self.last_heard = self._now()

    async def send(self, question: Question) -> None:
        """Send the question from a port picked at random. Raises OSError."""
        port = await self._port()
        self.counts.sent += 1
        port.send(question)

    async def ask_over_tcp(self, asked: bytes) -> bytes:
        """Return the answer (RFC 7766); b"" for one that does not fit or is too long. Raises OSError and EOFError."""
        self.counts.tcp += 1
        reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
        try:
            number = secrets.randbits(16)
            message = query(number, asked)
            writer.write(len(message).to_bytes(2) + message)
            length = int.from_bytes(await reader.readexactly(2))
            answer = await reader.readexactly(length) if length <= MAX_MESSAGE else b""
        finally:
            writer.transport.abort()
        self.heard()
        if int.from_bytes(answer[:2]) != number or not belongs(answer, asked):
            self.counts.dropped += 1
            return b""
        return answer

    def close(self) -> None:
        """Close all ports."""
        ports, self._ports = self._ports, []
        for port in ports:
            port.retire()

    async def _port(self) -> _Port:
        if len(self._ports) >= PORTS:
            port = secrets.choice(self._ports)
            if port.is_fresh(self._now()):  # the usual one: to look at all of them costs more than the rest
                return port
        if len(self._fresh()) < PORTS:
            async with self._opening:
                if len(self._fresh()) < PORTS:
                    port = await self._open()
                    self._ports.append(port)
                    return port
        return secrets.choice(self._ports)

    def _fresh(self) -> list[_Port]:
        """Return the ports that may still be used, and let go of the others."""
        now = self._now()
        for port in list(self._ports):
            if not port.is_fresh(now):
                self._ports.remove(port)
                port.retire()
        return self._ports

    async def _open(self) -> _Port:
        loop = asyncio.get_running_loop()
        _, port = await loop.create_datagram_endpoint(
            lambda: _Port(self, self._now() + PORT_SECONDS), remote_addr=(self.address.host, self.address.port)
        )
        return port
