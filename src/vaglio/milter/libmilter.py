"""The milter engine on Sendmail's libmilter, through pymilter: callbacks in, answers out. Opens no socket, knows no
check. The only file that imports pymilter.

libmilter calls from threads of its own, consecutive events of a connection from different ones. A callback notes down
what it was told, which the event loop takes in later, since that is where messages live; only the end of a message (and
RCPT, where a check judges recipients) waits there for an answer.

What pymilter does not let through: bytes that are no UTF-8 become U+FFFD in what is written. In a HELO, a host name or
the name of a header field they fail before any code of ours is called; Python's excepthook hears of that, and takes
them out of the error. The value of such a field is lost: it is judged as empty, and the log says so.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeVar

import milter

from vaglio.eager import Rest, start
from vaglio.examination import Needs
from vaglio.milter.host import Host
from vaglio.milter.native import ACTIONS, LINGER, MACROS, unwanted
from vaglio.milter.plan import Plan
from vaglio.milter.session import Session
from vaglio.milter.text import doubled
from vaglio.milter.wire import Actions, Peer, Steps

T = TypeVar("T")

_CONTINUE: int = milter.CONTINUE
_NOREPLY: int = milter.NOREPLY
_TEMPFAIL: int = milter.TEMPFAIL
_REJECT: int = milter.REJECT
_DISCARD: int = milter.DISCARD

PATIENCE = 280.0
"""Seconds after which a callback waits no longer for the event loop: more than any judgement may take, less than
Postfix's milter_content_timeout."""

AHEAD = 1024 * 1024
"""Bytes of a message that may wait for the event loop to take them in."""

LARGE = 64 * 1024
"""Bytes of a message that may wait until something else is handed over."""

FIELD = 200
"""What a header field counts for besides its bytes."""

RING = 0.02
"""Seconds between two rings while callbacks wait. libmilter has a pool of threads, and counts one as idle that it has
just woken: of several events that come at once, some are served only when another one ends, or when the next event
comes. So one slow message would hold up others; a ring is an event."""

RARELY = 600.0
"""Seconds between two rings at other times: libmilter closes a connection on which nothing is said for two hours."""

ENDING = 0.05
"""Seconds for which a stop leaves libmilter the time to write what the last callback returned."""


class Safely(Protocol):
    """Makes a function that never raises: ``instead`` answers for ``work``, told the error."""

    def __call__(self, work: Callable[..., T], instead: Callable[..., T]) -> Callable[..., T]:
        """Return the function."""


class Agreement(NamedTuple):
    """What both sides do on a connection."""

    host: Host
    actions: Actions
    leading_space: bool


class Server:
    """Judges what libmilter's threads hand over to the event loop on which it is made.

    ``host``, to be set before the first connection, judges; it may be replaced: messages that have begun keep theirs.
    ``lenient`` says what becomes of a message that an engine in trouble can't judge: let it pass, or ask for it again.
    ``timer`` is a monotonic clock in seconds, ``warn`` takes a line for the admin. ``crowded`` is called when there
    are ``most`` connections or more, and again for each that then ends; ``ring`` is to cause an event in libmilter.
    """

    host: Host
    lenient: bool
    most: int

    def __init__(
        self, timer: Callable[[], float], warn: Callable[[str], None], crowded: Callable[[], None],
        ring: Callable[[], None], safely: Safely,
    ) -> None:  # fmt: skip
        self.timer, self.warn, self.safely = timer, warn, safely
        self.loop = asyncio.get_running_loop()
        self.context = copy_context()
        self.last: Agreement | None = None
        self._crowded, self._was_crowded = crowded, False
        self._open: set[_Connection] = set()
        self._waiting, self._ring = 0, ring
        self._next_ring = self.loop.call_later(RARELY, self._ring_again)

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._open)

    def opened(self, connection: _Connection) -> None:
        """Count a connection in; from any thread, as ``closed``."""
        self._open.add(connection)
        if len(self._open) >= self.most:
            self._was_crowded = True
            self.soon(self._crowded)

    def closed(self, connection: _Connection) -> None:
        """Count a connection out."""
        self._open.discard(connection)
        if self._was_crowded:
            self._was_crowded = len(self._open) >= self.most
            self.soon(self._crowded)

    def forget(self) -> None:
        """Count no connection that is open now: it is the one that rings."""
        self._open.clear()

    def waits(self, more: int) -> None:
        """Take note that one more callback waits for what takes time, or one less (-1)."""
        self._waiting += more
        if self._waiting == more == 1:
            self._next_ring.cancel()
            self._next_ring = self.loop.call_later(RING, self._ring_again)

    def _ring_again(self) -> None:
        self._ring()
        self._next_ring = self.loop.call_later(RING if self._waiting else RARELY, self._ring_again)

    def soon(self, work: Callable[..., object], *arguments: object) -> None:
        """Have the event loop call ``work``; from any thread."""
        if not self.loop.is_closed():  # the process is ending
            self.loop.call_soon_threadsafe(partial(work, *arguments), context=self.context)

    async def drain(self) -> None:
        """Let messages under way come to their end. The caller bounds the time, and ends the process then: that is what
        closes the connections between two messages.
        """
        began = self.timer()
        while self._open and (self.timer() - began < LINGER or any(one.busy for one in list(self._open))):  # noqa: ASYNC110
            await asyncio.sleep(ENDING)
        await asyncio.sleep(ENDING)


class _Connection:
    """A connection. libmilter's threads call the methods without an underscore, one at a time; the others are for the
    event loop.

    ``busy`` is true from MAIL until the end of the message was answered.
    """

    __slots__ = ("_agreed", "_ahead", "_answering", "_connected", "_expected", "_notes", "_server", "_session",
                 "_sound", "_take", "busy")  # fmt: skip

    def __init__(self, server: Server) -> None:
        self._server = server
        self._session = Session(self._host, server.timer)
        self._agreed = server.last or Agreement(server.host, ACTIONS, leading_space=True)  # QUIT_NC: as before
        self._notes: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._expected = False  # by the event loop, to be taken in
        self._take = server.safely(_take, self._failed)
        self._sound = True  # all of the message under way was taken in
        self._connected = self.busy = False
        self._ahead = 0
        self._answering: asyncio.Task[Any] | None = None
        server.opened(self)

    def _host(self) -> Host:
        """Return the host of the moment, unless it needs other events than were agreed on here."""
        host = self._server.host
        return host if host.needs == self._agreed.host.needs else self._agreed.host

    # --- what libmilter's threads call ---

    def negotiate(self, context: Any, options: list[int]) -> int:
        """Agree on actions and steps; libmilter passes over answers for which the mail server waits all the same."""
        host = self._server.host
        actions, steps = Actions(options[0]) & ACTIONS, unwanted(host.needs) & Steps(options[1])
        if Actions.SET_MACROS in actions:
            for stage, names in MACROS.items():
                context.setsymlist(int(stage), names)
        options[:2] = int(actions), int(steps)
        self._agreed = self._server.last = Agreement(host, actions, Steps.LEADING_SPACE in steps)
        return _CONTINUE

    def connect(self, context: Any, name: str, family: int, address: Any) -> int:  # noqa: ARG002  # pymilter's order
        """Take note of the client."""
        self._connected = True
        reverse = _macro(context, "{client_ptr}")
        self._note(self._session.connect, _peer(name.encode(), address), {b"{client_ptr}": reverse})
        return _NOREPLY

    def helo(self, context: Any, name: str) -> int:  # noqa: ARG002  # pymilter's signature, as below
        """Take note of HELO."""
        self._note(self._session.helo, name.encode())
        return _NOREPLY

    def mail(self, context: Any, *arguments: bytes) -> int:
        """Begin with a message."""
        self.busy = True
        macros = {b"i": _macro(context, "i"), b"{auth_authen}": _macro(context, "{auth_authen}")}
        self._note(self._begin, arguments, macros)
        if self._agreed.host.checks:  # their look-ups begin
            self._hand_over()
        return _NOREPLY

    def rcpt(self, context: Any, *arguments: bytes) -> int:
        """Take note of a recipient; answer if a check judges them."""
        if Needs.RECIPIENTS not in self._agreed.host.needs:
            self._note(self._let_in, arguments)
            return _NOREPLY
        refused = self._ask(partial(self._session.recipient, arguments))
        return _refuse(context, refused) if refused else _CONTINUE

    def header(self, context: Any, name: str, value: bytes) -> int:  # noqa: ARG002
        """Take note of a header field."""
        # The blank that a mail server keeps to itself is put back: that there was one is the best guess.
        self._field(name.encode(), value if self._agreed.leading_space else b" " + value)
        return _NOREPLY

    def end_of_headers(self, context: Any) -> int:  # noqa: ARG002
        """Hand over the header: look-ups that it names begin."""
        self._note(self._hear, self._session.end_of_headers)
        if self._agreed.host.of_header:
            self._hand_over()
        return _NOREPLY

    def body(self, context: Any, chunk: bytes) -> int:  # noqa: ARG002
        """Take note of a piece of the body."""
        self._note(self._hear, self._session.body, chunk)
        self._keep_pace(len(chunk))
        return _NOREPLY

    def end_of_message(self, context: Any) -> int:
        """Await what becomes of the message, and do it."""
        macros = {b"i": _macro(context, "i")}
        try:
            return _carry_out(context, self._ask(lambda: self._judged(macros)), self._agreed)
        except milter.error as error:
            self._server.soon(self._server.warn, f"the mail server did not take what becomes of a message: {error}")
            return self.trouble()
        finally:
            self._over()

    def abort(self, context: Any) -> int:  # noqa: ARG002
        """Give up the message under way."""
        self._give_up()
        return _CONTINUE

    def close(self, context: Any) -> int:  # noqa: ARG002
        """Take note of the end of the connection."""
        self._give_up()
        self._server.closed(self)
        return _CONTINUE

    def undecodable(self, raw: bytes) -> None:
        """Take note of bytes that are no UTF-8, in place of the callback that could not be called."""
        if self.busy:
            self._field(raw, b"")
            text = f"libmilter can't tell the value of the header field {raw[:60]!r}: it counts as empty"
            self._server.soon(self._server.warn, text)
        elif self._connected:
            self._note(self._session.helo, raw)
        else:
            self._connected = True
            self._note(self._session.connect, Peer(raw), {})
            self._server.soon(self._server.warn, f"libmilter can't tell the address of the client {raw[:60]!r}")

    def spoil(self) -> None:
        """Give up judging the message under way, after a bug in the callbacks."""
        self._note(self._spoil)

    def trouble(self) -> int:
        """Return the answer to a message that can't be judged."""
        return _CONTINUE if self._server.lenient else _TEMPFAIL

    def _give_up(self) -> None:
        if self.busy:
            self._note(self._session.close)
            self._hand_over()
            self._over()

    def _over(self) -> None:
        self.busy, self._ahead = False, 0

    def _field(self, name: bytes, value: bytes) -> None:
        self._note(self._hear, self._session.header, name, value)
        self._keep_pace(len(name) + len(value) + FIELD)

    def _keep_pace(self, size: int) -> None:
        """Hand over what is large; small messages come to their end at once, which is soon enough."""
        self._ahead += size
        if self._ahead > AHEAD:
            self._ask(_nothing)
            self._ahead = 0
        elif self._ahead > LARGE:
            self._hand_over()

    def _note(self, work: Callable[..., None], *arguments: Any) -> None:
        self._notes.append((work, arguments))

    def _hand_over(self) -> None:
        if not self._expected:
            self._expected = True
            self._server.soon(self._take_in)

    def _ask(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Have the event loop do ``work`` behind all that was noted down; wait for its result."""
        answer: Future[T] = Future()
        self._note(self._answer, work, answer)
        self._hand_over()
        return answer.result(PATIENCE)

    # --- what the event loop calls ---

    def _take_in(self) -> None:
        self._expected = False  # before the notes are looked at: what is noted from now on is handed over again
        while self._notes:
            self._take(*self._notes.popleft())

    def _failed(self, error: Exception, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """Do without the rest of a message, after a bug; its end is answered in another way."""
        self._spoil()
        if work == self._answer:
            arguments[1].set_exception(error)

    def _spoil(self) -> None:
        self._sound = False

    def _begin(self, arguments: Sequence[bytes], macros: dict[bytes, bytes]) -> None:
        self._sound = True
        self._session.mail(arguments, macros)

    def _hear(self, event: Callable[..., None], *arguments: bytes) -> None:
        if self._sound:
            event(*arguments)

    def _let_in(self, arguments: Sequence[bytes]) -> None:
        if self._sound:
            start(self._session.recipient(arguments))  # never waits where no check judges recipients

    async def _judged(self, macros: dict[bytes, bytes]) -> Plan:
        if not self._sound:
            self._session.close()
            raise RuntimeError("the message was not taken in as a whole")
        return await self._session.end_of_message(macros)

    def _answer(self, work: Callable[[], Coroutine[Any, Any, T]], answer: Future[T]) -> None:
        outcome = start(work())
        if isinstance(outcome, Rest):
            self._server.waits(1)
            self._answering = asyncio.get_running_loop().create_task(_rest_of(outcome))
            self._answering.add_done_callback(partial(self._tell, answer))
        else:
            answer.set_result(outcome)

    def _tell(self, answer: Future[T], task: asyncio.Task[T]) -> None:
        self._server.waits(-1)
        if task.cancelled():
            answer.cancel()
        elif error := task.exception():
            answer.set_exception(error)
        else:
            answer.set_result(task.result())


def _take(work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    work(*arguments)


async def _nothing() -> None:
    pass


async def _rest_of(rest: Rest[T]) -> T:
    return await rest


# --- pymilter -------------------------------------------------------------------------------------------------------

_CURRENT: ContextVar[_Connection | None] = ContextVar("_CURRENT", default=None)
"""The connection whose callback runs: pymilter has a thread state of Python's for each connection, whichever thread of
libmilter's it runs in, and context variables belong to thread states."""


def listen(server: Server, where: str) -> None:
    """Have libmilter call us, and open a socket, named as it wants names. Once in a process; raises OSError."""
    milter.set_connect_callback(_callback(server, _Connection.connect))
    milter.set_helo_callback(_callback(server, _Connection.helo))
    milter.set_envfrom_callback(_callback(server, _Connection.mail))
    milter.set_envrcpt_callback(_callback(server, _Connection.rcpt, _trouble))
    milter.set_header_callback(_callback(server, _Connection.header))
    milter.set_eoh_callback(_callback(server, _Connection.end_of_headers))
    milter.set_body_callback(_callback(server, _Connection.body))
    milter.set_eom_callback(_callback(server, _Connection.end_of_message, _trouble))
    milter.set_abort_callback(_callback(server, _Connection.abort))
    milter.set_close_callback(_callback(server, _Connection.close))
    milter.set_exception_policy(_CONTINUE)
    sys.excepthook = partial(_excepthook, server.safely(_Connection.undecodable, _no_more), sys.excepthook)
    try:
        milter.setconn(where)
        milter.register("vaglio", negotiate=_callback(server, _Connection.negotiate, _no_filter))
        milter.opensocket(False)
    except milter.error as error:
        raise OSError(f"libmilter: {error}") from None


def run() -> None:
    """Take connections, in a thread for this alone, until libmilter gives up: it hears signals that were meant for us
    if they come in quick succession. The end of the process is the better way to stop it: told to stop, it drops
    messages under way, and takes up to 5 s.
    """
    with suppress(milter.error):
        milter.main()


def _callback(
    server: Server, event: Callable[..., int], instead: Callable[..., int] | None = None
) -> Callable[..., int]:
    def call(context: Any, *arguments: Any) -> int:
        connection = context.getpriv()
        if connection is None:
            connection = _Connection(server)
            context.setpriv(connection)
            _CURRENT.set(connection)
        return event(connection, context, *arguments)

    return server.safely(call, instead or _no_answer)


def _no_answer(error: Exception, context: Any, *_: Any) -> int:  # noqa: ARG001  # as all of these
    """Answer nothing where nothing is answered: the mail server would wait for the end of the message in vain."""
    if connection := context.getpriv():
        connection.spoil()
    return _NOREPLY


def _trouble(error: Exception, context: Any, *_: Any) -> int:  # noqa: ARG001
    connection = context.getpriv()
    return connection.trouble() if connection else _TEMPFAIL


def _no_filter(error: Exception, *_: Any) -> int:  # noqa: ARG001
    return _REJECT  # libmilter closes the connection, and the mail server does as it is told for that case


def _no_more(error: Exception, *_: Any) -> None:
    pass


def _excepthook(
    undecodable: Callable[[_Connection, bytes], None], otherwise: Callable[..., object],
    kind: type[BaseException], error: BaseException, trace: TracebackType | None,
) -> None:  # fmt: skip
    connection = _CURRENT.get()
    if connection is not None and isinstance(error, UnicodeDecodeError):
        undecodable(connection, error.object)
    else:
        otherwise(kind, error, trace)


def _macro(context: Any, name: str) -> bytes:
    """Return the value of a macro; empty if the mail server has not told it."""
    try:
        value: str | None = context.getsymval(name)
    except UnicodeDecodeError as error:
        return error.object
    return value.encode() if value else b""


def _peer(name: bytes, address: Any) -> Peer:
    """Return a client as pymilter names it: by address and port, for IPv6 two more numbers; by path; or not at all."""
    if isinstance(address, tuple):
        return Peer(name, b"4" if len(address) == 2 else b"6", address[1], address[0].encode())
    return Peer(name, b"L", 0, address.encode()) if address else Peer(name)


def _refuse(context: Any, reply: str) -> int:
    code, enhanced, text = doubled(reply).split(" ", 2)
    context.setreply(code, enhanced, _text(text.encode("utf-8", "surrogateescape")))
    return _REJECT if code[0] == "5" else _TEMPFAIL


def _carry_out(context: Any, plan: Plan, agreed: Agreement) -> int:
    """Do what is planned, as far as the mail server lets us; return the answer. Raises milter.error."""
    if plan.reply:
        return _refuse(context, plan.reply)
    if plan.discard:
        return _DISCARD
    blank = " " if agreed.leading_space else ""
    if Actions.CHANGE_HEADERS in agreed.actions:
        for change in plan.replace:
            context.chgheader(_text(change.name), change.nth, blank + _text(change.value) if change.value else "")
    if Actions.ADD_HEADERS in agreed.actions:
        for one in plan.insert:
            context.addheader(_text(one.name), blank + _text(one.value), 0)
    if plan.quarantine and Actions.QUARANTINE in agreed.actions:
        context.quarantine(_text(plan.quarantine))
    return _CONTINUE


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
