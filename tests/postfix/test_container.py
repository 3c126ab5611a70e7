"""A Postfix in a container, wired by the shipped lines: mail in by SMTP, deferred, tried again, delivered.

The image is the ``postfix`` target of ``examples/postfix/Containerfile``; the daemon runs beside it in the same
network, as ``docker run --network=container:...`` does it.
"""

import re
from collections.abc import Iterator

import pytest

from lab import containers
from lab.containers import Container
from lab.dns import NameServer, Zones
from lab.smtp import Client, Transaction, greets, letter
from lab.space import Space
from lab.vaglio import Daemon, configure
from lab.waiting import until

pytestmark = pytest.mark.root

CONFIG = '[greylist]\ndelay = "1s"\n[state]\nurl = "sqlite:///var/spool/vaglio"\n'
MAILDIR = "home/caio/Maildir/new"


class Lab:
    """The container, and the daemon that its Postfix asks."""

    def __init__(self, space: Space, container: Container, daemon: Daemon) -> None:
        self.space, self.container, self.daemon = space, container, daemon

    def send(self, sender: str, recipient: str = "caio@caio.it", address: str = "192.0.2.25") -> Transaction:
        with Client(self.space, "127.0.0.1", address, helo="mail.tizio.it") as client:
            return client.send(sender, [recipient], letter(sender, recipient, f"da {sender}"))

    def delivered(self, sender: str) -> str:
        messages = [path.read_text() for path in (self.container.root / MAILDIR).glob("*")]
        return next((message for message in messages if f"Subject: da {sender}\n" in message), "")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    if reason := containers.skip_reason():
        pytest.skip(reason)
    image = containers.build("postfix")
    with Space() as space:
        names = NameServer(space, Zones.read())
        try:
            configure(space, CONFIG)
            daemon = Daemon(space, "vaglio-greylist", 10023)
            options = ("--hostname=mail.caio.it", "--dns=127.0.0.1")
            with containers.run(image, space, *options) as container:
                until(lambda: greets(space, "127.0.0.1"), "the greeting of the container's Postfix")
                yield Lab(space, container, daemon)
        finally:
            names.close()


def test_a_first_message_is_deferred_tried_again_and_delivered(lab: Lab) -> None:
    first = lab.send("tizio@tizio.it")
    assert first.last.code == 450
    assert re.search(r"^4\.7\.1 .*\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", first.last.text)
    until(lambda: lab.send("tizio@tizio.it").last.code == 250, "the retry to be accepted")
    message = until(lambda: lab.delivered("tizio@tizio.it"), "the delivery")
    assert message.count("\nX-Greylist: ") == 1


def test_the_retry_may_come_from_another_host_of_the_same_domain(lab: Lab) -> None:
    assert lab.send("bruna@tizio.it").last.code == 450
    until(lambda: lab.send("bruna@tizio.it", address="198.51.100.25").last.code == 250, "the retry to be accepted")


def test_own_networks_are_never_asked_about(lab: Lab) -> None:
    assert lab.send("carlo@caio.it", address="127.0.0.1").last.code == 250
    assert lab.daemon.decisions(from_="carlo@caio.it") == []


def test_a_relay_attempt_does_not_reach_the_daemon(lab: Lab) -> None:
    assert lab.send("dario@tizio.it", "rossi@sempronio.it").last.text.endswith("Relay access denied")
    assert lab.daemon.decisions(from_="dario@tizio.it") == []


def test_an_unknown_recipient_does_not_reach_the_daemon(lab: Lab) -> None:
    assert lab.send("elio@tizio.it", "nessuno@caio.it").last.code == 550
    assert lab.daemon.decisions(from_="elio@tizio.it") == []


def test_mail_flows_while_the_daemon_is_down(lab: Lab) -> None:
    lab.daemon.process.kill()
    try:
        assert lab.send("fabio@tizio.it").last.code == 250
        until(lambda: lab.delivered("fabio@tizio.it"), "the delivery")
    finally:
        lab.daemon.start()
