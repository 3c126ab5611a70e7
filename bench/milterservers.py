"""The servers of the benchmark of milters: ours, with either engine, and pymilter's and pyspf-milter of Debian's.

All listen on UNIX sockets, for over TCP libmilter waits 40 ms before each answer. The peers get the system's Python and
their settings from files of ours; of the machine's own configuration nothing is touched.
"""

from __future__ import annotations

import getpass
import grp
import json
import os
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal, Self

from bench.processes import family
from bench.servers import START, BenchError, Daemon, Server

Engine = Literal["native", "libmilter"]
ENGINES: tuple[Engine, ...] = ("native", "libmilter")

PYTHON = "/usr/bin/python3"
"""The system's, for which Debian's python3-milter is built."""

PYSPF = "/usr/bin/pyspf-milter"

_NEGOTIATION = struct.pack(">IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)


class MilterServer(Server):
    """A milter that listens on the UNIX socket ``path``."""

    @property
    def path(self) -> Path:
        """Its socket."""
        return self.directory / "sock"

    @property
    def address(self) -> str:
        """Where it listens, as the generators take it."""
        return f"unix:{self.path}"

    def _knock(self) -> None:
        """Do nothing: none of them waits for that."""

    def _answers(self, _question: bytes) -> bool:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(START)
            connection.connect(str(self.path))
            connection.sendall(_NEGOTIATION)
            return connection.recv(5)[4:] == b"O"
        return False


class Ours(MilterServer, Daemon):
    """A milter of ours, as it is by default but for its engine and the settings given here."""

    section: str

    def __init__(
        self, directory: Path, cores: Sequence[int], engine: Engine = "native", workers: int = 1, nameserver: str = "",
        settings: str = "",
    ) -> None:  # fmt: skip
        self._engine = engine
        servers = f'[dns]\nservers = ["{nameserver}"]\n' if nameserver else ""
        section = f'[{self.section}]\nengine = "{engine}"\nsocket_mode = "0666"\n'
        identity = '[identity]\nhostname = "mx.example.com"\nauthserv_id = "mx.example.com"\n'
        super().__init__(directory, cores, identity + servers + section + settings, workers)

    def __enter__(self) -> Self:
        server = super().__enter__()
        with ExitStack() as undo:
            undo.callback(self.__exit__, None, None, None)
            # One of several workers has answered; others may not have loaded theirs yet.
            maps = [Path(f"/proc/{worker}/maps").read_text() for worker in family(self.pid)[1:]]
            found: Engine = "libmilter" if any("libmilter" in one for one in maps) else "native"
            if found != self._engine:
                raise BenchError(f"{self.program} runs on the engine {found}, not on {self._engine}")
            undo.pop_all()
        return server

    @property
    def worker(self) -> int:
        """The first process that does the work."""
        return family(self.pid)[1]


class Noop(Ours):
    """A chain without checks: it looks for forged results in the header, and is not sent the body."""

    program = "vaglio-chain"
    section = "chain.noop"

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        program, *options = super().command()
        return [program, "noop", *options]


class Spf(Ours):
    """vaglio-spf."""

    program = "vaglio-spf"
    section = "spf"


class Inbound(Ours):
    """vaglio-chain inbound, in one process, with those checks that ship, or with others."""

    program = "vaglio-chain"
    section = "chain.inbound"

    def __init__(
        self, directory: Path, cores: Sequence[int], nameserver: str, checks: Sequence[str] = (), workers: int = 1
    ) -> None:
        settings = f"checks = {json.dumps(checks)}\n" if checks else ""
        super().__init__(directory, cores, "native", workers, nameserver, settings)

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        program, *options = super().command()
        return [program, "inbound", *options]


class Bodies(Ours):
    """A milter with a check that wants bodies, whole and in pieces, and does nothing with them."""

    program = "bench.bodies"
    section = "chain.bodies"

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        options = [f"--config={self._config}", f"--listen={self.address}", f"--workers={self._workers}"]
        return [sys.executable, "-m", self.program, *options]

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "PYTHONPATH": str(Path.cwd())}


class NoopPymilter(MilterServer):
    """pymilter, doing nothing; it asks for no replies, and unless ``bodies`` for no bodies."""

    name = "a no-op pymilter"

    def __init__(self, directory: Path, cores: Sequence[int], bodies: bool = True) -> None:
        super().__init__(directory, cores)
        self._options = [] if bodies else ["--no-body"]

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        return [PYTHON, str(Path(__file__).with_name("noop_pymilter.py")), self.address, *self._options]


class PyspfMilter(MilterServer):
    """Debian's pyspf-milter. It reads /etc/resolv.conf, so it gets one of its own there. It logs nothing, which is in
    its favour.
    """

    name = "pyspf-milter"

    def __init__(self, directory: Path, cores: Sequence[int], nameserver: str) -> None:
        super().__init__(directory, cores)
        (directory / "resolv.conf").write_text(f"nameserver {nameserver}\n")
        group = grp.getgrgid(os.getgid()).gr_name
        (directory / "config").write_text(
            f"debugLevel = 0\nHELO_reject = Fail\nMail_From_reject = Fail\nPermError_reject = False\n"
            f"TempError_Defer = False\nskip_addresses = 127.0.0.0/8,::1\nInternalHosts = 127.0.0.1\n"
            f"Socket = {self.address}\nPidFile = {directory}/pid\nUserID = {getpass.getuser()}:{group}\nUMask = 0\n"
        )

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        shell = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        program = [PYSPF, str(self.directory / "config")]
        return ["unshare", "--mount", "sh", "-c", shell, str(self.directory / "resolv.conf"), *program]
