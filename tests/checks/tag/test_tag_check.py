"""The check at work: which marks a message gets, what is changed in its header, what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.tag.check import Context, Tag
from vaglio.checks.tag.decide import MAX_SUBJECTS
from vaglio.checks.tag.settings import Rule, TagSettings
from vaglio.examination import Field, Message, Needs
from vaglio.facts import Client, Envelope, Facts, Session, Stage, client_of
from vaglio.milter.plan import UNTOUCHED, Plan, plan_of
from vaglio.verdict import Action, AuthResult, Change, Fact, Header, Verdict

STRANGER = client_of("192.0.2.7")
FOUND: Mapping[str, Fact] = {"score": 7.24, "spam": True, "symbols": "NO_SUBJECT 1.2"}
SPAM = {"score": Verdict(Action.PASS, "score", "spam", facts=FOUND)}
EXTERNAL = Rule(when=["external"], tag="[EXTERNAL]")


def check(authserv_id: str = "", score_rehearses: bool = False, **settings: Any) -> Tag:
    return Tag(TagSettings(**settings), Context(lambda: "REF", authserv_id, score_rehearses))


def message(
    *subjects: bytes, earlier: Mapping[str, Verdict] = SPAM, to: tuple[str, ...] = ("caio@caio.it",),
    client: Client = STRANGER, login: str = "", more: tuple[Field, ...] = (), count: int = 0,
) -> Message:  # fmt: skip
    headers = [Field(b"From", b" tizio@tizio.it"), *(Field(b"Subject", one) for one in subjects), *more]
    session = Session(Stage.END_OF_MESSAGE, "mail.tizio.it", sasl_username=login)
    facts = Facts(client, Envelope("tizio@tizio.it", to[0], count or len(to)), session)
    return Message(facts, to, headers, earlier=earlier)


def judged(tag: Tag, whole: Message) -> Verdict:
    return asyncio.run(tag.examine(whole.facts).verdict(whole))


def subject(whole: Message, authserv_id: str = "", **settings: Any) -> str:
    """Return what the first subject becomes: "" where it is not touched."""
    verdict = judged(check(authserv_id, **settings), whole)
    return verdict.changes[0].value if verdict.changes else ""


def spam(**facts: Fact) -> dict[str, Verdict]:
    return {"score": SPAM["score"]._replace(facts={**FOUND, **facts})}


# --- what it asks for, what it does ---


def test_it_asks_for_the_header_alone() -> None:
    assert (check().needs, check().methods, check().name) == (Needs.HEADERS, (), "tag")


def test_as_shipped_it_marks_spam() -> None:
    verdict = judged(check(), message(b" Re: offer"))
    assert verdict == Verdict(
        Action.PASS, "tag", "tagged", facts={"tags": "[SPAM]", "rules": "tag.rule[0]: spam", "subject": "Re: offer"},
        ref="REF", changes=(Change("Subject", 1, "[SPAM] Re: offer"),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("earlier", "subjects", "reason"),
    [({}, b" offer", "nothing"), (SPAM, b" [SPAM] offer", "already-tagged"), (spam(spam=False), b" offer", "nothing")],
)
def test_a_subject_that_needs_no_change_is_not_touched_and_not_journalled(
    earlier: dict[str, Verdict], subjects: bytes, reason: str
) -> None:
    verdict = judged(check(), message(subjects, earlier=earlier))
    assert (verdict.reason, verdict.changes, verdict.headers, verdict.journalled) == (reason, (), (), False)
    assert plan_of(verdict) is UNTOUCHED


def test_a_forged_mark_goes_and_that_is_told() -> None:
    verdict = judged(check(), message(b" Re: [SPAM] offer", earlier={}))
    assert (verdict.reason, verdict.ref, verdict.changes) == ("cleaned", "REF", (Change("Subject", 1, "Re: offer"),))
    assert verdict.facts == {"removed": "[SPAM]", "subject": "Re: [SPAM] offer"}


def test_a_mark_that_was_given_up_goes_too() -> None:
    assert subject(message(b" *** Junk *** offer", earlier={}), remove=["***JUNK***"]) == "offer"


def test_a_subject_that_was_nothing_but_a_mark_is_taken_out() -> None:
    verdict = judged(check(), message(b" [SPAM] ", earlier={}))
    assert verdict.changes == (Change("Subject", 1, ""),)


def test_a_missing_subject_is_added_only_for_a_mark() -> None:
    verdict = judged(check(), message())
    assert (verdict.headers, verdict.changes, verdict.ref) == ((Header("Subject", "[SPAM]"),), (), "REF")
    assert judged(check(), message(earlier={})).headers == ()


def test_all_subjects_are_marked_since_some_programs_show_the_last() -> None:
    verdict = judged(check(), message(b" one", b" [SPAM] two", b" Re: [spam] three"))
    assert verdict.changes == (Change("Subject", 1, "[SPAM] one"), Change("Subject", 3, "[SPAM] Re: three"))


def test_of_very_many_subjects_the_first_and_the_last_are_looked_at() -> None:
    verdict = judged(check(), message(*[b" x"] * 1500))
    places = [one.nth for one in verdict.changes]
    assert places == [*range(1, 11), *range(1491, 1501)]
    assert len(places) == MAX_SUBJECTS


def test_the_name_of_the_field_stays_as_it_is_written() -> None:
    whole = message(more=(Field(b"SUBJECT", b" offer"),))
    assert judged(check(), whole).changes == (Change("SUBJECT", 1, "[SPAM] offer"),)


def test_a_subject_with_a_blank_before_the_colon_is_marked_and_counted_by_its_own_name() -> None:
    odd = (Field(b"Subject ", b" two"), Field(b"Subject\t", b" three"), Field(b"SUBJECT ", b" four"))
    verdict = judged(check(), message(b" one", more=odd))
    assert verdict.changes == (
        Change("Subject", 1, "[SPAM] one"), Change("Subject ", 1, "[SPAM] two"), Change("Subject\t", 1, "[SPAM] three"),
        Change("SUBJECT ", 2, "[SPAM] four"),
    )  # fmt: skip
    assert {one.name for one in plan_of(verdict).replace} == {b"Subject", b"Subject ", b"Subject\t", b"SUBJECT "}


def test_one_with_a_blank_alone_is_marked_and_no_other_is_added() -> None:
    verdict = judged(check(), message(more=(Field(b"Subject ", b" offer"),)))
    assert (verdict.headers, verdict.changes) == ((), (Change("Subject ", 1, "[SPAM] offer"),))


def test_raw_bytes_go_out_as_they_came() -> None:
    plan: Plan = plan_of(judged(check(), message(b" pr\xe9stamo \xff")))
    assert [one.value for one in plan.replace] == [b"[SPAM] pr\xe9stamo \xff"]


@given(st.lists(st.binary(max_size=40), max_size=3), st.booleans())
def test_no_subject_makes_it_fail(subjects: list[bytes], bad: bool) -> None:
    plan_of(judged(check(), message(*subjects, earlier=SPAM if bad else {})))



# --- whose mail ---


@pytest.mark.parametrize(
    "whole",
    [
        message(b" [SPAM] offer", login="tizio@tizio.it"),
        message(b" [SPAM] offer", client=client_of("127.0.0.1")),
        message(b" [SPAM] offer", client=client_of("::1")),
        message(b" offer", client=Client("", b"", local=True)),
    ],
    ids=["logged-in", "loopback", "loopback-6", "sendmail"],
)
def test_mail_of_our_own_users_is_not_touched(whole: Message) -> None:
    verdict = judged(check(rule=[EXTERNAL]), whole)
    assert (verdict.reason, verdict.changes, verdict.headers, verdict.ref) == ("own-mail", (), (), "")


def test_trusted_networks_are_for_the_admin_to_say() -> None:
    whole = message(b" offer", client=client_of("127.0.0.1"))
    assert subject(whole, trusted_networks=[]) == "[SPAM] offer"
    assert subject(message(b" offer"), trusted_networks=["192.0.2.0/24"]) == ""


def test_a_client_without_an_address_is_a_stranger() -> None:
    assert subject(message(b" offer", client=Client("", b""))) == "[SPAM] offer"


# --- rules ---


def test_rules_are_tried_in_order_and_each_puts_its_mark_once() -> None:
    rules = [Rule(tag="[SPAM {score}]"), EXTERNAL, Rule(when=["score > 1"], tag="[EXTERNAL]")]
    assert subject(message(b" offer"), rule=rules) == "[SPAM 7.2] [EXTERNAL] offer"
    found = judged(check(rule=rules), message(b" offer"))
    assert found.facts["rules"] == "tag.rule[0]: spam; tag.rule[1]: external"


def test_a_rule_with_stop_is_the_last() -> None:
    rules = [Rule(tag="***SPAM***", when=["score >= 7", "spam"], stop=True), Rule(), EXTERNAL]
    assert subject(message(b" offer"), rule=rules) == "***SPAM*** offer"
    assert subject(message(b" offer", earlier=spam(score=6.9)), rule=rules) == "[SPAM] [EXTERNAL] offer"
    assert subject(message(b" offer", earlier={}), rule=rules) == "[EXTERNAL] offer"


def test_all_conditions_must_hold() -> None:
    rules = [Rule(when=["spam", "symbol NO_SUBJECT", "not dkim=pass"])]
    assert subject(message(b" offer"), rule=rules) == "[SPAM] offer"
    signed = {**SPAM, "dkim_verify": Verdict(Action.PASS, "dkim_verify", "pass", results=(AuthResult("dkim", "pass"),))}
    assert subject(message(b" offer", earlier=signed), rule=rules) == ""


@pytest.mark.parametrize(
    ("to", "count", "marked"),
    [
        (("caio@caio.it",), 0, True),
        (("Caio@CAIO.IT", "due@posta.caio.it"), 0, True),
        (("caio@caio.it", "x@tizio.it"), 0, False),
        (("x@tizio.it",), 0, False),
        (("caio@caio.it",), 2, False),
    ],
)
def test_a_rule_for_some_recipients_holds_where_it_holds_for_all_of_them(
    to: tuple[str, ...], count: int, marked: bool
) -> None:
    rules = [Rule(recipients=["caio.it"])]
    assert bool(subject(message(b" offer", to=to, count=count), rule=rules)) is marked


def test_a_mark_of_a_rule_that_does_not_hold_is_a_forgery() -> None:
    assert subject(message(b" [SPAM] offer", to=("x@tizio.it",)), rule=[Rule(recipients=["caio.it"])]) == "offer"


# --- what is believed ---

FLAG = Field(b"X-Spam-Flag", b" YES")
RESULTS = Field(b"Authentication-Results", b" mail.caio.it; dmarc=fail")
DMARC = [Rule(when=["dmarc=fail"], tag="[DMARC]")]


def test_spam_headers_are_believed_only_where_the_admin_says_so() -> None:
    whole = message(b" offer", earlier={}, more=(FLAG,))
    assert subject(whole) == ""
    assert subject(whole, trust_spam_headers=True) == "[SPAM] offer"


def test_results_in_headers_are_believed_only_of_our_own_milters() -> None:
    whole = message(b" offer", earlier={}, more=(RESULTS,))
    assert subject(whole, rule=DMARC) == ""
    assert subject(whole, "mail.caio.it", rule=DMARC) == "[DMARC] offer"
    assert subject(whole, "mx.caio.it", rule=DMARC) == ""


def test_a_score_that_rehearses_marks_nothing_and_what_would_be_is_told() -> None:
    verdict = judged(check(score_rehearses=True), message(b" offer"))
    assert not verdict.changes
    assert verdict.facts["would"] == "[SPAM]"
    assert "would" not in judged(check(), message(b" offer")).facts


@pytest.mark.parametrize("action", [Action.REJECT, Action.DEFER, Action.DISCARD])
def test_a_message_that_nobody_gets_is_not_marked(action: Action) -> None:
    refused = {"score": Verdict(action, "score", "spam", facts=FOUND)}
    verdict = judged(check(), message(b" [SPAM] Ciao", earlier=refused))
    assert (verdict.reason, verdict.changes, verdict.facts) == ("refused", (), {})


def test_while_only_the_score_rehearses_a_refusal_no_mark_would_come_in_earnest() -> None:
    rehearsed = {"score": Verdict(Action.PASS, "score", "spam", facts=FOUND, rehearsed=Action.REJECT)}
    assert "would" not in judged(check(score_rehearses=True), message(b" Ciao", earlier=rehearsed)).facts
    assert judged(check(score_rehearses=True), message(b" Ciao")).facts["would"] == "[SPAM]"


def test_a_message_of_which_a_refusal_was_only_rehearsed_is_marked_since_it_arrives() -> None:
    spf = Verdict(Action.PASS, "spf", "fail", rehearsed=Action.REJECT)
    assert judged(check(), message(b" Ciao", earlier={**SPAM, "spf": spf})).changes[0].value == "[SPAM] Ciao"
