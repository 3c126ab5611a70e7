"""A Dovecot in a container, wired by the shipped lines: moving a mail into Junk teaches, moving it back too.

The image is Debian with Vaglio and Dovecot (``Containerfile`` in this folder); mail is moved by IMAP, as users do it.
"""

from __future__ import annotations

import imaplib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import containers
from lab.containers import Container
from lab.space import Space
from lab.waiting import until

pytestmark = pytest.mark.root

HERE = Path(__file__).parent
STATE = "[state]\nurl = \"sqlite:///var/lib/vaglio/state\"\n"


class Mailbox:
    """Caio's mail, by IMAP."""

    def __init__(self, space: Space, container: Container) -> None:
        self.container = container
        with space.inside():
            self._imap = imaplib.IMAP4("127.0.0.1")
        self._done(self._imap.login("caio", "caio"))

    def close(self) -> None:
        self._imap.logout()

    def put(self, subject: str, folder: str = "INBOX") -> None:
        lines = ("From: tizio@tizio.it", "Date: Sun, 22 Nov 2026 18:00:00 +0100", f"Subject: {subject}", "", subject)
        self._done(self._imap.append(folder, "", "", "\r\n".join(lines).encode()))

    def move(self, subject: str, source: str, target: str) -> None:
        self._done(self._imap.select(source))
        found = self._done(self._imap.uid("SEARCH", f'SUBJECT "{subject}"'))[0]
        assert found, f"{subject} is not in {source}"
        self._done(self._imap.uid("MOVE", found.decode(), target))

    def learned(self) -> tuple[int, int]:
        """What Vaglio has learned: spam, wanted mail."""
        found = json.loads(self.status("vaglio", "--json"))
        return found["spam"], found["ham"]

    def status(self, user: str, *options: str) -> str:
        """Return what ``vaglio bayes status`` tells a user."""
        command = ("/opt/vaglio/bin/vaglio", "bayes", "status", *options)
        become = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
        return self.container.exec(*become, *command, check=False)

    @staticmethod
    def _done(answer: tuple[str, Any]) -> Any:
        assert answer[0] == "OK", answer
        return answer[1]


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    if reason := containers.skip_reason():
        pytest.skip(reason)
    image = containers.build_own(HERE / "Containerfile", "dovecot")
    options = (f"--volume={HERE}:/etc/dovecot/lab:ro", "--env=LAB=learning")
    with Space() as space, containers.run(image, space, *options) as container:
        (container.root / "etc/vaglio").mkdir()
        (container.root / "etc/vaglio/vaglio.toml").write_text(STATE)
        log = container.root / "var/log/dovecot.log"
        until(lambda: log.exists() and "starting up for imap" in log.read_text(), "Dovecot")
        mailbox = Mailbox(space, container)
        yield mailbox
        mailbox.close()
        assert "Error" not in log.read_text()


def test_moving_a_mail_into_junk_teaches_and_moving_it_back_relearns(mailbox: Mailbox) -> None:
    for subject in ("offerta", "fattura"):
        mailbox.put(subject)
        mailbox.move(subject, "INBOX", "Junk")
    assert mailbox.learned() == (2, 0)
    mailbox.move("fattura", "Junk", "INBOX")
    assert mailbox.learned() == (1, 1)
    mailbox.move("fattura", "INBOX", "Junk")
    assert mailbox.learned() == (2, 0)


def test_what_is_thrown_away_or_delivered_teaches_nothing(mailbox: Mailbox) -> None:
    mailbox.put("delivered into Junk", "Junk")
    before = mailbox.learned()
    mailbox.move("delivered into Junk", "Junk", "Trash")
    assert mailbox.learned() == before


def test_a_mail_user_can_not_touch_what_was_learned(mailbox: Mailbox) -> None:
    found = mailbox.container.root / "var/lib/vaglio/state/bayes.sqlite"
    assert found.stat().st_mode & 0o007 == 0
    assert "Permission denied" in mailbox.status("vmail")
