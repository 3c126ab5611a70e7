"""An SMTP client of the lab: any address of its own, every answer of the server kept (RFC 5321).

It never retries and hides no refusal: a client that behaves well or badly on purpose is made of these steps.
"""

from __future__ import annotations

import base64
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from lab.space import Space
from lab.waiting import until


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said: its code and its text, enhanced status code included; lines are joined by a blank."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


@dataclass(frozen=True, slots=True)
class Transaction:
    """The answers to one message; ``data`` is the one after the final dot, None if it did not come to that."""

    mail: Answer
    recipients: tuple[Answer, ...] = ()
    data: Answer | None = None

    @property
    def last(self) -> Answer:
        """The answer that decided the message's fate."""
        return self.data or (*self.recipients, self.mail)[0]


_TLS_FROM_THE_START = 465  # RFC 8314 3.3


class Client:
    """A connection to a mail server of the lab, from an ``address`` of the lab; a context manager.

    With a ``certificate`` it goes on by TLS, and trusts nobody who has another.
    """

    def __init__(
        self, space: Space, server: str, address: str, helo: str = "client.example", port: int = 25,
        certificate: Path | None = None,
    ) -> None:  # fmt: skip
        self._helo = helo
        context = ssl.create_default_context(cafile=certificate) if certificate else None
        with space.inside():
            source = (address, 0)
            if context and port == _TLS_FROM_THE_START:
                self._smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                    server, port, helo, timeout=30, source_address=source, context=context
                )
            else:
                self._smtp = smtplib.SMTP(server, port, helo, timeout=30, source_address=source)
        if context and port != _TLS_FROM_THE_START:
            self._smtp.starttls(context=context)
        self._smtp.command_encoding = "latin-1"  # any byte can be said
        self.command(f"EHLO {helo}")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._smtp.__exit__(None, None, None)  # QUIT, unless the server left first

    def command(self, line: str) -> Answer:
        """Send one command; return its answer. ``smtplib.SMTPServerDisconnected`` if the server hung up."""
        return _answer(self._smtp.docmd(line))

    def pipeline(self, *lines: str) -> tuple[Answer, ...]:
        """Send commands all at once, without waiting for answers in between (RFC 2920); return the answers."""
        self._smtp.send("".join(f"{line}\r\n" for line in lines))
        return tuple(_answer(self._smtp.getreply()) for _ in lines)

    def pretend(self, attributes: Mapping[str, str]) -> None:
        """Be somebody else: Postfix's XCLIENT (XCLIENT_README). ValueError if the server does not let us."""
        words = " ".join(f"{name}={value}" for name, value in attributes.items())
        if (answer := self.command(f"XCLIENT {words}")).code != 220:
            raise ValueError(f"XCLIENT {words}: {answer}")
        self.command(f"EHLO {self._helo}")

    def log_in(self, login: str, password: str) -> Answer:
        """Say who we are (RFC 4616); return the answer."""
        words = f"\0{login}\0{password}".encode()
        return self.command(f"AUTH PLAIN {base64.b64encode(words).decode()}")

    def send(self, sender: str, recipients: Sequence[str], message: str | bytes, need: int = 1) -> Transaction:
        """Try to send a message with LF line ends; give up if fewer than ``need`` recipients are accepted."""
        mail = self.command(f"MAIL FROM:<{sender}>")
        if mail.code != 250:
            return Transaction(mail)
        answers = tuple(self.command(f"RCPT TO:<{recipient}>") for recipient in recipients)
        if sum(answer.code == 250 for answer in answers) < need:
            self.command("RSET")
            return Transaction(mail, answers)
        raw = message.encode() if isinstance(message, str) else message
        data = _answer(self._smtp.data(raw.replace(b"\n", b"\r\n")))
        if data.code != 250:
            self.command("RSET")  # Postfix goes on with a transaction that it refused at the end of the message
        return Transaction(mail, answers, data)

    def ask(self, sender: str, *recipients: str) -> tuple[Answer, ...]:
        """Return the answers to recipients, without sending them anything."""
        return self.send(sender, recipients, "", need=len(recipients) + 1).recipients

    def insist(self, sender: str, recipients: Sequence[str], message: str) -> Transaction:
        """Send a message as a patient mail server does: again, until all recipients are accepted, or LabError."""
        done: list[Transaction] = []

        def accepted() -> bool:
            done.append(self.send(sender, recipients, message, need=len(recipients)))
            return done[-1].data is not None

        until(accepted, f"{', '.join(recipients)} to be accepted", step=0.2)
        return done[-1]


def greets(space: Space, server: str, port: int = 25) -> bool:
    """Tell whether a mail server is there by now, and ready to talk."""
    try:
        with space.inside():
            connection = socket.create_connection((server, port), timeout=5)
        with connection:
            return connection.recv(4) == b"220 "
    except OSError:
        return False


def letter(sender: str, recipient: str, subject: str, text: str = "Ciao!") -> str:
    """Return a short message with LF line ends."""
    return f"From: <{sender}>\nTo: <{recipient}>\nSubject: {subject}\n\n{text}\n"


def _answer(said: tuple[int, bytes]) -> Answer:
    return Answer(said[0], b" ".join(said[1].splitlines()).decode("utf-8", "replace"))
