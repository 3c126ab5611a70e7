"""Servers, started alike: in the foreground, their log in a file, their data in a fresh directory, each on the
processors it is given. None outlives the ``with`` that started it.
"""

from __future__ import annotations

import getpass
import grp
import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.load import Requests

LISTS = "/etc/postgrey"
"""The whitelists that Debian ships with postgrey; both servers get them."""

START = 30.0
"""Seconds that a server may take to answer."""

STOP = 20
"""Seconds that it may take to end."""


class BenchError(Exception):
    """The benchmark can't be done, or its figures would mean nothing; the text says why."""


class Server(ABC):
    """A running server. ``directory`` is made if need be; ``cores`` are the processors it runs on."""

    name: str

    def __init__(self, directory: Path, cores: Sequence[int]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = _free_port()
        self.started = 0.0
        """Seconds from the start of the command to the first answer."""
        self._cores = ",".join(map(str, cores))
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command and its arguments."""

    @property
    def pid(self) -> int:
        """The first process."""
        assert self._process is not None
        return self._process.pid

    @property
    def address(self) -> str:
        """Where it listens, as the generators take it."""
        return f"inet:127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        begin = time.perf_counter()
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["taskset", "-c", self._cores, *self.command()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(), cwd=self.directory,
            )  # fmt: skip
        with ExitStack() as undo:
            undo.callback(self.__exit__, None, None, None)
            self._first_answer(begin + START)
            undo.pop_all()
        self.started = time.perf_counter() - begin
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        for _ in range(STOP):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
                return
            self._knock()
        self._process.kill()
        self._process.wait()

    def _knock(self) -> None:
        """Give it something to do: postgrey may look at a signal only after its next request."""
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()

    def _environment(self) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV")
        return {name: os.environ[name] for name in kept if name in os.environ}

    def _first_answer(self, limit: float) -> None:
        question = Requests({"recipient": "start@example.com"}).request(0)
        assert self._process is not None
        while not self._answers(question):
            if (status := self._process.poll()) is not None:
                raise BenchError(f"{self.name} ended with status {status}:\n{self.log_end()}")
            if time.perf_counter() > limit:
                raise BenchError(f"{self.name} gave no answer within {START:g} s:\n{self.log_end()}")
            time.sleep(0.001)

    def _answers(self, question: bytes) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), START) as connection:
            connection.sendall(question)
            return bool(connection.recv(4096))
        return False

    def log_end(self) -> str:
        """Return the last lines of its log."""
        return "\n".join((self.directory / "log").read_text(errors="replace").splitlines()[-15:])


class Postgrey(Server):
    """Debian's postgrey. ``auto_whitelist`` 0 is off."""

    name = "postgrey"

    def __init__(
        self, directory: Path, cores: Sequence[int], delay: int = 300, auto_whitelist: int = 0, listed: str = ""
    ) -> None:
        super().__init__(directory, cores)
        self._delay, self._auto_whitelist = delay, auto_whitelist
        self._clients = client_lists(directory, listed)

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        return [
            "/usr/sbin/postgrey",
            f"--inet=127.0.0.1:{self.port}",
            f"--dbdir={self.directory}",
            f"--user={getpass.getuser()}",
            f"--group={grp.getgrgid(os.getgid()).gr_name}",
            f"--delay={self._delay}",
            f"--auto-whitelist-clients={self._auto_whitelist}",
            *(f"--whitelist-clients={path}" for path in self._clients),
            f"--whitelist-recipients={LISTS}/whitelist_recipients",
        ]

    def disk(self) -> int:
        """Return the bytes of its triplets' database; after a restart, for then all is in it."""
        return (self.directory / "postgrey.db").stat().st_size

    def disk_with_logs(self) -> int:
        """Return the same with the logs: Berkeley DB writes each change there first, and postgrey removes the old ones
        once an hour.
        """
        return self.disk() + sum(path.stat().st_size for path in self.directory.glob("log.*"))


class Daemon(Server):
    """A daemon of ours; ``config`` is what stands in its file but for the store."""

    name = "vaglio"
    program: str

    def __init__(self, directory: Path, cores: Sequence[int], config: str, workers: int = 1) -> None:
        super().__init__(directory, cores)
        self._workers = workers
        self._config = directory / "vaglio.toml"
        self._config.write_text(f'[state]\nurl = "sqlite://{directory}"\n{config}')

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        return [
            str(Path(sys.executable).with_name(self.program)),
            f"--config={self._config}",
            f"--listen={self.address}",
            f"--workers={self._workers}",
        ]

    @property
    def database(self) -> Path:
        """The file with what it remembers."""
        return self.directory / f"{self.program.removeprefix('vaglio-')}.sqlite"

    def disk(self) -> int:
        """Return the bytes of its database; to be asked when it is stopped, for then nothing is left in the log."""
        files = (self.database, self.database.with_name(f"{self.database.name}-wal"))
        return sum(path.stat().st_size for path in files if path.exists())

    def _environment(self) -> dict[str, str]:
        # As an installed package is: compiled once. (The checkout is left alone.)
        return {**super()._environment(), "PYTHONPYCACHEPREFIX": str(self.directory.parent / "pycache")}


class Vaglio(Daemon):
    """Our greylisting daemon, as it is by default but for the settings given here. ``auto_whitelist`` 0 is off."""

    program = "vaglio-greylist"

    def __init__(
        self,
        directory: Path,
        cores: Sequence[int],
        delay: int = 300,
        auto_whitelist: int = 0,
        listed: str = "",
        workers: int = 1,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        clients = ", ".join(f'"{path}"' for path in client_lists(directory, listed))
        config = (
            f'[greylist]\ndelay = "{delay}s"\nmax_pending = 0\n'
            f"auto_whitelist = {auto_whitelist}\nwhitelist_clients = [{clients}]\n"
            f'whitelist_recipients = ["{LISTS}/whitelist_recipients"]\n'
        )
        super().__init__(directory, cores, config, workers)


def client_lists(directory: Path, listed: str) -> list[Path]:
    """Return whitelists of clients: Debian's, and, if ``listed`` is not empty, one with that entry at its end."""
    lists = [Path(LISTS, "whitelist_clients")]
    if listed:
        own = directory / "whitelist_clients"
        own.write_text(f"{listed}\n")
        lists.append(own)
    return lists


def _free_port() -> int:
    """Return a port that nobody has, below those that the kernel gives to clients: one of these could take it, and a
    client that knocks before the server is there could even meet itself.
    """
    while True:
        port = random.randrange(20_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
