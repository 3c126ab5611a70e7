"""A whole mail server in a container under systemd, and what an admin does on it with one of the daemons."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Mapping
from typing import NamedTuple

from lab import containers
from lab.containers import Container
from lab.policy import PolicyClient
from lab.space import Space
from tests.milter.mta import KNOWN, POSTFIX, Mail, Mta
from vaglio.milter.wire import Peer

CONFIG = "etc/vaglio/vaglio.toml"
EXAMPLES = containers.CONTAINERFILE.parent
QUICK_WATCHDOG = "[Service]\nWatchdogSec=1s\nRestartSec=100ms\nTimeoutAbortSec=1s\n"

UNITS = tuple(
    f"vaglio-{name}.{kind}" for kind in ("socket", "service")
    for name in ("dnsbl", "greylist", "ratelimit", "spf", "score", "tag", "chain@inbound", "chain@outbound")
)  # fmt: skip
SAME_AS_EVER = f"""
rm -rf "/run/systemd/system/$1.service.d" /{CONFIG}
systemctl stop "$1.socket" "$1.service"
systemctl daemon-reload
systemctl reset-failed
systemctl start "$1.socket" "$1.service"
"""
LISTS = """\
$TTL 60
2.0.0.127.psbl.surriel.com.     IN A 127.0.0.2
77.100.51.198.psbl.surriel.com. IN A 127.0.0.2
2.0.0.127.bl.spamcop.net.       IN A 127.0.0.2
77.100.51.198.bl.spamcop.net.   IN A 127.0.0.2
nomail.test.                    IN TXT "v=spf1 -all"
"""


class Daemon(NamedTuple):
    """A daemon, its port, a client that it does not let in, what it says then, and what else it is asked about it."""

    name: str
    port: int
    client: str
    says: str
    code: int
    about: Mapping[str, str] = {}


SENDER = "anna@nomail.test"
# Put together here, so that a filter does not take this file for the test.
GTUBE = "-".join(("XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE", "STANDARD", "ANTI", "UBE", "TEST", "EMAIL*C.34X"))
SUSPECT = Mail(f"<{SENDER}>".encode(), headers=((b"From", b" anna@nomail.test"), (b"Subject", b" [SPAM] Ciao")),
               body=f"{GTUBE}\r\n".encode())  # fmt: skip
"""A message that each milter has something to say about."""


class Machine:
    """A booted container, and what an admin does on it with one of the daemons."""

    def __init__(self, space: Space, container: Container, daemon: Daemon) -> None:
        self.space, self.container, self.daemon = space, container, daemon
        self.service, self.socket = f"vaglio-{daemon.name}.service", f"vaglio-{daemon.name}.socket"

    def same_as_ever(self, unit: str = "") -> None:
        """Have one of the daemons, its own by default, run again as after the boot."""
        self.container.exec("sh", "-euc", SAME_AS_EVER, "sh", unit or self.service.removesuffix(".service"))

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        return self.container.exec("systemctl", *arguments, check=check)

    def show(self, name: str) -> str:
        return self.systemctl("show", "--value", f"--property={name}", self.service)

    def write(self, path: str, text: str) -> None:
        file = self.container.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def drop_in(self, text: str) -> None:
        self.write(f"run/systemd/system/{self.service}.d/test.conf", text)
        self.systemctl("daemon-reload")
        self.systemctl("restart", self.service)

    def over_tcp(self) -> PolicyClient:
        with self.space.inside():
            return PolicyClient(socket.create_connection(("127.0.0.1", self.daemon.port), timeout=10))

    def over_unix(self) -> PolicyClient:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(self.place)
        return PolicyClient(connection)

    @property
    def place(self) -> str:
        """The path of its socket in Postfix's chroot."""
        return str(self.container.root / f"var/spool/postfix/vaglio/{self.daemon.name.rpartition('@')[2]}.sock")

    def ask(self, client: PolicyClient | None = None) -> str:
        """Ask about a client that is not let in: one from a list, or for a sender that was never seen."""
        with client or self.over_tcp() as asking:
            number = next(NUMBERS)
            return asking.ask(client_address=self.daemon.client, sender=f"nuovo{number}@tizio.it",
                              instance=f"1.1.{number}.0", **self.daemon.about)  # fmt: skip

    def workers(self) -> list[str]:
        main = self.show("MainPID")
        return self.container.exec("cat", f"/proc/{main}/task/{main}/children").split()

    def kill(self, name: str, *pids: str) -> None:
        # A small system has no kill command but the shell's.
        self.container.exec("sh", "-c", 'kill "$@"', "sh", f"-{name}", *pids)

    def status(self, pid: str) -> dict[str, str]:
        lines = (self.container.root / f"proc/{pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


NUMBERS = itertools.count(1)


class MilterMachine(Machine):
    """The same with a milter, which is asked about spam in the name of a domain that sends no mail."""

    def ask(self, client: PolicyClient | None = None) -> str:  # milters have another kind
        """Return the reply, or the new subject, or the answer's name."""
        return self.ask_at(self.place)

    def ask_at(self, path: str) -> str:
        """Ask over the UNIX socket with this path."""
        address = self.daemon.client.encode()
        with Mta(f"unix:{path}", POSTFIX, KNOWN) as mta:
            mta.greet(Peer(b"[" + address + b"]", b"4", 1, address), b"client.example")
            outcome = mta.send(SUSPECT)
        subjects = (edit.value.decode() for edit in outcome.edits if edit.name == b"Subject")
        return outcome.reply.decode() or next(subjects, "").strip() or outcome.answer.name
