"""A small, fast name server for the benchmarks: all servers ask it, so it must not be what they wait for.

It reads no more of a message than its question, and answers from bytes made before. Eight zones, bl1.test to bl8.test,
have the entry that RFC 5782 5 wants and list 203.0.113.0/24; all else there is NXDOMAIN, for an hour. About names below
silent.test it says nothing. sender.example, and out.sender.example which is the HELO name of its mail host, let
192.0.2.0/24 and 203.0.113.0/24 send (SPF). More TXT records it can be told, as JSON (keys of DKIM); they come whole
over UDP, whatever their size. One blocking socket; it says when it is ready.

    python -m bench.nameserver 127.0.0.77 53 '{"name.example": "text"}'
"""

from __future__ import annotations

import json
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from bench.servers import BenchError

ZONES = tuple(f"bl{number}.test" for number in range(1, 9))
SILENT = "silent.test"
LISTED = "203.0.113.7"
"""One of the clients that all lists have."""
TTL = 3600

_A, _SOA, _TXT, _OPT, _IN = 1, 6, 16, 41, 1
_BUFFER = 4 << 20  # bytes of questions that may wait


def wire(name: str) -> bytes:
    """Return a name as it stands in a message."""
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".")) + b"\0"


def _record(owner: bytes, rrtype: int, data: bytes) -> bytes:
    return owner + struct.pack("!HHIH", rrtype, _IN, TTL, len(data)) + data


_QUESTION = b"\xc0\x0c"  # a pointer to the name that was asked for
_TIMES = struct.pack("!5I", 1, 3600, 900, 86400, TTL)
_NO = _record(wire("test"), _SOA, wire("ns.test") + wire("admin.test") + _TIMES)
_YES = {
    _A: _record(_QUESTION, _A, bytes((127, 0, 0, 2))),
    _TXT: _record(_QUESTION, _TXT, b"\x10listed as a test"),
}
_EDNS = b"\0" + struct.pack("!HHIH", _OPT, 1232, 0, 0)
_ENTRIES = tuple(wire(f"{reverse}.{zone}") for zone in ZONES for reverse in ("2.0.0.127", "113.0.203"))
_QUIET = wire(SILENT)
_SPF = b"v=spf1 ip4:192.0.2.0/24 ip4:203.0.113.0/24 -all"
_SENDERS = ("sender.example", "out.sender.example")

Texts = Mapping[bytes, Mapping[int, bytes]]


def texts(more: Mapping[str, str]) -> Texts:
    """Return the TXT records, by name as in a message: those of the senders, and ``more``."""
    known = {**dict.fromkeys(_SENDERS, _SPF), **{name: text.encode() for name, text in more.items()}}
    return {wire(name): {_TXT: _record(_QUESTION, _TXT, _strings(text))} for name, text in known.items()}


def _strings(text: bytes) -> bytes:
    pieces = (text[start : start + 255] for start in range(0, len(text), 255))
    return b"".join(bytes((len(piece),)) + piece for piece in pieces)


def answer(message: bytes, records: Texts) -> bytes:
    """Return the answer to a question; empty where none is given."""
    end = message.find(b"\0", 12) + 1
    name, rrtype = message[12:end], int.from_bytes(message[end : end + 2])
    if not end or len(message) < end + 4 or name.endswith(_QUIET):
        return b""
    known = _YES if name.endswith(_ENTRIES) else records.get(name)
    found = known.get(rrtype, b"") if known else b""
    edns = _EDNS if message[11] else b""
    head = struct.pack("!HHHHH", 0x8180 if known else 0x8183, 1, bool(found), not found, bool(edns))
    return b"".join((message[:2], head, message[12 : end + 4], found or _NO, edns))


def serve(address: tuple[str, int], records: Texts, ready: Callable[[], None]) -> None:
    """Answer until somebody ends the process. Raises OSError where the address can't be had."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind(address)
        ready()
        while True:
            message, sender = sock.recvfrom(512)
            if said := answer(message, records):
                sock.sendto(said, sender)


class NameServer:
    """It, running on ``cores``; at port 53 of an address of its own, since policyd-weight knows no other port. ``more``
    are TXT records that it has besides its own.
    """

    def __init__(self, cores: Sequence[int], more: Mapping[str, str] | None = None) -> None:
        self.address = _free_address()
        self._more = json.dumps(more or {})
        self._cores = ",".join(map(str, cores))

    def __enter__(self) -> Self:
        program = [sys.executable, "-m", "bench.nameserver", self.address, "53", self._more]
        command = ["taskset", "-c", self._cores, *program]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self.__exit__(None, None, None)
            raise BenchError("the name server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid


def _free_address() -> str:
    for _ in range(20):
        address = f"127.{random.randrange(64, 128)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 53))
            return address
    raise BenchError("port 53 can't be had on any loopback address: this takes root")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        serve((sys.argv[1], int(sys.argv[2])), texts(json.loads(sys.argv[3])), lambda: print("ready", flush=True))
