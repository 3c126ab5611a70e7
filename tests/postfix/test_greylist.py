"""Greylisting as a real Postfix and its clients see it: SMTP in, Postfix, policy, Postfix's answer, delivery."""

from __future__ import annotations

import itertools
import re

import pytest

from lab.smtp import Client, letter
from lab.space import HOME
from lab.waiting import until
from lab.world import TIZIO, World

pytestmark = pytest.mark.root

MAIL = TIZIO.address
MAIL2 = "198.51.100.25"
REFUSED = re.compile(r"4\.7\.1 <\S+>: Recipient address rejected: Greylisted\b.*\bref ([0-9A-HJKMNP-TV-Z]{4}-?){2}")


def reason_of(world: World, recipient: str) -> str:
    """Return the reason of the last decision about a recipient; its line may come just after the answer."""
    return until(lambda: world.greylist.decisions(to=recipient), f"a decision about {recipient}")[-1]["reason"]


def reasons_of(world: World, recipient: str, count: int) -> list[str]:
    """Return the reasons of the first ``count`` decisions about a recipient."""
    found = until(lambda: (all_ := world.greylist.decisions(to=recipient))[count - 1 :] and all_, f"{count} decisions")
    return [decision["reason"] for decision in found]


def headers(message: bytes, name: str) -> list[str]:
    head = message.partition(b"\n\n")[0].decode()
    return [line for line in re.sub(r"\n[ \t]+", " ", head).split("\n") if line.startswith(f"{name}:")]


def test_a_first_contact_is_deferred_with_a_reference(world: World, sender: str, recipient: str) -> None:
    with world.connect(MAIL) as client:
        (answer,) = client.ask(sender, recipient)
    assert answer.code == 450
    assert REFUSED.match(answer.text)
    assert reasons_of(world, recipient, 1) == ["first-contact"]
    assert world.greylist.decisions(to=recipient)[0]["ref"] in answer.text


def test_a_retry_passes_and_is_delivered_with_one_header(world: World, sender: str, recipient: str) -> None:
    with world.connect(MAIL) as client:
        client.insist(sender, [recipient], letter(sender, recipient, "patience"))
    (message,) = until(lambda: world.caio.mailbox(recipient), "the message")
    (header,) = headers(message, "X-Greylist")
    assert header.startswith("X-Greylist: delayed ")
    assert message.endswith(b"\n\nCiao!\n")


def test_three_recipients_get_one_header_together(world: World, sender: str, recipient: str) -> None:
    recipients = (recipient, f"a-{recipient}", f"b-{recipient}")
    with world.connect(MAIL) as client:
        first = client.ask(sender, *recipients)
        assert [answer.code for answer in first] == [450, 450, 450]
        client.insist(sender, recipients, letter(sender, recipient, "patience"))
    for one in recipients:
        (message,) = until(lambda one=one: world.caio.mailbox(one), f"the message for {one}")  # type: ignore[misc]
        assert len(headers(message, "X-Greylist")) == 1


def test_a_known_triplet_passes_at_once_without_a_header(world: World, sender: str, recipient: str) -> None:
    with world.connect(MAIL) as client:
        client.insist(sender, [recipient], letter(sender, recipient, "patience"))
        assert client.send(sender, [recipient], letter(sender, recipient, "again")).last.code == 250
    again = until(lambda: world.caio.mailbox(recipient)[1:], "the second message")
    assert headers(again[0], "X-Greylist") == []


def test_another_host_of_the_same_provider_may_make_the_retry(world: World, sender: str, recipient: str) -> None:
    with world.connect(MAIL) as client:
        assert client.ask(sender, recipient)[0].code == 450
    with world.connect(MAIL2) as client:
        client.insist(sender, [recipient], letter(sender, recipient, "patience"))
    seen = until(lambda: world.greylist.decisions(to=recipient, client=MAIL2, reason="retried"), "the retry")
    assert seen[0]["pool"] == "tizio.it"
    assert not world.greylist.decisions(to=recipient, client=MAIL2, reason="first-contact")


def test_a_name_that_does_not_lead_back_is_not_that_provider(world: World, sender: str, recipient: str) -> None:
    world.dns.zones.add("99.100.51.198.in-addr.arpa. 60 IN PTR mail.tizio.it.\n")
    with world.connect(MAIL) as client:
        client.insist(sender, [recipient], letter(sender, recipient, "patience"))
    with world.connect("198.51.100.99") as client:
        assert client.ask(sender, recipient)[0].code == 450
    assert until(lambda: world.greylist.decisions(to=recipient, client="198.51.100.99"), "it")[0][
        "reason"] == "first-contact"  # fmt: skip


def test_a_temporary_dns_failure_of_the_client_name_falls_back_to_its_network(
    world: World, sender: str, recipient: str
) -> None:
    world.dns.zones.failing.add("98.2.0.192.in-addr.arpa")
    with world.connect("192.0.2.98") as client:
        assert client.ask(sender, recipient)[0].code == 450
    assert until(lambda: world.greylist.decisions(to=recipient), "it")[0]["pool"] == "192.0.2.0/24"


def test_the_null_sender_is_greylisted_like_any_other(world: World, recipient: str) -> None:
    with world.connect(MAIL) as client:
        assert client.ask("", recipient)[0].code == 450
        client.insist("", [recipient], letter("", recipient, "patience"))
    (message,) = until(lambda: world.caio.mailbox(recipient), "the bounce")
    assert message.startswith(b"Return-Path: <>\n")


def test_an_authenticated_client_passes(world: World, sender: str, recipient: str) -> None:
    with world.connect("198.51.100.66") as client:
        client.pretend({"LOGIN": "tizio"})
        assert client.send(sender, [recipient], letter(sender, recipient, "mine")).last.code == 250
    assert reason_of(world, recipient) == "authenticated"


def test_a_whitelisted_client_passes_once_the_list_says_so(world: World, sender: str, recipient: str) -> None:
    with world.connect("198.51.100.30") as client:
        assert client.ask(sender, f"before-{recipient}")[0].code == 450
        world.space.path(f"{HOME}/vaglio/whitelist_clients").write_text("198.51.100.30\n")
        numbers = itertools.count()
        until(lambda: client.ask(sender, f"{next(numbers)}-{recipient}")[0].code == 250, "the list", step=0.2)
    assert reason_of(world, f"{next(numbers) - 1}-{recipient}") == "client-whitelisted"


def test_mail_for_others_is_refused_before_anybody_is_asked(world: World, sender: str) -> None:
    with world.connect(MAIL) as client:
        (answer,) = client.ask(sender, "nobody@elsewhere.example")
    assert answer.code == 554
    assert world.greylist.decisions(to="nobody@elsewhere.example") == []


@pytest.mark.parametrize("hostile", ["a=b@caio.it", '"a b"@caio.it', "a+b@caio.it", "x" * 64 + "@caio.it"])
def test_odd_addresses_get_an_answer(world: World, sender: str, hostile: str) -> None:
    with world.connect(MAIL) as client:
        assert client.ask(sender, hostile)[0].code == 450


def test_many_networks_are_many_clients(world: World, sender: str, recipient: str) -> None:
    """XCLIENT: each of these networks is a first contact of its own."""
    with world.connect("198.51.100.7") as client:
        for third in range(5):
            _be(client, f"100.64.{third}.9")
            assert client.ask(sender, recipient)[0].code == 450
    assert reasons_of(world, recipient, 5) == ["first-contact"] * 5


def _be(client: Client, address: str) -> None:
    client.pretend({"NAME": "[UNAVAILABLE]", "REVERSE_NAME": "[UNAVAILABLE]", "ADDR": address})
