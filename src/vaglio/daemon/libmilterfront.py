"""The front of a milter that runs on libmilter: its listening socket, its thread, its limits.

libmilter opens its own socket, once in a process, and never lets go of it. So it is given one that nobody can find, and
ours takes its place, under the same number: it was opened like any other (rights, place, systemd's, before the fork).
While there are too many connections, and at a stop, one to which nobody comes takes the place of ours.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import stat
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from vaglio.config.model import VaglioConfig
from vaglio.config.sense import WANT_PYMILTER
from vaglio.config.types import DaemonSection, MilterSection
from vaglio.daemon.clock import timer
from vaglio.daemon.front import Surroundings
from vaglio.daemon.guard import safely
from vaglio.daemon.milterfront import hosted
from vaglio.daemon.seldom import seldom
from vaglio.daemon.service import Service
from vaglio.milter import wire
from vaglio.milter.handover import Server

_WHERE = {socket.AF_INET: "inet:0@127.0.0.1", socket.AF_INET6: "inet6:0@::1"}
_RING = wire.macros(wire.Command.HELO, {b"x": b""})
PATIENCE = 10.0
"""Seconds for libmilter to begin."""

EMPTYING = 1.0
"""Seconds at most for libmilter to take the connections that wait, at a stop."""

_KNOCK = signal.SIGUSR1
_DESCRIPTORS = Path("/proc/self/fd")


class LibmilterFront:
    """The milter protocol, by libmilter, on one listener (``front.obstacle``). Raises OSError where it can't be had."""

    def __init__(self, around: Surroundings) -> None:
        try:
            from vaglio.milter import libmilter
        except ImportError as error:
            raise OSError(f'engine = "libmilter" can\'t be had ({error}): {WANT_PYMILTER}') from None
        self._around = around
        self._warn_seldom = seldom(around.warn)
        self._listener = around.listeners[0].sock
        self._server = Server(timer, self._warn_seldom, self._crowded, self._ring, safely)
        self._door = _Door(self._listener, lambda where: libmilter.listen(self._server, where))
        self._thread = threading.Thread(target=self._run, args=(libmilter.run,), name="libmilter", daemon=True)
        self._closing = self._gave_up = False
        asyncio.get_running_loop().add_signal_handler(_KNOCK, lambda: None)  # else it would end the process

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return self._server.connections

    def fit(self, service: Service, section: DaemonSection, config: VaglioConfig) -> Callable[[], None]:
        """Put checks of messages behind guards of their own, and their judgement behind another."""
        assert isinstance(section, MilterSection)
        host = hosted(service, section, config.identity.authserv_id, self._around)

        def use() -> None:
            self._server.host = host
            self._server.lenient = section.on_error == "pass"
            self._server.most = section.max_connections

        return use

    def open(self) -> None:
        """Begin to take connections."""
        self._thread.start()
        self._door.greet()
        self._server.forget()
        self._move(self._door.open)

    def close(self) -> None:
        """Begin to take no more connections."""
        self._closing = True

    async def drain(self) -> None:
        """Take the connections that wait: Postfix does without a milter that closes one. Then take no more, and let
        messages under way come to their end.
        """
        until = timer() + EMPTYING
        while self._door.is_open and not self._gave_up and self._is_awaited() and timer() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        self._move(self._door.shut)
        self._listener.close()
        if not self._gave_up:  # else nobody is left to answer
            await self._server.drain()

    def _is_awaited(self) -> bool:
        return bool(select.select([self._listener], [], [], 0)[0])

    def _crowded(self) -> None:
        if self._closing:
            return
        most = self._server.most
        if self._server.connections < most:
            self._move(self._door.open)
        elif self._door.is_open:
            self._move(self._door.shut)
            self._warn_seldom(f"{most} connections are open, which is the limit of a worker; further ones wait")

    def _ring(self) -> None:
        if not self._gave_up:
            self._door.ring()

    def _move(self, door: Callable[[], None]) -> None:
        """Open or shut the door, and have libmilter look at it again: it waits at what was there before."""
        if self._gave_up:
            return
        door()
        if self._thread.ident:
            signal.pthread_kill(self._thread.ident, _KNOCK)

    def _run(self, run: Callable[[], None]) -> None:
        run()
        self._gave_up = True
        self._server.soon(self._make_room)

    def _make_room(self) -> None:
        """End this worker, since libmilter can't begin anew in the same process."""
        if not self._closing:
            self._closing = True
            self._around.warn("libmilter has given up: this worker ends, another one takes its place")
            os.kill(os.getpid(), signal.SIGTERM)


class _Door:
    """What stands where libmilter's socket was: ours, or one that nobody comes to. Shut at first: its own is there, on
    which it accepts nothing but the connection of the ``bell``.
    """

    def __init__(self, ours: socket.socket, listen: Callable[[str], None]) -> None:
        self._ours = ours
        if ours.family != socket.AF_UNIX:  # it writes an answer in pieces: they would wait for each other's receipt
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # goes on to those that it accepts
        with tempfile.TemporaryDirectory(prefix="vaglio-") as folder:
            before = _sockets()
            listen(_WHERE.get(socket.AddressFamily(ours.family), f"unix:{folder}/libmilter"))
            (self._number,) = _sockets() - before
            self._stand_in: socket.socket | None = socket.socket(fileno=os.dup(self._number))
            self._bell = socket.socket(ours.family, socket.SOCK_STREAM)
            self._bell.connect(self._stand_in.getsockname())
        self._bell.settimeout(PATIENCE)

    @property
    def is_open(self) -> bool:
        """True if libmilter gets our connections."""
        return self._stand_in is None

    def greet(self) -> None:
        """Await that libmilter has accepted the bell's connection. It runs by now."""
        self._bell.sendall(wire.options(wire.Options(wire.VERSION, 0x1FF, 0x1FFFFF)))
        if not self._bell.recv(1024):
            raise OSError("libmilter does not answer")
        self._bell.setblocking(False)

    def ring(self) -> None:
        """Cause an event in libmilter, one that calls nobody."""
        with suppress(OSError):
            self._bell.send(_RING)

    def open(self) -> None:
        """Let libmilter accept on our socket."""
        if self._stand_in:
            os.dup2(self._ours.fileno(), self._number, inheritable=False)
            self._stand_in.close()
            self._stand_in = None

    def shut(self) -> None:
        """Let libmilter wait for nobody."""
        if self._stand_in is None:
            self._stand_in = _lonely()
            os.dup2(self._stand_in.fileno(), self._number, inheritable=False)


def _lonely() -> socket.socket:
    """Return a listening socket that nobody can find."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with tempfile.TemporaryDirectory(prefix="vaglio-") as folder:
        sock.bind(f"{folder}/lonely")
        sock.listen()
    sock.setblocking(False)
    return sock


def _sockets() -> set[int]:
    """Return the numbers of this process's sockets."""
    return {number for number in (int(one.name) for one in _DESCRIPTORS.iterdir()) if _is_socket(number)}


def _is_socket(number: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:  # the one by which the folder was read
        return False
