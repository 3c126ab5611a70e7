"""DKIM through a real Sendmail, which folds and changes headers on its own: what we sign there still verifies.

One Sendmail signs what comes from Tizio's office and verifies all that comes, so each message goes through it twice: as
it is handed in, and, as it was delivered, once more from elsewhere.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import pytest

from lab import dkim, milters
from lab.dns import NameServer, Zones
from lab.sendmail import Sendmail
from lab.smtp import Client
from lab.space import HOME, Space
from lab.vaglio import Daemon, configure
from lab.waiting import Unavailable, until
from lab.world import CAIO
from tests.postfix.dkimletters import HEAD, LETTERS

pytestmark = pytest.mark.root

OFFICE, ELSEWHERE = "192.0.2.77", "198.51.100.25"
FOLDER = f"{HOME}/milters"
CONFIG = """\
[identity]
authserv_id = "mail.caio.it"
hostname = "mail.caio.it"
[state]
url = "memory:"
[dkim.verify]
listen = ["unix:{folder}/dkim-verify.sock"]
engine = "{engine}"
[dkim.sign]
listen = ["unix:{folder}/dkim-sign.sock"]
engine = "{engine}"
networks = ["192.0.2.77/32"]
"""
FILTERS = "".join(
    f"INPUT_MAIL_FILTER(`{name}', `S=unix:{FOLDER}/{name}.sock, F=T, T=C:10s;S:30s;R:60s;E:5m')dnl\n"
    for name in ("dkim-sign", "dkim-verify")
)


class Host:
    """Caio's mail host: Sendmail, a signer, a verifier, a name server; a context manager."""

    def __init__(self, engine: str) -> None:
        with ExitStack() as stack:
            self.space = stack.enter_context(Space())
            dns = NameServer(self.space, Zones.read())
            stack.callback(dns.close)
            dkim.make_folders(self.space)
            self.space.path(FOLDER).mkdir()
            text = CONFIG.format(folder=FOLDER, engine=engine)
            for key in (dkim.new_key("tizio.it", "rsa", "rsa"), dkim.new_key("tizio.it", "ed25519", "ed25519")):
                dns.zones.add(key.zone)
                text += key.toml(self.space)
            configure(self.space, text)
            for name in ("dkim-sign", "dkim-verify"):
                Daemon(self.space, f"vaglio-{name}", f"{FOLDER}/{name}.sock")
            self.caio = stack.enter_context(Sendmail(self.space, CAIO, FILTERS))
            self._stack = stack.pop_all()

    def send(self, address: str, letters: dict[str, bytes]) -> dict[str, bytes]:
        """Send letters for recipients of these names; return them as they were delivered."""
        with Client(self.space, CAIO.address, address) as client:
            for recipient, letter in letters.items():
                answer = client.send("tizio@tizio.it", [recipient], letter).last
                assert answer.code == 250, (recipient, answer)
        return {recipient: self.arrived(recipient) for recipient in letters}

    def arrived(self, recipient: str) -> bytes:
        (message,) = until(lambda: self.caio.mailbox(recipient), f"mail for {recipient}")
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._stack.close()


@pytest.fixture(scope="module", params=milters.ENGINES)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    if reason := milters.missing(request.param):
        pytest.skip(reason)
    try:
        host = Host(request.param)
    except Unavailable as error:
        pytest.skip(f"no Sendmail here: {error}")
    with host:
        yield host


def results(message: bytes) -> list[str]:
    """Return the results on top of a message."""
    head = re.sub(rb"\n[ \t]+", b" ", message.partition(b"\n\n")[0]).decode("latin-1").split("\n")
    (found,) = [line for line in head if line.startswith("Authentication-Results: mail.caio.it;")]
    return re.findall(r"; dkim=(\w+)", found)


_numbers = itertools.count()


def twice(host: Host, letters: dict[str, bytes]) -> dict[str, list[list[str]]]:
    """Return the results of letters as they are signed, and as they come in again after delivery."""
    first = host.send(OFFICE, {f"{next(_numbers)}@caio.it": letter for letter in letters.values()})
    again = host.send(ELSEWHERE, {f"again-{recipient}": message for recipient, message in first.items()})
    pairs = zip(first.values(), again.values(), strict=True)
    return dict(zip(letters, ([results(one) for one in pair] for pair in pairs), strict=True))


def test_what_is_signed_verifies_at_once_and_after_delivery(host: Host) -> None:
    assert twice(host, dict(LETTERS)) == {name: [["pass"] * 2] * 2 for name in LETTERS}


@pytest.mark.parametrize("written", [b"uno@caio.it,due@caio.it", b"uno@caio.it , due@caio.it", b"uno@caio.it,"])
def test_addresses_that_sendmail_writes_anew_break_the_signature(host: Host, written: bytes) -> None:
    """It has one blank behind each comma and none before, and does so only when all milters are done."""
    letters = {"it": HEAD.replace(b"To: Caio <caio@caio.it>", b"To: " + written) + b"\nCiao\n"}
    assert twice(host, letters) == {"it": [["pass"] * 2, ["fail"] * 2]}
