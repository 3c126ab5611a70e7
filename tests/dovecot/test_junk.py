"""Postfix hands mail to a Dovecot in a container, which files spam into Junk by the shipped script.

The image is that of test_learning.py. Postfix and the chain inbound are the lab's, in the same network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from lab import containers, milters
from lab.dns import NameServer, Zones
from lab.postfix import Postfix
from lab.smtp import Client
from lab.space import Space
from lab.vaglio import Daemon, configure
from lab.waiting import Unavailable, until
from lab.world import CAIO
from tests.postfix import spamletters
from tests.postfix.spamletters import MAIL, SIX, fields, message, sent

pytestmark = pytest.mark.root

HERE = Path(__file__).parent
OWN_SCRIPT = 'require ["fileinto", "mailbox"];\nfileinto :create "Posta";\n'


class Host:
    """Caio's mail host: Postfix, the chain inbound, Dovecot, a name server; a context manager."""

    def __init__(self) -> None:
        image = containers.build_own(HERE / "Containerfile", "dovecot")
        options = (f"--volume={HERE}:/etc/dovecot/lab:ro", "--env=LAB=junk")
        with ExitStack() as stack:
            self.space = stack.enter_context(Space())
            dns = NameServer(self.space, Zones.read())
            stack.callback(dns.close)
            self.container = stack.enter_context(containers.run(image, self.space, *options))
            milters.make_folder(self.space, CAIO)
            configure(self.space, milters.toml(milters.folder(CAIO), sections={"score": spamletters.SECTION}))
            self.space.path(spamletters.RULE_FILE).write_text(spamletters.RULES)
            Daemon(self.space, "vaglio-chain inbound", f"{milters.folder(CAIO)}/inbound.sock")
            wired = milters.of_chain("inbound") | {"virtual_transport": "lmtp:inet:127.0.0.1:24"}
            self.caio = Postfix(self.space, replace(CAIO, settings=wired))
            log = self.container.root / "var/log/dovecot.log"
            until(lambda: log.exists() and "starting up for lmtp" in log.read_text(), "Dovecot")
            self._stack = stack.pop_all()

    def home(self, user: str) -> Path:
        return self.container.root / "srv/mail" / user

    def delivered(self, user: str, letter: bytes) -> tuple[str, bytes]:
        """Send a message; return the folder that it was filed into, and the message."""
        before = self._letters(user)
        with Client(self.space, CAIO.address, MAIL, "mail.tizio.it") as client:
            assert sent(client, f"{user}@caio.it", letter).code == 250
        (file,) = until(lambda: self._letters(user) - before, f"mail for {user}; Postfix says: {self.caio.log()}")
        return file.parent.parent.name, file.read_bytes()

    def _letters(self, user: str) -> set[Path]:
        return {*self.home(user).glob("Maildir/new/*"), *self.home(user).glob("Maildir/.*/new/*")}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    if reason := containers.skip_reason():
        pytest.skip(reason)
    try:
        host = Host()
    except Unavailable as error:
        pytest.skip(f"no real Postfix here: {error}")
    with host:
        yield host


def test_spam_is_filed_into_junk_which_is_made_for_it_and_ham_is_not(host: Host) -> None:
    assert host.delivered("caio", message())[0] == "Maildir"
    assert not (host.home("caio") / "Maildir/.Junk").exists()
    folder, letter = host.delivered("caio", message(SIX))
    assert (folder, fields(letter, b"X-Spam-Flag")) == (".Junk", [b"YES"])
    assert fields(letter, b"Subject") == [b"[SPAM] Ciao Caio"]


def test_no_stranger_has_mail_filed_into_junk_or_kept_out_of_it(host: Host) -> None:
    assert host.delivered("anna", message(head=b"X-Spam-Flag: YES\nX-Spam-Flag : YES\n"))[0] == "Maildir"
    assert host.delivered("anna", message(SIX, head=b"X-Spam-Flag: NO\n" * 3))[0] == ".Junk"


def test_a_script_of_the_users_own_sees_no_spam(host: Host) -> None:
    host.delivered("bea", message())
    (host.home("bea") / ".dovecot.sieve").write_text(OWN_SCRIPT)
    assert host.delivered("bea", message())[0] == ".Posta"
    assert host.delivered("bea", message(SIX))[0] == ".Junk"
