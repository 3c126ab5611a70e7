"""Mail to the admin when something needs a human: at most one an hour for each subject, and never in anyone's way.

It is sent to a mail server by SMTP (RFC 5321) from a thread that nobody waits for; when that fails a line in the log
says so, and that is all. It does not retry, and does not speak TLS or log in: the server is the one at hand.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from vaglio.daemon import clock
from vaglio.daemon.log import Throttle

if TYPE_CHECKING:
    from email.message import EmailMessage

QUIET = 3600.0
"""Seconds between two mails with the same subject."""

PATIENCE = 10.0
"""Seconds that the mail server may take for each of its answers."""

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
    def sender(self) -> str:
        """Who it is from; empty for a name on this host."""


class Alerter:
    """Tells the admin. ``hostname`` is this mail server's name; ``monotonic`` is a clock in seconds.

    Each process keeps its own count of what it has sent, so let only one of the workers raise alarms.
    """

    def __init__(self, settings: Settings, hostname: str, monotonic: Callable[[], float] = clock.monotonic) -> None:
        self._settings = settings
        self._hostname = hostname
        self._seldom = Throttle(QUIET, monotonic)

    def raise_alarm(self, subject: str, text: str) -> threading.Thread | None:
        """Mail ``text`` to the admin; return the thread that does, None where there is nothing to send."""
        if not self._settings.mail:
            return None
        held = self._seldom(subject)
        if held is None:
            return None
        if held:
            text += f"\n\n(This happened {held} more times since the last mail about it.)"
        thread = threading.Thread(target=self._send, args=(self._message(subject, text),), daemon=True, name="alert")
        thread.start()
        return thread

    def _message(self, subject: str, text: str) -> EmailMessage:
        from email.message import EmailMessage  # here, not above: a daemon that starts should not wait for them
        from email.utils import formatdate, make_msgid

        message = EmailMessage()
        message["From"] = self._settings.sender or f"vaglio@{self._hostname}"
        message["To"] = self._settings.mail
        message["Subject"] = f"vaglio on {self._hostname}: {_printable(subject)[:150]}"
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._hostname)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834 5: no vacation message in return
        message.set_content("\n".join(map(_printable, text[:10_000].split("\n"))) + "\n")
        return message

    def _send(self, message: EmailMessage) -> None:
        import smtplib

        host, _, port = self._settings.smtp.rpartition(":")
        try:
            with smtplib.SMTP(host.strip("[]"), int(port), self._hostname, timeout=PATIENCE) as server:
                server.send_message(message)
        except (OSError, ValueError, smtplib.SMTPException) as error:
            _log.warning("can't mail an alarm to %s by %s: %s", message["To"], self._settings.smtp, error)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
