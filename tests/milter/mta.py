"""The mail server's side of the milter protocol, as Postfix 3.7 speaks it, for tests: a client on a socket.

It negotiates with whatever offer it is given, tells macros by the lists that were agreed on, sends only the events that
the filter wants, waits for the answers that it gives, and keeps what the filter had to say of a message. ``edited``
does to a header what Postfix would do. For hostile servers there is ``raw``. Nothing is judged here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from vaglio.milter import wire
from vaglio.milter.wire import Answer, Command, Options, Peer, Stage, Steps

PATIENCE = 15.0
"""Seconds after which an answer that was awaited is a failure."""

CHUNK = 65535
"""Bytes of a body that are sent at once (MILTER_CHUNK_SIZE)."""

POSTFIX = Options(6, 0x1FF, 0x1FFFFF)
"""What Postfix and Sendmail 8.14 and later offer."""

OLD = Options(2, 0x3F, 0x7F)
"""What a Sendmail 8.13 offers: every event is answered, macros can't be asked for, one blank goes missing."""

MACROS: Mapping[int, str] = {
    Stage.CONNECT: "j {daemon_name} {daemon_addr} v _",
    Stage.HELO: "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
    Stage.MAIL: "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
    Stage.RCPT: "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
    Stage.DATA: "i",
    Stage.END_OF_HEADERS: "i",
    Stage.END_OF_MESSAGE: "i",
}
"""The names that are told at each stage if the filter asks for no others (postconf -d milter_*_macros)."""

KNOWN: Mapping[bytes, bytes] = {
    b"j": b"mx.caio.it",
    b"v": b"Postfix 3.7.11",
    b"_": b"mail.tizio.it [192.0.2.1]",
    b"{daemon_name}": b"smtpd",
    b"{daemon_addr}": b"192.0.2.25",
    b"{client_ptr}": b"mail.tizio.it",
    b"i": b"4F1B2C3D4E",
}
"""Values of macros; a name that is not here is not told."""

CLIENT = Peer(b"mail.tizio.it", b"4", 54321, b"192.0.2.1")

# What an event may be left out by, answered or not, and where its macros are. They are told before each one.
_EVENTS: Mapping[Command, tuple[Steps, Steps, Stage | None]] = {
    Command.CONNECT: (Steps.NO_CONNECT, Steps.SILENT_CONNECT, Stage.CONNECT),
    Command.HELO: (Steps.NO_HELO, Steps.SILENT_HELO, Stage.HELO),
    Command.MAIL: (Steps.NO_MAIL, Steps.SILENT_MAIL, Stage.MAIL),
    Command.RCPT: (Steps.NO_RCPT, Steps.SILENT_RCPT, Stage.RCPT),
    Command.DATA: (Steps.NO_DATA, Steps.SILENT_DATA, Stage.DATA),
    Command.UNKNOWN: (Steps.NO_UNKNOWN, Steps.SILENT_UNKNOWN, None),
    Command.HEADER: (Steps.NO_HEADERS, Steps.SILENT_HEADER, Stage.END_OF_HEADERS),
    Command.END_OF_HEADERS: (Steps.NO_END_OF_HEADERS, Steps.SILENT_END_OF_HEADERS, Stage.END_OF_HEADERS),
    Command.BODY: (Steps.NO_BODY, Steps.SILENT_BODY, Stage.END_OF_MESSAGE),
    Command.END_OF_MESSAGE: (Steps(0), Steps(0), Stage.END_OF_MESSAGE),
}
_SINCE = {Command.UNKNOWN: 3, Command.DATA: 4}
"""The version of the protocol that brought an event."""

Fields = Sequence[tuple[bytes, bytes]]
"""A header: names, and values with the blank behind the colon; folded ones have LF and a blank in them."""


class Mail(NamedTuple):
    """A message as a mail server has it. Addresses have their brackets, ``parameters`` are those of MAIL."""

    sender: bytes = b"<pass@tizio.it>"
    recipients: Sequence[bytes] = (b"<anna@caio.it>",)
    headers: Fields = ((b"From", b" pass@tizio.it"), (b"Subject", b" Ciao"))
    body: bytes = b"Ciao Anna\r\n"
    parameters: Sequence[bytes] = ()


PLAIN = Mail()


class Edit(NamedTuple):
    """What the filter wants done to the header: INSERT_HEADER at this place (0 is on top), or CHANGE_HEADER of that
    field of this name (from 1).
    """

    kind: Answer
    place: int
    name: bytes
    value: bytes


class Outcome(NamedTuple):
    """What the filter said of a message: ``answer`` to ``event``, which was the last one. ``reply`` is the text of a
    REPLY_CODE as it came; ``refused`` are recipients, and what their senders are told.
    """

    answer: Answer
    event: Command = Command.END_OF_MESSAGE
    reply: bytes = b""
    edits: tuple[Edit, ...] = ()
    quarantine: bytes = b""
    refused: Mapping[bytes, bytes] = {}

    @property
    def taken(self) -> bool:
        """True if the message goes on its way, or to the hold queue."""
        return self.answer in (Answer.CONTINUE, Answer.ACCEPT)


class Closed(Exception):
    """The filter closed the connection where an answer was due."""


class Mta:
    """A connection to a filter. ``agreed`` is what was negotiated, ``macros`` the values that are told, ``reads`` what
    each recv gave.
    """

    def __init__(self, address: str, offer: Options = POSTFIX, macros: Mapping[bytes, bytes] = KNOWN) -> None:
        kind, _, rest = address.partition(":")
        self.sock = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
        self.sock.settimeout(PATIENCE)
        host, _, port = rest.rpartition(":")
        self.sock.connect(rest if kind == "unix" else (host, int(port)))
        self.offer, self.agreed, self.macros = offer, Options(offer.version, 0, 0), macros
        self.reads: list[bytes] = []
        self._packets = wire.Packets()
        self._waiting: list[tuple[int, bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.sock.close()

    # --- bytes and packets ---

    def raw(self, data: bytes) -> None:
        """Send bytes, whatever they are."""
        self.sock.sendall(data)

    def packet(self) -> tuple[int, bytes]:
        """Await the next packet; raises Closed."""
        while not self._waiting:
            try:
                data = self.sock.recv(1 << 20)
            except ConnectionError:
                data = b""
            if not data:
                raise Closed
            self.reads.append(data)
            self._waiting += self._packets.feed(data)
        return self._waiting.pop(0)

    def rest(self) -> list[tuple[int, bytes]]:
        """Await the end of the connection; return the packets that came before it."""
        packets = []
        try:
            while True:
                packets.append(self.packet())
        except Closed:
            return packets

    # --- events ---

    def negotiate(self) -> Options:
        """Negotiate; return what was agreed on."""
        self.raw(wire.options(self.offer))
        command, data = self.packet()
        assert command == Answer.OPTIONS, (command, data)
        self.agreed = wire.read_options(data)
        assert self.agreed.version <= self.offer.version
        assert not self.agreed.actions & ~self.offer.actions
        assert not self.agreed.steps & ~self.offer.steps
        return self.agreed

    def greet(self, peer: Peer = CLIENT, helo: bytes = b"mail.tizio.it") -> Self:
        """Negotiate, and tell of a client."""
        self.negotiate()
        self.client(peer, helo)
        return self

    def client(self, peer: Peer = CLIENT, helo: bytes = b"mail.tizio.it") -> None:
        """Tell of a client, on a connection where it is its turn."""
        assert self.event(Command.CONNECT, wire.connect(peer)).taken
        assert self.event(Command.HELO, wire.with_strings(Command.HELO, helo)).taken

    def send(self, mail: Mail = PLAIN) -> Outcome:
        """Send a message; return what the filter says of it. The other events are given up after a final answer."""
        refused: dict[bytes, bytes] = {}
        for command, packet in events(mail, bool(self.agreed.steps & Steps.LEADING_SPACE)):
            outcome = self.event(command, packet)
            if command is Command.END_OF_MESSAGE:
                return outcome._replace(refused=refused)
            if outcome.taken:
                continue
            if command is not Command.RCPT:
                self.abort()
                return outcome._replace(refused=refused)
            refused[wire.strings(packet[5:])[0]] = outcome.reply or outcome.answer.name.encode()
            if len(refused) == len(mail.recipients):
                self.abort()
                return outcome._replace(refused=refused)
        raise AssertionError

    def event(self, command: Command, packet: bytes) -> Outcome:
        """Tell of an event, if the filter wants to hear of it; await its answer, if it gives one."""
        skipped, silent, stage = _EVENTS[command]
        if self.agreed.steps & skipped or self.agreed.version < _SINCE.get(command, 0):
            return Outcome(Answer.CONTINUE, command)
        self.raw(self._macros_at(command, stage) + packet)
        return Outcome(Answer.CONTINUE, command) if self.agreed.steps & silent else self.outcome(command)

    def outcome(self, event: Command = Command.END_OF_MESSAGE) -> Outcome:
        """Await the answer to ``event``; raises Closed."""
        edits: list[Edit] = []
        held = b""
        while True:
            answer, data = self.packet()
            if answer in (Answer.INSERT_HEADER, Answer.CHANGE_HEADER):
                edits.append(Edit(Answer(answer), *wire.read_edit(data)))
            elif answer == Answer.QUARANTINE:
                (held,) = wire.strings(data)
            elif answer != Answer.PROGRESS:
                break
        assert event is Command.END_OF_MESSAGE or not (edits or held), "edits are for the end of a message"
        (reply,) = wire.strings(data) if answer == Answer.REPLY_CODE else (b"",)
        return Outcome(Answer(answer), event, reply, tuple(edits), held)

    def _macros_at(self, command: Command, stage: Stage | None) -> bytes:
        if stage is None:
            return b""
        names = self.agreed.macros.get(stage, MACROS[stage]).encode().split()
        # Postfix has no queue id before the first recipient is in.
        untold = b"i" if stage is Stage.MAIL else b""
        known = {name: self.macros[name] for name in names if name in self.macros and name != untold}
        return wire.macros(command, known) if known else b""

    def abort(self) -> None:
        """Give up the message under way: RSET, or the client is gone."""
        self.raw(wire.packet(Command.ABORT))

    def quit(self) -> list[tuple[int, bytes]]:
        """End the connection; return what the filter had left to say, which should be nothing."""
        self.raw(wire.packet(Command.QUIT))
        return self.rest()


def events(mail: Mail, leading_space: bool = True) -> Iterable[tuple[Command, bytes]]:
    """Yield the events of a message, and their packets."""
    yield Command.MAIL, wire.with_strings(Command.MAIL, mail.sender, *mail.parameters)
    for recipient in mail.recipients:
        yield Command.RCPT, wire.with_strings(Command.RCPT, recipient)
    yield Command.DATA, wire.packet(Command.DATA)
    for name, value in mail.headers:
        told = value if leading_space else value.removeprefix(b" ")
        yield Command.HEADER, wire.with_strings(Command.HEADER, name, told)
    yield Command.END_OF_HEADERS, wire.packet(Command.END_OF_HEADERS)
    for start in range(0, len(mail.body), CHUNK):
        yield Command.BODY, wire.packet(Command.BODY, mail.body[start : start + CHUNK])
    yield Command.END_OF_MESSAGE, wire.packet(Command.END_OF_MESSAGE)


def edited(headers: Fields, edits: Iterable[Edit], leading_space: bool = True) -> list[tuple[bytes, bytes]]:
    """Return the header after edits, done in their order as Postfix does them.

    A field that was put in is counted like the others; one that was taken out no more. A change of a field that is not
    there puts it in, at the end.
    """
    fields = list(headers)
    for kind, place, name, value in edits:
        told = value if leading_space else b" " + value
        if kind is Answer.INSERT_HEADER:
            fields.insert(place, (name, told))
            continue
        namesakes = [at for at, (other, _) in enumerate(fields) if other.lower() == name.lower()]
        if place > len(namesakes):
            fields += [(name, told)] if value else []
        elif value:
            fields[namesakes[place - 1]] = (name, told)
        else:
            del fields[namesakes[place - 1]]
    return fields


def header_bytes(fields: Fields) -> bytes:
    """Return a header as it stands in the queue: lines that end with LF."""
    return b"".join(name + b":" + value + b"\n" for name, value in fields)
