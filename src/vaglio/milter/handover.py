"""Hands messages over from threads to the event loop, for an engine whose events come from threads of others.

A callback notes down what it was told, which the event loop takes in later, since that is where messages live; only the
end of a message (and RCPT, where a check judges recipients) waits there for an answer. Neither wire nor library is
known here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from vaglio.eager import Rest, rest, start
from vaglio.milter.agreed import ACTIONS, LINGER, unwanted
from vaglio.milter.host import Host
from vaglio.milter.plan import Plan
from vaglio.milter.session import Session
from vaglio.milter.wire import Actions, Peer, Steps

T = TypeVar("T")

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
    steps: Steps
    leading_space: bool


class Server:
    """Judges what threads hand over to the event loop on which it is made.

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
        self._open: set[Connection] = set()
        self._waiting, self._ring = 0, ring
        self._next_ring = self.loop.call_later(RARELY, self._ring_again)

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._open)

    def opened(self, connection: Connection) -> None:
        """Count a connection in; from any thread, as ``closed``."""
        self._open.add(connection)
        if len(self._open) >= self.most:
            self._was_crowded = True
            self.soon(self._crowded)

    def closed(self, connection: Connection) -> None:
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


class Connection:
    """A connection. Threads call the methods without an underscore, one at a time; the others are for the event loop.

    ``agreed`` is what the last connection had where nothing is negotiated: a mail server may begin anew on the same
    connection (QUIT_NC). ``busy`` is true from MAIL until the end of the message was answered.
    """

    __slots__ = ("_ahead", "_answering", "_connected", "_expected", "_notes", "_server", "_session", "_sound", "_take",
                 "agreed", "busy")  # fmt: skip

    def __init__(self, server: Server) -> None:
        self._server = server
        self._session = Session(self._host, server.timer)
        self.agreed = server.last or Agreement(server.host, ACTIONS, Steps(0), leading_space=True)
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
        return host if host.needs == self.agreed.host.needs else self.agreed.host

    # --- what threads call ---

    def negotiate(self, actions: int, steps: int) -> Agreement:
        """Return what is agreed on with a mail server that offers these. No answer is asked for wherever none is given:
        libmilter gives one in our place to a mail server that waits for it all the same.
        """
        host = self._server.host
        asked = unwanted(host.needs) & Steps(steps)
        agreed = Agreement(host, Actions(actions) & ACTIONS, asked, Steps.LEADING_SPACE in asked)
        self.agreed = self._server.last = agreed
        return agreed

    def connect(self, peer: Peer, macros: Mapping[bytes, bytes]) -> None:
        """Take note of the client."""
        self._connected = True
        self._note(self._session.connect, peer, macros)

    def helo(self, name: bytes) -> None:
        """Take note of HELO."""
        self._note(self._session.helo, name)

    def mail(self, arguments: Sequence[bytes], login: bytes) -> None:
        """Begin with a message."""
        self.busy = True
        self._note(self._begin, arguments, {b"{auth_authen}": login})
        if self.agreed.host.checks:  # their look-ups begin
            self._hand_over()

    @property
    def asks_recipients(self) -> bool:
        """True if ``recipient`` waits for an answer."""
        return self.agreed.host.asks_recipients

    def recipient(self, arguments: Sequence[bytes]) -> str:
        """Take note of a recipient; return the reply that refuses it, "" if it is let in."""
        if self.asks_recipients:
            return self._ask(partial(self._session.recipient, arguments))
        self._note(self._let_in, arguments)
        return ""

    def header(self, name: bytes, value: bytes) -> None:
        """Take note of a header field."""
        # The blank that a mail server keeps to itself is put back: that there was one is the best guess.
        whole = value if self.agreed.leading_space else b" " + value
        self._note(self._hear, self._session.header, name, whole)
        self._keep_pace(len(name) + len(value) + FIELD)

    def end_of_headers(self) -> None:
        """Hand over the header: look-ups that it names begin."""
        self._note(self._hear, self._session.end_of_headers)
        if self.agreed.host.of_header:
            self._hand_over()

    def body(self, chunk: bytes) -> None:
        """Take note of a piece of the body."""
        self._note(self._hear, self._session.body, chunk)
        self._keep_pace(len(chunk))

    def end_of_message(self, queue_id: bytes) -> Plan:
        """Return what is done with the message; ``over`` is to be called when it is."""
        return self._ask(partial(self._judged, {b"i": queue_id}))

    def over(self) -> None:
        """Take note that the end of the message was answered."""
        self.busy, self._ahead = False, 0

    def give_up(self) -> None:
        """Forget the message under way, if there is one."""
        if self.busy:
            self._note(self._session.close)
            self._hand_over()
            self.over()

    def close(self) -> None:
        """Take note of the end of the connection."""
        self.give_up()
        self._server.closed(self)

    def undecodable(self, raw: bytes) -> None:
        """Take note of bytes that are no UTF-8, in place of the event that the library could not tell."""
        if self.busy:
            self.header(raw, b"")
            self.warn("libmilter can't tell the value of a header field whose name is no UTF-8: it counts as empty")
        elif self._connected:
            self.helo(raw)
        else:
            self.connect(Peer(raw), {})
            self.warn("libmilter can't tell the address of a client whose name is no UTF-8")

    def spoil(self) -> None:
        """Give up judging the message under way, after a bug in the callbacks."""
        self._note(self._spoil)

    def warn(self, text: str) -> None:
        """Tell the admin."""
        self._server.soon(self._server.warn, text)

    @property
    def lenient(self) -> bool:
        """Say what becomes of a message that can't be judged."""
        return self._server.lenient

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
            self._answering = asyncio.get_running_loop().create_task(rest(outcome))
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
