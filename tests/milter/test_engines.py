"""What a mail server sees of a milter, with either engine: a real process, and packets on a socket."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.milter.daemons import TrivialMilter, told
from tests.milter.mta import (
    CHUNK,
    CLIENT,
    KNOWN,
    OLD,
    POSTFIX,
    Closed,
    Edit,
    Mail,
    Outcome,
    edited,
    events,
    header_bytes,
)
from vaglio.daemon.clock import monotonic
from vaglio.examination import MAX_FIELDS
from vaglio.milter import wire
from vaglio.milter.wire import MAX_PACKET, Actions, Answer, Command, Options, Peer, Stage, Steps

AR = b"Authentication-Results"
FORGED = (AR, b" mx.caio.it; spf=pass")
FOREIGN = (AR, b" mx.example; spf=pass")
PASSED = Outcome(Answer.CONTINUE)
HELD = b"ONE asked"


def mail(words: str, **more: Any) -> Mail:
    """Return a message whose sender asks for this."""
    return Mail(sender=f"<{words}@tizio.it>".encode())._replace(**more)


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]


def native_only(milter: TrivialMilter, why: str) -> None:
    if milter.engine != "native":
        pytest.skip(f"a named difference: {why}")


# --- negotiation ---


def test_only_events_that_a_check_needs_are_asked_for_and_none_is_answered(milter: TrivialMilter) -> None:
    with milter.mta() as mta:
        agreed = mta.negotiate()
    steps = Steps(agreed.steps)
    assert Steps.NO_DATA | Steps.NO_UNKNOWN | Steps.LEADING_SPACE in steps
    assert Steps.SILENT_CONNECT | Steps.SILENT_HELO | Steps.SILENT_MAIL | Steps.SILENT_RCPT in steps
    assert Steps.SILENT_HEADER | Steps.SILENT_END_OF_HEADERS | Steps.SILENT_BODY in steps
    assert not steps & (Steps.NO_CONNECT | Steps.NO_HELO | Steps.NO_MAIL | Steps.NO_RCPT | Steps.NO_HEADERS)
    assert not steps & (Steps.NO_END_OF_HEADERS | Steps.NO_BODY)
    assert agreed.version == 6
    assert Actions(agreed.actions) == (
        Actions.ADD_HEADERS | Actions.CHANGE_HEADERS | Actions.QUARANTINE | Actions.SET_MACROS
    )


def test_what_nobody_needs_is_not_sent(milter: TrivialMilter, asking: TrivialMilter) -> None:
    with asking.mta() as mta:
        steps = Steps(mta.negotiate().steps)
    assert not steps & (Steps.SILENT_RCPT | Steps.NO_BODY)


def test_macros_are_asked_for_by_name(milter: TrivialMilter) -> None:
    with milter.mta() as mta:
        macros = mta.negotiate().macros
    assert {stage: names.split() for stage, names in macros.items()} == {
        Stage.CONNECT: ["{client_ptr}", "{daemon_name}"], Stage.MAIL: ["i", "{auth_authen}"],
        Stage.END_OF_MESSAGE: ["i"],
    }  # fmt: skip


def test_a_mail_server_that_takes_no_list_of_macros_gets_none_and_sends_what_it_likes(milter: TrivialMilter) -> None:
    offer = POSTFIX._replace(actions=POSTFIX.actions & ~Actions.SET_MACROS)
    with milter.mta(offer, {**KNOWN, b"{auth_authen}": b"anna"}) as mta:
        mta.greet()
        assert mta.agreed.macros == {}
        seen = told(mta.send(mail("tell")))
        assert (seen["login"], seen["queue_id"], seen["reverse"]) == ("anna", "4F1B2C3D4E", "")
        assert mta.quit() == []


def test_a_message_is_judged_without_any_macros(milter: TrivialMilter) -> None:
    with milter.mta(macros={}) as mta:
        seen = told(mta.greet().send(mail("tell")))
    assert (seen["login"], seen["queue_id"], seen["reverse"]) == ("", "", "")
    assert seen["address"] == "192.0.2.1"


def test_an_old_mail_server_is_served_answer_by_answer(milter: TrivialMilter) -> None:
    with milter.mta(OLD) as mta:
        mta.greet()
        assert mta.agreed.steps & (Steps.LEADING_SPACE | Steps.SILENT_HEADER) == 0
        outcome = mta.send(mail("header+hold+change", headers=((b"Subject", b" a"), (b"Subject", b" b"))))
        assert outcome.quarantine == HELD
        after = edited(((b"Subject", b" a"), (b"Subject", b" b")), outcome.edits, leading_space=False)
        assert header_bytes(after) == b"X-Trivial: of one\nSubject: a\nsubject: another one\n"
        assert mta.send().taken
        assert mta.quit() == []


def test_a_mail_server_that_keeps_the_blank_behind_the_colon_gets_none(milter: TrivialMilter) -> None:
    offer = POSTFIX._replace(steps=POSTFIX.steps & ~Steps.LEADING_SPACE)
    message = mail("header+change+tell", headers=((b"Subject", b" a"), (b"Subject", b" b")))
    with milter.mta(offer) as mta:
        outcome = mta.greet().send(message)
    assert Edit(Answer.CHANGE_HEADER, 2, b"subject", b"another one") in outcome.edits
    assert outcome.edits[-1].value == b"of one"
    assert told(outcome)["headers"] == digest(header_bytes(message.headers)), "the check sees the usual blank"


@pytest.mark.parametrize("actions", [Actions(0), Actions.ADD_HEADERS, Actions.CHANGE_HEADERS, Actions.QUARANTINE])
def test_nothing_is_done_that_the_mail_server_does_not_offer(milter: TrivialMilter, actions: Actions) -> None:
    if not actions:
        native_only(milter, "libmilter takes no actions for those of its first version")
    with milter.mta(POSTFIX._replace(actions=int(actions))) as mta:
        mta.greet()
        outcome = mta.send(mail("header+remove+hold", headers=((b"Subject", b" a"),)))
        assert outcome.answer is Answer.CONTINUE
        assert [edit.kind for edit in outcome.edits] == {
            Actions.ADD_HEADERS: [Answer.INSERT_HEADER], Actions.CHANGE_HEADERS: [Answer.CHANGE_HEADER],
        }.get(actions, [])  # fmt: skip
        assert bool(outcome.quarantine) == (actions == Actions.QUARANTINE)
        told = "WARNING a message was to be held, and was delivered"
        if actions != Actions.QUARANTINE and told not in milter.seen:  # once a minute is enough
            milter.line(told)
        assert mta.send(mail("reject")).reply == b"550 5.7.1 one says reject"


def test_a_mail_server_of_the_future_is_met_at_our_version(milter: TrivialMilter) -> None:
    with milter.mta(Options(9, 0xFFFFFFF, 0xFFFFFFFF)) as mta:
        mta.greet()
        assert mta.agreed.version == 6
        assert mta.send() == PASSED


def test_a_version_that_nobody_speaks_any_more_ends_the_connection(milter: TrivialMilter) -> None:
    with milter.mta() as mta:
        mta.raw(wire.options(Options(1, 0x1FF, 0x1FFFFF)))
        assert mta.rest() == []


# --- messages ---


def test_a_check_sees_what_the_mail_server_sent_byte_for_byte(milter: TrivialMilter) -> None:
    message = mail(
        "tell",
        recipients=(b"<anna@caio.it>", b"<bruno@caio.it>"),
        headers=((b"Subject", b" Ciao\n\tAnna"), (b"X-8bit", b" \xff\xfe"), (b"X-Bare", b"x"), (b"X-Empty", b"")),
        body=b"8 bit \xff\r\n.\r\n\0\r\n",
        parameters=(b"SIZE=1234", b"BODY=8BITMIME"),
    )
    with milter.mta(macros={**KNOWN, b"{auth_authen}": b"anna"}) as mta:
        seen = told(mta.greet(Peer(b"x.tizio.it", b"6", 25, b"IPv6:2001:db8::1"), b"EHLO.tizio.it").send(message))
    assert seen == {
        "address": "2001:db8::1", "name": "x.tizio.it", "reverse": "mail.tizio.it", "helo": "EHLO.tizio.it",
        "login": "anna", "queue_id": "4F1B2C3D4E", "sender": "tell@tizio.it", "recipient": "anna@caio.it", "count": 2,
        "announced": len(message.body), "recipients": digest(b"('anna@caio.it', 'bruno@caio.it')"), "fields": 4,
        "headers": digest(header_bytes(message.headers)), "size": len(message.body), "body": digest(message.body),
        "kept": len(message.body), "hashed": digest(message.body), "earlier": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    "peer", [Peer(b"localhost", b"L", 0, b"/run/x"), Peer(b"unknown"), Peer(b"[192.0.2.9]", b"4", 1, b"192.0.2.9")]
)
def test_a_client_may_have_no_address_or_no_name(milter: TrivialMilter, peer: Peer) -> None:
    with milter.mta() as mta:
        seen = told(mta.greet(peer).send(mail("tell")))
    assert seen["address"] == ("192.0.2.9" if peer.family == b"4" else "")
    assert seen["name"] == ("localhost" if peer.family == b"L" else "")


def test_each_verdict_is_what_it_is_on_the_wire(milter: TrivialMilter) -> None:
    with milter.mta() as mta:
        mta.greet()
        assert mta.send(mail("pass")) == PASSED
        assert mta.send(mail("reject")) == PASSED._replace(answer=Answer.REPLY_CODE, reply=b"550 5.7.1 one says reject")
        assert mta.send(mail("defer")) == PASSED._replace(answer=Answer.REPLY_CODE, reply=b"451 4.7.1 one says defer")
        assert mta.send(mail("discard")) == PASSED._replace(answer=Answer.DISCARD)
        assert mta.send(mail("hold")) == PASSED._replace(quarantine=HELD)
        assert mta.send(mail("nap+reject")).reply == b"550 5.7.1 one says reject"
        assert mta.quit() == []


def test_forged_results_go_and_ours_come_on_top(milter: TrivialMilter) -> None:
    fields = (FORGED, (b"Received", b" x"), FOREIGN, (AR.upper(), b'\t(x) "MX.caio.it" 1; none'), (AR, b" mx.caio.it"))
    with milter.mta() as mta:
        outcome = mta.greet().send(mail("results+header", headers=fields))
    assert header_bytes(edited(fields, outcome.edits)) == (
        b"Authentication-Results: mx.caio.it;\n\tone=pass smtp.mailfrom=results+header@tizio.it\n"
        b"X-Trivial: of one\nReceived: x\nAuthentication-Results: mx.example; spf=pass\n"
    )


def test_messages_of_a_connection_have_nothing_to_do_with_each_other(milter: TrivialMilter) -> None:
    first = told_alone(milter, mail("tell", body=b"", headers=()))
    with milter.mta() as mta:
        mta.greet()
        for words in ("reject", "discard+header", "raise-eoh", "tell", "defer+nap"):
            mta.send(mail(words, headers=(FORGED, (b"Subject", b" x")), body=b"x" * 100_000))
        again = mta.send(mail("tell", body=b"", headers=()))
        assert told(again) == first
        assert len(again.edits) == 1
        assert mta.quit() == []


def told_alone(milter: TrivialMilter, message: Mail) -> dict[str, object]:
    with milter.mta() as mta:
        return told(mta.greet().send(message))


def test_a_message_may_be_given_up_after_any_event(milter: TrivialMilter) -> None:
    message = mail("reject", headers=(FORGED, (b"Subject", b" x")), body=b"x" * (CHUNK + 1))
    with milter.mta() as mta:
        mta.greet()
        for steps in range(9):
            for number, (command, packet) in enumerate(events(message)):
                if number == steps or command is Command.END_OF_MESSAGE:
                    break
                assert mta.event(command, packet).taken
            mta.abort()
            mta.abort()  # RSET once more
            outcome = mta.send(mail("tell"))
            assert told(outcome)["size"] == len(Mail().body)
            assert len(outcome.edits) == 1
        assert mta.quit() == []


def test_a_connection_is_used_again_for_another_client(milter: TrivialMilter) -> None:
    with milter.mta() as mta:
        mta.greet()
        mta.send()
        mta.raw(wire.packet(Command.QUIT_NEW_CONNECTION))
        mta.client(Peer(b"b.example", b"4", 25, b"192.0.2.77"), b"helo.b.example")
        seen = told(mta.send(mail("tell")))
        assert (seen["address"], seen["name"], seen["helo"]) == ("192.0.2.77", "b.example", "helo.b.example")
        assert mta.quit() == []


def test_a_second_helo_counts_as_behind_starttls(milter: TrivialMilter) -> None:
    with milter.mta() as mta:
        mta.greet(helo=b"before.example")
        assert mta.event(Command.HELO, wire.with_strings(Command.HELO, b"after.example")).taken
        assert told(mta.send(mail("tell")))["helo"] == "after.example"


def test_the_last_piece_of_a_body_may_come_with_the_end(milter: TrivialMilter) -> None:
    native_only(milter, "libmilter does not answer where bodies have no answer; no mail server sends it so")
    with milter.mta() as mta:
        mta.greet()
        for command, packet in events(mail("tell", body=b"first ")):
            if command is Command.END_OF_MESSAGE:
                packet = wire.packet(Command.END_OF_MESSAGE, b"last")
            outcome = mta.event(command, packet)
    assert told(outcome)["hashed"] == digest(b"first last")


def test_smtp_commands_that_nobody_knows_are_let_through(milter: TrivialMilter) -> None:
    with milter.mta(Options(6, 0x1FF, 0x7F)) as mta:
        mta.greet()
        assert mta.event(Command.UNKNOWN, wire.with_strings(Command.UNKNOWN, b"XYZZY\xff")).answer is Answer.CONTINUE
        assert mta.send() == PASSED
        assert mta.quit() == []


def test_many_connections_at_once_are_not_mixed_up(milter: TrivialMilter) -> None:
    """libmilter serves events of a connection by different threads; a thread's memory is nobody's."""
    with ExitStack() as stack:
        mtas = [stack.enter_context(milter.mta()) for _ in range(60)]
        messages = [
            mail("tell+nap", recipients=(b"<r%d@caio.it>" % n,), body=b"%d\r\n" % n, headers=((b"N", b" %d" % n),))
            for n in range(len(mtas))
        ]
        for n, mta in enumerate(mtas):
            mta.greet(Peer(b"h%d.example" % n, b"4", n, b"192.0.2.%d" % n), b"helo%d.example" % n)
        scripts = [list(events(message)) for message in messages]
        for step in range(len(scripts[0]) - 1):
            for mta, script in zip(mtas, scripts, strict=True):
                mta.event(*script[step])
        for mta in mtas:
            mta.raw(wire.packet(Command.END_OF_MESSAGE))
        for n, mta in enumerate(mtas):
            seen = told(mta.outcome())
            assert (seen["address"], seen["helo"], seen["recipient"]) == (
                f"192.0.2.{n}", f"helo{n}.example", f"r{n}@caio.it",
            )  # fmt: skip
            assert seen["hashed"] == digest(messages[n].body)
            assert seen["headers"] == digest(header_bytes(messages[n].headers))


# --- recipients ---


def test_recipients_are_refused_one_by_one(asking: TrivialMilter) -> None:
    recipients = (b"<good@caio.it>", b"<reject-x@caio.it>", b"<nap-y@caio.it>", b"<defer-z@caio.it>")
    with asking.mta() as mta:
        mta.greet()
        outcome = mta.send(mail("one/tell", recipients=recipients))
        assert outcome.refused == {
            b"<reject-x@caio.it>": b"550 5.7.1 one says reject", b"<defer-z@caio.it>": b"451 4.7.1 one says defer",
        }  # fmt: skip
        assert told(outcome)["recipients"] == digest(b"('good@caio.it', 'nap-y@caio.it')")
        assert mta.send(mail("pass", recipients=(b"<reject-x@caio.it>",))).answer is Answer.REPLY_CODE
        assert mta.send(mail("pass")).taken
        assert mta.quit() == []


def test_a_thousand_recipients_are_no_trouble(milter: TrivialMilter, asking: TrivialMilter) -> None:
    recipients = tuple(b"<r%d@caio.it>" % number for number in range(1000))
    for daemon in (milter, asking):
        with daemon.mta() as mta:
            seen = told(mta.greet().send(mail("one/tell", recipients=recipients)))
        assert (seen["count"], seen["recipient"]) == (1000, "r0@caio.it")


# --- size ---


def test_of_a_large_body_a_part_is_kept_and_all_is_hashed(milter: TrivialMilter) -> None:
    body = b"0123456789abcdef" * 200_000
    with milter.mta() as mta:
        seen = told(mta.greet().send(mail("tell", body=body)))
    assert (seen["size"], seen["kept"]) == (len(body), 1000**2)
    assert seen["body"] == digest(body[: 1000**2])
    assert seen["hashed"] == digest(body)


def test_ten_thousand_header_fields_are_bounded_and_the_last_forgery_is_found(milter: TrivialMilter) -> None:
    fields = [(b"X-%d" % number, b" x") for number in range(10_000)]
    fields += [FOREIGN, FORGED]
    with milter.mta() as mta:
        outcome = mta.greet().send(mail("tell", headers=tuple(fields)))
    assert told(outcome)["fields"] == MAX_FIELDS
    assert outcome.edits[0] == Edit(Answer.CHANGE_HEADER, 2, AR, b"")


@pytest.mark.parametrize("size", [60_000, 102_400])
def test_a_long_header_field_is_taken(milter: TrivialMilter, size: int) -> None:
    if size > CHUNK:
        native_only(milter, "libmilter takes packets of 64 KiB at most, Postfix sends 100 (header_size_limit)")
    field = (b"X-Long", b" " + b"x" * (size - len("X-Long: ")))
    with milter.mta() as mta:
        seen = told(mta.greet().send(mail("tell", headers=(field,))))
    assert seen["headers"] == digest(header_bytes([field]))


# --- words of strangers ---


def test_words_of_strangers_end_neither_replies_nor_fields(milter: TrivialMilter) -> None:
    with milter.mta() as mta:
        mta.greet()
        for words, code in (("reject", b"550 5.7.1"), ("defer", b"451 4.7.1")):
            assert mta.send(mail(f"{words}+hostile")).reply == code + b" 100%% of it Injected: yes"
        outcome = mta.send(mail("hostile+hold", headers=()))
        assert header_bytes(edited((), outcome.edits)) == b"X-Hostile: 100% of it  Injected: yes\n"
        assert outcome.quarantine == HELD
        assert mta.quit() == []


def test_bytes_that_are_no_utf8_are_judged_like_any_other(milter: TrivialMilter) -> None:
    native_only(milter, "libmilter cannot tell a HELO, nor the value of a field whose name is not UTF-8")
    message = mail("tell", headers=((b"X-\xff", b" x\xfe"), (b"Subject", b" y")), recipients=(b"<\xff@caio.it>",))
    with milter.mta(macros={**KNOWN, b"{auth_authen}": b"a\xff", b"i": b"\xfe", b"{client_ptr}": b"p\xff"}) as mta:
        seen = told(mta.greet(Peer(b"n\xff", b"4", 1, b"192.0.2.1"), b"h\xff").send(message))
    assert (seen["name"], seen["helo"], seen["login"]) == ("n\udcff", "h\udcff", "a\udcff")
    assert (seen["queue_id"], seen["reverse"], seen["recipient"]) == ("\udcfe", "p\udcff", "\udcff@caio.it")
    assert seen["headers"] == digest(header_bytes(message.headers))


@pytest.mark.parametrize("where", ["name", "helo", "header", "value", "sender", "recipient", "macro"])
def test_bytes_that_are_no_utf8_hold_no_message_up_and_forgeries_beside_them_are_found(
    milter: TrivialMilter, where: str
) -> None:
    eight = {where: b"\xff"}
    fields = (FORGED, (b"X-" + eight.get("header", b"x"), b" y" + eight.get("value", b"")), FORGED)
    message = Mail(
        b"<results" + eight.get("sender", b"") + b"@tizio.it>", (b"<a" + eight.get("recipient", b"") + b"@caio.it>",),
        fields,
    )  # fmt: skip
    with milter.mta(macros={**KNOWN, b"i": b"4F1B" + eight.get("macro", b"")}) as mta:
        mta.greet(CLIENT._replace(name=b"n" + eight.get("name", b"")), b"h" + eight.get("helo", b""))
        for _ in range(2):
            outcome = mta.send(message)
            assert outcome.taken
            assert AR not in [name for name, _ in edited(fields, outcome.edits)[where != "sender" :]]
        assert mta.quit() == []


# --- bugs ---


@pytest.mark.parametrize("where", ["examine", "eoh", "body", "verdict", "close"])
def test_a_bug_in_a_check_costs_its_result_and_holds_nothing_up(
    milter: TrivialMilter, asking: TrivialMilter, where: str
) -> None:
    with milter.mta() as mta:
        mta.greet()
        outcome = mta.send(mail(f"results+raise-{where}", headers=(FORGED,)))
        result = b"pass smtp.mailfrom=results+raise-close@tizio.it" if where == "close" else b"temperror"
        assert header_bytes(edited((FORGED,), outcome.edits)) == AR + b": mx.caio.it;\n\tone=" + result + b"\n"
        assert mta.send() == PASSED
        assert mta.quit() == []
    with asking.mta() as mta:
        mta.greet()
        outcome = mta.send(mail(f"results+one/raise-{where}"))
        assert outcome.taken == (where in ("body", "close")), "on_error is to defer; nobody tells the check of bodies"
        assert outcome.taken or outcome.reply.startswith(b"451 4.3.0")
        assert mta.send(mail("pass")).taken
        assert mta.quit() == []


def test_a_bug_about_a_recipient_defers_it(asking: TrivialMilter) -> None:
    with asking.mta() as mta:
        mta.greet()
        assert mta.send(mail("one/raise-recipient")).refused[b"<anna@caio.it>"].startswith(b"451 4.3.0")
        assert mta.send(mail("two/raise-recipient")).taken, "this one is not asked"
        assert mta.quit() == []


# --- mail servers that are broken, or worse ---


GARBAGE: Mapping[str, bytes] = {
    "empty": b"\0\0\0\0O",
    "oversized": struct.pack(">I", MAX_PACKET + 1) + b"O",
    "gigantic": b"\xff\xff\xff\xffO",
    "http": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_no_packet_ends_that_connection_and_no_other(milter: TrivialMilter, what: str, begun: bool) -> None:
    if begun and what in ("empty", "gigantic"):
        native_only(milter, "libmilter waits for the rest of it")
    with milter.mta() as other, milter.mta() as mta:
        other.greet()
        if begun:
            mta.greet()
        mta.raw(GARBAGE[what])
        mta.rest()  # it ends
        assert other.send() == PASSED


def test_a_command_that_is_none_ends_the_connection(milter: TrivialMilter) -> None:
    with milter.mta() as mta:
        mta.greet()
        mta.raw(wire.packet(ord("z"), b"what?"))
        assert mta.rest() == []


@pytest.mark.parametrize(
    "packet",
    [
        wire.with_strings(Command.RCPT, b"<anna@caio.it>"),
        wire.with_strings(Command.HEADER, b"Subject", b"x"),
        wire.packet(Command.END_OF_HEADERS),
        wire.packet(Command.BODY, b"x"),
        wire.packet(Command.END_OF_MESSAGE),
    ],
)
def test_events_out_of_order_hurt_nobody_else(milter: TrivialMilter, packet: bytes) -> None:
    with milter.mta() as other, milter.mta() as mta:
        other.greet()
        mta.greet()
        mta.raw(packet + wire.packet(Command.QUIT))
        mta.rest()
        assert other.send() == PASSED


def test_a_mail_server_may_go_away_at_any_point(milter: TrivialMilter) -> None:
    message = mail("nap", headers=(FORGED, (b"Subject", b" x")))
    whole = wire.options(POSTFIX) + wire.connect(CLIENT) + wire.with_strings(Command.HELO, b"h")
    whole += b"".join(packet for _, packet in events(message))
    for end in range(0, len(whole) + 1, 7):
        with milter.mta() as mta:
            mta.raw(whole[:end])
    with milter.mta() as mta:
        assert mta.greet().send() == PASSED


def test_packets_may_come_byte_by_byte_or_all_at_once(milter: TrivialMilter) -> None:
    message = mail("tell", headers=((b"Subject", b" x"),))
    silent = [(command, packet) for command, packet in events(message) if command is not Command.DATA]
    packets = wire.connect(CLIENT) + wire.with_strings(Command.HELO, b"h") + b"".join(packet for _, packet in silent)
    with milter.mta() as mta:
        mta.negotiate()
        mta.raw(packets + packets[len(wire.connect(CLIENT)) :])
        first, second = mta.outcome(), mta.outcome()
        assert told(first) == told(second)
        for at in range(len(packets)):
            mta.raw(packets[at : at + 1])
        assert told(mta.outcome()) == {**told(first), "queue_id": ""}


def test_a_silent_mail_server_holds_nobody_up(milter: TrivialMilter) -> None:
    with milter.mta(), milter.mta() as half, milter.mta() as mta:
        half.raw(wire.options(POSTFIX)[:7])
        assert mta.greet().send() == PASSED


def test_a_mail_server_that_does_not_take_answers_is_not_heard(milter: TrivialMilter) -> None:
    """Each HELO is answered; the answers fit into no buffer."""
    native_only(milter, "libmilter waits in a thread until they are taken")
    helo = wire.with_strings(Command.HELO, b"h")
    with milter.mta(OLD) as mta, milter.mta() as other:
        mta.greet()
        mta.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            mta.raw(helo * 5_000_000)
        assert other.greet().send() == PASSED


# --- speed ---


def test_edits_and_answer_come_in_one_piece(milter: TrivialMilter) -> None:
    native_only(milter, "libmilter writes each edit by itself")
    with milter.mta() as mta:
        mta.greet()
        before = len(mta.reads)
        outcome = mta.send(mail("header+hostile+results+hold+nap", headers=(FORGED, FORGED)))
        assert len(outcome.edits) == 5
        assert len(mta.reads) == before + 1


def test_over_tcp_the_answers_are_the_same_and_come_at_once(milter: TrivialMilter, tmp_path: Path) -> None:
    daemon = TrivialMilter(tmp_path, milter.engine, inet=True)
    with daemon.ready(), daemon.mta(OLD) as mta, milter.mta(OLD) as other:
        mta.greet()
        other.greet()
        began = monotonic()
        for _ in range(10):  # of five answers each, and edits: 40 ms for one of them would be 2 s
            assert mta.send(mail("tell+header")) == other.send(mail("tell+header"))
        assert monotonic() - began < 1
        assert mta.quit() == []


def test_a_connection_that_is_closed_says_so(milter: TrivialMilter) -> None:
    with milter.mta() as mta:
        mta.greet()
        mta.raw(wire.packet(Command.QUIT))
        with pytest.raises(Closed):
            mta.packet()
