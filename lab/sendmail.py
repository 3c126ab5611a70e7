"""A throwaway Sendmail in the lab: a mail host with an address, a domain and mailboxes of its own, beside Postfix.

The program comes from Debian's packages, unpacked and not installed (lab/packages.py), for the two can't be installed
together. Mail for the domain is handed to a shell script that keeps it byte for byte, so every recipient exists.
Clients are who they are: Sendmail knows no XCLIENT, but the lab has many addresses. Not done: TLS, logins, IPv6, mail
to other hosts.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from lab.packages import libraries, unpacked
from lab.postfix import MailHost
from lab.space import HOME, Process, Space
from lab.waiting import LabError, Unavailable, until

EXAMPLE = Path(__file__).resolve().parents[1] / "examples/sendmail/vaglio.mc"
PACKAGES = ("sendmail-bin", "sendmail-cf", "m4")
_PROGRAMS = ("usr/libexec/sendmail/sendmail", "usr/lib/sm.bin/sendmail")
_NOBODY = 65534  # owns the mailboxes

_MC = """\
divert(-1)
include(`@CF@/m4/cf.m4')
divert(0)dnl
VERSIONID(`of the lab')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `@NAME@')dnl
define(`QUEUE_DIR', `@HOME@/queue')dnl
define(`confPID_FILE', `@HOME@/pid')dnl
define(`STATUS_FILE', `@HOME@/statistics')dnl
define(`ALIAS_FILE', `')dnl
define(`HELP_FILE', `')dnl
define(`confCW_FILE', `-o @HOME@/none')dnl
define(`confDEF_USER_ID', `@NOBODY@:@NOBODY@')dnl
undefine(`confHOST_STATUS_DIRECTORY')dnl
define(`confLOG_LEVEL', `14')dnl
define(`confMILTER_LOG_LEVEL', `14')dnl
dnl The lab is in a hurry, and one client stands for many.
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confTO_IDENT', `0')dnl
define(`confREFUSE_LA', `0')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confDELAY_LA', `0')dnl
define(`confCONNECTION_RATE_THROTTLE', `0')dnl
define(`confMAX_DAEMON_CHILDREN', `0')dnl
define(`confBAD_RCPT_THROTTLE', `0')dnl
dnl Names of senders need not exist; what the message says is left as it is.
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
FEATURE(`nocanonify')dnl
FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA, Port=25, Addr=@ADDRESS@, M=AS')dnl
LOCAL_DOMAIN(`@DOMAIN@')dnl
@SETTINGS@
MAILER(`local')dnl
MAILER(`smtp')dnl
LOCAL_RULE_0
R$+ < @ @DOMAIN@ . >	$#keep $: $1@@DOMAIN@
MAILER_DEFINITIONS
Mkeep,	P=/bin/sh, F=lsDFMn8, T=DNS/RFC822/X-Unix,
	A=sh @HOME@/keep $u
"""
_KEEP = """\
set -eu
umask 022
file=$(mktemp {home}/mail/tmp/XXXXXXXXXX)
printf %s "$1" >"$file.to"
cat >"$file"
chmod 644 "$file"
mv "$file" "$file.to" {home}/mail/new/
"""
# Its syslog is a socket of ours, in a /dev of its own. Without a host name with dots, it would wait for one.
_START = """\
set -eu
home=$0
name=$1
address=$2
shift 2
for device in null zero random urandom; do
    : >"$home/dev/$device"
    mount --bind "/dev/$device" "$home/dev/$device"
done
mount --rbind "$home/dev" /dev
printf '127.0.0.1 localhost\\n%s %s\\n' "$address" "$name" >"$home/hosts"
mount --bind "$home/hosts" /etc/hosts
hostname "$name"
exec "$@"
"""


def filters(folder: str, *names: str) -> str:
    """Return the shipped lines about Vaglio's milters, with sockets in ``folder``; those in force are the ones of
    ``names``, such as "inbound" or "score", or as shipped.
    """
    text = EXAMPLE.read_text().replace("/run/vaglio/", f"{folder}/")
    if not names:
        return text
    return re.sub(r"^(?:dnl )?(?=INPUT_MAIL_FILTER\(`vaglio-([\w-]+))",
                  lambda found: "" if found[1] in names else "dnl ", text, flags=re.MULTILINE)  # fmt: skip


class Sendmail:
    """A running instance; a context manager. ``settings`` are lines of its .mc file, such as INPUT_MAIL_FILTER; of
    ``host``, those that are Postfix's mean nothing here.

    LabError if it does not greet in time, Unavailable where the packages can't be had.
    """

    def __init__(self, space: Space, host: MailHost, settings: str = "") -> None:
        self._space, self.host = space, host
        self._root = unpacked(*PACKAGES)
        self._home = f"{HOME}/{host.name}-sendmail"
        with ExitStack() as undo:
            self._write(settings)
            space.add_address(host.address)
            self._log = _Log(self._path("dev/log"))
            undo.callback(self._log.close)
            self.start()
            undo.pop_all()

    def __enter__(self) -> Sendmail:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.stop()
        self._log.close()

    def start(self) -> None:
        """Start it, again after a stop; it has its old queue and log."""
        self.process = self._run_daemon()
        try:
            until(self._greets, f"the greeting of {self.host.name}")
        except LabError as error:
            self.stop()
            raise LabError(f"{error}; its log: {self._said()}{self.log()}") from None

    def stop(self) -> None:
        """Stop it at once, sessions included; when this returns, its address is free for another."""
        self.process.kill()

    def log(self) -> str:
        """Return what it logged so far."""
        return self._log.text()

    def mailbox(self, recipient: str) -> list[bytes]:
        """Return the messages delivered to a recipient, oldest first, as they were handed over: with LF line ends."""
        files = sorted(self._path("mail/new").glob("*.to"), key=lambda path: path.stat().st_mtime_ns)
        mine = [file for file in files if file.read_text("utf-8", "replace") == recipient]
        return [file.with_suffix("").read_bytes() for file in mine]

    def quarantined(self) -> list[str]:
        """Return the reasons of the messages that it keeps in quarantine."""
        return [reason for file in self._path("queue").glob("hf*") for reason in _values(file, "q")]

    def waiting(self) -> list[str]:
        """Return the queue ids of the messages that wait to be delivered."""
        return [file.name[2:] for file in self._path("queue").glob("qf*")]

    def _path(self, name: str) -> Path:
        return self._space.path(f"{self._home}/{name}")

    def _write(self, settings: str) -> None:
        for name in ("dev", "queue", "mail/tmp", "mail/new"):
            self._path(name).mkdir(parents=True)
        self._path("queue").chmod(0o700)
        for name in ("mail/tmp", "mail/new"):
            os.chown(self._path(name), _NOBODY, _NOBODY)
        self._path("statistics").touch()
        self._path("keep").write_text(_KEEP.format(home=self._home))
        self._path("sendmail.mc").write_text(self._mc(settings))
        self._path("sendmail.cf").write_bytes(self._cf(self._path("sendmail.mc")))

    def _mc(self, settings: str) -> str:
        words = {
            "CF": f"{self._root}/usr/share/sendmail/cf", "HOME": self._home, "NAME": self.host.name,
            "ADDRESS": self.host.address, "DOMAIN": self.host.domain, "NOBODY": str(_NOBODY), "SETTINGS": settings,
        }  # fmt: skip
        return re.sub("@([A-Z]+)@", lambda found: words[found[1]], _MC)

    def _cf(self, mc: Path) -> bytes:
        done = subprocess.run(
            [self._root / "usr/bin/m4", mc], env=self._environment(), capture_output=True, timeout=30, check=False
        )
        if done.returncode or done.stderr:
            raise LabError(f"m4 on sendmail.mc: {done.stderr.decode(errors='replace').strip() or done.returncode}")
        return done.stdout

    def _run_daemon(self) -> Process:
        shell = ("unshare", "--uts", "--mount", "sh", "-c", _START, self._home, self.host.name, self.host.address)
        daemon = (str(self._program()), "-bD", "-q2s", f"-C{self._home}/sendmail.cf")
        return self._space.start([*shell, *daemon], f"{self._home}/said", self._environment())

    def _program(self) -> Path:
        for name in _PROGRAMS:
            if (self._root / name).exists():
                return self._root / name
        raise Unavailable(f"Debian's sendmail-bin has none of {', '.join(_PROGRAMS)}")

    def _environment(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": libraries(self._root)}

    def _greets(self) -> bool:
        if self.process.returncode is not None:
            raise LabError(f"Sendmail ended with exit status {self.process.returncode}")
        try:
            with self._space.inside():
                server = socket.create_connection((self.host.address, 25), timeout=5)
        except OSError:
            return False
        with server:
            return server.recv(4) == b"220 "

    def _said(self) -> str:
        path = self._path("said")
        return path.read_text("utf-8", "replace") if path.exists() else ""


class _Log:
    """What a program writes to the syslog socket ``path``, taken in by a thread: a socket that nobody reads is full."""

    def __init__(self, path: Path) -> None:
        self._lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o666)
        self._thread = threading.Thread(target=self._take, name="lab-syslog", daemon=True)
        self._thread.start()

    def text(self) -> str:
        """Return all lines so far."""
        return "\n".join([*self._lines, ""])

    def close(self) -> None:
        """Take no more."""
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._socket.close()

    def _take(self) -> None:
        while packet := self._socket.recv(65536):
            self._lines.append(re.sub(r"^<\d+>", "", packet.decode("utf-8", "replace").rstrip("\0\n")))


def _values(file: Path, key: str) -> list[str]:
    """Return the values of a queue file's lines of this kind."""
    return [line[1:] for line in file.read_text("utf-8", "replace").splitlines() if line.startswith(key)]
