"""The milter engine of our own: connections on asyncio, packets in, answers out. Opens no socket, knows no check.

Nearly all events are negotiated away or have no answer, so that a small message costs a read or three and one write.
While an answer is awaited, one more read is taken in at most and waits its turn: nothing is answered out of order, and
nothing piles up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, cast

from vaglio.eager import Rest, rest, start
from vaglio.examination import Needs
from vaglio.milter import wire
from vaglio.milter.agreed import ACTIONS, ALL_EDITS, LINGER, MACROS, TURNED_AWAY, is_in_vain, undone, unwanted
from vaglio.milter.host import Host
from vaglio.milter.plan import UNTOUCHED, Plan
from vaglio.milter.session import Session
from vaglio.milter.text import doubled
from vaglio.milter.wire import Actions, Answer, Command, Garbled, Options, Steps

SILENT = 7210.0
"""Seconds after which a connection on which nothing is said is closed: as libmilter has it, and longer than any timeout
of RFC 5321 4.5.3.2 adds up to."""

SWEEP = 60.0
"""Seconds between two looks for silent connections."""

HEAR = 0.02
"""Seconds at the end of a stop in which is heard what came while this process had no CPU."""

_CONTINUE = wire.packet(Answer.CONTINUE)
_DISCARD = wire.packet(Answer.DISCARD)
_NO_MACROS: Mapping[bytes, bytes] = {}

# Plain numbers: to ask whether a flag is among others takes 0.7 us, and 0.03 with these.
_ADD_HEADERS, _CHANGE_HEADERS, _QUARANTINE = map(
    int, (Actions.ADD_HEADERS, Actions.CHANGE_HEADERS, Actions.QUARANTINE)
)

_SILENCE = {
    Command.CONNECT: Steps.SILENT_CONNECT,
    Command.HELO: Steps.SILENT_HELO,
    Command.MAIL: Steps.SILENT_MAIL,
    Command.RCPT: Steps.SILENT_RCPT,
    Command.DATA: Steps.SILENT_DATA,
    Command.UNKNOWN: Steps.SILENT_UNKNOWN,
    Command.HEADER: Steps.SILENT_HEADER,
    Command.END_OF_HEADERS: Steps.SILENT_END_OF_HEADERS,
    Command.BODY: Steps.SILENT_BODY,
}
"""What has to be agreed on so that an event has no answer."""

_MACRO_PACKET, _QUIT = int(Command.MACROS), int(Command.QUIT)
_HEEDED = frozenset(bytes([one]) for one in (Command.CONNECT, Command.MAIL, Command.END_OF_MESSAGE))
"""The events before which they are kept."""

class Agreement(NamedTuple):
    """What both sides do on a connection: our part of the negotiation, the answer to each event about which there is
    nothing to say (none where that was agreed on), and which edits we may ask for.
    """

    packet: bytes
    answers: Mapping[int, bytes]
    actions: int
    leading_space: bool


@lru_cache(maxsize=64)  # mail servers are few, and flags slow
def agreement(theirs: bytes, needs: Needs) -> Agreement:
    """Return what is agreed on with a mail server that sends these options; raises Garbled."""
    offer = wire.read_options(theirs)
    if offer.version < 2:
        raise Garbled(f"version {offer.version} of the protocol")
    actions = Actions(offer.actions) & ACTIONS
    if is_in_vain(needs, actions):
        raise Garbled(TURNED_AWAY)
    steps = unwanted(needs) & Steps(offer.steps)
    macros = MACROS if Actions.SET_MACROS in actions else {}
    ours = Options(min(offer.version, wire.VERSION), actions, steps, macros)
    answers = {int(command): b"" if silence in steps else _CONTINUE for command, silence in _SILENCE.items()}
    return Agreement(wire.options(ours), answers, int(actions), Steps.LEADING_SPACE in steps)


_BEFORE = Agreement(b"", dict.fromkeys(map(int, _SILENCE), _CONTINUE), 0, leading_space=False)
"""A mail server that does not negotiate."""


class Server:
    """Makes protocol objects for connections; call it to get one. ``host``, to be set before the first one, judges; it
    may be replaced: messages that have begun keep theirs. ``timer`` is a monotonic clock in seconds, ``warn`` takes a
    line for the admin.
    """

    host: Host

    def __init__(self, timer: Callable[[], float], warn: Callable[[str], None]) -> None:
        self.timer = timer
        self.warn = warn
        self._open: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Event | None = None

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self)

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._open)

    def opened(self, connection: Connection) -> None:
        """Count a connection in."""
        self._open.add(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP, self._close_silent)

    def closed(self, connection: Connection) -> None:
        """Count a connection out."""
        self._open.discard(connection)
        if self._leaving and not self._open:
            self._leaving.set()

    def _close_silent(self) -> None:
        self._sweep = None
        if self._open:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP, self._close_silent)
        before = self.timer() - SILENT
        for connection in [one for one in self._open if one.last_heard < before]:
            self.warn(f"closing a milter connection on which nothing was said for {SILENT:.0f} s")
            connection.abort()

    async def drain(self) -> None:
        """Let messages under way come to their end, then close all connections. The caller bounds the time."""
        await asyncio.sleep(0)  # one that was just taken is opened now
        if self._open:
            self._leaving = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.call_later(LINGER, loop.call_later, HEAR, self._close_idle)
            await self._leaving.wait()
        if self._sweep:
            self._sweep.cancel()

    def _close_idle(self) -> None:
        for connection in list(self._open):
            connection.close_when_idle()


class Connection(asyncio.Protocol):
    """One connection: what was agreed on, whose answer is waited for, what came meanwhile."""

    __slots__ = ("_agreed", "_agreed_for", "_answering", "_clogged", "_leaving", "_macros", "_packets", "_server",
                 "_session", "_transport", "_unread", "last_heard")  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server = server
        self._session = Session(self._host, server.timer)
        self._agreed, self._agreed_for = _BEFORE, cast("Host | None", None)
        self._packets = wire.Packets()
        self._macros: dict[int, bytes] = {}  # by command, unread: few of them are ever looked at
        self._answering: asyncio.Task[bytes] | None = None
        self._unread: Iterator[tuple[int, bytes]] = iter(())
        self._clogged = False  # answers wait to be taken
        self._leaving = False  # close as soon as no message is under way
        self.last_heard = server.timer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the new connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the class
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Give up the message under way: nobody waits for its answer."""
        if self._answering:
            self._answering.cancel()
        self._session.close()
        self._server.closed(self)

    def data_received(self, data: bytes) -> None:
        """Take in the packets that are complete now."""
        self.last_heard = self._server.timer()
        packets = self._packets.feed(data)
        if self._answering:
            # Only now: while there is nothing to read, the end of the connection is seen at once.
            self._transport.pause_reading()
            self._unread = chain(self._unread, packets)
        else:
            self._take_in(packets)

    def pause_writing(self) -> None:
        """Hear nobody out who does not take answers."""
        self._clogged = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._clogged = False
        self._listen()

    def _listen(self) -> None:
        if not (self._answering or self._clogged or self._transport.is_closing()):
            self._transport.resume_reading()

    def _take_in(self, packets: Iterator[tuple[int, bytes]]) -> None:
        answers: list[bytes] = []
        try:
            for command, data in packets:
                if command == _MACRO_PACKET:  # every other one is
                    if data[:1] in _HEEDED:
                        self._macros[data[0]] = data
                    continue
                handle = _HANDLERS.get(command)
                if handle is None:
                    raise Garbled(f"the command {command:#x}")
                answer = handle(self, data)
                if answer is None:
                    answer = self._agreed.answers.get(command)
                if answer:
                    answers.append(answer)
                if self._answering:
                    self._unread = iter(list(packets))
                    break
                if command == _QUIT:
                    return
        except Garbled as error:
            self._give_up(error)
            return
        if answers and not self._transport.is_closing():
            self._transport.write(b"".join(answers) if len(answers) > 1 else answers[0])
        if self._leaving:
            self.close_when_idle()

    # --- events ---

    def _host(self) -> Host:
        """Return the host of the moment, unless it needs other events than were agreed on here."""
        host = self._server.host
        return host if self._agreed_for is None or host.needs == self._agreed_for.needs else self._agreed_for

    def _options(self, data: bytes) -> bytes:
        self._agreed_for = self._server.host
        self._agreed = agreement(data[: wire.OPTIONS_SIZE], self._agreed_for.needs)
        return self._agreed.packet

    def _macros_for(self, command: Command) -> Mapping[bytes, bytes]:
        """Return the macros that came for this event; they hold for one event only."""
        data = self._macros.pop(command, b"")
        return wire.read_macros(data)[1] if data else _NO_MACROS

    def _connect(self, data: bytes) -> None:
        self._session.connect(wire.read_connect(data), self._macros_for(Command.CONNECT))

    def _helo(self, data: bytes) -> None:
        self._session.helo(data.partition(b"\0")[0])

    def _mail(self, data: bytes) -> None:
        self._session.mail(wire.strings(data), self._macros_for(Command.MAIL))

    def _rcpt(self, data: bytes) -> bytes:
        return self._await(self._recipient(wire.strings(data)))

    async def _recipient(self, arguments: list[bytes]) -> bytes:
        refused = await self._session.recipient(arguments)
        return _refusal(refused) if refused else self._agreed.answers[Command.RCPT]

    def _pass_over(self, data: bytes) -> None:
        """Take no note of an event."""

    def _header(self, data: bytes) -> None:
        if self._session.skims and data[:1] not in b"Aa":  # nearly all of them: to read one takes 1.5 us
            return
        name, value = wire.read_header(data)
        # The blank that a mail server keeps to itself is put back: that there was one is the best guess.
        self._session.header(name, value if self._agreed.leading_space else b" " + value)

    def _end_of_headers(self, data: bytes) -> None:  # noqa: ARG002  # an event like any other
        self._session.end_of_headers()

    def _body(self, data: bytes) -> None:
        self._session.body(data)

    def _end_of_message(self, data: bytes) -> bytes:
        if data:  # the last piece of a body may come with the end
            self._session.body(data)
        return self._await(self._judgement(self._macros_for(Command.END_OF_MESSAGE)))

    async def _judgement(self, macros: Mapping[bytes, bytes]) -> bytes:
        plan = await self._session.end_of_message(macros)
        if self._agreed.actions & ALL_EDITS != ALL_EDITS:
            for words in undone(plan, self._agreed.actions):
                self._server.warn(words)
        return packets_of(plan, self._agreed.actions, self._agreed.leading_space)

    def _abort(self, data: bytes) -> None:  # noqa: ARG002  # an event like any other
        self._session.close()

    def _quit(self, data: bytes) -> None:  # noqa: ARG002  # an event like any other
        self._session.close()
        self._transport.close()

    def _start_again(self, data: bytes) -> None:  # noqa: ARG002  # an event like any other
        self._session.close()
        self._macros.clear()

    # --- answers that take time ---

    def _await(self, work: Coroutine[Any, Any, bytes]) -> bytes:
        """Return the answer if it needs no waiting; else nothing for now, and take in no more until it is there."""
        outcome = start(work)
        if not isinstance(outcome, Rest):
            return outcome
        self._answering = asyncio.get_running_loop().create_task(rest(outcome))
        self._answering.add_done_callback(self._answered)
        return b""

    def _answered(self, task: asyncio.Task[bytes]) -> None:
        self._answering = None
        if task.cancelled() or self._transport.is_closing():
            return
        error = task.exception()
        if isinstance(error, Garbled):
            self._give_up(error)
            return
        if error is not None:
            self._transport.abort()
            raise error  # a bug of ours: the event loop logs it
        if answer := task.result():
            self._transport.write(answer)
        unread, self._unread = self._unread, iter(())
        self._take_in(unread)
        self._listen()

    # --- the end ---

    def close_when_idle(self) -> None:
        """Close now if no message is under way; else at its end."""
        self._leaving = True
        if not self._answering and not self._session.busy:
            self._transport.close()

    def _give_up(self, error: Garbled) -> None:
        self._server.warn(f"closing a milter connection: {error}")
        self._transport.abort()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


_EVENTS: Mapping[Command, Callable[[Connection, bytes], bytes | None]] = {
    Command.ABORT: Connection._abort,
    Command.BODY: Connection._body,
    Command.CONNECT: Connection._connect,
    Command.END_OF_MESSAGE: Connection._end_of_message,
    Command.HELO: Connection._helo,
    Command.QUIT_NEW_CONNECTION: Connection._start_again,
    Command.HEADER: Connection._header,
    Command.MAIL: Connection._mail,
    Command.END_OF_HEADERS: Connection._end_of_headers,
    Command.OPTIONS: Connection._options,
    Command.QUIT: Connection._quit,
    Command.RCPT: Connection._rcpt,
    Command.DATA: Connection._pass_over,
    Command.UNKNOWN: Connection._pass_over,
}
_HANDLERS = {int(command): handle for command, handle in _EVENTS.items()}


def _refusal(reply: str) -> bytes:
    return wire.with_strings(Answer.REPLY_CODE, doubled(reply).encode("utf-8", "replace"))


def packets_of(plan: Plan, may: int, leading_space: bool) -> bytes:
    """Return the packets that carry out a plan as far as the mail server lets us (``Actions``), the final answer last.
    A value has the blank behind the colon where ``leading_space`` was agreed on; else the mail server puts it there.
    """
    if plan is UNTOUCHED:
        return _CONTINUE
    if plan.reply:
        return _refusal(plan.reply)
    if plan.discard:
        return _DISCARD
    edits, blank = [], b" " if leading_space else b""
    if plan.replace and may & _CHANGE_HEADERS:
        edits += [wire.change_header(one.name, one.nth, one.value and blank + one.value) for one in plan.replace]
    if plan.insert and may & _ADD_HEADERS:
        edits += [wire.insert_header(0, one.name, blank + one.value) for one in plan.insert]
    if plan.quarantine and may & _QUARANTINE:
        edits.append(wire.with_strings(Answer.QUARANTINE, plan.quarantine))
    return b"".join([*edits, _CONTINUE]) if edits else _CONTINUE
