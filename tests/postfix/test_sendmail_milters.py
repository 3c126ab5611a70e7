"""Vaglio's milters as a real Sendmail and its clients see them, wired by the shipped lines, with either engine.

Where Sendmail does other than Postfix, the test says so, and docs/milters.md, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import pytest

from lab import dkim, milters
from lab.dns import NameServer, Zones
from lab.sendmail import Sendmail, filters
from lab.smtp import Answer, Client, letter
from lab.space import HOME, Space
from lab.vaglio import Daemon, configure, said, why
from lab.waiting import Unavailable, until
from lab.world import CAIO

pytestmark = pytest.mark.root

MAIL, OFFICE, FORGER = "192.0.2.25", "192.0.2.77", "198.51.100.66"
FOLDER = f"{HOME}/milters"
REFERENCE = r"(?:[0-9A-HJKMNP-TV-Z]{4}-?){2}"
NO_MAIL = '[spf.text.en]\nno_mail = "100%s of {domain} (50%%): caffè"\n'


class Host:
    """Caio's mail host: Sendmail, the chain inbound or vaglio-spf, a name server; a context manager. ``key`` signs what
    comes from the office. Scores and marks of the chain inbound are for test_sendmail_score.py.
    """

    def __init__(self, engine: str, chain: bool, more: str = "", key: dkim.Key | None = None) -> None:
        with ExitStack() as stack:
            self.space = stack.enter_context(Space())
            self.dns = NameServer(self.space, Zones.read())
            stack.callback(self.dns.close)
            self.dns.zones.add(milters.ZONE)
            self.space.path(FOLDER).mkdir()
            checks = {"chain.inbound": 'checks = ["spf", "dkim_verify"]'}
            text = milters.toml(FOLDER, engine, milters.RULES + NO_MAIL, checks)
            text = text.replace('socket_group = "postfix"\n', "")
            if key:
                dkim.make_folders(self.space)
                socket = f"unix:{FOLDER}/dkim-sign.sock"
                text += f'[dkim.sign]\nlisten = ["{socket}"]\nnetworks = ["{OFFICE}"]\n{key.toml(self.space)}'
            configure(self.space, text)
            name, socket = ("vaglio-chain inbound", "inbound") if chain else ("vaglio-spf", "spf")
            self.daemon = Daemon(self.space, name, f"{FOLDER}/{socket}.sock")
            self.caio = stack.enter_context(Sendmail(self.space, CAIO, filters(FOLDER, socket) + more))
            self._stack = stack.pop_all()

    def client(self, address: str = MAIL, helo: str = "mail.tizio.it") -> Client:
        return Client(self.space, CAIO.address, address, helo)

    def arrived(self, recipient: str, count: int = 1) -> list[bytes]:
        """Await messages for a recipient."""
        return until(lambda: (found := self.caio.mailbox(recipient))[count - 1 :] and found, f"mail for {recipient}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._stack.close()


@pytest.fixture(scope="module", params=milters.ENGINES)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    if reason := milters.missing(request.param):
        pytest.skip(reason)
    try:
        host = Host(request.param, chain=True)
    except Unavailable as error:
        pytest.skip(f"no Sendmail here: {error}")
    with host:
        yield host


def fields(message: bytes) -> list[bytes]:
    """Return the header fields of a message, unfolded."""
    return re.sub(rb"\n[ \t]+", b" ", message.partition(b"\n\n")[0]).split(b"\n")


def results(message: bytes) -> list[bytes]:
    return [line for line in fields(message) if line.lower().startswith(b"authentication-results")]


def sent(client: Client, sender: str, recipient: str, head: bytes = b"") -> Answer:
    """Send a message with more lines in its header; return what became of it."""
    return client.send(sender, [recipient], head + letter(sender, recipient, "ciao").encode()).last


def test_mail_that_passes_arrives_with_the_result_on_top(host: Host, recipient: str) -> None:
    with host.client() as client:
        assert sent(client, "tizio@tizio.it", recipient).code == 250
    first, second, *_ = fields(host.arrived(recipient)[0])
    assert first == (
        b"Authentication-Results: mail.caio.it; spf=pass smtp.mailfrom=tizio@tizio.it;"
        b' spf=none reason="the domain has no SPF record" smtp.helo=mail.tizio.it; dkim=none (no signature)'
    )
    assert second.startswith(b"Received: from mail.tizio.it ")


def test_mail_that_fails_arrives_with_the_reason_and_its_story_is_found_by_the_queue_id(
    host: Host, recipient: str
) -> None:
    with host.client(FORGER) as client:
        name = sent(client, "tizio@tizio.it", recipient).text.split()[1]
    (found,) = results(host.arrived(recipient)[0])
    assert b'; spf=fail reason="198.51.100.66 is not in the SPF record of tizio.it" smtp.mailfrom=tizio' in found
    (decision,) = until(lambda: host.daemon.decisions(queue=name), "the decision")
    assert (decision["client"], decision["name"]) == (FORGER, "host-198-51-100-66.dsl.sempronio.it")
    assert until(lambda: why(host.space, decision["ref"]), "its story")
    told = said(host.space, "why", decision["ref"])
    assert re.search(r"^ +story: SPF fail for tizio\.it; no DKIM signature; delivered$", told, re.MULTILINE)


def test_a_refusal_reaches_the_client_whole(host: Host, recipient: str) -> None:
    with host.client(FORGER) as client:
        answer = sent(client, "anna@strict.test", recipient)
        assert sent(client, "tizio@tizio.it", recipient).code == 250  # the session goes on
    assert answer.code == 550
    assert re.fullmatch(
        r"5\.7\.23 SPF fail: 198\.51\.100\.66 is not in the SPF record of strict\.test \(MAIL FROM\), which allows "
        r"ip4:192\.0\.2\.25; if this client is to send for it, its admin must add ip4:198\.51\.100\.66 there, "
        r"or send through a host that it allows; "
        rf"ref {REFERENCE}",
        answer.text,
    )


def test_a_reply_may_have_percent_signs_but_of_other_letters_sendmail_takes_a_bit(host: Host, recipient: str) -> None:
    """Postfix lets all bytes through; Sendmail clears the eighth bit of what it says."""
    with host.client(FORGER) as client:
        answer = sent(client, "anna@nomail.test", recipient)
    assert answer.code == 550
    mangled = bytes(byte & 0x7F for byte in "è".encode()).decode()
    assert re.fullmatch(
        rf"5\.7\.23 100%s of nomail\.test \(50%%\): caff{re.escape(mangled)}; ref {REFERENCE}", answer.text
    )


def test_a_message_is_quarantined_with_the_reason(host: Host, recipient: str) -> None:
    with host.client(FORGER) as client:
        assert sent(client, "anna@hold.test", recipient).code == 250
    wanted = "SPF fail hold.test; ref "
    until(lambda: any(reason.startswith(wanted) for reason in host.caio.quarantined()), "the message in quarantine")
    assert host.caio.mailbox(recipient) == []


FORGED = (
    b"Authentication-Results: mail.caio.it; spf=pass %d",
    b"AUTHENTICATION-RESULTS: MAIL.CAIO.IT.; spf=pass %d",
    b"Authentication-Results : mail.caio.it; spf=pass %d",
    b'Authentication-Results: (a \\) comment) "mail.caio.it" 1; spf=pass %d',
    b"Authentication-Results:\n mail.caio.it;\n spf=pass %d",
    b"authentication-results:mail.caio.it;spf=pass %d",
)
KEPT = (
    b"Authentication-Results: mx.example.org; spf=pass %d",
    b"Authentication-Results : mx.example.org; spf=pass %d",
    b"Authentication-Results: caff\xe8.example; spf=pass %d",
)


def test_of_many_fields_the_forged_ones_are_gone_and_those_of_others_stay(host: Host, recipient: str) -> None:
    forms = [form for pair in zip(KEPT * 4, FORGED * 2, strict=True) for form in pair]
    head = b"".join(form % place + b"\n" for place, form in enumerate(forms))
    with host.client(FORGER) as client:
        assert sent(client, "tizio@tizio.it", recipient, head).code == 250
    ours, *others = results(host.arrived(recipient)[0])
    assert ours.startswith(b"Authentication-Results: mail.caio.it; spf=fail ")
    wanted = [place for place, form in enumerate(forms) if form in KEPT]
    assert [int(line.rpartition(b" ")[2]) for line in others] == wanted


def test_a_header_of_any_bytes_is_judged_and_stays_as_it_was(host: Host, recipient: str) -> None:
    odd = b"Subject: caff\xe8 \x81\x9f\nX-Odd: \xff\xfe\n"
    with host.client(FORGER) as client:
        assert sent(client, "tizio@tizio.it", recipient, odd).code == 250
    (message,) = host.arrived(recipient)
    assert b"; spf=fail " in results(message)[0]
    assert b"\nSubject: caff\xe8 \x81\x9f\n" in message


def test_a_helo_name_of_other_letters_never_comes_through(host: Host, recipient: str) -> None:
    """Postfix takes it; Sendmail refuses it, and a client that goes on all the same has said none."""
    with host.client(FORGER, "caff\xe8.tizio.it") as client:
        assert client.command("EHLO caff\xe8.tizio.it").code == 501
        assert sent(client, "tizio@tizio.it", recipient).code == 250
    (message,) = host.arrived(recipient)
    assert b'; spf=none reason="there is no domain" smtp.helo=""' in results(message)[0]


def test_messages_of_one_session_are_judged_one_by_one_whatever_was_given_up_between(
    host: Host, recipient: str
) -> None:
    with host.client(FORGER) as client:
        assert client.command("MAIL FROM:<anna@nomail.test>").code == 250
        assert client.command(f"RCPT TO:<{recipient}>").code == 250
        assert client.command("RSET").code == 250
        assert sent(client, "tizio@tizio.it", recipient).code == 250
        assert sent(client, "anna@nomail.test", recipient).code == 550
        assert sent(client, "", recipient).code == 250
    found = [results(message)[0] for message in host.arrived(recipient, 2)]
    assert sum(b"smtp.mailfrom=tizio@tizio.it; " in one for one in found) == 1
    assert sum(b"smtp.mailfrom=" not in one for one in found) == 1


def test_a_restart_is_taken_over_without_a_deferral(host: Host, recipient: str) -> None:
    old = host.daemon.process
    with host.client() as before:
        assert sent(before, "tizio@tizio.it", recipient).code == 250
        host.daemon.start("--replace")
        with host.client() as after:
            assert sent(after, "tizio@tizio.it", recipient).code == 250
        assert old.stop() == 0
    assert [len(results(message)) for message in host.arrived(recipient, 2)] == [1, 1]


def test_vaglio_spf_alone_does_the_same(recipient: str) -> None:
    try:
        host = Host("native", chain=False)
    except Unavailable as error:
        pytest.skip(f"no Sendmail here: {error}")
    with host:
        with host.client(FORGER) as client:
            head = b"Authentication-Results: mail.caio.it; spf=pass\n"
            assert sent(client, "tizio@tizio.it", recipient, head).code == 250
        (found,) = results(host.arrived(recipient)[0])
        assert b"; spf=fail " in found


def test_ports_of_users_and_of_local_mail_have_who_signs_and_no_other_filter(recipient: str) -> None:
    """The shipped lines, but that the lab's Sendmail knows no logins, and has an address."""
    lines = re.findall(r"^dnl ((?:MAIL_FILTER|DAEMON_OPTIONS)\(.*)", filters(FOLDER), re.MULTILINE)
    signer, users, local, _ = lines  # the last is the chain that does the same
    users = users.replace("M=Ea", "M=ES").replace("Port=submission", f"Port=587, Addr={CAIO.address}")
    local = local.replace("Addr=127.0.0.1", f"Addr={CAIO.address}")
    key = dkim.new_key("caio.it", "2026a", "ed25519")
    try:
        host = Host("native", chain=True, more=f"{signer}\n{users}\n{local}\n", key=key)
    except Unavailable as error:
        pytest.skip(f"no Sendmail here: {error}")
    head = b"Authentication-Results: mail.caio.it; spf=pass forged\n"
    with host:
        Daemon(host.space, "vaglio-dkim-sign", f"{FOLDER}/dkim-sign.sock")
        for port in (587, 2525):
            with Client(host.space, CAIO.address, OFFICE, port=port) as client:
                assert sent(client, "caio@caio.it", recipient, head).code == 250
        for message in host.arrived(recipient, 2):
            assert fields(message)[0].startswith(b"DKIM-Signature: v=1; a=ed25519-sha256; ")
            assert b"forged" not in message
        assert host.daemon.decisions(to=recipient) == []


def test_mail_is_not_taken_unsigned_while_who_signs_is_down(recipient: str) -> None:
    signer, users, *_ = re.findall(r"^dnl ((?:MAIL_FILTER|DAEMON_OPTIONS)\(.*)", filters(FOLDER), re.MULTILINE)
    users = users.replace("M=Ea", "M=ES").replace("Port=submission", f"Port=587, Addr={CAIO.address}")
    try:
        host = Host("native", chain=True, more=f"{signer}\n{users}\n")
    except Unavailable as error:
        pytest.skip(f"no Sendmail here: {error}")
    with host, Client(host.space, CAIO.address, OFFICE, port=587) as client:
        assert sent(client, "caio@caio.it", recipient).code == 451
