"""Tells the admin when something needs a human: by mail, by webhook, or by both; at most once an hour for each subject
unless who raises it counts by itself, and never in anyone's way.

Mail goes to a mail server by SMTP (RFC 5321) or to a sendmail command, a webhook gets JSON by HTTP POST (RFC 9110). One
thread that nobody waits for works the alarms off; what waits is bounded, however many accounts are under attack. What
fails is a line in the log, and that is all: nothing is tried again, no redirect is followed, no proxy used. SMTP is
spoken without TLS or a login: the server is the one at hand.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from vaglio.daemon import clock
from vaglio.daemon.log import Throttle
from vaglio.verdict import Fact

if TYPE_CHECKING:
    from email.message import EmailMessage

QUIET = 3600.0
"""Seconds between two alarms with the same subject."""

PATIENCE = 10.0
"""Seconds that a mail server, a webhook or a sendmail command may take for all it does with one alarm."""

CUT_AGAIN = 0.1
"""Seconds between two attempts to cut a connection that may be in the making."""

WAITING = 50
"""Alarms that wait to be sent; further ones are left out."""

MOST = 60
"""Alarms in an hour: who gets more of them reads none. Further ones are left out."""

COMPLAINT = 60.0
"""Seconds between two lines in the log about alarms that were left out."""

_LONGEST = 10_000  # characters of a text
_NO_DETAILS: Mapping[str, Fact] = MappingProxyType({})

_log = logging.getLogger("vaglio.alert")


class Settings(Protocol):
    """The section ``[alert]``."""

    @property
    def mail(self) -> str:
        """Who gets the mail; empty for nobody."""

    @property
    def smtp(self) -> str:
        """The mail server as ``host:port``."""

    @property
    def sendmail(self) -> str:
        """Path of the command that takes the mail in place of the mail server; empty for none."""

    @property
    def sender(self) -> str:
        """Who it is from; empty for a name on this host."""

    @property
    def webhook(self) -> str:
        """URL that gets the alarm as JSON; empty for none."""


class _Alarm(NamedTuple):
    subject: str
    text: str
    details: Mapping[str, Fact]


class Alerter:
    """Tells the admin. ``hostname`` is this mail server's name; ``monotonic`` is a clock in seconds.

    Each process keeps its own count of what it has sent. Alarms are raised by one thread only.
    """

    def __init__(self, settings: Settings, hostname: str, monotonic: Callable[[], float] = clock.monotonic) -> None:
        self._settings = settings
        self._hostname = hostname
        self._seldom = Throttle(QUIET, monotonic)
        self._may_complain = Throttle(COMPLAINT, monotonic)
        self._monotonic = monotonic
        self._lock = threading.Lock()  # for what is below: the thread changes it too
        self._waiting: deque[_Alarm] = deque()
        self._accepted: deque[float] = deque(maxlen=MOST)  # when the last ones were
        self._left_out = 0
        self._thread: threading.Thread | None = None

    def raise_alarm(
        self, subject: str, text: str, details: Mapping[str, Fact] = _NO_DETAILS, own_pace: bool = False
    ) -> threading.Thread | None:
        """Tell the admin ``text``; ``details`` are the same as values, for programs. Never waits, raises nothing.

        ``own_pace`` is for who sees to it that no subject comes too often. Return the thread that does it and ends when
        nothing is left to do, None where there is nothing to send.
        """
        if not (self._settings.mail or self._settings.webhook):
            return None
        held = 0 if own_pace else self._seldom(subject)
        if held is None:
            return None
        if held:
            text += f"\n\n(This happened {held} more times since the last alarm about it.)"
        thread = self._accept(_Alarm(subject, text, dict(details)))
        if not thread and self._may_complain("left out") is not None:
            self._complain()
        return thread

    def finish(self, seconds: float) -> None:
        """Wait until what was raised is sent, so many seconds at most: at the end of the process the rest is lost."""
        thread = self._thread
        if thread:
            thread.join(seconds)
        with self._lock:
            lost = len(self._waiting) + (self._thread is not None)
        if lost:
            _log.warning("%d alarms may not have been sent before the end: see the log for them", lost)

    def _accept(self, alarm: _Alarm) -> threading.Thread | None:
        """Return the thread that will send it; None where too many wait."""
        now = self._monotonic()
        with self._lock:
            too_many = len(self._accepted) == MOST and now - self._accepted[0] < QUIET
            if too_many or len(self._waiting) >= WAITING:
                self._left_out += 1
                return None
            self._accepted.append(now)
            self._waiting.append(alarm)
            if not self._thread or not self._thread.is_alive():
                thread = threading.Thread(target=self._work, daemon=True, name="alert")
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads for us; the next alarm tries again
                    _log.warning("an alarm waits, since no thread can be started: %s", error)
                    return None
                self._thread = thread
            return self._thread

    def _work(self) -> None:
        while alarm := self._next():
            self._send(alarm)
        self._complain()

    def _next(self) -> _Alarm | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._thread = None  # while the lock is held: who comes later starts a new one
            return None

    def _complain(self) -> None:
        with self._lock:
            count, self._left_out = self._left_out, 0
        if count:
            _log.warning("%d alarms were not sent, since there were too many at once: see the log for them", count)

    def _send(self, alarm: _Alarm) -> None:
        settings, subject = self._settings, _one_line(alarm.subject)
        if settings.mail:
            try:
                self._mail(alarm)
            except (OSError, ValueError) as error:  # OSError: smtplib's exceptions are of that kind
                way = settings.sendmail or settings.smtp
                _log.warning("can't mail the alarm \"%s\" to %s by %s: %s", subject, settings.mail, way, error)
        if settings.webhook:
            server = "the URL"  # the rest of it may hold a token
            try:
                url = urlsplit(settings.webhook)
                server = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
                _post(url, _document(self._hostname, alarm))
            except (OSError, ValueError) as error:
                _log.warning("can't post the alarm \"%s\" to alert.webhook (%s): %s", subject, server, error)

    def _mail(self, alarm: _Alarm) -> None:
        settings = self._settings
        sender = settings.sender or f"vaglio@{self._hostname}"
        message = _message(self._hostname, sender, settings.mail, alarm)
        if settings.sendmail:
            _pipe([settings.sendmail, "-i", "-f", sender, "--", settings.mail], message.as_bytes())
        else:
            _submit(settings.smtp, self._hostname, message)


@contextmanager
def _cut_in_time(connection: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Cut a connection that is not done within ``PATIENCE``: a limit for each reading is none for a server that sends a
    byte now and then. Raises OSError then. Only connecting has its time for each of the server's addresses.
    """
    done, is_cut = threading.Event(), threading.Event()

    def watch() -> None:
        if done.wait(PATIENCE):
            return
        is_cut.set()
        while not done.wait(CUT_AGAIN):
            sock = connection()
            if sock:
                with suppress(OSError):  # not connected yet, closed just now, or in TLS's hands for a moment
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's own, which is not for two threads

    watcher = threading.Thread(target=watch, daemon=True, name="alert-limit")
    try:
        watcher.start()
    except RuntimeError as error:
        raise OSError(str(error)) from None
    try:
        yield
    except (OSError, ValueError):
        if not is_cut.is_set():
            raise
    finally:
        done.set()
        watcher.join()
    if is_cut.is_set():
        raise TimeoutError(f"timed out: no whole answer within {PATIENCE:g} s")


# --- mail -----------------------------------------------------------------------------------------------------------
# Imports stand in the functions: a daemon that starts should not wait for them.


def _message(hostname: str, sender: str, recipient: str, alarm: _Alarm) -> EmailMessage:
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = f"vaglio on {hostname}: {_one_line(alarm.subject)}"
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=hostname)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 5: no vacation message in return
    message.set_content("\n".join(map(_printable, alarm.text[:_LONGEST].split("\n"))) + "\n")
    return message


def _submit(server: str, hostname: str, message: EmailMessage) -> None:
    """Give it to a mail server. Raises OSError or ValueError."""
    import smtplib

    host, _, port = server.rpartition(":")
    smtp = smtplib.SMTP(local_hostname=hostname, timeout=PATIENCE)
    with _cut_in_time(lambda: smtp.sock), smtp:
        code, said = smtp.connect(host.strip("[]"), int(port))
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)
        smtp.send_message(message)


def _pipe(command: list[str], message: bytes) -> None:
    """Give it to a sendmail command. Raises OSError."""
    import subprocess

    try:
        done = subprocess.run(
            command, input=message, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"it did not end within {PATIENCE:.0f} s") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise OSError(f"exit status {done.returncode}: {said or 'it does not say why'}")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _one_line(text: str) -> str:
    """Return ``text`` fit for a header: nothing that ends a line, and no encoded word (RFC 2047), which may hold that
    and which the library decodes.
    """
    return _printable(text).replace("=?", "= ?")[:150]


# --- webhook --------------------------------------------------------------------------------------------------------


def _document(hostname: str, alarm: _Alarm) -> bytes:
    import json

    details = {_valid(name): _plain(value) for name, value in alarm.details.items()}
    subject, text = _valid(alarm.subject[:_LONGEST]), _valid(alarm.text[:_LONGEST])
    return json.dumps({"host": hostname, "subject": subject, "text": text, "details": details}).encode()


def _plain(value: Fact) -> Fact:
    """Return a value that JSON has."""
    if isinstance(value, str):
        return _valid(value[:_LONGEST])
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _valid(text: str) -> str:
    """Return ``text`` without halves of characters, which many readers of JSON refuse."""
    return text.encode("utf-8", "replace").decode()


def _post(url: SplitResult, document: bytes) -> None:
    """POST it. Raises OSError or ValueError, neither of which says more of the URL than its host."""
    import http.client
    from base64 import b64encode
    from contextlib import closing

    secure = url.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    headers = {"Content-Type": "application/json", "User-Agent": "vaglio"}
    if url.username is not None:
        login = f"{unquote(url.username)}:{unquote(url.password or '')}"  # RFC 7617
        headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection = kind(url.hostname or "", url.port or (443 if secure else 80), timeout=PATIENCE)
    with _cut_in_time(lambda: connection.sock), closing(connection):
        try:
            connection.request("POST", target, document, headers)
            answer = connection.getresponse()
        except http.client.HTTPException as error:
            raise OSError(f"that is no HTTP ({type(error).__name__})") from None  # its text may show the URL
    if not 200 <= answer.status < 300:
        hint = "; redirects are not followed: set the address that it leads to" if answer.status in _REDIRECTS else ""
        raise OSError(f"it answered {answer.status} {_printable(answer.reason)[:100]}{hint}")


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
