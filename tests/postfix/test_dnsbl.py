"""Blocklists as a real Postfix and its clients see them: SMTP in, Postfix, vaglio-dnsbl, vaglio-greylist, the answer.

Clients say who they are (XCLIENT), each test brings addresses of its own. Greylisting is for the listed alone here, so
that whoever nothing speaks against gets 250 at once.
"""

from __future__ import annotations

import itertools
import re
import smtplib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from lab.smtp import Answer, Client, letter
from lab.vaglio import configure
from lab.waiting import Unavailable, clock, until
from lab.world import LISTS, PRIVATE_LIST, World, dnsbl_toml, vaglio_toml

pytestmark = pytest.mark.root

REFUSED = "5.7.1 <{}>: Recipient address rejected: Service unavailable; client [{}] listed by {}; see {}; ref {}"
LOOKUP_TIMEOUT = 1.0
SUSPEND_AFTER = 3
MORE_LISTS = """
[[dnsbl.lists]]
name = "lab-suspicious"
zone = "suspicious.lab.test"
weight = 2

[[dnsbl.lists]]
name = "lab-allow"
zone = "allow.lab.test"
weight = -4

[[dnsbl.lists]]
name = "lab-silent"
zone = "silent.lab.test"
weight = 5
"""
DNSBL = dnsbl_toml(
    {"lookup_timeout": f'"{LOOKUP_TIMEOUT:g}s"', "suspend_after": f"{SUSPEND_AFTER}"}, LISTS + MORE_LISTS
)
GREYLIST = {"delay": '"1s"', "auto_whitelist": "0", "scope": '"listed"'}
NO_ANSWER = "problem talking to server"
READ_AGAIN = "the configuration was read again"
CLIENTS = 4
LEFT = (OSError, smtplib.SMTPException, ValueError)
"""What a client meets whose Postfix stops: no connection, the end of one, or an answer that says so."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    try:
        world = World(GREYLIST, {"smtpd_authorized_xclient_hosts": "0.0.0.0/0"}, DNSBL)
    except Unavailable as error:
        pytest.skip(f"no real Postfix here: {error}")
    with world:
        yield world


_addresses = (f"{network}.{number}" for network in ("198.18.0", "198.18.1") for number in range(1, 255))


@pytest.fixture
def address() -> str:
    """A client that nobody has seen before."""
    return next(_addresses)


def add(world: World, zone: str, address: str, text: str = "") -> None:
    """Put an address on a list."""
    entry = ".".join(reversed(address.split(".")))
    world.dns.zones.add(f"{entry}.{zone}.lab.test. 60 IN A 127.0.0.2\n")
    if text:
        world.dns.zones.add(f'{entry}.{zone}.lab.test. 60 IN TXT "{text}"\n')


@contextmanager
def client(world: World, address: str) -> Iterator[Client]:
    """Connect as somebody whose name leads nowhere."""
    with world.connect("192.0.2.99") as connection:
        connection.pretend({"NAME": "[UNAVAILABLE]", "REVERSE_NAME": "[UNAVAILABLE]", "ADDR": address})
        yield connection


def ask(world: World, address: str, sender: str, *recipients: str) -> tuple[Answer, ...]:
    with client(world, address) as connection:
        return connection.ask(sender, *recipients)


def decided(world: World, recipient: str) -> dict[str, str]:
    """Return the blocklist daemon's last decision about a recipient; its line may come just after the answer."""
    return until(lambda: world.dnsbl.decisions(to=recipient), f"a decision about {recipient}")[-1]


def asked(world: World, zone: str, address: str) -> bool:
    """True when the list was asked about the address."""
    return (f"{'.'.join(reversed(address.split('.')))}.{zone}.lab.test", "A") in world.dns.asked


# --- the listed -----------------------------------------------------------------------------------------------------


def test_a_client_on_a_dns_list_is_refused_with_its_reason(
    world: World, address: str, sender: str, recipient: str
) -> None:
    add(world, "bl", address, "spam seen today")
    (answer,) = ask(world, address, sender, recipient)
    found = decided(world, recipient)
    assert (found["verdict"], found["reason"]) == ("reject", "listed")
    listed, url = "lab-blocklist (spam seen today)", f"https://bl.lab.test/{address}"
    assert (answer.code, answer.text) == (554, REFUSED.format(recipient, address, listed, url, found["ref"]))


def test_a_client_on_a_private_list_is_refused_with_its_reason(world: World, sender: str, recipient: str) -> None:
    (answer,) = ask(world, "198.51.100.78", sender, recipient)
    found = decided(world, recipient)
    listed, url = "caios-own (sells addresses, and does not stop)", "https://mail.caio.it/blocked"
    assert (answer.code, answer.text) == (554, REFUSED.format(recipient, "198.51.100.78", listed, url, found["ref"]))


def test_a_new_line_of_a_private_list_counts_without_a_restart(
    world: World, address: str, sender: str, recipient: str
) -> None:
    assert ask(world, address, sender, recipient)[0].code == 250
    with world.space.path(PRIVATE_LIST).open("a") as file:
        file.write(f"{address} came today\n")
    with client(world, address) as connection:
        until(lambda: connection.ask(sender, recipient)[0].code == 554, "the new line", step=0.2)


def test_who_is_on_no_list_is_let_in_and_delivered(world: World, address: str, sender: str, recipient: str) -> None:
    with client(world, address) as connection:
        assert connection.send(sender, [recipient], letter(sender, recipient, "clean")).last.code == 250
    (message,) = until(lambda: world.caio.mailbox(recipient), "the message")
    assert b"\nX-DNSBL:" not in message
    assert decided(world, recipient)["reason"] == "not-listed"


def test_an_authenticated_client_passes_unasked(world: World, address: str, sender: str, recipient: str) -> None:
    add(world, "bl", address)
    with client(world, address) as connection:
        connection.pretend({"LOGIN": "tizio"})
        assert connection.ask(sender, recipient)[0].code == 250
    assert decided(world, recipient)["reason"] == "authenticated"
    assert not asked(world, "bl", address)


# --- several recipients, and commands in one go ---------------------------------------------------------------------


def test_of_several_recipients_only_the_exempt_one_is_accepted(
    world: World, address: str, sender: str, recipient: str
) -> None:
    add(world, "bl", address)
    recipients = ("postmaster@caio.it", recipient, f"a-{recipient}")
    with client(world, address) as connection:
        done = connection.send(sender, recipients, letter(sender, "postmaster@caio.it", f"delist {address}"))
    assert [answer.code for answer in done.recipients] == [250, 554, 554]
    assert done.data
    assert done.data.code == 250
    subject = f"Subject: delist {address}\n".encode()
    until(lambda: any(subject in message for message in world.caio.mailbox("postmaster@caio.it")), "the message")
    assert world.caio.mailbox(recipient) == []
    assert decided(world, "postmaster@caio.it")["reason"] == "exempt-recipient"


def test_each_refused_recipient_has_a_reference_of_its_own(
    world: World, address: str, sender: str, recipient: str
) -> None:
    add(world, "bl", address)
    answers = ask(world, address, sender, recipient, f"a-{recipient}", f"b-{recipient}")
    references = {re.sub(r".*; ref ", "", answer.text) for answer in answers}
    assert len(references) == 3
    assert {decided(world, f"{prefix}{recipient}")["ref"] for prefix in ("", "a-", "b-")} == references


def test_commands_sent_in_one_go_get_their_answers_in_order(
    world: World, address: str, sender: str, recipient: str
) -> None:
    add(world, "bl", address)
    with client(world, address) as connection:
        # RFC 2920 3.1: DATA is the last of a group; Postfix 3.9 hangs up on who sends more.
        answers = connection.pipeline(
            f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "RCPT TO:<abuse@caio.it>", f"RCPT TO:<b-{recipient}>",
            "RSET", f"MAIL FROM:<b-{sender}>", f"RCPT TO:<c-{recipient}>", "DATA",
        )  # fmt: skip
    codes = [answer.code for answer in answers]
    # abuse@ is never refused for good; greylisting, which has just heard that the client is listed, may ask to wait.
    assert codes[2] in (250, 450)
    assert codes[:2] + codes[3:] == [250, 554, 554, 250, 250, 554, 554]
    assert f"<b-{recipient}>" in answers[3].text


# --- lists in trouble -----------------------------------------------------------------------------------------------


def test_a_list_that_refuses_us_refuses_nobody_and_is_reported_once(
    world: World, sender: str, recipient: str
) -> None:
    first, second = next(_addresses), next(_addresses)
    world.dns.zones.parrots["other.lab.test"] = "127.255.255.254"
    assert ask(world, first, sender, recipient)[0].code == 250
    assert asked(world, "other", first)
    said = re.compile(r"the list lab-other is suspended: it refuses to answer us \(127\.255\.255\.254\)")
    until(lambda: said.search(world.dnsbl.log()), "the warning")
    assert ask(world, second, sender, recipient)[0].code == 250
    assert decided(world, recipient)["reason"] == "not-listed"
    assert not asked(world, "other", second)
    assert len(said.findall(world.dnsbl.log())) == 1


def test_a_silent_list_delays_an_answer_for_so_long_and_once_suspended_not_at_all(
    world: World, sender: str, recipient: str
) -> None:
    world.dns.zones.silent.add("silent.lab.test")
    waits = []
    with client(world, next(_addresses)) as connection:
        for address in itertools.islice(_addresses, SUSPEND_AFTER):
            connection.pretend({"ADDR": address})
            begin = clock()
            assert connection.ask(sender, recipient)[0].code == 250
            waits.append(clock() - begin)
    assert all(LOOKUP_TIMEOUT * 0.9 < wait < LOOKUP_TIMEOUT + 1 for wait in waits), waits
    until(lambda: "the list lab-silent is suspended: it does not answer" in world.dnsbl.log(), "the warning")
    address = next(_addresses)
    with client(world, address) as connection:
        begin = clock()
        assert connection.ask(sender, recipient)[0].code == 250
        assert clock() - begin < LOOKUP_TIMEOUT / 2
    assert not asked(world, "silent", address)


# --- what greylisting is told ---------------------------------------------------------------------------------------


def greylisted(world: World, recipient: str) -> dict[str, str]:
    return until(lambda: world.greylist.decisions(to=recipient), f"a decision about {recipient}")[-1]


def test_only_a_client_that_a_list_names_is_greylisted(world: World, sender: str, recipient: str) -> None:
    suspicious, clean = next(_addresses), next(_addresses)
    add(world, "suspicious", suspicious)
    (answer,) = ask(world, suspicious, sender, recipient)
    assert (answer.code, "Greylisted" in answer.text) == (450, True)
    assert decided(world, recipient)["reason"] == "suspicious"
    assert greylisted(world, recipient)["reason"] == "first-contact"
    assert ask(world, clean, sender, f"a-{recipient}")[0].code == 250
    assert greylisted(world, f"a-{recipient}")["verdict"] == "pass"


def test_a_suspicious_message_that_was_retried_has_both_headers_once(
    world: World, address: str, sender: str, recipient: str
) -> None:
    add(world, "suspicious", address)
    recipients = (recipient, f"a-{recipient}")
    with client(world, address) as connection:
        connection.insist(sender, recipients, letter(sender, recipient, "patience"))
    for one in recipients:
        (message,) = until(lambda one=one: world.caio.mailbox(one), "the message")  # type: ignore[misc]
        assert message.count(b"\nX-DNSBL: 2 (lab-suspicious +2) ") == 1
        assert message.count(b"\nX-Greylist: delayed ") == 1


def test_a_client_on_an_allow_list_is_not_greylisted_whatever_others_say(
    world: World, address: str, sender: str, recipient: str
) -> None:
    add(world, "suspicious", address)
    add(world, "allow", address)
    assert ask(world, address, sender, recipient)[0].code == 250
    assert decided(world, recipient)["reason"] == "allow-listed"
    assert greylisted(world, recipient)["reason"] == "allow-listed"


def configure_greylist(world: World, scope: str) -> None:
    said = world.greylist.log().count(READ_AGAIN)
    configure(world.space, vaglio_toml({**GREYLIST, "scope": f'"{scope}"'}) + DNSBL)
    world.greylist.reload()
    until(lambda: world.greylist.log().count(READ_AGAIN) > said, "the reload")


def test_where_everybody_is_greylisted_a_client_on_an_allow_list_is_not(
    world: World, sender: str, recipient: str
) -> None:
    vouched, clean, tries = next(_addresses), next(_addresses), itertools.count()
    add(world, "allow", vouched)
    configure_greylist(world, "all")
    try:
        # Nobody asks for hints before the first one was seen, which is looked for every few seconds.
        until(lambda: ask(world, vouched, sender, f"{next(tries)}-{recipient}")[0].code == 250, "the hint", step=0.2)
        until(lambda: world.greylist.decisions(client=vouched, reason="allow-listed"), "the reason")
        assert ask(world, clean, sender, f"a-{recipient}")[0].code == 450
    finally:
        configure_greylist(world, "listed")


# --- Postfix or the daemon go away ----------------------------------------------------------------------------------


class Traffic:
    """Clients that ask about listed and other addresses and connect anew whenever Postfix leaves them."""

    def __init__(self, world: World, pool: ThreadPoolExecutor) -> None:
        self._world = world
        self._stop = threading.Event()
        self.answers: list[tuple[bool, Answer]] = []
        """Whether the client is listed, and what it was told."""
        self._runs = [pool.submit(self._run, f"198.18.{100 + number}", f"t{number}x") for number in range(CLIENTS)]

    def _run(self, network: str, name: str) -> None:
        numbers = itertools.cycle(range(1, 255))
        while not self._stop.is_set():
            with suppress(*LEFT), client(self._world, f"{network}.1") as connection:
                while not self._stop.is_set():
                    self._ask(connection, f"{network}.{next(numbers)}", name)

    def _ask(self, connection: Client, address: str, name: str) -> None:
        connection.pretend({"ADDR": address})
        for answer in connection.ask(f"{name}@tizio.it", f"{name}@caio.it", f"a-{name}@caio.it"):
            self.answers.append((is_listed(address), answer))

    def more(self, count: int) -> None:
        """Wait until so many further answers came."""
        wanted = len(self.answers) + count
        until(lambda: len(self.answers) >= wanted, f"{count} answers", 60)

    def stop(self) -> None:
        self._stop.set()
        for run in self._runs:
            run.result()


def is_listed(address: str) -> bool:
    return int(address.rpartition(".")[2]) % 3 == 0


@contextmanager
def traffic(world: World) -> Iterator[Traffic]:
    for network in range(100, 100 + CLIENTS):
        for number in range(3, 255, 3):
            add(world, "bl", f"198.18.{network}.{number}")
    with ThreadPoolExecutor(CLIENTS) as pool:
        made = Traffic(world, pool)
        try:
            made.more(50)
            yield made
        finally:
            made.stop()


def improper(made: Traffic) -> list[tuple[bool, Answer]]:
    """Return the answers that are neither Vaglio's nor the default action: Postfix's own errors, such as 451 4.3.5."""
    assert any(answer.code == 554 for _, answer in made.answers)
    words = re.compile("listed by lab-blocklist|Greylisted")
    return [(listed, answer) for listed, answer in made.answers
            if answer.code != 250 and not (listed and words.search(answer.text))]  # fmt: skip


def test_a_reload_of_postfix_under_load_costs_no_answer(world: World) -> None:
    with traffic(world) as made:
        for _ in range(3):
            world.caio.reload()
            made.more(50)
    assert improper(made) == []


def test_a_restart_of_postfix_under_load_costs_no_answer(world: World) -> None:
    before = world.caio.log().count(NO_ANSWER)
    with traffic(world) as made:
        for _ in range(2):
            world.caio.stop()
            world.caio.start()
            made.more(50)
    assert improper(made) == []
    assert world.caio.log().count(NO_ANSWER) == before


def test_a_reload_of_the_daemon_under_load_costs_no_answer(world: World) -> None:
    with traffic(world) as made:
        for _ in range(3):
            said = world.dnsbl.log().count(READ_AGAIN)
            world.dnsbl.reload()
            until(lambda said=said: world.dnsbl.log().count(READ_AGAIN) > said, "the reload")  # type: ignore[misc]
            made.more(50)
    assert improper(made) == []
    assert [answer for listed, answer in made.answers if listed and answer.code != 554] == []


def test_without_the_daemon_postfix_lets_the_mail_through(
    world: World, address: str, sender: str, recipient: str
) -> None:
    add(world, "bl", address)
    assert world.dnsbl.process.stop() == 0
    try:
        assert ask(world, address, sender, recipient)[0].code == 250
    finally:
        world.dnsbl.start()
    assert ask(world, address, sender, recipient)[0].code == 554
