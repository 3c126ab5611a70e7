"""Policy connections: requests in, answers out, in order, none lost.

An asyncio protocol on whole buffers (a stream's readline per attribute costs four times as much). The answers of
one turn go out together, after ``settle`` made durable what they rest on: one commit for many requests, and never an
answer that a crash could turn into a lie. Knows no check, opens no socket.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import cast

from vaglio.eager import Rest
from vaglio.facts import Facts
from vaglio.policy.parse import Parser
from vaglio.policy.render import PASS, render
from vaglio.ports import StoreError
from vaglio.turn import Turn
from vaglio.verdict import Verdict

MAX_WAITING = 100
"""Requests of one connection that may wait for an answer before no more is read from it. Postfix sends one."""

MAX_AT_ONCE = 20
"""Requests of one connection that are judged in one turn, so that no flood holds up the others."""

REMEMBERED = 4096
"""Messages whose header was already given: a message has one header, however many recipients."""


class Server:
    """Makes protocol objects for connections; call it to get one.

    ``answer``, to be set before the first connection, judges, or begins to where it must wait (it must not raise); at
    the end of each ``turn`` ``settle`` makes its changes durable, ``failed`` gives the verdict for when it can't,
    ``record`` is told of every answer with the seconds it took, ``timer`` is a monotonic clock in seconds, ``warn``
    takes a line for the admin.
    """

    answer: Callable[[Facts], Verdict | Rest[Verdict]]

    def __init__(
        self,
        turn: Turn,
        settle: Callable[[], None],
        failed: Callable[[Facts, StoreError], Verdict],
        record: Callable[[Facts, Verdict, float], None],
        timer: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self.failed = failed
        self.timer = timer
        self.warn = warn
        self._turn = turn
        self._settle = settle
        self._record = record
        self._answers: list[tuple[Connection, Facts, Verdict, float]] = []  # the last: when it was begun
        self._accounts = 0  # turns that were answered and are not recorded yet
        self._prepended: OrderedDict[str, None] = OrderedDict()
        self._open: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._idle: asyncio.Event | None = None

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

    def closed(self, connection: Connection) -> None:
        """Count a connection out."""
        self._open.discard(connection)
        self._wake_drain()

    def give(self, connection: Connection, facts: Facts, verdict: Verdict, started: float) -> None:
        """Answer at the end of this turn."""
        if not self._answers:
            self._turn.at_end(self._end_turn)
        self._turn.answered()
        self._answers.append((connection, facts, verdict, started))

    def _end_turn(self) -> None:
        answers, self._answers = self._answers, []
        self._accounts += 1
        try:
            self._settle()
        except StoreError as error:
            answers = [(one, facts, self.failed(facts, error), started) for one, facts, _, started in answers]
        for connection, facts, verdict, _ in answers:
            connection.write(self._rendered(facts, verdict))
        # uvloop sends what was written when this callback has returned: no client waits for our accounts.
        asyncio.get_running_loop().call_soon(self._account, answers, self.timer())
        for connection, *_ in answers:
            if connection.unfinished:
                connection.go_on()

    def _account(self, answers: list[tuple[Connection, Facts, Verdict, float]], done: float) -> None:
        record = self._record
        for _, facts, verdict, started in answers:
            record(facts, verdict, done - started)
        self._accounts -= 1
        self._wake_drain()

    def _rendered(self, facts: Facts, verdict: Verdict) -> bytes:
        if not verdict.headers:
            return render(verdict, facts.session.stage)
        instance = facts.session.instance
        answer = render(verdict, facts.session.stage, prepend=instance not in self._prepended)
        if instance and answer is not PASS:
            self._prepended[instance] = None
            if len(self._prepended) > REMEMBERED:
                self._prepended.popitem(last=False)
        return answer

    async def drain(self) -> None:
        """Answer every request that was read, then close all connections. The caller bounds the time."""
        self._idle = asyncio.Event()
        for connection in list(self._open):
            connection.stop_reading()
        self._wake_drain()
        await self._idle.wait()
        for connection in list(self._open):
            connection.close()

    def _wake_drain(self) -> None:
        busy = self._answers or self._accounts or self.tasks
        if self._idle and not busy and not any(c.waiting for c in self._open):
            self._idle.set()


class Connection(asyncio.Protocol):
    """One connection: keeps the order of its requests and bounds what waits."""

    __slots__ = ("_busy", "_closing", "_owed", "_parser", "_paused", "_server", "_transport", "_waiting", "_writable")

    _transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = Parser()
        self._waiting: deque[Facts] = deque()
        self._busy = False  # a request is being judged in a task
        self._owed = 0  # answers of this turn that are not written yet
        self._paused = False  # we stopped reading
        self._writable = True
        self._closing = False  # close once all is answered

    @property
    def waiting(self) -> bool:
        """True while a request that was read has no answer yet (and the peer is there to hear it)."""
        return self._busy or self._owed > 0 or bool(self._waiting)

    @property
    def unfinished(self) -> bool:
        """True if there is more to do than to wait for the next request."""
        return bool(self._waiting) or self._closing or self._paused

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the new connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the class
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Forget what nobody waits for any more."""
        self._waiting.clear()
        self._writable = False
        self._server.closed(self)

    def data_received(self, data: bytes) -> None:
        """Judge the requests that are complete now."""
        if self._closing:
            return
        requests = self._parser.facts(data)
        if self._parser.error:
            self._closing = True
            self._server.warn(f"closing a policy connection: {self._parser.error}")
        elif len(requests) == 1 and self._writable and not self.waiting:  # as Postfix asks
            self._judge(requests[0])
            return
        self._waiting.extend(requests)
        self.go_on()

    def eof_received(self) -> bool:
        """Keep the connection until what was read is answered."""
        self._closing = True
        self.go_on()
        return True

    def pause_writing(self) -> None:
        """Stop judging: the peer does not read its answers."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on when the peer reads again."""
        self._writable = True
        self.go_on()

    def go_on(self) -> None:
        """Judge what waits, as far as order and the peer allow; then read on, or close."""
        while self._waiting and not self._busy and self._writable and self._owed < MAX_AT_ONCE:
            self._judge(self._waiting.popleft())
        if self._closing:
            if not self.waiting:
                self._transport.close()
        elif self._paused != (len(self._waiting) > MAX_WAITING):
            self._paused = not self._paused
            (self._transport.pause_reading if self._paused else self._transport.resume_reading)()

    def _judge(self, facts: Facts) -> None:
        server = self._server
        started = server.timer()
        outcome = server.answer(facts)
        if isinstance(outcome, Rest):
            self._busy = True
            task = asyncio.get_running_loop().create_task(self._judge_on(facts, outcome, started))
            server.tasks.add(task)
        else:
            self._owed += 1
            server.give(self, facts, outcome, started)

    async def _judge_on(self, facts: Facts, rest: Rest[Verdict], started: float) -> None:
        server = self._server
        try:
            verdict = await rest
            self._owed += 1
            server.give(self, facts, verdict, started)
        finally:
            self._busy = False
            task = asyncio.current_task()
            assert task is not None
            server.tasks.discard(task)
            self.go_on()

    def write(self, answer: bytes) -> None:
        """Send an answer; nothing happens if the peer is gone."""
        self._owed -= 1
        if not self._transport.is_closing():
            self._transport.write(answer)

    def stop_reading(self) -> None:
        """Read no more; what was read is still answered."""
        self._closing = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def close(self) -> None:
        """Close after what was written has gone out."""
        self._transport.close()
