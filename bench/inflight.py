"""Many messages under way at once, as from slow senders: all of them sent whole but for their end."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from pathlib import Path

from bench.mailserver import FINAL, GOODBYE, OFFER, flights
from bench.servers import BenchError
from vaglio.milter import wire
from vaglio.milter.wire import Answer, Command, Packets

PATIENCE = 30.0
"""Seconds that an answer may take."""

_END = wire.packet(Command.END_OF_MESSAGE)


class _Slow:
    """One connection, with its message sent as far as nothing but its last flight is left."""

    def __init__(self, path: Path, message: bytes, stack: ExitStack) -> None:
        self.sock = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(path))
        self._packets = Packets()
        self.sock.sendall(OFFER)
        negotiated = wire.read_options(self._answer({Answer.OPTIONS}))
        *before, self.last = flights(message, negotiated)
        for flight in before:
            self.sock.sendall(flight)
            self._answer({Answer.CONTINUE})

    def end(self) -> None:
        """Send the end of the message, and wait until the milter has done with it."""
        self.sock.sendall(_END)
        self._answer(FINAL)
        self.sock.sendall(GOODBYE)

    def _answer(self, wanted: set[Answer] | frozenset[int]) -> bytes:
        """Return the data of the next answer that is wanted; what comes before is passed over."""
        while data := self.sock.recv(65536):
            for command, rest in self._packets.feed(data):
                if command in wanted:
                    return rest
        raise BenchError("the milter hung up on a slow sender")


@contextmanager
def in_flight(path: Path, message: bytes, count: int) -> Iterator[None]:
    """Have so many messages under way in the block, packet by packet in turns; after it they come to their end."""
    with ExitStack() as stack:
        senders = [_Slow(path, message, stack) for _ in range(count)]
        _send_in_turns(senders)
        yield
        for sender in senders:
            sender.end()


def _send_in_turns(senders: Sequence[_Slow]) -> None:
    """Send a packet of each in turns, all but the last one: mail servers write packets whole, and one in pieces would
    hold a thread of libmilter's, of which there are few.
    """
    for packets in zip_longest(*(_packets(sender.last)[:-1] for sender in senders), fillvalue=b""):
        for sender, packet in zip(senders, packets, strict=True):
            sender.sock.sendall(packet)


def _packets(flight: bytes) -> list[bytes]:
    found, position = [], 0
    while position < len(flight):
        after = position + 4 + int.from_bytes(flight[position : position + 4])
        found.append(flight[position:after])
        position = after
    return found
