"""Scores and marks as a real Sendmail and its clients see them: the chain inbound by the shipped lines, with either
engine, and daemons of one check each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import pytest

from lab import milters
from lab.dns import NameServer, Zones
from lab.sendmail import Sendmail, filters
from lab.smtp import Client
from lab.space import HOME, Space
from lab.vaglio import Daemon, configure, why
from lab.waiting import Unavailable, until
from lab.world import CAIO
from tests.postfix import spamletters
from tests.postfix.spamletters import (
    FORGER,
    GTUBE,
    MAIL,
    SIX,
    TWELVE,
    WANTED,
    fields,
    message,
    sent,
    spam_fields,
    symbols,
)

pytestmark = pytest.mark.root

FOLDER = f"{HOME}/milters"
SCORE = f'hold = 11.5\nrules = ["{spamletters.RULE_FILE}"]'
UNTOUCHED = 2525
PLAIN = f"DAEMON_OPTIONS(`Port={UNTOUCHED}, Addr={CAIO.address}, Name=PLAIN, M=AS, InputMailFilters=')dnl\n"
"""A port without filters."""
ADDED = re.compile(rb"(?m)^(?:Date: .*|Message-Id: <.*@mail\.caio\.it>)\n")
"""Fields that Sendmail adds where they are missing."""


class Host:
    """Caio's mail host: Sendmail, the daemons whose sockets have these names, a name server; a context manager."""

    def __init__(self, engine: str, sections: Mapping[str, str], *names: str) -> None:
        with ExitStack() as stack:
            self.space = stack.enter_context(Space())
            dns = NameServer(self.space, Zones.read())
            stack.callback(dns.close)
            self.space.path(FOLDER).mkdir()
            text = milters.toml(FOLDER, engine, sections=sections).replace('socket_group = "postfix"\n', "")
            configure(self.space, text)
            self.space.path(spamletters.RULE_FILE).write_text(spamletters.RULES)
            for name in names:
                command = "vaglio-chain inbound" if name == "inbound" else f"vaglio-{name}"
                self.daemon = Daemon(self.space, command, f"{FOLDER}/{name}.sock")
            self.caio = stack.enter_context(Sendmail(self.space, CAIO, filters(FOLDER, *names) + PLAIN))
            self._stack = stack.pop_all()

    def client(self, address: str = MAIL, port: int = 25) -> Client:
        return Client(self.space, CAIO.address, address, "mail.tizio.it", port)

    def delivered(self, letter: bytes, recipient: str, address: str = MAIL, port: int = 25) -> bytes:
        """Send a message; return it as it arrives."""
        with self.client(address, port) as client:
            assert (answer := sent(client, recipient, letter)).code == 250, answer
        (found,) = until(lambda: self.caio.mailbox(recipient), f"mail for {recipient}")
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._stack.close()


def a_host(engine: str, sections: Mapping[str, str], *names: str) -> Host:
    if reason := milters.missing(engine):
        pytest.skip(reason)
    try:
        return Host(engine, sections, *names)
    except Unavailable as error:
        pytest.skip(f"no Sendmail here: {error}")


@pytest.fixture(scope="module", params=milters.ENGINES)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    with a_host(request.param, {"score": SCORE}, "inbound") as host:
        yield host


def test_the_test_message_is_refused_and_its_story_is_told(host: Host, recipient: str) -> None:
    with host.client() as client:
        answer = sent(client, recipient, message(GTUBE))
        assert sent(client, recipient, message()).code == 250  # the session goes on
    said = "5.7.1 This message looks like spam. It is the test message for spam filters. If it is not spam, tell the "
    found = re.fullmatch(rf"{re.escape(said)}recipient by other means; ref ({spamletters.REFERENCE})", answer.text)
    assert (answer.code, bool(found)) == (550, True)
    assert found
    assert "It is the test message for spam filters" in why(host.space, found[1])


def test_spam_arrives_with_headers_that_say_so_and_a_mark_and_ham_without(host: Host, recipient: str) -> None:
    spam, ham = host.delivered(message(SIX), recipient), host.delivered(message(), f"ham-{recipient}")
    assert spam_fields(spam) == spamletters.SPAM_FIELDS
    assert spam.index(b"X-Spam-Flag: YES") < spam.index(b"\nReceived: ")
    assert "LAB_SIX" in symbols(spam)
    assert fields(spam, b"Subject") == [b"[SPAM] Ciao Caio"]
    assert (fields(ham, b"X-Spam-Flag"), fields(ham, b"Subject")) == ([b"NO"], [b"Ciao Caio"])


def test_a_message_without_subject_and_text_is_scored_for_it(host: Host, recipient: str) -> None:
    assert {"NO_SUBJECT", "EMPTY_BODY", "SPF_FAIL"} <= symbols(host.delivered(message("", None), recipient, FORGER))


@pytest.mark.parametrize("text", [WANTED, SIX])
def test_what_strangers_wrote_of_themselves_is_gone_and_ours_is_there_once(
    host: Host, recipient: str, text: str
) -> None:
    forged = (
        b"X-Spam-Flag: forged\nX-SPAM-FLAG: forged\nx-spam-flag : forged\nX-Spam-Flag:\n forged\nX-Spam-Flag:forged\n"
        b"X-Spam-Status: forged, score=-50\nX-Spam-Status: forged\n\tforged\nX-Spamd-Result: forged\nX-Other: mine\n"
    )
    arrived = host.delivered(message(text, head=forged), recipient)
    assert b"forged" not in arrived
    assert spam_fields(arrived) == [name for name in spamletters.SPAM_FIELDS if text == SIX or name != b"X-Spam-Level"]
    assert fields(arrived, b"X-Other") == [b"mine"]


def test_spam_is_quarantined_with_the_reason(host: Host, recipient: str) -> None:
    with host.client() as client:
        assert sent(client, recipient, message(TWELVE)).code == 250
    until(lambda: any(reason.startswith("SCORE spam") for reason in host.caio.quarantined()), "it in quarantine")
    assert host.caio.mailbox(recipient) == []


@pytest.mark.parametrize("subject", [b"=?iso-8859-1?Q?Perch=E9_no=3F?=", "perché no?".encode()])
def test_a_subject_in_any_charset_is_marked_and_stays_what_it_was(host: Host, recipient: str, subject: bytes) -> None:
    arrived = host.delivered(message(SIX, b"Subject: " + subject), recipient)
    assert fields(arrived, b"Subject") == [b"[SPAM] " + subject]


def test_subjects_with_blanks_before_the_colon_are_marked_where_they_stand(host: Host, recipient: str) -> None:
    head = b"Subject : Re: [SPAM] due\nSUBJECT\t: tre\nSubject: quattro\nsubject : cinque\n"
    arrived = host.delivered(message(SIX, head=head), recipient)
    wanted = [b"Ciao Caio", b"Re: due", b"tre", b"quattro", b"cinque"]
    assert fields(arrived, b"Subject") == [b"[SPAM] " + one for one in wanted]
    alone = host.delivered(message(SIX, b"Subject : due"), f"alone-{recipient}")
    assert fields(alone, b"Subject") == [b"[SPAM] due"]


def test_spam_without_a_subject_gets_one(host: Host, recipient: str) -> None:
    assert fields(host.delivered(message(SIX, None), recipient), b"Subject") == [b"[SPAM]"]


def test_odd_messages_pass_as_they_came_but_for_what_the_header_says_of_them() -> None:
    """What Sendmail itself makes of each is seen at a port without filters. It hangs up on who sends a CR alone."""
    letters = [letter for letter in spamletters.odd() if b"\r" not in letter][::5]
    with a_host("native", {"score": "tag = 0\nreject = 0"}, "inbound") as host:
        taken = []
        for port in (UNTOUCHED, 25):
            with host.client(port=port) as client:
                codes = [sent(client, f"{number}.{port}@caio.it", letter).code for number, letter in enumerate(letters)]
                taken.append([number for number, code in enumerate(codes) if code == 250])
        assert taken[0] == taken[1] != []  # some headers are too long for it
        for number in taken[0]:
            plain, judged = (until(lambda to=f"{number}.{port}@caio.it": host.caio.mailbox(to), "it")  # type: ignore[misc]
                             for port in (UNTOUCHED, 25))  # fmt: skip
            assert ADDED.sub(b"", spamletters.as_it_came(judged[0])) == ADDED.sub(b"", spamletters.as_it_came(plain[0]))
            assert b"\nX-Spam-Flag: NO\n" in judged[0].partition(b"\nReceived: ")[0] + b"\n"


def test_daemons_in_an_order_believe_those_before_them_and_no_stranger(recipient: str) -> None:
    sections = {
        "score": f"remove_forged = false\n{SCORE}", "tag": "remove_forged = false\ntrust_spam_headers = true",
    }  # fmt: skip
    forged = b"Authentication-Results: mail.caio.it; spf=pass forged\nX-Spam-Flag: YES\n"
    with a_host("native", sections, "spf", "score", "tag") as host:
        ham = host.delivered(message(head=forged), recipient)
        assert (fields(ham, b"X-Spam-Flag"), fields(ham, b"Subject")) == ([b"NO"], [b"Ciao Caio"])
        spam = host.delivered(message(SIX, head=forged), f"spam-{recipient}", FORGER)
        assert (spam_fields(spam), fields(spam, b"Subject")) == (spamletters.SPAM_FIELDS, [b"[SPAM] Ciao Caio"])
        assert "SPF_FAIL" in symbols(spam)
        assert b"forged" not in ham + spam
