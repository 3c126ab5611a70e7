"""The trivial daemon as a process, and clients that speak the policy protocol to it."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.daemon.processes import PATIENCE, Process

SCRIPT = "trivial_daemon.py"


def request(what: str) -> bytes:
    """Return the bytes of a request that asks the trivial check to do ``what``."""
    sender = f"{what}@tizio.it"
    return (
        "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.1\nclient_name=unknown\n"
        f"sender={sender}\nrecipient=anna@caio.it\ninstance=1\n\n"
    ).encode()


class Client:
    """A connection as Postfix has one."""

    def __init__(self, address: str) -> None:
        kind, _, rest = address.partition(":")
        self.sock = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
        self.sock.settimeout(PATIENCE)
        host, _, port = rest.rpartition(":")
        self.sock.connect(rest if kind == "unix" else (host, int(port)))
        self._file = self.sock.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self.sock.close()

    def ask(self, what: str) -> str:
        """Send a request, return the answer."""
        self.sock.sendall(request(what))
        return self.answer()

    def answer(self) -> str:
        """Await the next answer; empty at the end of the connection."""
        try:
            line = self._file.readline()
        except ConnectionResetError:
            return ""
        assert not line or self._file.readline() == b"\n"
        return line.decode().strip().removeprefix("action=")

    def pid(self) -> int:
        """Ask which process answers."""
        return int(re.findall(r"pid (\d+)", self.ask("defer"))[0])


class Trivial(Process):
    """The trivial daemon over a UNIX socket (``path``) and a TCP port (``inet``, known after ``ready``)."""

    def __init__(
        self,
        folder: Path,
        *args: str,
        workers: int = 1,
        environ: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        **settings: str,
    ) -> None:
        self.folder, self.workers = folder, workers
        self.path = folder / "x.sock"
        self.unix = f"unix:{self.path}"
        self.inet = ""
        self.config = folder / "vaglio.toml"
        self.configure(**settings)
        super().__init__(SCRIPT, "--config", self.config, *args, environ=environ, prefix=prefix)

    def configure(self, more: str = "", **settings: str) -> None:
        """Write the configuration; settings are those of the daemon's section, in TOML."""
        listen = f'["inet:127.0.0.1:0", "{self.unix}"]'
        section = {"listen": listen, "workers": str(self.workers), "deadline": '"2m"', **settings}
        lines = [f"{key} = {value}" for key, value in section.items()]
        self.config.write_text(
            "\n".join([f'[state]\nurl = "sqlite://{self.folder}/state"', more, "[greylist]", *lines, ""])
        )

    def ready(self) -> Trivial:
        """Await that all workers answer."""
        try:
            self.line("^INFO ready$")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.inet = next(iter(re.findall(r"listening on (inet:.*)", self.seen)), "")
        return self

    def client(self) -> Client:
        """Connect to the UNIX socket."""
        return Client(self.unix)
