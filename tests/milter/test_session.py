"""Events of a connection put together to messages: in any order that makes sense, bounded, and byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.milter.fakes import MANNER, Hosting, Listener
from vaglio.examination import MAX_FIELDS, MAX_HEADER, Field, Message, Needs
from vaglio.facts import Facts, Stage
from vaglio.milter.host import Host, Manner
from vaglio.milter.plan import UNTOUCHED, Plan, Replace
from vaglio.milter.session import MAX_FORGED, MAX_RECIPIENTS, MAX_TOLD, Session
from vaglio.milter.wire import Garbled, Peer
from vaglio.verdict import Action, Reply, Verdict

AR = b"Authentication-Results"
FORGED = b" mx.caio.it; spf=pass"
FOREIGN = b" mx.example; spf=pass"
NO_MACROS: Mapping[bytes, bytes] = {}


def now(work: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine gives that need not wait."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


class Talk:
    """A session, and an easy way to have a message on it."""

    def __init__(self, *checks: Listener, manner: Manner = MANNER) -> None:
        self.check = checks[0] if checks else Listener()
        self.hosting = Hosting(*(checks or (self.check,)), manner=manner)
        self.host: Callable[[], Host] = lambda: self.hosting.host
        self.session = Session(lambda: self.host(), lambda: 0.0)

    def mail(self, *arguments: bytes, macros: Mapping[bytes, bytes] = NO_MACROS) -> Talk:
        self.session.mail(arguments or (b"<a@tizio.it>",), macros)
        return self

    def rcpt(self, *arguments: bytes) -> str:
        reply = now(self.session.recipient(arguments or (b"<anna@caio.it>",)))
        assert isinstance(reply, str)
        return reply

    def fields(self, *fields: tuple[bytes, bytes]) -> Talk:
        for name, value in fields:
            self.session.header(name, value)
        self.session.end_of_headers()
        return self

    def end(self, macros: Mapping[bytes, bytes] = NO_MACROS) -> Plan:
        plan = now(self.session.end_of_message(macros))
        assert isinstance(plan, Plan)
        return plan

    @property
    def seen(self) -> Message:
        return self.check.last.messages[-1]


# --- who ---


@pytest.mark.parametrize(
    ("peer", "address", "name"),
    [
        (Peer(b"mail.tizio.it", b"4", 25, b"192.0.2.1"), "192.0.2.1", "mail.tizio.it"),
        (Peer(b"mail.tizio.it", b"6", 25, b"2001:DB8::1"), "2001:db8::1", "mail.tizio.it"),
        (Peer(b"mail.tizio.it", b"6", 25, b"IPv6:2001:db8::1"), "2001:db8::1", "mail.tizio.it"),
        (Peer(b"mail.tizio.it", b"6", 25, b"IPv6:fe80::1%eth0"), "fe80::1", "mail.tizio.it"),
        (Peer(b"mail.tizio.it", b"6", 25, b"ipv6:2001:db8::1"), "2001:db8::1", "mail.tizio.it"),
        (Peer(b"mail.tizio.it", b"6", 25, b"IPv6:::ffff:192.0.2.1"), "192.0.2.1", "mail.tizio.it"),
        (Peer(b"[192.0.2.1]", b"4", 25, b"192.0.2.1"), "192.0.2.1", ""),
        (Peer(b"[IPv6:2001:db8::1]", b"6", 25, b"2001:db8::1"), "2001:db8::1", ""),
        (Peer(b"unknown", b"4", 25, b"192.0.2.1"), "192.0.2.1", ""),
        (Peer(b"localhost", b"L", 0, b"/run/x"), "", "localhost"),
        (Peer(b"unknown", b"U"), "", ""),
        (Peer(b"", b""), "", ""),
        (Peer(b"h\xff", b"4", 25, b"no \xff address"), "no \udcff address", "h\udcff"),
    ],
)
def test_the_client_is_read_however_it_is_written(peer: Peer, address: str, name: str) -> None:
    talk = Talk()
    talk.session.connect(peer, NO_MACROS)
    client = talk.mail().check.last.facts.client
    assert (client.address, client.name) == (address, name)


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        (Peer(b"localhost", b"L", 0, b"/run/x"), True),
        (Peer(b"localhost", b"L"), True),
        (Peer(b"localhost", b"U"), True),  # "sendmail -bs" of Sendmail 8.17
        (Peer(b"localhost", b"4", 25, b"garbage"), False),
        (Peer(b"evil.example", b"U"), False),
        (Peer(b"localhost.evil.example", b"U"), False),
        (Peer(b"unknown", b"U"), False),
        (Peer(b"\xff.evil.example"), False),
        (Peer(b"evil.example", b"6", 25, b"IPv6:fe80::1%eth0"), False),
        (Peer(b"localhost", b"4", 25, b"127.0.0.1"), False),
        (Peer(b"", b""), False),
    ],
)
def test_only_what_the_mail_server_says_came_by_no_network_did(peer: Peer, local: bool) -> None:
    talk = Talk()
    talk.session.connect(peer, NO_MACROS)
    assert talk.mail().check.last.facts.client.local is local
    talk.session.connect(Peer(b"x", b"4", 25, b"192.0.2.1"), NO_MACROS)
    assert not talk.mail().check.last.facts.client.local


@pytest.mark.parametrize(
    ("ptr", "reverse"), [(b"x.tizio.it", "x.tizio.it"), (b"unknown", ""), (b"[192.0.2.1]", ""), (b"\xff", "\udcff")]
)
def test_the_unverified_name_is_a_macro_that_may_be_missing(ptr: bytes, reverse: str) -> None:
    talk = Talk()
    peer = Peer(b"unknown", b"4", 25, b"192.0.2.1")
    talk.session.connect(peer, {b"{client_ptr}": ptr})
    assert talk.mail().check.last.facts.client.reverse_name == reverse
    talk.session.connect(peer, NO_MACROS)
    assert talk.mail().check.last.facts.client.reverse_name == ""


def test_another_client_on_the_same_connection_is_another_client() -> None:
    talk = Talk()
    talk.session.connect(Peer(b"a.example", b"4", 25, b"192.0.2.1"), NO_MACROS)
    talk.session.helo(b"a.example")
    first = talk.mail(macros={b"{auth_authen}": b"anna"}).check.last
    talk.session.connect(Peer(b"b.example", b"4", 25, b"192.0.2.2"), NO_MACROS)
    assert first.calls == ["close"]
    facts = talk.mail().check.last.facts
    assert (facts.client.address, facts.session.helo, facts.session.sasl_username) == ("192.0.2.2", "", "")


def test_the_login_is_that_of_the_message() -> None:
    talk = Talk()
    assert talk.mail(macros={b"{auth_authen}": b"anna"}).check.last.facts.session.sasl_username == "anna"
    assert talk.mail().check.last.facts.session.sasl_username == ""


def test_a_queue_id_that_is_told_at_mail_alone_holds_to_the_end() -> None:
    talk = Talk()
    talk.mail(macros={b"i": b"5AMC"}).rcpt()
    talk.end()
    assert talk.seen.facts.session.queue_id == "5AMC"


def test_the_last_helo_counts_and_may_hold_any_byte() -> None:
    talk = Talk()
    talk.session.helo(b"one")
    talk.session.helo(b"h\xff\x01")
    assert talk.mail().check.last.facts.session.helo == "h\udcff\x01"


# --- envelope ---


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        (b"<a@tizio.it>", "a@tizio.it"),
        (b"a@tizio.it", "a@tizio.it"),
        (b"<>", ""),
        (b"", ""),
        (b"<@relay.example:a@tizio.it>", "a@tizio.it"),
        (b"@a.example,@b.example:a@tizio.it", "a@tizio.it"),
        (b"<@tizio.it>", "@tizio.it"),
        (b'<"a b:c"@tizio.it>', '"a b:c"@tizio.it'),
        (b"<a\xff@tizio.it>", "a\udcff@tizio.it"),
        ("<é@tizio.it>".encode(), "é@tizio.it"),
        (b"<a@tizio.it", "<a@tizio.it"),
    ],
)
def test_an_address_has_no_brackets_and_no_route(argument: bytes, address: str) -> None:
    talk = Talk().mail(argument)
    assert talk.check.last.facts.envelope.sender == address
    talk.rcpt(argument)
    talk.end()
    assert talk.seen.recipients == (address,)


def test_mail_without_an_address_is_of_the_null_sender() -> None:
    talk = Talk()
    talk.session.mail([], NO_MACROS)
    assert talk.check.last.facts.envelope.sender == ""


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ([], 0),
        ([b"SIZE=1234"], 1234),
        ([b"BODY=8BITMIME", b"size=1234"], 1234),
        ([b"SIZE="], 0),
        ([b"SIZE=-5"], 0),
        ([b"SIZE=1e9"], 0),
        ([b"SIZE=\xb2"], 0),
        ([b"SIZE=" + b"9" * 5000], 10**18 - 1),
    ],
)
def test_the_announced_size_is_a_number_or_nothing(parameters: list[bytes], size: int) -> None:
    assert Talk().mail(b"<a@tizio.it>", *parameters).check.last.facts.envelope.size == size


def test_the_facts_at_the_end_have_the_first_recipient_their_count_and_the_real_size() -> None:
    talk = Talk().mail(b"<a@tizio.it>", b"SIZE=99")
    for name in (b"<b@caio.it>", b"<c@caio.it>"):
        talk.rcpt(name)
    talk.session.body(b"12345")
    talk.end({b"i": b"4F1B"})
    facts = talk.seen.facts
    assert (facts.envelope.recipient, facts.envelope.recipient_count, facts.envelope.size) == ("b@caio.it", 2, 5)
    assert (facts.session.queue_id, facts.session.stage) == ("4F1B", Stage.END_OF_MESSAGE)
    assert talk.seen.recipients == ("b@caio.it", "c@caio.it")


def test_a_message_without_recipients_and_without_anything_is_judged() -> None:
    talk = Talk().mail()
    assert talk.end() is UNTOUCHED
    assert talk.seen == Message(talk.seen.facts, ())


def test_recipients_beyond_the_bound_are_counted_and_not_kept() -> None:
    talk = Talk().mail()
    for number in range(MAX_RECIPIENTS + 5):
        talk.rcpt(b"<%d@caio.it>" % number)
    talk.end()
    assert len(talk.seen.recipients) == MAX_RECIPIENTS
    assert talk.seen.facts.envelope.recipient_count == MAX_RECIPIENTS + 5


def test_log_and_journal_hear_of_the_first_recipients_the_check_of_one() -> None:
    talk = Talk().mail()
    for number in range(MAX_TOLD + 5):
        talk.rcpt(b"<%d@caio.it>" % number)
    talk.end()
    ((facts, _),) = talk.hosting.recorded
    assert facts.envelope.recipient == ",".join(f"{number}@caio.it" for number in range(MAX_TOLD))
    assert talk.seen.facts.envelope.recipient == "0@caio.it"


# --- recipients that are judged ---


def refusing(recipient: str) -> Verdict | None:
    if recipient.startswith("bad"):
        return Verdict(Action.REJECT, "one", "bad", Reply(550, "5.1.1", "not here"), ref="ABCD")
    return Verdict(Action.PASS, "one", "good")


def test_a_refused_recipient_is_told_so_recorded_and_is_none_of_the_message() -> None:
    check = Listener()
    check.of_recipient = refusing
    talk = Talk(check).mail()
    assert talk.rcpt(b"<bad@caio.it>") == "550 5.1.1 not here"
    assert talk.rcpt(b"<good@caio.it>") == ""
    talk.end()
    assert talk.seen.recipients == ("good@caio.it",)
    assert talk.seen.facts.envelope.recipient_count == 1
    (facts, verdict), _ = talk.hosting.recorded
    assert (facts.envelope.recipient, facts.session.stage, verdict.reason) == ("bad@caio.it", Stage.RCPT, "bad")


def test_recipients_are_not_asked_about_where_nobody_wants_to_be() -> None:
    check = Listener(needs=Needs.HEADERS)
    check.of_recipient = refusing
    talk = Talk(check).mail()
    assert talk.rcpt(b"<bad@caio.it>") == ""
    assert check.last.calls == []


# --- header ---


def test_header_fields_are_kept_byte_for_byte() -> None:
    fields = [(b"Subject", b" Ciao\n\tAnna"), (b"X-\xff", b"\xfe\x01"), (b"", b""), (b"Subject", b"")]
    talk = Talk().mail().fields(*fields)
    talk.end()
    assert list(talk.seen.headers) == list(talk.check.last.complete) == fields
    assert all(isinstance(field, Field) for field in talk.seen.headers)


def test_fields_beyond_the_bounds_are_not_kept_and_forgeries_among_them_are_found() -> None:
    talk = Talk().mail()
    for number in range(MAX_FIELDS + 1):
        talk.session.header(b"X", b"%d" % number)
    talk.session.header(AR, FORGED)
    assert talk.end().replace == [Replace(AR, 1, b"")]
    assert len(talk.seen.headers) == MAX_FIELDS


def test_bytes_of_a_header_beyond_the_bound_are_not_kept() -> None:
    talk = Talk().mail()
    chunk = b"x" * (MAX_HEADER // 4)
    for _ in range(8):
        talk.session.header(b"X", chunk)
    talk.session.header(b"Y", b"small")
    talk.end()
    assert sum(len(name) + len(value) for name, value in talk.seen.headers) <= MAX_HEADER
    assert {name for name, _ in talk.seen.headers} == {b"X"}


def test_forged_results_are_counted_among_all_fields_of_that_name_in_any_case() -> None:
    talk = Talk().mail().fields(
        (AR, FOREIGN), (b"Subject", FORGED), (AR.lower(), FORGED), (AR.upper(), FOREIGN), (AR, b"(x)\n\tMX.caio.it. 1;")
    )  # fmt: skip
    assert talk.end().replace == [Replace(AR, 4, b""), Replace(AR.lower(), 2, b"")]


def test_forged_results_of_one_message_do_not_count_for_the_next() -> None:
    talk = Talk().mail().fields((AR, FORGED), (AR, FORGED))
    talk.end()
    talk.mail().fields((AR, FORGED))
    assert talk.end().replace == [Replace(AR, 1, b"")]
    talk.mail().fields((AR, FORGED))
    talk.session.close()
    talk.mail().fields((AR, FOREIGN))
    assert not talk.end().replace


SPF = b"Received-SPF"


def test_fields_can_be_passed_over_while_a_message_is_under_way_of_which_nobody_wants_to_hear() -> None:
    deaf = Listener(needs=Needs.RECIPIENTS)
    for checks, manner, skims in (
        ([deaf], MANNER, True), ([Listener()], MANNER, False),
        ([deaf], replace(MANNER, own={b"received-spf": "mx.caio.it"}), False),
    ):  # fmt: skip
        talk = Talk(*checks, manner=manner)
        assert not talk.session.skims
        assert talk.mail().session.skims == skims
        talk.end()
        assert not talk.session.skims


def test_other_fields_that_tell_our_results_are_forged_if_they_name_us() -> None:
    fields = (
        (SPF, b" pass (mx.caio.it: allowed) client-ip=192.0.2.1"), (SPF, b" pass (mx.tizio.it: ok) receiver=tizio.it"),
        (SPF + b" ", b" pass receiver=MX.Caio.IT."), (SPF.lower(), b' pass receiver="mx\\.caio.it"'),
        (SPF, b" pass receiver==?utf-8?q?mx=2Ecaio=2Eit?="), (SPF, b" pass" + b" x" * 5000),
        (AR, FOREIGN), (AR, FORGED),
    )  # fmt: skip
    talk = Talk(manner=Manner("mx.caio.it", own={b"received-spf": "mx.caio.it"})).mail().fields(*fields)
    gone = [(one.name, one.nth) for one in talk.end().replace]
    assert sorted(gone) == sorted([(SPF, 1), (SPF + b" ", 1), (SPF.lower(), 3), (SPF, 4), (SPF, 5), (AR, 2)])
    assert talk.hosting.recorded[-1][1].facts["forged"] == 6


def test_other_fields_stay_where_we_write_none_of_them() -> None:
    assert not Talk().mail().fields((SPF, b" pass (mx.caio.it: allowed)")).end().replace


def test_forged_results_are_told_of() -> None:
    talk = Talk().mail().fields((AR, FORGED), (AR, FOREIGN), (AR, FORGED))
    talk.end()
    assert talk.hosting.recorded[-1][1].facts["forged"] == 2
    talk.mail().fields((AR, FOREIGN)).end()
    assert "forged" not in talk.hosting.recorded[-1][1].facts


def test_forged_results_stay_where_the_admin_wants_them() -> None:
    talk = Talk(manner=Manner("mx.caio.it", forged=False)).mail().fields((AR, FORGED))
    assert talk.end() is UNTOUCHED


def test_in_rehearsal_even_forged_results_stay() -> None:
    check = Listener()
    check.given = Verdict(Action.REJECT, "one", "bad")
    talk = Talk(check, manner=Manner("mx.caio.it", rehearse=True)).mail().fields((AR, FORGED))
    assert not any(talk.end())


# --- body ---


def test_the_body_is_kept_up_to_its_bound_and_heard_whole() -> None:
    talk = Talk(manner=Manner("mx.caio.it", max_scan=10)).mail()
    for chunk in (b"12345", b"6789ABC", b"DEF", b""):
        talk.session.body(chunk)
    talk.end()
    assert (talk.seen.body, talk.seen.size) == (b"123456789A", 15)
    assert b"".join(talk.check.last.chunks) == b"123456789ABCDEF"


def test_each_check_hears_of_what_it_asked_for_only() -> None:
    checks = {needs: Listener(str(needs), needs) for needs in (Needs.NOTHING, Needs.HEADERS, Needs.CHUNKS, Needs.BODY)}
    talk = Talk(*checks.values()).mail()
    talk.rcpt()
    talk.fields((b"Subject", b"x")).session.body(b"body")
    talk.end()
    assert [(needs, one.last.calls) for needs, one in checks.items()] == [
        (Needs.NOTHING, ["verdict", "close"]),
        (Needs.HEADERS, ["end_of_headers", "verdict", "close"]),
        (Needs.CHUNKS, ["body", "verdict", "close"]),
        (Needs.BODY, ["verdict", "close"]),
    ]


def test_a_body_that_nobody_asked_for_is_not_kept() -> None:
    talk = Talk(Listener(needs=Needs.CHUNKS)).mail()
    talk.session.body(b"x" * 1000)
    talk.end()
    assert talk.seen.body == b""


# --- one message after the other ---


def test_an_examination_ends_once_however_its_message_ends() -> None:
    talk = Talk()
    first = talk.mail().check.last
    second = talk.mail().check.last  # MAIL again, as after RSET that nobody told of
    talk.session.close()  # RSET
    talk.session.close()
    third = talk.mail().check.last
    talk.end()
    talk.session.close()  # the connection ends
    assert [one.calls.count("close") for one in (first, second, third)] == [1, 1, 1]
    assert third.calls == ["verdict", "close"]
    assert not talk.session.busy


def test_nothing_of_a_message_is_left_for_the_next() -> None:
    talk = Talk().mail(b"<a@tizio.it>", b"SIZE=9")
    talk.rcpt()
    talk.fields((b"Subject", b"x")).session.body(b"body")
    talk.session.close()
    talk.mail(b"<b@tizio.it>")
    talk.end()
    assert talk.seen == Message(talk.seen.facts, ())
    assert talk.seen.facts.envelope == talk.seen.facts.envelope._replace(sender="b@tizio.it", recipient="", size=0)


@pytest.mark.parametrize(
    "event",
    [
        Talk.rcpt,
        Talk.end,
        lambda talk: talk.session.header(b"X", b"x"),
        lambda talk: talk.session.end_of_headers(),
        lambda talk: talk.session.body(b"x"),
    ],
)
def test_events_of_a_message_that_has_not_begun_are_garbled(event: Callable[[Talk], object]) -> None:
    for talk in (Talk(), Talk().mail()):
        talk.session.close()
        with pytest.raises(Garbled, match="without MAIL"):
            event(talk)


def test_a_message_is_judged_by_the_host_that_it_began_with() -> None:
    talk = Talk().mail()
    other = Hosting(Listener("other"))
    talk.host = lambda: other.host
    talk.end()
    assert talk.check.last.calls == ["verdict", "close"]
    talk.mail()
    talk.end()
    assert len(talk.check.heard) == 1


def test_a_message_that_is_given_up_while_it_is_judged_is_closed_once_and_not_recorded() -> None:
    check = Listener()

    async def judge(message: Message) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError

    check.judge = judge  # type: ignore[method-assign]

    async def drive() -> None:
        talk = Talk(check).mail()
        task = asyncio.create_task(talk.session.end_of_message(NO_MACROS))
        await asyncio.sleep(0)
        task.cancel()
        talk.session.close()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert talk.hosting.recorded == []

    asyncio.run(drive())
    assert check.last.calls == ["verdict", "close"]


def test_facts_at_mail_are_those_of_the_session() -> None:
    talk = Talk()
    talk.session.helo(b"mail.tizio.it")
    facts: Facts = talk.mail().check.last.facts
    assert (facts.session.stage, facts.session.helo, facts.session.queue_id) == (Stage.MAIL, "mail.tizio.it", "")


# --- too much of it ---


def test_a_message_with_more_forged_fields_than_are_taken_out_is_refused() -> None:
    forged = (b"Authentication-Results", f" {MANNER.authserv_id}; spf=pass".encode())
    talk = Talk()
    talk.mail().rcpt()
    assert len(talk.fields(*[forged] * MAX_FORGED).end().replace) == MAX_FORGED
    talk.mail().rcpt()
    plan = talk.fields(*[forged] * (MAX_FORGED + 1)).end()
    assert plan == Plan(reply="550 5.7.1 Too many Authentication-Results in our name")
    assert talk.hosting.recorded[-1][1].reason == "too-many-forged"


def test_results_beyond_what_is_read_count_as_forged() -> None:
    theirs = (b"Authentication-Results", b" other.example; spf=pass" + b" (x)" * 1000)
    talk = Talk()
    talk.mail().rcpt()
    plan = talk.fields(*[theirs] * 10).end()
    assert [one.nth for one in plan.replace] == [10, 9]
