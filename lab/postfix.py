"""A throwaway Postfix in the lab: a mail host with an address, a domain and mailboxes of its own.

Several run side by side, from the machine's Postfix package but without its configuration. Mail for the domain
is delivered to a Maildir by virtual(8) unless main.cf says otherwise, so no system user is needed and every recipient
exists. TLS and logins are for
submission only (lab/submission.py). Not done: IPv6, chroot.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab import submission
from lab.logs import Delivery, deliveries
from lab.smtp import greets
from lab.space import HOME, Space
from lab.waiting import Unavailable, until

_OWNER = 65534  # nobody: owns the mailboxes

_MAIN = {
    "compatibility_level": "3.6",
    "queue_directory": "{home}/queue",
    "data_directory": "{home}/data",
    "maillog_file": "{home}/log/mail.log",
    "maillog_file_prefixes": "{home}/log",
    "myhostname": "{name}",
    "mydomain": "{domain}",
    "mydestination": "",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "inet_interfaces": "{address}",
    "inet_protocols": "ipv4",
    "smtp_bind_address": "{address}",
    "mynetworks": "{address}/32",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    "virtual_mailbox_domains": "{domain}",
    "virtual_mailbox_base": "{home}/mail",
    "virtual_mailbox_maps": "static:{domain}/",
    "virtual_uid_maps": f"static:{_OWNER}",
    "virtual_gid_maps": f"static:{_OWNER}",
    "smtpd_tls_security_level": "none",
    "smtp_tls_security_level": "none",
    # The lab is in a hurry, and one client stands for many.
    "smtpd_error_sleep_time": "0",
    "smtpd_hard_error_limit": "1000000",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_client_connection_rate_limit": "0",
    "in_flow_delay": "0",
}

_MASTER = """\
smtp       inet  n  -  n  -    -  smtpd
pickup     unix  n  -  n  60   1  pickup
cleanup    unix  n  -  n  -    0  cleanup
qmgr       unix  n  -  n  300  1  qmgr
rewrite    unix  -  -  n  -    -  trivial-rewrite
bounce     unix  -  -  n  -    0  bounce
defer      unix  -  -  n  -    0  bounce
trace      unix  -  -  n  -    0  bounce
verify     unix  -  -  n  -    1  verify
flush      unix  n  -  n  1000 0  flush
proxymap   unix  -  -  n  -    -  proxymap
smtp       unix  -  -  n  -    -  smtp
relay      unix  -  -  n  -    -  smtp
showq      unix  n  -  n  -    -  showq
error      unix  -  -  n  -    -  error
retry      unix  -  -  n  -    -  error
discard    unix  -  -  n  -    -  discard
virtual    unix  -  n  n  -    -  virtual
lmtp       unix  -  -  n  -    -  lmtp
anvil      unix  -  -  n  -    1  anvil
scache     unix  -  -  n  -    1  scache
tlsmgr     unix  -  -  n  1000 1  tlsmgr
postlog    unix-dgram n - n -  1  postlogd
"""


@dataclass(frozen=True, slots=True)
class MailHost:
    """Who a Postfix is, and the main.cf settings that are its own; ``submission`` are master.cf lines for its users."""

    name: str
    address: str
    domain: str
    settings: Mapping[str, str] = field(default_factory=dict)
    submission: str = ""

    def main_cf(self, home: str) -> str:
        """Return the text of main.cf for an instance that lives in ``home``."""
        base = {key: value.format(home=home, **self._who()) for key, value in _MAIN.items()}
        if self.submission:
            base |= submission.settings(home)
        return "".join(f"{key} = {value}\n" for key, value in (base | dict(self.settings)).items())

    def _who(self) -> dict[str, str]:
        return {"name": self.name, "address": self.address, "domain": self.domain}


def queue(host: MailHost) -> str:
    """Return the queue directory of a host's Postfix, which need not run yet, as a path in the lab."""
    return f"{HOME}/{host.name}/queue"


class Postfix:
    """A running instance. LabError if it does not greet in time, Unavailable without the package."""

    def __init__(self, space: Space, host: MailHost) -> None:
        if not shutil.which("postfix", path="/usr/sbin:/usr/bin"):
            raise Unavailable("Postfix is not installed (Debian package postfix)")
        self._space, self.host = space, host
        self._home = f"{HOME}/{host.name}"
        self._write()
        space.add_address(host.address)
        self.start()

    def start(self) -> None:
        """Start it, again after a stop; it has its old queue and log."""
        self._do("start")
        address = self.host.address
        until(lambda: greets(self._space, address), f"the greeting of {self.host.name}; its log: {self.log()}")

    def reload(self) -> None:
        """Have it read its configuration again; its processes end after the session they are in."""
        self._do("reload")

    def stop(self) -> None:
        """Stop it at once; when this returns, its address is free for another."""
        self._do("stop")
        until(lambda: not self._listens(), f"the end of {self.host.name}")

    def log(self) -> str:
        """Return what it logged so far."""
        path = self._space.path(f"{self._home}/log/mail.log")
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def deliveries(self, recipient: str) -> list[Delivery]:
        """Return its attempts to deliver to a recipient, in order."""
        return [attempt for attempt in deliveries(self.log()) if attempt.recipient == recipient]

    def mailbox(self, recipient: str) -> list[bytes]:
        """Return the messages delivered to a recipient, oldest first."""
        files = sorted(self._space.path(f"{self.maildir}new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
        wanted = f"Delivered-To: {recipient}\n".encode()
        return [message for message in (path.read_bytes() for path in files) if wanted in message]

    def sendmail(self, sender: str, recipient: str, message: str) -> None:
        """Hand a message in as programs of the mail host itself do, without SMTP."""
        pipe = 'printf %s "$1" | sendmail -C "$2" -f "$3" -- "$4"'
        self._space.run("sh", "-c", pipe, "sh", message, f"{self._home}/etc", sender, recipient)

    @property
    def queue(self) -> str:
        """Its queue directory, as a path in the lab."""
        return queue(self.host)

    def held(self) -> list[str]:
        """Return the queue names of the messages on hold."""
        return [path.name for path in self._space.path(f"{self.queue}/hold").glob("*")]

    def add_login(self, login: str, password: str) -> None:
        """Let one more user submit mail."""
        submission.add_login(self._space, self._home, login, password)

    @property
    def certificate(self) -> Path:
        """The file with the certificate of its submission ports."""
        return submission.certificate(self._space, self._home)

    @property
    def maildir(self) -> str:
        """The one Maildir of all recipients of the domain, as a path in the lab."""
        return f"{self._home}/mail/{self.host.domain}/"

    def _write(self) -> None:
        home = self._space.path(self._home)
        for name in ("etc", "queue", "data", "log", "mail"):
            (home / name).mkdir(parents=True, exist_ok=True)
        os.chown(home / "mail", _OWNER, _OWNER)
        shutil.chown(home / "data", "postfix")
        (home / "etc/main.cf").write_text(self.host.main_cf(self._home))
        (home / "etc/master.cf").write_text(_MASTER + self.host.submission)
        if self.host.submission:
            submission.furnish(self._space, self._home, self.host.name, self.host.address)

    def _do(self, what: str) -> None:
        self._space.run("postfix", "-c", f"{self._home}/etc", what)

    def _listens(self) -> bool:
        try:
            with self._space.inside():
                socket.create_connection((self.host.address, 25), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True
