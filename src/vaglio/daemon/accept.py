"""Takes connections from listening sockets that several workers share.

One connection is taken for each time that a socket is readable (asyncio's own server takes as many as there are), and
who has more connections than another worker steps aside for a moment, so that they spread over the workers: Postfix
keeps its connections for long. It knows nothing of what is spoken on a connection.
"""

from __future__ import annotations

import asyncio
import mmap
import resource
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from vaglio.daemon.clock import monotonic
from vaglio.daemon.log import Throttle
from vaglio.daemon.sockets import BACKLOG, Listener
from vaglio.eager import Rest, start

PAUSE = 1.0
"""Seconds without accepting after it failed, or while there are too many connections; the others wait in the queue."""

_WARN_EVERY = 60.0

OTHER_FILES = 100
"""Files that a worker may need besides its connections."""

ASIDE = 0.002
"""Seconds for which a worker leaves a connection to those that have fewer; then it takes it all the same."""


class Shares:
    """What all workers see of each other: how many connections each has. Made before the first fork."""

    def __init__(self, workers: int) -> None:
        shared = memoryview(mmap.mmap(-1, 4 * (workers + 1))).cast("I")
        self._counts, self._served = shared[:workers], shared[workers:]

    @property
    def served(self) -> bool:
        """True once any worker was ready to serve."""
        return bool(self._served[0])

    @served.setter
    def served(self, value: bool) -> None:
        self._served[0] = value

    def has_most(self, number: int, count: int) -> bool:
        """Note that worker ``number`` has ``count`` connections; return whether another one has fewer."""
        self._counts[number] = count
        return count > min(self._counts)


class Acceptor:
    """Hands each new connection to a protocol from ``factory``, as long as ``count()`` is below ``limit``.

    ``has_most`` is told the number of connections and says whether another worker has fewer. With ``to_the_last`` those
    who still wait at the end are taken, too: for who would not ask again elsewhere.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        factory: Callable[[], asyncio.Protocol],
        count: Callable[[], int],
        limit: int,
        warn: Callable[[str], None],
        has_most: Callable[[int], bool] = lambda _: False,
        to_the_last: bool = False,
    ) -> None:
        self._sockets = [listener.sock for listener in listeners]
        self._factory, self._count, self._limit, self._warn = factory, count, limit, warn
        self._has_most, self._was_aside = has_most, False
        self._to_the_last = to_the_last
        self._loop = asyncio.get_running_loop()
        self._seldom = Throttle(_WARN_EVERY, monotonic)
        self._starting: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin, or begin again, to accept."""
        self._resume = None
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def close(self) -> None:
        """Accept no more, and let go of this process's hold on the sockets. Unless all are to be taken to the last,
        connections that have no protocol yet are closed unread, as are those in the queue.
        """
        self._rest()
        if self._resume:
            self._resume.cancel()
        if self._to_the_last:
            self._empty()
        for sock in self._sockets:
            sock.close()
        self._sockets = []

    async def settled(self) -> None:
        """Await that each connection that was taken has its protocol."""
        if self._starting:
            await asyncio.wait(self._starting)

    def _empty(self) -> None:
        for sock in self._sockets:
            with suppress(OSError):  # of which BlockingIOError says that nobody waits
                while self._count() + len(self._starting) < self._limit:
                    self._hand_over(sock.accept()[0])

    def _rest(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())

    def _accept(self, sock: socket.socket) -> None:
        count = self._count() + len(self._starting)
        if count >= self._limit:
            self._full()
            return
        if self._has_most(count) and not self._was_aside:
            self._was_aside = True
            self._open_in(ASIDE)
            return
        self._was_aside = False
        try:
            client, _ = sock.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker was faster; the client is gone again
            return
        except OSError as error:  # EMFILE, ENFILE, ENOBUFS, ENOMEM: it would fail again at once
            self._pause(f"can't accept connections for a moment: {error.strerror}")
            return
        self._hand_over(client)

    def _hand_over(self, client: socket.socket) -> None:
        client.setblocking(False)
        task = self._loop.create_task(self._start(client))
        self._starting.add(task)
        task.add_done_callback(self._started)

    async def _start(self, client: socket.socket) -> None:
        """Give a connection its protocol. A stop cancels none: of one that it catches half way, uvloop would never say
        that it is lost.
        """
        if self._abandons():
            client.close()
            return
        transport, _ = await self._loop.connect_accepted_socket(self._factory, client)
        if self._abandons():
            transport.close()

    def _abandons(self) -> bool:
        return not self._sockets and not self._to_the_last

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting.discard(task)
        if not task.cancelled():
            task.exception()  # a client that is gone already: nothing to be done, and nothing to be told

    def _full(self) -> None:
        self._pause(f"{self._limit} connections are open, which is the limit of a worker; further ones wait")

    def _pause(self, why: str) -> None:
        self._open_in(PAUSE)
        if self._seldom(why) is not None:
            self._warn(why)

    def _open_in(self, seconds: float) -> None:
        if not self._sockets:  # closed meanwhile
            return
        self._rest()
        if self._resume:
            self._resume.cancel()
        self._resume = self._loop.call_later(seconds, self.open)


class UvloopAcceptor(Acceptor):
    """The same for short connections on uvloop, whose own server takes them at half of the cost: 40 us of processor
    time for one with a message that nobody looks at, against 75. It takes one each turn from each socket, so that at
    the limit all but one of these may bring one too many; and it leaves none to other workers. Where files run out it
    closes those that it can't take; so there are fewer connections than files.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        factory: Callable[[], asyncio.Protocol],
        count: Callable[[], int],
        limit: int,
        warn: Callable[[str], None],
        to_the_last: bool = False,
    ) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = min(limit, files - OTHER_FILES) if files > 0 else limit
        super().__init__(listeners, factory, count, most, warn, to_the_last=to_the_last)
        self._servers: Sequence[asyncio.AbstractServer] = ()
        self._fresh = 0

    def open(self) -> None:
        """Begin, or begin again, to accept."""
        self._resume = None
        if self._count() >= self._limit:
            self._full()
        elif not self._servers:
            self._servers = [self._listen(sock.dup()) for sock in self._sockets]  # they close theirs when they end

    def _listen(self, sock: socket.socket) -> asyncio.AbstractServer:
        server = start(self._loop.create_server(self._taken, sock=sock, backlog=BACKLOG))
        assert not isinstance(server, Rest)  # there is nothing to wait for, where the socket is there
        return server

    def _rest(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = ()

    def _taken(self) -> asyncio.Protocol:
        if not self._fresh:
            self._loop.call_soon(self._look)  # not now, while it hands this one over
        self._fresh += 1
        return self._factory()

    def _look(self) -> None:
        """Stop at the limit; those that came in this turn are not counted elsewhere yet."""
        fresh, self._fresh = self._fresh, 0
        if self._count() + fresh >= self._limit:
            self._full()
