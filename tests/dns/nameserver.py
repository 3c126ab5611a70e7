"""A name server on loopback, UDP and TCP on one port, that behaves as badly as a test asks for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dnslib import QTYPE, RCODE, RR, DNSRecord

from vaglio.dns.resolver import NetworkResolver
from vaglio.dns.servers import Address

T = TypeVar("T")

Behaviour = Callable[[DNSRecord], Sequence[bytes]]
"""From a question to the datagrams that are sent back, one after the other."""


@dataclass
class NameServer:
    """Answers from a zone unless ``udp`` or ``tcp`` say otherwise; runs on the loop of the test."""

    zone: str = ""
    udp: Behaviour | None = None
    tcp: Behaviour | None = None
    questions: list[DNSRecord] = field(default_factory=list)
    over_tcp: list[DNSRecord] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    """The source ports of the questions that came by UDP."""
    address: Address = field(default_factory=lambda: Address("127.0.0.1", 0))
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.records = list(RR.fromZone(self.zone))

    async def start(self) -> None:
        """Listen on a port that is free for both; one that is free for TCP may be somebody's for UDP."""
        loop = asyncio.get_running_loop()
        for left in reversed(range(50)):
            self._tcp = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.address = Address("127.0.0.1", self._tcp.sockets[0].getsockname()[1])
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                sock.bind(self.address)
            except OSError:
                sock.close()
                self._tcp.close()
                if not left:
                    raise
            else:
                sock.setblocking(False)
                self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=sock)
                return

    def stop(self) -> None:
        self._udp.close()
        self._tcp.close()

    def send(self, data: bytes, peer: tuple[str, int]) -> None:
        self._udp.sendto(data, peer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = DNSRecord.parse(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
            self.over_tcp.append(question)
            for data in (self.tcp or self.answers)(question):
                writer.write(len(data).to_bytes(2) + data)
            await writer.drain()
        finally:
            writer.close()

    def datagram(self, data: bytes, peer: tuple[str, int]) -> None:
        question = DNSRecord.parse(data)
        self.questions.append(question)
        self.ports.append(peer[1])
        for reply in (self.udp or self.answers)(question):
            self._udp.sendto(reply, peer)
        self.asked.set()

    def answers(self, question: DNSRecord) -> Sequence[bytes]:
        return [self.reply(question).pack()]

    def reply(self, question: DNSRecord) -> DNSRecord:
        """What the zone says, aliases followed; the SOA of the zone where it says no."""
        reply, name = question.reply(), question.q.qname
        reply.header.ad = 0  # dnslib copies it from the question
        here = self.at(name)
        for _ in range(20):
            aliases = [record for record in here if record.rtype == QTYPE.CNAME]
            if not aliases or question.q.qtype == QTYPE.CNAME:
                break
            reply.add_answer(*aliases)
            name = aliases[0].rdata.label
            here = self.at(name)
        fitting = [record for record in here if record.rtype == question.q.qtype]
        reply.add_answer(*fitting)
        if not here:
            reply.header.rcode = RCODE.NXDOMAIN
        if not fitting:
            reply.add_auth(*(record for record in self.records if record.rtype == QTYPE.SOA))
        return reply

    def at(self, name: object) -> list[RR]:
        return [record for record in self.records if str(record.rname).lower() == str(name).lower()]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.datagram(data, addr)


def silent(_: DNSRecord) -> Sequence[bytes]:
    """Say nothing."""
    return []


def code(rcode: int) -> Behaviour:
    """Answer everything with an error."""

    def behave(question: DNSRecord) -> Sequence[bytes]:
        reply = question.reply()
        reply.header.rcode = rcode
        return [reply.pack()]

    return behave


def truncated(question: DNSRecord) -> Sequence[bytes]:
    """Answer that it does not fit."""
    reply = question.reply()
    reply.header.tc = 1
    return [reply.pack()]


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(
    test: Callable[[NetworkResolver], Awaitable[T]],
    *servers: NameServer,
    timeout: float = 5.0,
    runner: Callable[[Coroutine[Any, Any, T]], T] = asyncio.run,
    **settings: Any,
) -> T:
    """Run a test with a resolver that asks these servers."""

    async def whole() -> T:
        for server in servers:
            await server.start()
        resolver = NetworkResolver([server.address for server in servers], timeout, **settings)
        try:
            return await test(resolver)
        finally:
            resolver.close()
            for server in servers:
                server.stop()
            await asyncio.sleep(0)

    return runner(whole())


FIT_ZONE = """
org. 60 IN SOA a.org. b.org. 1 1 1 1 60
org. 60 IN DNSKEY 257 3 8 AwEAAb0bx0U=
2.0.0.127.zen.spamhaus.org. 60 IN A 127.0.0.2
2.0.0.127.zen.spamhaus.org. 60 IN A 127.0.0.10
dnssec-failed.org. 60 IN A 192.0.2.1
"""


class FitServer(NameServer):
    """A resolver as it should be: it vouches for what is signed, and refuses what is broken."""

    vouches = True
    checks = True
    instead: str = ""
    """Records that are given in place of its own."""
    everywhere: str = ""
    """An address that every name without a record has."""

    def answers(self, question: DNSRecord) -> Sequence[bytes]:
        name = str(question.q.qname)
        if self.checks and name == "dnssec-failed.org.":
            return code(RCODE.SERVFAIL)(question)
        reply = self.reply(question)
        reply.header.ad = int(self.vouches)
        found = [record for record in RR.fromZone(self.instead) if str(record.rname) == name]
        if reply.header.rcode == RCODE.NXDOMAIN and self.everywhere:
            reply.header.rcode, found = 0, RR.fromZone(f"{name} 60 IN A {self.everywhere}")
        if found:
            reply.rr = list(found)
        return [reply.pack()]
