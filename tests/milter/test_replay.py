"""Messages from files: how they are read, played, and what becomes of their headers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.milter.fakes import Hosting, Listener
from tests.milter.mta import Edit, edited
from vaglio.examination import Field
from vaglio.milter import wire
from vaglio.milter.native import packets_of
from vaglio.milter.plan import UNTOUCHED, Insert, Plan, Replace
from vaglio.milter.replay import CHUNK, Letter, Outcome, applied, play, read
from vaglio.milter.session import Session
from vaglio.milter.wire import Actions, Peer
from vaglio.verdict import Action, Header, Reply, Verdict

LETTER = Letter(
    Peer(b"mail.tizio.it", b"4", 0, b"192.0.2.25"), b"mail.tizio.it", b"tizio@tizio.it", (b"anna@caio.it",),
    (Field(b"Subject", b" Ciao"),), b"Ciao\r\n",
)  # fmt: skip


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_header_keeps_its_blanks_and_folds_and_a_body_has_the_line_ends_of_smtp(newline: bytes) -> None:
    message = newline.join([b"Subject:  two", b"\t folded", b"x-a:none", b"X : blank", b"", b"one", b"", b"two", b""])
    headers, body = read(message)
    assert headers == [(b"Subject", b"  two\n\t folded"), (b"x-a", b"none"), (b"X ", b" blank")]
    assert body == b"one\r\n\r\ntwo\r\n"


@pytest.mark.parametrize(
    ("message", "headers", "body"),
    [
        (b"", [], b""),
        (b"\n", [], b""),
        (b"\nonly a body", [], b"only a body"),
        (b"no field\n", [], b"no field\r\n"),
        (b" folded\nSubject: x\n", [], b" folded\r\nSubject: x\r\n"),
        (b"Subject: x\nno field\nX: y\n", [(b"Subject", b" x")], b"no field\r\nX: y\r\n"),
        (b"From tizio Sun Nov 22 2026\nSubject: x\n\ny", [(b"Subject", b" x")], b"y"),
        (b"Subject: caff\xe8\n\xe8: x\n\n\xe8", [(b"Subject", b" caff\xe8"), (b"\xe8", b" x")], b"\xe8"),
        (b"Subject: x", [(b"Subject", b" x")], b""),
        (b": no name\n", [], b": no name\r\n"),
    ],
)
def test_what_is_no_header_is_a_body(message: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    assert read(message) == (headers, body)


@given(st.binary(max_size=200))
def test_no_byte_is_lost(message: bytes) -> None:
    headers, body = read(message)
    again = b"".join(name + b":" + value + b"\n" for name, value in headers) + b"\n" + body
    kept = again.replace(b"\r\n", b"\n").replace(b"\n", b"")
    given_ = message.replace(b"\r\n", b"\n").replace(b"\n", b"")
    assert given_.endswith(kept)  # a line "From " in front is passed over
    assert kept == given_ or message.startswith(b"From ")


# --- playing --------------------------------------------------------------------------------------------------------


def played(letter: Letter, check: Listener) -> Outcome:
    return asyncio.run(play(Session(lambda: Hosting(check).host, lambda: 0.0), letter, b"4F1B"))


def test_a_check_hears_of_it_as_of_a_message_that_a_mail_server_takes() -> None:
    check = Listener()
    body = b"x" * (CHUNK + 1)
    assert played(LETTER._replace(body=body, login=b"tizio"), check) == Outcome({}, UNTOUCHED)
    heard = check.last
    assert heard.calls == ["recipient", "end_of_headers", "body", "body", "verdict", "close"]
    (message,) = heard.messages
    client, envelope, session = message.facts
    assert (client.address, client.name, envelope.sender) == ("192.0.2.25", "mail.tizio.it", "tizio@tizio.it")
    assert (session.helo, session.sasl_username, session.queue_id) == ("mail.tizio.it", "tizio", "4F1B")
    assert (message.headers, message.body, message.size) == ((Field(b"Subject", b" Ciao"),), body, len(body))


def test_a_recipient_that_is_refused_gets_nothing_and_the_others_do() -> None:
    check = Listener()
    refused = Verdict(Action.REJECT, "one", "no", Reply(550, "5.7.1", "not you"))
    check.of_recipient = lambda recipient: refused if recipient.startswith("anna") else None
    outcome = played(LETTER._replace(recipients=(b"anna@caio.it", b"bea@caio.it")), check)
    assert outcome == Outcome({b"anna@caio.it": "550 5.7.1 not you"}, UNTOUCHED)
    assert check.last.messages[0].recipients == ("bea@caio.it",)


def test_without_a_recipient_that_is_let_in_there_is_no_message() -> None:
    check = Listener()
    check.of_recipient = lambda recipient: Verdict(Action.DEFER, "one", "no", Reply(451, "4.7.1", "later"))
    assert played(LETTER, check) == Outcome({b"anna@caio.it": "451 4.7.1 later"}, None)
    assert check.last.calls == ["recipient", "close"]


# --- the header afterwards ------------------------------------------------------------------------------------------


def test_forged_results_are_gone_and_what_was_added_is_on_top() -> None:
    check = Listener()
    check.given = Verdict(Action.PASS, "one", "fine", headers=(Header("X-One", "1"), Header("X-Two", "2")))
    headers = [
        Field(b"Authentication-Results", b" mx.caio.it; spf=pass"), Field(b"A", b" a"),
        Field(b"authentication-results", b" other.it; spf=pass"), Field(b"AUTHENTICATION-RESULTS", b" mx.caio.it"),
    ]  # fmt: skip
    outcome = played(LETTER._replace(headers=headers), check)
    assert outcome.plan is not None
    assert applied(headers, outcome.plan) == [(b"X-One", b" 1"), (b"X-Two", b" 2"), headers[1], headers[2]]


_NAMES = st.sampled_from([b"A", b"a", b"B", b"Subject"])
_FIELDS = st.lists(st.builds(Field, _NAMES, st.sampled_from([b" 1", b"2", b"  3"])), max_size=8)
_PLANS = st.builds(
    lambda replace, insert: Plan(sorted(replace, key=lambda one: -one.nth), insert),
    st.lists(st.builds(Replace, _NAMES, st.integers(1, 4), st.sampled_from([b"", b"new"])),
             unique_by=lambda one: (one.name.lower(), one.nth), max_size=4),
    st.lists(st.builds(Insert, _NAMES, st.just(b"on top")), max_size=3),
)  # fmt: skip


@given(_FIELDS, _PLANS)
def test_a_header_is_edited_as_a_mail_server_does_it(headers: list[Field], plan: Plan) -> None:
    counts = {one.name.lower(): sum(other.name.lower() == one.name.lower() for other in headers) for one in headers}
    there = Plan([one for one in plan.replace if one.nth <= counts.get(one.name.lower(), 0)], plan.insert)
    packets = wire.Packets().feed(packets_of(there, Actions.ADD_HEADERS | Actions.CHANGE_HEADERS, True))
    edits = [Edit(wire.Answer(answer), *wire.read_edit(data)) for answer, data in packets if data]
    assert applied(headers, there) == edited(headers, edits)
