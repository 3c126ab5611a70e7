"""The mail server's side of the milter protocol, as far as a benchmark needs it: a message as the bytes that are sent.

It follows Postfix: macros before each event, header fields one by one, the body in pieces of 65,535 bytes, and nothing
is flushed before an answer is due. Which events there are, and which are answered, the milter says when it negotiates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from bench.messages import CLIENT, HELO, RECIPIENT, SENDER
from vaglio.milter import wire
from vaglio.milter.wire import Command, Options, Peer, Stage, Steps

OFFER = wire.options(Options(wire.VERSION, 0x1FF, 0x1FFFFF))
"""What Postfix begins with: everything that there is."""

GOODBYE = wire.packet(Command.QUIT)

FINAL = frozenset(b"acdrty")
"""Answers that end the conversation about a message, once it was sent whole."""

NAMES = {
    ord("a"): "accept", ord("c"): "continue", ord("d"): "discard", ord("r"): "reject", ord("t"): "tempfail",
    ord("y"): "reply_code", ord("i"): "insert_header", ord("h"): "add_header", ord("m"): "change_header",
    ord("q"): "quarantine", ord("p"): "progress",
}  # fmt: skip
"""What answers are called, as milter_bench calls them."""

_PIECE = 65535

_VALUES = {
    b"j": b"mx.example.com", b"{daemon_name}": b"mx.example.com", b"{daemon_addr}": b"203.0.113.25", b"v": b"Postfix",
    b"_": f"{HELO} [{CLIENT}]".encode(), b"{client_ptr}": HELO.encode(), b"{client_addr}": CLIENT.encode(),
    b"i": b"4F1B2C3D4E", b"{mail_addr}": SENDER.encode(), b"{rcpt_addr}": RECIPIENT.encode(),
}  # fmt: skip
_USUAL = {
    Stage.CONNECT: "j {daemon_name} {daemon_addr} v _",
    Stage.HELO: "",
    Stage.MAIL: "{mail_addr}",
    Stage.RCPT: "i {rcpt_addr}",
    Stage.DATA: "i",
    Stage.END_OF_HEADERS: "i",
    Stage.END_OF_MESSAGE: "i",
}
_STAGES = {
    Command.CONNECT: Stage.CONNECT,
    Command.HELO: Stage.HELO,
    Command.MAIL: Stage.MAIL,
    Command.RCPT: Stage.RCPT,
    Command.DATA: Stage.DATA,
    Command.END_OF_HEADERS: Stage.END_OF_HEADERS,
    Command.END_OF_MESSAGE: Stage.END_OF_MESSAGE,
}
_NEVER = Steps(0)
_ALWAYS_ANSWERED = Steps(0)
_FLAGS = {
    Command.CONNECT: (Steps.NO_CONNECT, Steps.SILENT_CONNECT),
    Command.HELO: (Steps.NO_HELO, Steps.SILENT_HELO),
    Command.MAIL: (Steps.NO_MAIL, Steps.SILENT_MAIL),
    Command.RCPT: (Steps.NO_RCPT, Steps.SILENT_RCPT),
    Command.DATA: (Steps.NO_DATA, Steps.SILENT_DATA),
    Command.HEADER: (Steps.NO_HEADERS, Steps.SILENT_HEADER),
    Command.END_OF_HEADERS: (Steps.NO_END_OF_HEADERS, Steps.SILENT_END_OF_HEADERS),
    Command.BODY: (Steps.NO_BODY, Steps.SILENT_BODY),
    Command.END_OF_MESSAGE: (_NEVER, _ALWAYS_ANSWERED),
}
_FIELD = re.compile(rb"([^:\n]+):([^\n]*(?:\n[ \t][^\n]*)*)\n")


class Event(NamedTuple):
    """Something that a milter may want to hear of."""

    command: Command
    packet: bytes


def parts(message: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the header fields, name and value, of a message with LF line ends, and its body with CRLF."""
    head, _, body = message.partition(b"\n\n")
    return _FIELD.findall(head + b"\n"), body.replace(b"\n", b"\r\n")


def events(message: bytes) -> Iterator[Event]:
    """Return what happens when a message with LF line ends comes in over a connection of its own."""

    def event(command: Command, *parts: bytes) -> Event:
        return Event(command, wire.with_strings(command, *parts))

    fields, body = parts(message)
    yield Event(Command.CONNECT, wire.connect(Peer(HELO.encode(), b"4", 45678, CLIENT.encode())))
    yield event(Command.HELO, HELO.encode())
    yield event(Command.MAIL, f"<{SENDER}>".encode())
    yield event(Command.RCPT, f"<{RECIPIENT}>".encode())
    yield Event(Command.DATA, wire.packet(Command.DATA))
    for name, value in fields:
        yield event(Command.HEADER, name, value)
    yield Event(Command.END_OF_HEADERS, wire.packet(Command.END_OF_HEADERS))
    for start in range(0, len(body), _PIECE):
        yield Event(Command.BODY, wire.packet(Command.BODY, body[start : start + _PIECE]))
    yield Event(Command.END_OF_MESSAGE, wire.packet(Command.END_OF_MESSAGE))


def flights(message: bytes, negotiated: Options) -> list[bytes]:
    """Return what is sent for a message, cut where an answer is waited for; the last one ends the message."""
    found, flight = [], bytearray()
    for command, packet in events(message):
        left_out, silent = _FLAGS[command]
        flight += _macros(command, negotiated)
        if negotiated.steps & left_out:
            continue
        flight += packet
        if not negotiated.steps & silent:
            found.append(bytes(flight))
            flight.clear()
    return found


def _macros(command: Command, negotiated: Options) -> bytes:
    stage = _STAGES.get(command)
    names = "i" if stage is None else negotiated.macros.get(stage, _USUAL[stage])
    values = {name: _VALUES[name] for name in names.encode().split() if name in _VALUES}
    return wire.macros(command, values)
