"""Vaglio's milters as a real Postfix and its clients see them, wired by the shipped lines, with either engine."""

from __future__ import annotations

import re
import signal
import smtplib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import zip_longest
from types import TracebackType
from typing import Self

import pytest

from lab import milters, submission
from lab.dns import NameServer, Zones
from lab.postfix import Postfix
from lab.smtp import Answer, Client, letter
from lab.space import HOME, Space
from lab.vaglio import Daemon, configure, said, why
from lab.waiting import Unavailable, until
from lab.world import CAIO

pytestmark = pytest.mark.root

MAIL, FORGER, OFFICE = "192.0.2.25", "198.51.100.66", "192.0.2.77"
REFERENCE = r"(?:[0-9A-HJKMNP-TV-Z]{4}-?){2}"
LOGIN, PASSWORD = "caio@caio.it", "parola d'ordine"


class Host:
    """Caio's mail host: Postfix, the chains inbound and outbound, a name server; a context manager. Scores and marks of
    the chain inbound are for test_score.py.
    """

    def __init__(self, engine: str) -> None:
        self.engine = engine
        with ExitStack() as stack:
            self.space = stack.enter_context(Space())
            self.dns = NameServer(self.space, Zones.read())
            stack.callback(self.dns.close)
            self.dns.zones.add(milters.ZONE)
            milters.make_folder(self.space, CAIO)
            self.configure()
            folder = milters.folder(CAIO)
            self.inbound = Daemon(self.space, "vaglio-chain inbound", f"{folder}/inbound.sock")
            self.outbound = Daemon(self.space, "vaglio-chain outbound", f"{folder}/outbound.sock")
            services = submission.services(example=milters.SUBMISSION)
            self.caio = Postfix(self.space, replace(CAIO, settings=milters.settings(), submission=services))
            self.caio.add_login(LOGIN, PASSWORD)
            self._stack = stack.pop_all()

    def configure(self, spf: str = "", **sections: str) -> None:
        sections["chain.inbound"] = f'checks = ["spf", "dkim_verify"]\n{sections.get("chain.inbound", "")}'
        configure(self.space, milters.toml(milters.folder(CAIO), self.engine, f"{spf}\n{milters.RULES}", sections))

    def client(self, address: str = MAIL, helo: str = "mail.tizio.it") -> Client:
        return Client(self.space, CAIO.address, address, helo)

    def arrived(self, recipient: str, count: int = 1) -> list[bytes]:
        """Await messages for a recipient."""
        step = 0.5 if count > 2 else 0.02
        return until(
            lambda: (found := self.caio.mailbox(recipient))[count - 1 :] and found, f"mail for {recipient}", 60, step
        )

    def complaints(self) -> list[str]:
        """Return what Postfix logged of milters: that they let a message not in, or did not answer."""
        return re.findall(r"(?m)^.*(?:: milter-\w+: |warning: (?:connect to )?[Mm]ilter ).*$", self.caio.log())

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
        pytest.skip(f"no real Postfix here: {error}")
    with host:
        yield host


@pytest.fixture
def restarted(host: Host) -> Iterator[Callable[..., None]]:
    """Starts the inbound chain anew with other settings; it has the usual ones again at the end."""

    def restart(spf: str = "", **sections: str) -> None:
        host.configure(spf, **{name.replace("_", "."): text for name, text in sections.items()})
        assert host.inbound.process.stop() == 0
        host.inbound.start()

    yield restart
    restart()


def fields(message: bytes) -> list[bytes]:
    """Return the header fields of a message, unfolded; those of the delivery are left out."""
    head = message.partition(b"\n\n")[0].partition(b"\nDelivered-To: ")[2].partition(b"\n")[2]
    return re.sub(rb"\n[ \t]+", b" ", head).split(b"\n")


def results(message: bytes) -> list[bytes]:
    return [line for line in fields(message) if line.lower().startswith(b"authentication-results")]


def sent(client: Client, sender: str, recipient: str, head: str | bytes = b"") -> Answer:
    """Send a message with more lines in its header; return what became of it."""
    raw = head if isinstance(head, bytes) else head.encode()
    return client.send(sender, [recipient], raw + letter(sender, recipient, "ciao").encode()).last


# --- results --------------------------------------------------------------------------------------------------------


def test_mail_that_passes_arrives_with_the_result_on_top(host: Host, recipient: str) -> None:
    with host.client() as client:
        assert sent(client, "tizio@tizio.it", recipient).code == 250
    first, second, *_ = fields(host.arrived(recipient)[0])
    assert first == (
        b"Authentication-Results: mail.caio.it; spf=pass smtp.mailfrom=tizio@tizio.it;"
        b' spf=none reason="the domain has no SPF record" smtp.helo=mail.tizio.it; dkim=none (no signature)'
    )
    assert second.startswith(b"Received: from mail.tizio.it ")


def test_mail_that_fails_arrives_with_the_reason(host: Host, recipient: str) -> None:
    with host.client(FORGER) as client:
        assert sent(client, "tizio@tizio.it", recipient).code == 250
    (found,) = results(host.arrived(recipient)[0])
    reason = b'reason="198.51.100.66 is not in the SPF record of tizio.it"'
    assert b"; spf=fail " + reason + b" smtp.mailfrom=tizio@tizio.it;" in found


def test_a_refusal_reaches_the_client_whole(host: Host, recipient: str) -> None:
    with host.client(FORGER) as client:
        answer = sent(client, "anna@strict.test", recipient)
    assert answer.code == 550
    assert re.fullmatch(
        r"5\.7\.23 SPF fail: 198\.51\.100\.66 is not in the SPF record of strict\.test \(MAIL FROM\), which allows "
        r"ip4:192\.0\.2\.25; if this client is to send for it, its admin must add ip4:198\.51\.100\.66 there, "
        r"or send through a host that it allows; "
        rf"ref {REFERENCE}",
        answer.text,
    )


def test_nobody_writes_in_the_name_of_a_domain_that_sends_no_mail(host: Host, recipient: str) -> None:
    with host.client(FORGER) as client:
        answer = client.send("anna@nomail.test", [recipient, f"b-{recipient}"], letter("", recipient, "to you all"))
        assert [one.code for one in answer.recipients] == [250, 250]
        assert answer.last.code == 550
        assert answer.last.text.startswith("5.7.23 SPF fail: nomail.test (MAIL FROM) says in its SPF record that ")
        assert sent(client, "tizio@tizio.it", recipient).code == 250  # the session goes on
    assert len(host.arrived(recipient)) == 1
    assert host.caio.mailbox(f"b-{recipient}") == []


def test_a_reply_may_have_percent_signs_and_any_letters(
    host: Host, restarted: Callable[..., None], recipient: str
) -> None:
    restarted('[spf.text.en]\nno_mail = "100%s of {domain} (50%%): caffè"')
    with host.client(FORGER) as client:
        answer = sent(client, "anna@nomail.test", recipient)
    assert answer.code == 550
    assert re.fullmatch(rf"5\.7\.23 100%s of nomail\.test \(50%%\): caffè; ref {REFERENCE}", answer.text)


def test_a_message_is_held_and_its_story_is_told(host: Host, recipient: str) -> None:
    with host.client(FORGER) as client:
        answer = sent(client, "anna@hold.test", recipient)
    assert answer.code == 250
    name = answer.text.split()[-1]
    until(lambda: name in host.caio.held(), "the message on hold")
    assert host.caio.mailbox(recipient) == []
    # Postfix 3.10 and later log why.
    logged = r"(?:milter triggers HOLD action|SPF fail hold\.test; ref )"
    line = re.compile(rf"{name}: milter-hold: END-OF-MESSAGE from .*: {logged}")
    until(lambda: line.search(host.caio.log()) is not None, "the line that says so")  # it may come after the file
    (found,) = until(lambda: host.inbound.decisions(queue=name), "the decision")
    assert (found["verdict"], found["reason"]) == ("hold", "fail")
    assert until(lambda: why(host.space, found["ref"]), "its story")
    assert "SPF fail for hold.test; no DKIM signature; put on hold" in said(host.space, "why", found["ref"])


def test_the_story_of_a_message_is_found_by_what_postfix_logs(host: Host, recipient: str) -> None:
    with host.client() as client:
        name = sent(client, "tizio@tizio.it", recipient).text.split()[-1]
    (found,) = until(lambda: host.inbound.decisions(queue=name), "the decision")
    spf = "192.0.2.25 may send for tizio.it (MAIL FROM): its record says so (mx)."
    assert why(host.space, found["ref"]) == f"{spf} The message has no DKIM signature."
    told = said(host.space, "why", found["ref"])
    assert re.search(r"^ +story: SPF pass for tizio\.it; no DKIM signature; delivered$", told, re.MULTILINE)
    assert re.search(rf"^ +queue id: {name}$", told, re.MULTILINE)


# --- forgeries ------------------------------------------------------------------------------------------------------

OURS = (
    b"Authentication-Results: mail.caio.it; spf=pass %d",
    b"AUTHENTICATION-RESULTS: MAIL.CAIO.IT.; spf=pass %d",
    b'Authentication-Results: (a \\) comment) "mail.caio.it" 1; spf=pass %d',
    b"Authentication-Results:\n mail.caio.it;\n spf=pass %d",
    b"Authentication-Results: nonsense ((( mail.caio.it %d",
    b"authentication-results:mail.caio.it;spf=pass %d",
    b"Authentication-Results : mail.caio.it; spf=pass %d",
    b"Authentication-Results:\tmail . caio . it; spf=pass %d",
)
OTHERS = (
    b"Authentication-Results: mx.example.org; spf=pass %d",
    b"Authentication-Results : mx.example.org; spf=pass %d",
    b"Authentication-Results: mail.caio.it.example.org; spf=pass %d",
    b"authentication-results:notmail.caio.it;spf=pass %d",
    b"Authentication-Results: caff\xe8.example; spf=pass %d",
    b"X-Authentication-Results: mail.caio.it; spf=pass %d",
)


def numbered(forms: Sequence[bytes]) -> bytes:
    """Return header lines of these forms, each with the number of its place."""
    return b"".join(form % place + b"\n" for place, form in enumerate(forms))


def numbers(message: bytes) -> list[int]:
    return [int(found[1]) for line in fields(message) if (found := re.search(rb"(?i)authentication-.* (\d+)$", line))]


@pytest.mark.parametrize("form", OURS)
def test_a_forged_field_is_gone(host: Host, recipient: str, form: bytes) -> None:
    with host.client() as client:
        assert sent(client, "tizio@tizio.it", recipient, numbered([form])).code == 250
    (message,) = host.arrived(recipient)
    assert numbers(message) == []
    assert len(results(message)) == 1


def test_of_many_fields_the_forged_ones_are_gone_and_those_of_others_stay(host: Host, recipient: str) -> None:
    forms = [form for pair in zip_longest(OTHERS * 4, OURS * 3) for form in pair if form]
    with host.client(FORGER) as client:
        assert sent(client, "tizio@tizio.it", recipient, numbered(forms)).code == 250
    (message,) = host.arrived(recipient)
    assert numbers(message) == [place for place, form in enumerate(forms) if form in OTHERS]
    assert fields(message)[0].startswith(b"Authentication-Results: mail.caio.it; spf=fail ")


def test_a_user_who_submits_is_not_judged_but_can_forge_nothing_either(host: Host, recipient: str) -> None:
    with Client(host.space, CAIO.address, OFFICE, port=587, certificate=host.caio.certificate) as client:
        assert client.log_in(LOGIN, PASSWORD).code == 235
        assert sent(client, LOGIN, recipient, numbered([OURS[0], OTHERS[0]])).code == 250
    (message,) = host.arrived(recipient)
    assert numbers(message) == [1]
    assert len(results(message)) == 1
    assert until(lambda: host.outbound.decisions(from_=LOGIN), "the decision")[-1]["reason"] == "no-key"
    assert host.inbound.decisions(from_=LOGIN) == []


def test_neither_can_what_is_handed_in_by_the_sendmail_command(host: Host, recipient: str) -> None:
    own = f"cron-{recipient}"
    head = numbered([OURS[0], OTHERS[0]]).decode()
    host.caio.sendmail(own, recipient, head + letter(own, recipient, "from cron"))
    (message,) = host.arrived(recipient)
    assert numbers(message) == [1]
    assert until(lambda: host.outbound.decisions(from_=own), "the decision")[-1]["verdict"] == "pass"


def test_what_is_to_be_signed_waits_while_nobody_signs(host: Host, recipient: str) -> None:
    """By the shipped default_action; users are told to come again, the sendmail command hands in all the same."""
    own = f"cron-{recipient}"
    assert host.outbound.process.stop() == 0
    try:
        with host.space.inside(), smtplib.SMTP(CAIO.address, 587, timeout=10) as client:
            client.ehlo("client.example")
            assert client.docmd("STARTTLS")[0] == 454  # that early
        refusals = len(host.complaints())
        host.caio.sendmail(own, recipient, letter(own, recipient, "from cron"))
        until(lambda: len(host.complaints()) > refusals, "Postfix to look for who signs")
        assert host.caio.mailbox(recipient) == []
    finally:
        host.outbound.start()
    host.caio.sendmail(own, recipient, letter(own, recipient, "from cron"))  # has Postfix look for what waits, too
    assert len(host.arrived(recipient, 2)) == 2


# --- odd clients ----------------------------------------------------------------------------------------------------


def test_a_helo_name_and_a_header_of_any_bytes_are_judged(host: Host, recipient: str) -> None:
    with host.client(FORGER, "caff\xe8.tizio.it") as client:
        odd = b"Subject: caff\xe8 \x81\x9f\nX-Odd: \xff\xfe\n"
        assert sent(client, "tizio@tizio.it", recipient, odd).code == 250
    (message,) = host.arrived(recipient)
    assert b"; spf=fail " in results(message)[0]
    assert b"\nX-Odd: \xff\xfe\n" in message


def test_messages_of_one_session_are_judged_one_by_one_whatever_was_given_up_between(
    host: Host, recipient: str
) -> None:
    with host.client(FORGER) as client:
        assert client.command("MAIL FROM:<anna@nomail.test>").code == 250
        assert client.command(f"RCPT TO:<{recipient}>").code == 250
        assert client.command("RSET").code == 250
        assert sent(client, "tizio@tizio.it", recipient).code == 250
        assert sent(client, "anna@nomail.test", recipient).code == 550
        assert client.command("MAIL FROM:<tizio@tizio.it>").code == 250
        assert client.command("EHLO other.example").code == 250  # it gives the message up, too
        assert sent(client, "", recipient).code == 250
    first, second = (results(message)[0] for message in host.arrived(recipient, 2))
    assert b"smtp.mailfrom=tizio@tizio.it; " in first
    assert b"smtp.helo=other.example" in second


def test_a_client_that_vanishes_in_the_midst_of_a_message_leaves_nothing_behind(host: Host, recipient: str) -> None:
    with host.space.inside():
        connection = socket.create_connection((CAIO.address, 25), 10, source_address=(FORGER, 0))
    with connection, connection.makefile("rb") as answers:
        assert answers.readline().startswith(b"220 ")
        for line in ("EHLO x", "MAIL FROM:<tizio@tizio.it>", f"RCPT TO:<{recipient}>", "DATA"):
            connection.sendall(line.encode() + b"\r\n")
            while answers.readline()[3:4] == b"-":
                pass
        connection.sendall(b"Subject: half of\r\n")
    with host.client() as client:
        assert sent(client, "tizio@tizio.it", recipient).code == 250
    assert len(host.arrived(recipient)) == 1
    assert "Traceback" not in host.inbound.log()


# --- rules and rehearsal --------------------------------------------------------------------------------------------


def test_a_rule_for_one_recipient_refuses_that_one_and_lets_the_message_in_for_the_other(
    host: Host, restarted: Callable[..., None], recipient: str
) -> None:
    severe = f"severe-{recipient}"
    restarted(f'defer_to_dmarc = false\n[[spf.rule]]\nrecipients = ["{severe}"]\nmail_from.fail = "reject"\n')
    with host.client(FORGER) as client:
        done = client.send("tizio@tizio.it", [severe, recipient], letter("tizio@tizio.it", recipient, "to you both"))
    assert [one.code for one in done.recipients] == [550, 250]
    assert done.recipients[0].text.startswith("5.7.23 ")
    assert done.last.code == 250
    assert b"; spf=fail " in results(host.arrived(recipient)[0])[0]
    assert host.caio.mailbox(severe) == []


def test_a_rehearsal_leaves_the_message_as_it_was_byte_for_byte(
    host: Host, restarted: Callable[..., None], recipient: str
) -> None:
    restarted(chain_inbound='mode = "rehearse"')
    head = numbered([form for form in (*OURS, *OTHERS) if b" :" not in form])  # Postfix itself mends these
    with host.client(FORGER) as client:
        assert sent(client, "anna@strict.test", recipient, head).code == 250
    (message,) = host.arrived(recipient)
    _, own, rest = message.partition(b" (UTC)\n")
    assert own
    assert rest == head + letter("anna@strict.test", recipient, "ciao").encode()
    (found,) = until(lambda: host.inbound.decisions(to=recipient), "the decision")
    assert (found["verdict"], found["rehearsed"], found["reason"]) == ("pass", "reject", "fail")


# --- the milter goes away -------------------------------------------------------------------------------------------

MAIN_CF = f"{HOME}/{CAIO.name}/etc"


@contextmanager
def wired(host: Host, default_action: str) -> Iterator[None]:
    """Have Postfix do this without the inbound chain."""
    shipped = milters.settings()["vaglio_inbound"]
    for line in (shipped.replace("default_action=accept", f"default_action={default_action}"), shipped):
        host.space.run("postconf", "-c", MAIN_CF, "-e", f"vaglio_inbound = {line}")
        host.caio.reload()
        if line != shipped:
            yield


def test_without_the_milter_mail_flows(host: Host, recipient: str) -> None:
    assert host.inbound.process.stop() == 0
    try:
        with host.client(FORGER) as client:
            assert sent(client, "anna@nomail.test", recipient).code == 250
        assert results(host.arrived(recipient)[0]) == []
    finally:
        host.inbound.start()
    with host.client(FORGER) as client:
        assert sent(client, "anna@nomail.test", recipient).code == 550


def test_without_the_milter_mail_comes_again_where_that_is_wanted(host: Host, recipient: str) -> None:
    assert host.inbound.process.stop() == 0
    try:
        with wired(host, "tempfail"):

            def deferred() -> bool:  # the processes of before end one by one
                with host.client(FORGER) as client:
                    return client.command("MAIL FROM:<tizio@tizio.it>").code == 451

            until(deferred, "a deferral", step=0.2)
    finally:
        host.inbound.start()


COUNT, SESSIONS = 250, 8


@contextmanager
def load(host: Host, recipient: str) -> Iterator[None]:
    """Send many messages at once, as long as it takes; each must arrive, and be judged."""
    log, enough = f"{HOME}/load-{recipient}", f"{HOME}/enough-{recipient}"
    words = ("-s", SESSIONS, "-m", COUNT, "-l", 2000, "-f", "tizio@tizio.it", "-t", recipient, f"{CAIO.address}:25")
    again = 'while [ ! -e "$0" ]; do smtp-source "$@" || exit; echo sent; done'
    before = len(host.complaints())
    source = host.space.start(["sh", "-c", again, enough, *map(str, words)], log)
    until(lambda: host.inbound.decisions(to=recipient)[20:], "the first of them")
    yield
    assert source.returncode is None
    host.space.path(enough).touch()
    assert source.wait(60) == 0, host.space.path(log).read_text()
    count = COUNT * host.space.path(log).read_text().count("sent")
    messages = host.arrived(recipient, count)
    assert len(messages) == count
    assert host.complaints()[before:] == []
    assert {len(results(message)) for message in messages} == {1}


def test_a_restart_loses_no_message_and_defers_none(host: Host, recipient: str) -> None:
    old = host.inbound.process
    with load(host, recipient):
        host.inbound.start("--replace")
        assert old.stop() == 0


def test_a_session_between_two_messages_gets_two_seconds_and_then_meets_the_default_action(
    host: Host, recipient: str
) -> None:
    with host.client() as client:
        assert sent(client, "tizio@tizio.it", recipient).code == 250
        assert len(results(host.arrived(recipient)[0])) == 1
        old = host.inbound.process
        host.inbound.start("--replace")
        assert old.stop() == 0
        assert sent(client, "tizio@tizio.it", f"late-{recipient}").code == 250
    assert results(host.arrived(f"late-{recipient}")[0]) == []


def test_a_session_in_the_midst_of_a_message_is_judged_by_the_old_daemon(host: Host, recipient: str) -> None:
    with host.client() as client:
        assert client.command("MAIL FROM:<tizio@tizio.it>").code == 250
        assert client.command(f"RCPT TO:<{recipient}>").code == 250
        old = host.inbound.process
        host.inbound.start("--replace")
        old.signal(signal.SIGTERM)
        assert client.command("DATA").code == 354
        (end,) = client.pipeline("Subject: late\r\n\r\nCiao!\r\n.")
        assert end.code == 250
        assert old.wait() == 0
    assert len(results(host.arrived(recipient)[0])) == 1


def test_reloads_lose_no_message_and_defer_none(host: Host, recipient: str) -> None:
    with load(host, recipient):
        for _ in range(4):
            read = host.inbound.log().count("the configuration was read again")
            host.inbound.reload()
            until(lambda read=read: host.inbound.log().count("the configuration was read again") > read, "a reload")  # type: ignore[misc]


def test_vaglio_spf_alone_does_the_same(host: Host, recipient: str) -> None:
    daemon = Daemon(host.space, "vaglio-spf", f"{milters.folder(CAIO)}/spf.sock")
    alone = milters.settings(chains=False)
    usual = milters.settings()
    try:
        for name in ("vaglio_spf", "vaglio_dkim_sign", "non_smtpd_milters"):
            host.space.run("postconf", "-c", MAIN_CF, "-e", f"{name} = {alone[name]}")
        host.space.run("postconf", "-c", MAIN_CF, "-e", "smtpd_milters = $vaglio_spf")
        host.caio.reload()

        def judged() -> bool:
            with host.client(FORGER) as client:
                sent(client, "tizio@tizio.it", recipient, numbered(OURS))
            return bool(daemon.decisions(to=recipient))

        until(judged, "a decision of vaglio-spf", step=0.2)
        message = host.arrived(recipient)[-1]
        assert numbers(message) == []
        assert b"; spf=fail " in results(message)[0]
    finally:
        for name in ("smtpd_milters", "non_smtpd_milters"):
            host.space.run("postconf", "-c", MAIN_CF, "-e", f"{name} = {usual[name]}")
        host.caio.reload()
        assert daemon.process.stop() == 0
