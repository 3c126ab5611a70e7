"""Mail to the admin, by a small real SMTP server on this host."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage

import pytest

from vaglio.daemon import alert
from vaglio.daemon.alert import Alerter


@dataclass(frozen=True)
class Settings:
    mail: str = "postmaster@caio.it"
    smtp: str = "127.0.0.1:25"
    sender: str = ""


class Session(socketserver.StreamRequestHandler):
    """Takes any mail (RFC 5321, the happy path)."""

    server: Mailbox

    def handle(self) -> None:
        self.say("220 mail.caio.it")
        for line in self.rfile:
            verb = line.split()[0].upper()
            self.server.commands.append(line.decode().strip())
            if verb == b"DATA":
                self.say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.mails.append(b"".join(line.removeprefix(b".") for line in lines))  # RFC 5321 4.5.2
            self.say("221 bye" if verb == b"QUIT" else self.server.answer.get(verb.decode(), "250 ok"))

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class Mailbox(socketserver.ThreadingTCPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.mails: list[bytes] = []
        self.commands: list[str] = []
        self.answer: dict[str, str] = {}

    @property
    def smtp(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def mail(self, index: int = 0) -> EmailMessage:
        message = email.message_from_bytes(self.mails[index], policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        return message


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def alarm(alerter: Alerter, subject: str = "the store is down", text: str = "disk full") -> bool:
    """Raise an alarm, wait until it is dealt with, and say whether a mail was tried."""
    thread = alerter.raise_alarm(subject, text)
    if thread:
        thread.join(10)
        assert not thread.is_alive()
    return thread is not None


def test_an_alarm_reaches_the_admin(mailbox: Mailbox) -> None:
    assert alarm(Alerter(Settings(smtp=mailbox.smtp), "mail.caio.it"), text="disk full\nFree some space: così.")
    message = mailbox.mail()
    assert message["To"] == "postmaster@caio.it"
    assert message["From"] == "vaglio@mail.caio.it"
    assert message["Subject"] == "vaglio on mail.caio.it: the store is down"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().splitlines() == ["disk full", "Free some space: così."]


def test_the_sender_may_be_set(mailbox: Mailbox) -> None:
    alarm(Alerter(Settings(smtp=mailbox.smtp, sender="robot@caio.it"), "mail.caio.it"))
    assert mailbox.mail()["From"] == "robot@caio.it"
    assert any(command.lower().startswith("mail from:<robot@caio.it>") for command in mailbox.commands)


def test_each_subject_is_mailed_once_an_hour_with_a_count(mailbox: Mailbox) -> None:
    now = 0.0
    alerter = Alerter(Settings(smtp=mailbox.smtp), "mail.caio.it", lambda: now)
    assert alarm(alerter)
    assert not alarm(alerter)
    assert alarm(alerter, "another trouble")
    now = 3599
    assert not alarm(alerter)
    now = 3600
    assert alarm(alerter)
    assert [mailbox.mail(n)["Subject"].rpartition(": ")[2] for n in range(3)] == [
        "the store is down", "another trouble", "the store is down",
    ]  # fmt: skip
    assert "2 more times" in mailbox.mail(2).get_content()


def test_no_mail_is_sent_where_nobody_wants_it(mailbox: Mailbox) -> None:
    assert not alarm(Alerter(Settings(mail="", smtp=mailbox.smtp), "mail.caio.it"))


def test_hostile_text_adds_no_header_and_ends_no_mail(mailbox: Mailbox) -> None:
    alerter = Alerter(Settings(smtp=mailbox.smtp), "mail.caio.it")
    assert alarm(alerter, "x\r\nBcc: evil@example.org\r\n\r\n" + "y" * 500, "a\r\n.\r\nMAIL FROM:<evil>\x1b[2J\udc80")
    message = mailbox.mail()
    assert message["Bcc"] is None
    assert len(message["Subject"]) < 200
    assert [line.rstrip() for line in message.get_content().splitlines()] == ["a", ".", "MAIL FROM:<evil> [2J"]
    assert sum(command.upper().startswith("MAIL") for command in mailbox.commands) == 1


def test_a_refusal_is_a_warning_in_the_log(mailbox: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    mailbox.answer["RCPT"] = "550 no such user"
    assert alarm(Alerter(Settings(smtp=mailbox.smtp), "mail.caio.it"))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "no such user" in record.getMessage()


def test_a_mail_server_that_is_not_there_is_a_warning_in_the_log(
    mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    smtp = mailbox.smtp
    mailbox.socket.close()
    assert alarm(Alerter(Settings(smtp=smtp), "mail.caio.it"))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_mail_server_that_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alert, "PATIENCE", 0.05)
    with socketserver.TCPServer(("127.0.0.1", 0), Session) as silent:  # listens, but serves nobody
        assert alarm(Alerter(Settings(smtp=f"127.0.0.1:{silent.server_address[1]}"), "mail.caio.it"))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
