"""Scores and marks as a real Postfix, its clients and its users see them: the chain inbound by the shipped lines."""

from __future__ import annotations

import email
import email.policy
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

import pytest

from lab import milters, submission
from lab.dns import NameServer, Zones
from lab.postfix import Postfix
from lab.smtp import Client
from lab.space import HOME, Space
from lab.vaglio import Daemon, configure, do, said, why
from lab.waiting import Unavailable, until
from lab.world import CAIO
from tests.postfix import spamletters
from tests.postfix.spamletters import FORGER, GTUBE, SIX, WANTED, fields, message, sent, spam_fields, symbols

pytestmark = pytest.mark.root

OFFICE = "192.0.2.77"
LOGIN, PASSWORD = "caio@caio.it", "parola d'ordine"
UNTOUCHED = 2525
"""A port without milters: what arrives there is what Postfix itself makes of a message."""


ALONE = ("spf", "dkim-verify", "score", "tag")
BEHIND_OTHERS = {
    "dkim.verify": "remove_forged = false",
    "score": f"remove_forged = false\n{spamletters.SECTION}",
    "tag": "remove_forged = false\ntrust_spam_headers = true",
}


class Host:
    """Caio's mail host: Postfix, the chain inbound, a name server; a context manager.

    The chain is also asked about what users submit and what the host itself writes, to see that these are left alone.
    On demand there are daemons of one check each in its place, wired by the other shipped lines.
    """

    def __init__(self, engine: str, alone: bool = False) -> None:
        self.engine = engine
        with ExitStack() as stack:
            self.space = stack.enter_context(Space())
            dns = NameServer(self.space, Zones.read())
            stack.callback(dns.close)
            milters.make_folder(self.space, CAIO)
            self.configure(**(BEHIND_OTHERS if alone else {}))
            names = {f"vaglio-{name}": name for name in ALONE} if alone else {"vaglio-chain inbound": "inbound"}
            self.daemons = [Daemon(self.space, daemon, f"{milters.folder(CAIO)}/{name}.sock")
                            for daemon, name in names.items()]  # fmt: skip
            (self.inbound, *_) = self.daemons
            wired = milters.settings(chains=not alone) | {"virtual_mailbox_domains": spamletters.DOMAINS}
            wired["vaglio_outbound"] = wired["vaglio_inbound"]
            services = submission.services(example=milters.SUBMISSION)
            services += f"{UNTOUCHED} inet n - n - - smtpd\n  -o smtpd_milters=\n"
            self.caio = Postfix(self.space, replace(CAIO, settings=wired, submission=services))
            self.caio.add_login(LOGIN, PASSWORD)
            self._stack = stack.pop_all()

    def configure(self, **sections: str) -> None:
        own = {"score": spamletters.SECTION, **{name.replace("_", "."): text for name, text in sections.items()}}
        configure(self.space, milters.toml(milters.folder(CAIO), self.engine, sections=own))
        self.space.path(spamletters.RULE_FILE).write_text(spamletters.RULES)

    def client(self, address: str = spamletters.MAIL, port: int = 25) -> Client:
        return Client(self.space, CAIO.address, address, "mail.tizio.it", port)

    def arrived(self, recipient: str) -> bytes:
        """Await the one message for a recipient."""
        (found,) = until(lambda: self.caio.mailbox(recipient), f"mail for {recipient}")
        return found

    def delivered(self, letter: bytes, recipient: str, address: str = spamletters.MAIL) -> bytes:
        """Send a message; return it as it arrives."""
        with self.client(address) as client:
            assert (answer := sent(client, recipient, letter)).code == 250, answer
        return self.arrived(recipient)

    def all_of(self, prefix: str) -> dict[str, bytes]:
        """Return the messages for recipients whose address begins so, by these."""
        files = self.space.path(f"{self.caio.maildir}new").glob("*")
        letters = [file.read_bytes() for file in files]
        found = [(re.search(rb"(?m)^Delivered-To: (%s.*)" % prefix.encode(), one), one) for one in letters]
        return {address[1].decode(): one for address, one in found if address}

    def told(self, queue: str) -> str:
        """Return what ``vaglio why`` tells of the message with this queue id."""
        (found,) = until(lambda: self.inbound.decisions(queue=queue), "the decision")
        return until(lambda: story if "story:" in (story := said(self.space, "why", found["ref"])) else "", "its story")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._stack.close()


BOTH_ENGINES = pytest.mark.parametrize("host", milters.ENGINES, indirect=True)


@pytest.fixture(scope="module", params=["native"])
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
    """Starts the chain anew with other settings; it has the usual ones again at the end."""

    def restart(**sections: str) -> None:
        host.configure(**sections)
        assert host.inbound.process.stop() == 0
        host.inbound.start()

    yield restart
    restart()


LESSONS = {"spam": "casino roulette gratis bonus vincita", "ham": "verbale riunione bilancio condominio"}


def at(domain: str, recipient: str) -> str:
    return recipient.replace("caio.it", domain)


# --- spam and ham ---------------------------------------------------------------------------------------------------


@BOTH_ENGINES
def test_the_test_message_is_refused_and_why_tells_it_in_both_languages(host: Host, recipient: str) -> None:
    with host.client() as client:
        answer = sent(client, recipient, message(GTUBE))
        assert sent(client, recipient, message()).code == 250  # the session goes on
    assert answer.code == 550
    found = re.fullmatch(
        r"5\.7\.1 This message looks like spam\. It is the test message for spam filters\. If it is not spam, tell the "
        rf"recipient by other means; ref ({spamletters.REFERENCE})",
        answer.text,
    )
    assert found, answer.text
    assert len(host.caio.mailbox(recipient)) <= 1
    english = why(host.space, found[1])
    assert "It is the test message for spam filters" in english
    italian = until(lambda: said(host.space, "why", found[1], "--language", "it"), "the explanation")
    assert "È il messaggio di prova per i filtri antispam" in italian


@BOTH_ENGINES
def test_spam_arrives_with_headers_that_say_so_and_a_mark(host: Host, recipient: str) -> None:
    arrived = host.delivered(message(SIX), recipient)
    assert spam_fields(arrived) == spamletters.SPAM_FIELDS
    assert fields(arrived, b"X-Spam-Flag") == [b"YES"]
    (score,) = map(float, fields(arrived, b"X-Spam-Score"))
    assert 5 <= score < 15
    assert fields(arrived, b"X-Spam-Level") == [b"*" * int(score)]
    (status,) = fields(arrived, b"X-Spam-Status")
    assert status.startswith(b"Yes, score=%.1f required=5.0 tests=LAB_SIX=6" % score)
    assert fields(arrived, b"Subject") == [b"[SPAM] Ciao Caio"]
    assert fields(arrived, b"Authentication-Results")[0].startswith(b"mail.caio.it; spf=pass ")


def test_ham_passes_without_a_mark_and_its_story_is_told(host: Host, recipient: str) -> None:
    with host.client() as client:
        queue = sent(client, recipient, message()).text.split()[-1]
    arrived = host.arrived(recipient)
    assert (fields(arrived, b"X-Spam-Flag"), fields(arrived, b"Subject")) == ([b"NO"], [b"Ciao Caio"])
    assert b"X-Spam-Level" not in spam_fields(arrived)
    told = host.told(queue)
    assert re.search(r"^ +story: .*SPF pass for tizio\.it; no DKIM signature; spam score -", told, re.MULTILINE)


def test_a_message_without_subject_and_text_is_scored_for_it(host: Host, recipient: str) -> None:
    arrived = host.delivered(message("", None), recipient, FORGER)
    assert {"NO_SUBJECT", "EMPTY_BODY", "SPF_FAIL"} <= symbols(arrived)


@BOTH_ENGINES
def test_spam_without_a_subject_gets_one(host: Host, recipient: str) -> None:
    assert fields(host.delivered(message(SIX, None), recipient), b"Subject") == [b"[SPAM]"]


# --- forgeries ------------------------------------------------------------------------------------------------------


@BOTH_ENGINES
@pytest.mark.parametrize("text", [WANTED, SIX])
def test_what_strangers_wrote_of_themselves_is_gone_and_ours_is_there_once(
    host: Host, recipient: str, text: str
) -> None:
    forged = (
        b"X-Spam-Flag: forged\nX-SPAM-FLAG: forged\nx-spam-flag : forged\nX-Spam-Flag\t: forged\n"
        b"X-Spam-Flag:\n forged\nX-Spam-Flag:forged\n"
        b"X-Spam-Status: forged, score=-50 tests=forged\nX-Spam-Status: forged\n\tforged\nX-Spam-Score: forged\n"
        b"X-Spam: forged\nX-Spamd-Result: forged\nX-Spam-Level: forged\nX-Other: mine\n"
    )
    arrived = host.delivered(message(text, head=forged), recipient)
    assert b"forged" not in arrived
    assert spam_fields(arrived) == [name for name in spamletters.SPAM_FIELDS if text == SIX or name != b"X-Spam-Level"]
    assert fields(arrived, b"X-Other") == [b"mine"]


@BOTH_ENGINES
def test_a_message_with_hundreds_of_them_is_refused(host: Host, recipient: str) -> None:
    with host.client() as client:
        answer = sent(client, recipient, message(head=b"X-Spam-Flag: NO\n" * 300))
    assert (answer.code, answer.text[:30]) == (550, "5.7.1 Too many X-Spam headers;")


@BOTH_ENGINES
def test_a_mark_that_a_stranger_put_is_taken_away(host: Host, recipient: str) -> None:
    assert fields(host.delivered(message(subject=b"Subject: Re: [SPAM] ciao"), recipient), b"Subject") == [b"Re: ciao"]


@BOTH_ENGINES
def test_what_was_scored_and_comes_again_is_marked_once(host: Host, recipient: str) -> None:
    first = host.delivered(message(SIX), recipient)
    again = spamletters.head_of(first) + b"\n" + first.partition(b"\n\n")[2]
    second = host.delivered(again, f"again-{recipient}")
    assert spam_fields(second) == spamletters.SPAM_FIELDS
    assert fields(second, b"Subject") == [b"[SPAM] Ciao Caio"]


@BOTH_ENGINES
def test_subjects_with_blanks_before_the_colon_are_marked_where_they_stand(host: Host, recipient: str) -> None:
    head = b"Subject : Re: [SPAM] due\nSUBJECT\t: tre\nSubject: quattro\nsubject : cinque\n"
    arrived = host.delivered(message(SIX, head=head), recipient)
    wanted = [b"Ciao Caio", b"Re: due", b"tre", b"quattro", b"cinque"]
    assert fields(arrived, b"Subject") == [b"[SPAM] " + one for one in wanted]
    alone = host.delivered(message(SIX, b"Subject : due"), f"alone-{recipient}")
    assert fields(alone, b"Subject") == [b"[SPAM] due"]


# --- subjects of all kinds ------------------------------------------------------------------------------------------


@BOTH_ENGINES
@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        (b"=?iso-8859-1?Q?Perch=E9_no=3F?=", "[SPAM] Perché no?"),
        (b"=?utf-8?B?UGVyY2jDqQ==?=\n =?utf-8?B?IG5vPw==?=", "[SPAM] Perché no?"),
        ("Re: perché no?".encode(), "[SPAM] Re: perché no?"),
        (b"perch\xe9 no?", None),
    ],
)  # fmt: skip
def test_a_subject_in_any_charset_is_marked_and_stays_what_it_was(
    host: Host, recipient: str, subject: bytes, shown: str | None
) -> None:
    arrived = host.delivered(message(SIX, b"Subject: " + subject), recipient)
    raw = re.search(rb"(?m)^Subject: (.*(?:\n[ \t].*)*)", arrived)
    assert raw
    if host.engine == "native" or subject.isascii():
        assert raw[1] == b"[SPAM] " + subject
    if shown:
        seen = email.message_from_bytes(arrived, policy=email.policy.default)
        assert (seen["Subject"], len(seen.get_all("Subject", []))) == (shown, 1)


@BOTH_ENGINES
def test_a_subject_of_internationalized_mail_is_marked_as_such(host: Host, recipient: str) -> None:
    with host.client() as client:
        assert client.command("MAIL FROM:<tizio@tizio.it> BODY=8BITMIME SMTPUTF8").code == 250
        assert client.command(f"RCPT TO:<{recipient}>").code == 250
        assert client.command("DATA").code == 354
        letter = message(SIX, "Subject: 件名 città".encode()).replace(b"Caio <caio@", "Caiò <caiò@".encode())
        (end,) = client.pipeline(letter.replace(b"\n", b"\r\n").decode("latin-1") + ".")
        assert end.code == 250
    assert fields(host.arrived(recipient), b"Subject") == ["[SPAM] 件名 città".encode()]


# --- messages of all kinds ------------------------------------------------------------------------------------------


@BOTH_ENGINES
def test_odd_messages_pass_as_they_came_but_for_what_the_header_says_of_them(host: Host) -> None:
    """What Postfix itself makes of each is seen at a port without milters."""
    letters = spamletters.odd()
    for port in (25, UNTOUCHED):
        with host.client(port=port) as client:
            for number, letter in enumerate(letters):
                assert sent(client, f"odd{number}.{port}@lax.test", letter).code == 250
    until(lambda: len(host.all_of("odd")) == 2 * len(letters), "all of them", step=0.5)
    arrived = host.all_of("odd")
    for number in range(len(letters)):
        judged, plain = (arrived[f"odd{number}.{port}@lax.test"] for port in (25, UNTOUCHED))
        assert spamletters.as_it_came(judged) == spamletters.as_it_came(plain)
        assert fields(judged[: judged.index(b"\nReceived: ") + 1], b"X-Spam-Flag") == [b"NO"]
        assert spam_fields(judged[judged.index(b"\nReceived: ") + 1 :]) == []
    assert "Traceback" not in host.inbound.log()


# --- whose mail, and what for whom ----------------------------------------------------------------------------------


def test_users_who_logged_in_are_not_scored(host: Host, recipient: str) -> None:
    with Client(host.space, CAIO.address, OFFICE, port=587, certificate=host.caio.certificate) as client:
        assert client.log_in(LOGIN, PASSWORD).code == 235
        assert sent(client, recipient, message(GTUBE), LOGIN).code == 250
    arrived = host.arrived(recipient)
    assert (spam_fields(arrived), fields(arrived, b"Subject")) == ([], [b"Ciao Caio"])


def test_neither_is_what_the_machine_itself_writes(host: Host, recipient: str) -> None:
    host.caio.sendmail(f"cron-{recipient}", recipient, message(GTUBE).decode())
    assert spam_fields(host.arrived(recipient)) == []


def test_spam_is_held_in_postfixs_queue_until_the_admin_releases_it(host: Host, recipient: str) -> None:
    held = at("held.test", recipient)
    with host.client() as client:
        queue = sent(client, held, message(SIX)).text.split()[-1]
    until(lambda: queue in host.caio.held(), "the message on hold")
    assert host.caio.mailbox(held) == []
    told = host.told(queue)
    assert "score.hold decided, which is 5.5." in told
    host.space.run("postsuper", "-c", f"{host.caio.queue.removesuffix('queue')}etc", "-H", queue)
    host.space.run("postqueue", "-c", f"{host.caio.queue.removesuffix('queue')}etc", "-i", queue)
    assert fields(host.arrived(held), b"X-Spam-Flag") == [b"YES"]


def test_each_domain_of_recipients_has_its_thresholds_and_together_the_highest(host: Host, recipient: str) -> None:
    severe, lax, both = (at(domain, recipient) for domain in ("severe.test", "lax.test", "lax.test"))
    with host.client() as client:
        assert sent(client, severe, message(SIX)).code == 550
        assert sent(client, lax, message(SIX)).code == 250
        assert client.send("tizio@tizio.it", [severe, f"both-{both}"], message(SIX)).last.code == 250
    for letter in (host.arrived(lax), host.arrived(f"both-{both}"), host.arrived(severe)):
        assert fields(letter, b"X-Spam-Flag") == [b"NO"]
        assert fields(letter, b"Subject") == [b"Ciao Caio"]


# --- rehearsal and trouble ------------------------------------------------------------------------------------------


def test_a_rehearsal_of_the_chain_touches_nothing_and_tells_all(
    host: Host, restarted: Callable[..., None], recipient: str
) -> None:
    restarted(chain_inbound='mode = "rehearse"')
    letter = message(GTUBE, b"Subject: [SPAM] ciao", b"X-Spam-Flag: NO\n")
    arrived = host.delivered(letter, recipient)
    assert arrived.endswith(letter)
    assert fields(arrived, b"Authentication-Results") == []
    (decided,) = until(lambda: host.inbound.decisions(to=recipient), "the decision")
    assert "It is the test message for spam filters" in why(host.space, decided["ref"])


def test_a_rehearsal_of_the_score_writes_no_word_of_it_and_marks_nothing(
    host: Host, restarted: Callable[..., None], recipient: str
) -> None:
    restarted(score=f'mode = "rehearse"\n{spamletters.SECTION}')
    letter = message(SIX, head=b"X-Spam-Flag: NO\n")
    arrived = host.delivered(letter, recipient)
    assert arrived.endswith(letter)
    assert len(fields(arrived, b"Authentication-Results")) == 1
    with host.client() as client:
        assert sent(client, recipient, message(GTUBE)).code == 250


def test_a_store_that_is_damaged_costs_no_more_than_what_was_learned(host: Host, recipient: str) -> None:
    store = host.space.path(f"{HOME}/vaglio/bayes.sqlite")
    assert host.inbound.process.stop() == 0
    for file in store.parent.glob("bayes.sqlite*"):
        file.unlink()
    store.write_bytes(b"nonsense" * 1000)
    host.inbound.start()
    assert fields(host.delivered(message(SIX), recipient), b"X-Spam-Flag") == [b"YES"]
    until(lambda: "bayes.sqlite is damaged" in host.inbound.log(), "a word about it")


def test_a_reload_takes_new_rules(host: Host, recipient: str) -> None:
    numbers = itertools.count()

    def found() -> set[str]:
        return symbols(host.delivered(message("con sette punti"), f"{next(numbers)}-{recipient}"))

    assert "LAB_SEVEN" not in found()
    more = spamletters.RULES.replace("LAB_SIX", "LAB_SEVEN").replace("sei punti", "sette punti")
    host.space.path(spamletters.RULE_FILE).write_text(more)
    try:
        host.inbound.reload()
        until(lambda: "LAB_SEVEN" in found(), "the new rules", step=0.2)
    finally:
        host.space.path(spamletters.RULE_FILE).write_text(spamletters.RULES)
        host.inbound.reload()


def test_a_message_passes_as_it_is_while_the_daemon_is_gone(host: Host, recipient: str) -> None:
    host.inbound.process.kill()
    try:
        letter = message(GTUBE)
        assert host.delivered(letter, recipient).endswith(letter)
    finally:
        host.inbound.start()
    with host.client() as client:
        assert sent(client, recipient, message(GTUBE)).code == 550


def test_what_a_user_teaches_is_known_to_the_daemon_that_runs(host: Host, recipient: str) -> None:
    """Two hundred messages of each kind are needed."""
    folder = f"{HOME}/vaglio/lessons"
    for kind, text in LESSONS.items():
        lessons = [b"From tizio@tizio.it Sun Nov 22 18:00:00 2026\n" + message(f"{text} {n}\n") for n in range(200)]
        host.space.path(folder).write_bytes(b"".join(lessons))
        do(host.space, "learn", kind, folder)
    for kind, text in LESSONS.items():
        letter = host.delivered(message(text), f"{kind}-{recipient}")
        (decided,) = until(lambda kind=kind: host.inbound.decisions(to=f"{kind}-{recipient}"), "the decision")  # type: ignore[misc]
        assert (float(decided["score.bayes"]) > 0.9) is (kind == "spam")
        assert any(symbol.startswith("BAYES_") for symbol in symbols(letter))


# --- daemons of one check each --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone() -> Iterator[Host]:
    try:
        host = Host("native", alone=True)
    except Unavailable as error:
        pytest.skip(f"no real Postfix here: {error}")
    with host:
        yield host


def test_daemons_in_an_order_believe_those_before_them_and_no_stranger(alone: Host, recipient: str) -> None:
    forged = b"Authentication-Results: mail.caio.it; spf=pass forged\nX-Spam-Flag: YES\nX-Spam-Status: Yes, score=99\n"
    ham = alone.delivered(message(head=forged), recipient)
    assert (fields(ham, b"X-Spam-Flag"), fields(ham, b"Subject")) == ([b"NO"], [b"Ciao Caio"])
    results = fields(ham, b"Authentication-Results")
    assert [one.split()[1][:5] for one in results] == [b"dkim=", b"spf=p"]
    spam = alone.delivered(message(SIX, head=forged), f"spam-{recipient}", FORGER)
    assert fields(spam, b"Subject") == [b"[SPAM] Ciao Caio"]
    assert spam_fields(spam) == spamletters.SPAM_FIELDS
    assert {"LAB_SIX", "SPF_FAIL"} <= symbols(spam)
    assert b"forged" not in ham + spam
    with alone.client() as client:
        assert sent(client, recipient, message(GTUBE)).code == 550
