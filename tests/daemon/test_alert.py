"""Word to the admin: by a small real SMTP server, sendmail command and web server on this host."""

from __future__ import annotations

import email
import email.policy
import json
import shlex
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vaglio.daemon import alert
from vaglio.daemon.alert import COMPLAINT, MOST, QUIET, WAITING, Alerter
from vaglio.verdict import Fact


@dataclass(frozen=True)
class Settings:
    mail: str = "postmaster@caio.it"
    smtp: str = "127.0.0.1:25"
    sendmail: str = ""
    sender: str = ""
    webhook: str = ""


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


def alarm(
    alerter: Alerter, subject: str = "the store is down", text: str = "disk full", details: Mapping[str, Fact] = {}
) -> bool:
    """Raise an alarm, wait until it is dealt with, and say whether anything was tried."""
    thread = alerter.raise_alarm(subject, text, details)
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


@pytest.mark.parametrize(
    "word", ["=?utf-8?q?a=0D=0ABcc:_evil@example.org?=", "=?utf-8?b?YQ0KQmNjOiBldmlsQGV4YW1wbGUub3Jn?=", "=?=?x"]
)
def test_an_encoded_word_smuggles_no_header_in(mailbox: Mailbox, word: str) -> None:
    assert alarm(Alerter(Settings(smtp=mailbox.smtp), "mail.caio.it"), f"{word} is beyond its limit")
    assert b"\nBcc" not in mailbox.mails[0]
    assert not any("evil" in command for command in mailbox.commands)
    assert mailbox.mail()["Subject"] == f"vaglio on mail.caio.it: {word.replace('=?', '= ?')} is beyond its limit"


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


# --- a sendmail command ---


def command(folder: Path, script: str) -> str:
    """Write a shell script that stands in for sendmail; ``$OUT`` is a folder to leave things in."""
    path = folder / "sendmail"
    path.write_text(f"#!/bin/sh\nOUT={shlex.quote(str(folder))}\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_sendmail_command_takes_the_mail_in_place_of_the_server(mailbox: Mailbox, tmp_path: Path) -> None:
    path = command(tmp_path, 'printf "%s\\n" "$@" >"$OUT/arguments"; cat >"$OUT/message"')
    settings = Settings(mail="-oQ/tmp", smtp=mailbox.smtp, sendmail=path, sender="robot@caio.it")
    assert alarm(Alerter(settings, "mail.caio.it"), text="disk full: così")
    assert (tmp_path / "arguments").read_text().splitlines() == ["-i", "-f", "robot@caio.it", "--", "-oQ/tmp"]
    message = email.message_from_bytes((tmp_path / "message").read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert message["Subject"] == "vaglio on mail.caio.it: the store is down"
    assert message.get_content() == "disk full: così\n"
    assert mailbox.mails == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'postdrop: no permission' >&2; echo more >&2; exit 75", "exit status 75: postdrop: no permission"),
        ("exit 1", "exit status 1: it does not say why"),
        ("exec sleep 60", "did not end within"),
    ],
)
def test_a_sendmail_command_that_fails_is_a_warning_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, script: str, said: str
) -> None:
    if "sleep" in script:
        monkeypatch.setattr(alert, "PATIENCE", 0.05)
    path = command(tmp_path, script)
    assert alarm(Alerter(Settings(sendmail=path), "mail.caio.it"))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"by {path}: " in record.getMessage()
    assert said in record.getMessage()
    assert "more" not in record.getMessage()


def test_a_sendmail_command_that_is_not_there_is_a_warning_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert alarm(Alerter(Settings(sendmail="/nowhere/sendmail"), "mail.caio.it"))
    assert "/nowhere/sendmail" in caplog.text


# --- a webhook ---


class Hook(ThreadingHTTPServer):
    """Keeps what is posted; answers ``status`` once ``may_answer`` is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.posts: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.status = 204
        self.may_answer = threading.Event()
        self.may_answer.set()

    def url(self, rest: str = "/hook", login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.server_address[1]}{rest}"


class Request(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, {name.lower(): v for name, v in self.headers.items()}, json.loads(body)))
        self.server.may_answer.wait(10)
        self.send_response(self.server.status)
        self.send_header("Location", self.server.url("/elsewhere"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.may_answer.set()
        server.shutdown()
        thread.join()


def test_a_webhook_gets_the_alarm_as_json(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    alerter = Alerter(Settings(mail="", webhook=hook.url("/a/b?token=t%20x")), "mail.caio.it")
    details: dict[str, Fact] = {"key": "tizio", "used": 201, "share": 0.5, "hold": True}
    assert alarm(alerter, "tizio is beyond its limit", "così\nand so", details)
    (path, headers, document) = hook.posts[0]
    assert path == "/a/b?token=t%20x"
    assert headers["content-type"] == "application/json"
    assert "authorization" not in headers
    assert document == {
        "host": "mail.caio.it", "subject": "tizio is beyond its limit", "text": "così\nand so", "details": details,
    }  # fmt: skip
    assert caplog.records == []


def test_a_login_in_the_url_is_sent_as_one(hook: Hook) -> None:
    assert alarm(Alerter(Settings(mail="", webhook=hook.url(login="tizio:p%40ss@")), "mail.caio.it"))
    assert hook.posts[0][1]["authorization"] == "Basic dGl6aW86cEBzcw=="  # tizio:p@ss


def test_mail_and_webhook_are_both_told(mailbox: Mailbox, hook: Hook) -> None:
    assert alarm(Alerter(Settings(smtp=mailbox.smtp, webhook=hook.url()), "mail.caio.it"))
    assert (len(mailbox.mails), len(hook.posts)) == (1, 1)


def test_a_webhook_is_told_although_the_mail_fails(hook: Hook) -> None:
    assert alarm(Alerter(Settings(sendmail="/nowhere/sendmail", webhook=hook.url()), "mail.caio.it"))
    assert len(hook.posts) == 1


def test_hostile_text_stays_within_its_json(hook: Hook) -> None:
    details: dict[str, Fact] = {'"}\udc80': '\udc80\x00"}' + "z" * 20_000, "nan": float("nan")}
    assert alarm(Alerter(Settings(mail="", webhook=hook.url()), "mail.caio.it"), 'x"}\r\n\udc80', "y" * 20_000, details)
    document = hook.posts[0][2]
    assert document["subject"] == 'x"}\r\n?'
    assert document["text"] == "y" * 10_000
    assert document["details"] == {'"}?': '?\x00"}' + "z" * 9_996, "nan": "nan"}


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_refusal_or_redirect_is_a_warning_that_shows_no_secret(
    hook: Hook, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    hook.status = status
    alarm(Alerter(Settings(mail="", webhook=hook.url("/path-s3cret?q=s3cret", "s3cret:s3cret@")), "mail.caio.it"))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"(http://127.0.0.1:{hook.server_address[1]}): it answered {status} " in record.getMessage()
    assert "s3cret" not in record.getMessage()
    assert len(hook.posts) == 1, "a redirect was followed"


@pytest.mark.parametrize(
    "rest", [":1/s3cret?s3cret", ":99999/s3cret", "[::1/s3cret", "/s3cret s3cret", "/s3cr\xe8t"]
)
def test_a_webhook_that_cannot_be_reached_is_a_warning_that_shows_no_secret(
    caplog: pytest.LogCaptureFixture, rest: str
) -> None:
    assert alarm(Alerter(Settings(mail="", webhook=f"http://s3cret:s3cret@127.0.0.1{rest}"), "mail.caio.it"))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "s3cr" not in record.getMessage()


def test_a_webhook_that_says_nothing_is_given_up(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alert, "PATIENCE", 0.05)
    hook.may_answer.clear()
    assert alarm(Alerter(Settings(mail="", webhook=hook.url()), "mail.caio.it"))
    assert "timed out" in caplog.text


def test_a_webhook_that_speaks_no_http_is_a_warning(mailbox: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    assert alarm(Alerter(Settings(mail="", webhook=f"http://{mailbox.smtp}/"), "mail.caio.it"))
    assert "that is no HTTP" in caplog.text


# --- servers that speak without end ---


@contextmanager
def endless(hello: bytes, drip: bytes) -> Iterator[int]:
    """Serve what begins with ``hello`` and goes on with ``drip`` until the client has gone; give the port."""

    class Dripping(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.sendall(hello)
                while not stop.wait(0.005):
                    self.request.sendall(drip)

    stop = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        stop.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("hello", "drip"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (b"HTTP/1.1 500 no\r\n", b"X"),
    ],
)
def test_a_webhook_that_speaks_without_end_is_cut(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hello: bytes, drip: bytes
) -> None:
    monkeypatch.setattr(alert, "PATIENCE", 0.1)
    with endless(hello, drip) as port:
        assert alarm(Alerter(Settings(mail="", webhook=f"http://127.0.0.1:{port}/s3cret"), "mail.caio.it"))
    (record,) = caplog.records
    assert record.getMessage().endswith("no whole answer within 0.1 s")
    assert "s3cret" not in record.getMessage()


@pytest.mark.parametrize(("hello", "drip"), [(b"", b"220-wait\r\n"), (b"220 ", b"x"), (b"220 hi\r\n", b"250-wait\r\n")])
def test_a_mail_server_that_speaks_without_end_is_cut(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hello: bytes, drip: bytes
) -> None:
    monkeypatch.setattr(alert, "PATIENCE", 0.1)
    with endless(hello, drip) as port:
        assert alarm(Alerter(Settings(smtp=f"127.0.0.1:{port}"), "mail.caio.it"))
    (record,) = caplog.records
    assert record.getMessage().endswith("no whole answer within 0.1 s")


def test_tls_that_does_not_come_about_is_cut(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alert, "PATIENCE", 0.1)
    with endless(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", b"\x00") as port:  # a ServerHello of 16 KB, byte by byte
        assert alarm(Alerter(Settings(mail="", webhook=f"https://127.0.0.1:{port}/"), "mail.caio.it"))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_mail_server_that_does_not_want_us_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with endless(b"554 go away\r\n", b"221 bye\r\n") as port:
        assert alarm(Alerter(Settings(smtp=f"127.0.0.1:{port}"), "mail.caio.it"))
    assert "go away" in caplog.text


# --- the end ---


def test_the_end_waits_for_alarms_under_way_but_not_for_ever(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    alerter = Alerter(Settings(mail="", webhook=hook.url()), "mail.caio.it")
    alerter.finish(10)  # nothing to wait for
    hook.may_answer.clear()
    thread = alerter.raise_alarm("one", "")
    assert thread
    while not hook.posts:  # the first is on its way
        thread.join(0.01)
    alerter.raise_alarm("two", "")
    alerter.finish(0.01)
    (record,) = caplog.records
    assert record.getMessage().startswith("2 alarms may not have been sent")
    hook.may_answer.set()
    alerter.finish(10)
    assert len(hook.posts) == 2
    assert not thread.is_alive()
    assert len(caplog.records) == 1


# --- many at once ---


def test_who_has_a_pace_of_its_own_is_bound_by_the_number_only(hook: Hook) -> None:
    alerter = Alerter(Settings(mail="", webhook=hook.url()), "mail.caio.it", lambda: 0.0)
    for _ in range(MOST + 5):
        if thread := alerter.raise_alarm("tizio is beyond its limit", "", own_pace=True):
            thread.join(30)
    assert len(hook.posts) == MOST


def test_an_attack_on_many_accounts_starts_one_thread_and_is_told_of_in_bounds(
    hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    alerter = Alerter(Settings(mail="", webhook=hook.url()), "mail.caio.it", lambda: now)
    hook.may_answer.clear()
    first = alerter.raise_alarm("account 0", "")
    assert first
    while not hook.posts:  # it is on its way, and no longer waits
        first.join(0.01)
    threads = {alerter.raise_alarm(f"account {number}", "") for number in range(1, 10_000)}
    assert threads == {first, None}
    assert [record.getMessage().split()[:5] for record in caplog.records] == [["1", "alarms", "were", "not", "sent,"]]
    now = COMPLAINT
    assert alerter.raise_alarm("one more", "") is None
    lost = 9_999 - WAITING
    assert caplog.records[-1].getMessage().startswith(f"{lost} alarms were not sent")
    hook.may_answer.set()
    first.join(30)
    assert not first.is_alive()
    assert len(hook.posts) == WAITING + 1
    assert alarm(alerter, "later")
    assert len(hook.posts) == WAITING + 2


def test_what_was_left_out_last_is_told_when_the_rest_is_sent(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    alerter = Alerter(Settings(mail="", webhook=hook.url()), "mail.caio.it", lambda: 0.0)
    hook.may_answer.clear()
    threads = [alerter.raise_alarm(f"account {number}", "") for number in range(WAITING + 10)]
    hook.may_answer.set()
    assert threads[0]
    threads[0].join(30)
    told = [int(record.getMessage().split()[0]) for record in caplog.records]
    assert sum(told) == WAITING + 10 - len(hook.posts)
    assert len(told) == 2


def test_where_no_thread_can_be_started_the_next_alarm_takes_it_along(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    alerter = Alerter(Settings(mail="", webhook=hook.url()), "mail.caio.it")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        assert not alarm(alerter, "one")
    assert "can't start new thread" in caplog.text
    assert alarm(alerter, "two")
    assert [document["subject"] for _, _, document in hook.posts] == ["one", "two"]


def test_no_more_than_sixty_alarms_go_out_in_an_hour(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    alerter = Alerter(Settings(mail="", webhook=hook.url()), "mail.caio.it", lambda: now)
    for number in range(MOST + 5):
        now += 1
        if thread := alerter.raise_alarm(f"account {number}", ""):
            thread.join(30)
    assert len(hook.posts) == MOST
    now += QUIET
    assert alarm(alerter, "another")
    assert len(hook.posts) == MOST + 1
    assert sum(int(record.getMessage().split()[0]) for record in caplog.records) == 5
