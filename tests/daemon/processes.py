"""Real processes for the tests of the daemon: start one, await its log lines, its datagrams, its end."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from vaglio.daemon.clock import monotonic

HERE = Path(__file__).parent
PATIENCE = 15.0
"""Seconds after which an event that was awaited is a failure."""


class Process:
    """A script of this folder as a child process whose stderr is read line by line."""

    def __init__(
        self, script: str, *args: str | Path, environ: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> None:
        clean = {name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
        self.child = subprocess.Popen(
            [*prefix, sys.executable, "-W", "error", str(HERE / script), *map(str, args)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**clean, "PYTHONPATH": str(HERE.parents[1]), **(environ or {})},
            start_new_session=True,
        )
        self.pid = self.child.pid
        self.seen = ""
        self._cursor = 0
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):  # the session: the workers of a killed parent too
            os.killpg(self.pid, 9)
        self.child.wait(PATIENCE)
        for stream in (self.child.stdin, self.child.stderr):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def say(self, line: str) -> None:
        """Write a line to the process and all its workers, one of which reads it."""
        assert self.child.stdin is not None
        os.write(self.child.stdin.fileno(), f"{line}\n".encode())

    def line(self, pattern: str) -> re.Match[str]:
        """Await a line, after the one found last, in which ``pattern`` occurs."""
        limit = monotonic() + PATIENCE
        while True:
            complete = self.seen[: self.seen.rfind("\n") + 1]
            if found := re.compile(pattern, re.MULTILINE).search(complete, self._cursor):
                self._cursor = complete.index("\n", found.end()) + 1
                return found
            assert not self._ended, f"no line with {pattern!r} in:\n{self.seen}"
            self._read(limit, pattern)

    def end(self) -> str:
        """Await the end of the process and of all its workers; return all they wrote."""
        limit = monotonic() + PATIENCE
        while not self._ended:
            self._read(limit, "the end")
        self.child.wait(PATIENCE)
        return self.seen

    def status(self) -> int:
        """Await the end; return the exit status."""
        self.end()
        return self.child.wait(PATIENCE)

    def _read(self, limit: float, wanted: str) -> None:
        assert self.child.stderr is not None
        ready, _, _ = select.select([self.child.stderr], [], [], max(limit - monotonic(), 0))
        assert ready, f"waited too long for {wanted!r}; so far:\n{self.seen}"
        data = os.read(self.child.stderr.fileno(), 65536)
        self._ended = not data
        self.seen += data.decode()


class Manager:
    """The receiving end of sd_notify, as systemd is."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.sock.settimeout(PATIENCE)
        self.environ = {"NOTIFY_SOCKET": str(path)}

    def next(self, ignore: str = "STATUS=") -> str:
        """Await the next state that does not begin with ``ignore``; return its first line."""
        while True:
            state = self.sock.recv(4096).decode()
            if not state.startswith(ignore):
                return state.splitlines()[0]

    def has_nothing(self) -> bool:
        """Say whether no datagram waits."""
        return not select.select([self.sock], [], [], 0)[0]


@contextlib.contextmanager
def manager(folder: Path) -> Iterator[Manager]:
    """Give a service manager that listens in ``folder``."""
    one = Manager(folder / "notify")
    with one.sock:
        yield one
