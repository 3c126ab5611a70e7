"""The packets of the Sendmail milter protocol, version 6: to bytes and back, for both sides. Sans-IO.

A packet is a length (4 bytes, big-endian, of what follows), a command (1 byte) and its data. The protocol has no RFC:
names and numbers are those of libmilter's mfdef.h (Sendmail 8.17) and Postfix's milter8.c. What the commands mean is
for ``session`` (the filter's side) and for whoever plays the mail server.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum, IntFlag
from typing import NamedTuple

VERSION = 6

MAX_PACKET = 1024 * 1024 + 64
"""Bytes of a packet. A mail server sends bodies in pieces of 65,535 bytes and headers of 102,400 at most, unless its
admin raised Postfix's header_size_limit."""


class Command(IntEnum):
    """What the mail server says (SMFIC)."""

    ABORT = ord("A")
    BODY = ord("B")
    CONNECT = ord("C")
    MACROS = ord("D")
    END_OF_MESSAGE = ord("E")
    HELO = ord("H")
    QUIT_NEW_CONNECTION = ord("K")
    HEADER = ord("L")
    MAIL = ord("M")
    END_OF_HEADERS = ord("N")
    OPTIONS = ord("O")
    QUIT = ord("Q")
    RCPT = ord("R")
    DATA = ord("T")
    UNKNOWN = ord("U")


class Answer(IntEnum):
    """What the filter says (SMFIR), as far as Vaglio does."""

    ACCEPT = ord("a")
    CONTINUE = ord("c")
    DISCARD = ord("d")
    INSERT_HEADER = ord("i")
    CHANGE_HEADER = ord("m")
    OPTIONS = ord("O")
    PROGRESS = ord("p")
    QUARANTINE = ord("q")
    REJECT = ord("r")
    TEMPFAIL = ord("t")
    REPLY_CODE = ord("y")


class Actions(IntFlag):
    """What the filter may do (SMFIF); the mail server offers, the filter takes."""

    ADD_HEADERS = 0x1
    CHANGE_HEADERS = 0x10
    QUARANTINE = 0x20
    SET_MACROS = 0x100


class Steps(IntFlag):
    """What is left out: events (SMFIP_NO...) and answers (SMFIP_NR_...); and how header values look."""

    NO_CONNECT = 0x1
    NO_HELO = 0x2
    NO_MAIL = 0x4
    NO_RCPT = 0x8
    NO_BODY = 0x10
    NO_HEADERS = 0x20
    NO_END_OF_HEADERS = 0x40
    SILENT_HEADER = 0x80
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    SILENT_CONNECT = 0x1000
    SILENT_HELO = 0x2000
    SILENT_MAIL = 0x4000
    SILENT_RCPT = 0x8000
    SILENT_DATA = 0x10000
    SILENT_UNKNOWN = 0x20000
    SILENT_END_OF_HEADERS = 0x40000
    SILENT_BODY = 0x80000
    LEADING_SPACE = 0x100000


class Stage(IntEnum):
    """Where macros can be asked for by name (SMFIM)."""

    CONNECT = 0
    HELO = 1
    MAIL = 2
    RCPT = 3
    DATA = 4
    END_OF_MESSAGE = 5
    END_OF_HEADERS = 6


class Options(NamedTuple):
    """The negotiation, from either side. ``macros`` are names by stage, as the filter wants them."""

    version: int
    actions: int
    steps: int
    macros: Mapping[int, str] = {}


class Garbled(ValueError):
    """These bytes are no packet of this protocol."""


# --- packets --------------------------------------------------------------------------------------------------------

_HEAD = struct.Struct(">IB")


def packet(command: int, data: bytes = b"") -> bytes:
    """Return a packet."""
    return _HEAD.pack(len(data) + 1, command) + data


class Packets:
    """Cuts a stream of bytes into packets: ``for command, data in packets.feed(bytes)``. Whole or byte by byte, the
    result is the same; what is kept never exceeds one packet and the bytes fed last.
    """

    __slots__ = ("_need", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._need = 5  # bytes before it is worth looking again

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the packets that are complete now. Raises Garbled for one that is empty or longer than MAX_PACKET:
        nothing after it can be read.

        The iterator is to be used up: what it was not asked for is lost.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return
            data = bytes(self._rest)
            self._rest.clear()
        position, end, unpack = 0, len(data), _HEAD.unpack_from
        need = 5
        while end - position >= 5:
            length, command = unpack(data, position)
            if not 0 < length <= MAX_PACKET:
                raise Garbled(f"a packet of {length} bytes")
            after = position + 4 + length
            if after > end:
                need = 4 + length
                break
            yield command, data[position + 5 : after]
            position = after
        if position < end:
            self._rest += data[position:] if position else data
            self._need = need


# --- data -----------------------------------------------------------------------------------------------------------

_OPTIONS = struct.Struct(">III")
_NUMBER = struct.Struct(">I")

OPTIONS_SIZE = _OPTIONS.size
"""Bytes of what a mail server says in its OPTIONS; macros are for the filter to ask for."""


def read_options(data: bytes) -> Options:
    """Return what an OPTIONS packet of either side says; raises Garbled."""
    if len(data) < _OPTIONS.size:
        raise Garbled(f"options of {len(data)} bytes")
    macros: dict[int, str] = {}
    position = _OPTIONS.size
    while len(data) - position > _NUMBER.size:
        (stage,) = _NUMBER.unpack_from(data, position)
        names, position = _string(data, position + _NUMBER.size)
        macros[stage] = names.decode("latin-1")
    version, actions, steps = _OPTIONS.unpack_from(data)
    return Options(version, actions, steps, macros)


def options(what: Options) -> bytes:
    """Return the packet of a negotiation; both sides have the same."""
    lists = b"".join(
        _NUMBER.pack(stage) + names.encode("latin-1") + b"\0" for stage, names in sorted(what.macros.items())
    )
    return packet(Command.OPTIONS, _OPTIONS.pack(what.version, what.actions, what.steps) + lists)


def strings(data: bytes) -> list[bytes]:
    """Return the NUL-terminated strings of a packet; what follows the last NUL counts as one if it is not empty."""
    parts = data.split(b"\0")
    if not parts[-1]:
        parts.pop()
    return parts


def _string(data: bytes, start: int) -> tuple[bytes, int]:
    end = data.find(b"\0", start)
    if end < 0:
        raise Garbled("a string without an end")
    return data[start:end], end + 1


class Peer(NamedTuple):
    """The SMTP client of a CONNECT: ``family`` is ``4``, ``6``, ``L`` (local) or ``U`` (unknown)."""

    name: bytes
    family: bytes = b"U"
    port: int = 0
    address: bytes = b""


def read_connect(data: bytes) -> Peer:
    """Return who connected; raises Garbled."""
    name, position = _string(data, 0)
    family = data[position : position + 1]
    if len(data) < position + 3:  # unknown: nothing follows
        return Peer(name, family or b"U")
    address, _, _ = data[position + 3 :].partition(b"\0")
    return Peer(name, family, int.from_bytes(data[position + 1 : position + 3]), address)


def connect(peer: Peer) -> bytes:
    """Return the packet of a CONNECT."""
    where = peer.port.to_bytes(2) + peer.address + b"\0" if peer.family in (b"4", b"6", b"L") else b""
    return packet(Command.CONNECT, peer.name + b"\0" + peer.family + where)


def read_header(data: bytes) -> tuple[bytes, bytes]:
    """Return name and value of a HEADER; raises Garbled."""
    name, found, value = data.partition(b"\0")
    if not found:
        raise Garbled("a header field without a name")
    return name, value[:-1] if value.endswith(b"\0") else value


def with_strings(command: int, *parts: bytes) -> bytes:
    """Return a packet of NUL-terminated strings: HELO, MAIL, RCPT, HEADER, UNKNOWN, QUARANTINE, REPLY_CODE."""
    return packet(command, b"".join([part + b"\0" for part in parts]))


def macros(command: int, values: Mapping[bytes, bytes]) -> bytes:
    """Return the packet that tells the values of macros before ``command``."""
    told = b"".join([name + b"\0" + value + b"\0" for name, value in values.items()])
    return packet(Command.MACROS, bytes([command]) + told)


def read_macros(data: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Return for which command macros are, and their values; a name without braces stays as it is."""
    if not data:
        raise Garbled("macros for no command")
    parts = strings(data[1:])
    return data[0], dict(zip(parts[::2], parts[1::2], strict=False))


def insert_header(index: int, name: bytes, value: bytes) -> bytes:
    """Return the packet that puts a field in at ``index``; 0 is on top."""
    return packet(Answer.INSERT_HEADER, _NUMBER.pack(index) + name + b"\0" + value + b"\0")


def change_header(name: bytes, index: int, value: bytes) -> bytes:
    """Return the packet that changes the ``index``-th field (from 1) of this name; an empty value takes it out."""
    return packet(Answer.CHANGE_HEADER, _NUMBER.pack(index) + name + b"\0" + value + b"\0")


def read_edit(data: bytes) -> tuple[int, bytes, bytes]:
    """Return index, name and value of an INSERT_HEADER or CHANGE_HEADER; raises Garbled."""
    if len(data) < _NUMBER.size:
        raise Garbled("a change of no header field")
    (index,) = _NUMBER.unpack_from(data)
    return index, *read_header(data[_NUMBER.size :])
