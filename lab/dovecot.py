"""A Dovecot in the lab: a mail host's mailboxes, filled by LMTP and sorted by the shipped Sieve script.

It comes from Debian's packages, 2.3 or 2.4, runs beside any other of the machine, and is configured by files of the lab
alone. Each recipient has a Maildir of his own, and exists. Not done: IMAP, logins.
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from lab.postfix import MailHost
from lab.space import HOME, Space
from lab.waiting import LabError, Unavailable, until

EXAMPLE = Path(__file__).resolve().parents[1] / "examples/dovecot/spam-to-junk.sieve"

INBOX, JUNK = "INBOX", "Junk"

_OWNER = 65534  # nobody: owns the mailboxes

_COMMON = """\
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
ssl = no
namespace inbox {{
  inbox = yes
  separator = .
}}
service lmtp {{
  unix_listener lmtp {{
    user = postfix
    mode = 0600
  }}
}}
"""
_BY_VERSION = {
    "2.3": """\
protocols = lmtp
mail_location = maildir:~/Maildir
passdb {{
  driver = static
  args = nopassword=yes
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={home}/mail/%n allow_all_users=yes
}}
protocol lmtp {{
  mail_plugins = sieve
}}
plugin {{
  sieve_before = {home}/sieve/spam-to-junk.sieve
}}
""",
    "2.4": """\
protocols = lmtp
mail_driver = maildir
mail_path = ~/Maildir
passdb static {{
  fields {{
    nopassword = yes
  }}
}}
userdb static {{
  userdb_static_allow_all_users = yes
  fields {{
    uid = {owner}
    gid = {owner}
    home = {home}/mail/%{{user | username}}
  }}
}}
protocol lmtp {{
  mail_plugins {{
    sieve = yes
  }}
}}
sieve_script spam-to-junk {{
  type = before
  path = {home}/sieve/spam-to-junk.sieve
}}
""",
}
_FIRST_LINES = {"2.3": "", "2.4": "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"}


def transport(host: MailHost) -> dict[str, str]:
    """Return the lines of main.cf that hand a host's mail to its Dovecot."""
    return {"virtual_transport": f"lmtp:unix:{_home(host)}/run/lmtp"}


def configuration(version: str, home: str) -> str:
    """Return the configuration for a Dovecot of a version, such as "2.3.19.1", that lives in ``home``. Unavailable for
    one that we know nothing of.
    """
    series = ".".join(version.split(".")[:2])
    if series not in _BY_VERSION:
        raise Unavailable(f"Dovecot {version} is neither of {' nor '.join(_BY_VERSION)}")
    return _FIRST_LINES[series] + (_COMMON + _BY_VERSION[series]).format(home=home, owner=_OWNER)


def _home(host: MailHost) -> str:
    return f"{HOME}/{host.name}-dovecot"


class Dovecot:
    """A running instance. LabError if it does not listen in time, Unavailable without the packages."""

    def __init__(self, space: Space, host: MailHost) -> None:
        for program in ("dovecot", "sievec"):
            if not shutil.which(program, path="/usr/sbin:/usr/bin"):
                raise Unavailable(f"{program} is not installed (Debian packages dovecot-lmtpd and dovecot-sieve)")
        self._space, self._home = space, _home(host)
        config = self._write()
        script = f"{self._home}/sieve/{EXAMPLE.name}"
        space.run("sievec", "-c", config, script)
        self._config = config
        self._process = space.start(["dovecot", "-F", "-c", config], f"{self._home}/start.log")
        until(self._listens, f"Dovecot to listen; its log: {self.log()}")

    def mailbox(self, recipient: str, folder: str = INBOX) -> list[bytes]:
        """Return the messages in a folder of a recipient, oldest first."""
        place = self._space.path(self.maildir(recipient, folder))
        files = sorted(place.glob("[nc]*/*"), key=lambda path: path.stat().st_mtime_ns)
        return [path.read_bytes() for path in files if path.parent.name in ("new", "cur")]

    def maildir(self, recipient: str, folder: str = INBOX) -> str:
        """Return where a folder is, as a path in the lab."""
        name = recipient.partition("@")[0]
        return f"{self._home}/mail/{name}/Maildir" + ("" if folder == INBOX else f"/.{folder}")

    def move(self, recipient: str, source: str, target: str, *query: str) -> None:
        """Move the messages that a query finds (doveadm-search-query(7)) to another folder, as their owner does."""
        self._space.run("doveadm", "-c", self._config, "move", "-u", recipient, target, "mailbox", source, *query)

    def log(self) -> str:
        """Return what it logged so far."""
        files = [self._space.path(f"{self._home}/{name}.log") for name in ("start", "dovecot")]
        return "".join(file.read_text("utf-8", "replace") for file in files if file.exists())

    def _write(self) -> str:
        home = self._space.path(self._home)
        for name in ("mail", "sieve", "state"):
            (home / name).mkdir(parents=True)
        os.chown(home / "mail", _OWNER, _OWNER)
        shutil.copy(EXAMPLE, home / "sieve")
        version = self._space.run("dovecot", "--version").split()[0]
        (home / "dovecot.conf").write_text(configuration(version, self._home))
        return f"{self._home}/dovecot.conf"

    def _listens(self) -> bool:
        if self._process.returncode is not None:
            raise LabError(f"Dovecot ended with exit status {self._process.returncode}: {self.log()}")
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(self._space.path(f"{self._home}/run/lmtp"))) == 0
