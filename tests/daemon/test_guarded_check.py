"""A bug in a check of messages, wherever it is, costs that check's result and no more."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

import pytest

from tests.milter.fakes import Listener
from vaglio.daemon.guard import Guard, GuardedCheck, rehearsed
from vaglio.examination import Examination, Field, Message
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.ports import StoreError
from vaglio.verdict import FAILED, TIMED_OUT, Action, AuthResult, Change, Header, Verdict

FACTS = Facts(client_of("192.0.2.1"), Envelope("a@tizio.it", ""), Session(Stage.MAIL))
AT_END = FACTS._replace(session=FACTS.session._replace(stage=Stage.END_OF_MESSAGE))
TEMPERROR = (AuthResult("spf", "temperror"), AuthResult("dkim", "temperror"))


class Bench:
    """A guarded check that has been through all of a message."""

    def __init__(
        self, check: Listener, on_error: Literal["pass", "defer"] = "pass",
        mode: Literal["enforce", "rehearse"] = "enforce", deadline: float = 5,
    ) -> None:  # fmt: skip
        self.check = check
        self.failures: list[tuple[BaseException | None, Facts]] = []
        guard = Guard(check.name, on_error, mode, deadline, lambda *failure: self.failures.append(failure))
        self.examination: Examination = GuardedCheck(check, guard).examine(FACTS)

    def hear(self) -> Bench:
        one = self.examination
        one.end_of_headers([Field(b"Subject", b"x"), Field(b"From", b"y")])
        one.body(b"1")
        one.body(b"2")
        return self

    def verdict(self) -> Verdict:
        return asyncio.run(self.examination.verdict(Message(AT_END, ())))


def listener() -> Listener:
    check = Listener("spf", methods=("spf", "dkim"))
    check.given = Verdict(Action.PASS, "spf", "fine", results=(AuthResult("spf", "pass"),))
    return check


def test_a_sound_check_is_heard_and_hears_as_if_nobody_stood_between() -> None:
    bench = Bench(listener()).hear()
    assert bench.verdict() is bench.check.given
    bench.examination.close()
    assert bench.check.last.calls == ["end_of_headers", "body", "body", "verdict", "close"]
    assert bench.failures == []


@pytest.mark.parametrize("where", ["examine", "end_of_headers", "body", "verdict"])
def test_a_bug_anywhere_is_temperror_for_each_method_and_told_once(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(listener().raises(where)).hear()
    assert bench.verdict() == Verdict(Action.PASS, "spf", FAILED, results=TEMPERROR)
    bench.examination.close()
    ((error, facts),) = bench.failures
    assert isinstance(error, ZeroDivisionError)
    assert facts is AT_END
    assert [(record.levelname, bool(record.exc_info)) for record in caplog.records] == [("ERROR", True)]


@pytest.mark.parametrize("where", ["end_of_headers", "body"])
def test_after_a_bug_the_check_hears_no_more_and_lets_go_of_what_it_began_at_once_and_once(where: str) -> None:
    bench = Bench(listener().raises(where)).hear()
    calls = bench.check.last.calls
    assert calls[-2:] == [where, "close"]
    bench.verdict()
    bench.examination.close()
    assert calls.count("close") == 1
    assert "verdict" not in calls


def test_on_error_decides_what_becomes_of_the_message() -> None:
    for where in ("examine", "end_of_headers", "verdict"):
        verdict = Bench(listener().raises(where), "defer").hear().verdict()
        assert (verdict.action, verdict.reason, verdict.results) == (Action.DEFER, FAILED, TEMPERROR)
        rehearsed = Bench(listener().raises(where), "defer", "rehearse").hear().verdict()
        assert (rehearsed.action, rehearsed.rehearsed) == (Action.PASS, Action.DEFER)


def test_a_missed_deadline_is_temperror_too() -> None:
    check = listener()

    async def judge(message: Message) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError

    check.judge = judge  # type: ignore[method-assign]
    bench = Bench(check, deadline=0.01).hear()
    assert bench.verdict() == Verdict(Action.PASS, "spf", TIMED_OUT, results=TEMPERROR)
    assert bench.failures == [(None, AT_END)]


@pytest.mark.parametrize("name", ["X:Y", "X Y", "", "X\r\nY", "X" * 61])
def test_a_field_that_can_have_no_such_name_is_a_bug_of_the_check(name: str) -> None:
    for verdict in (
        Verdict(Action.PASS, "spf", "fine", headers=(Header(name, "x"),)),
        Verdict(Action.PASS, "spf", "fine", changes=(Change(name, 1, "x"),)),
    ):
        check = listener()
        check.given = verdict
        assert Bench(check).verdict() == Verdict(Action.PASS, "spf", FAILED, results=TEMPERROR)


def test_closing_never_raises_and_a_bug_there_is_told(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(listener().raises("close")).hear()
    assert bench.verdict().reason == "fine"
    bench.examination.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert len(bench.failures) == 1


def test_a_bug_while_closing_after_a_bug_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    check = listener()

    def at(event: str) -> None:
        if event in ("body", "close"):
            raise ZeroDivisionError

    check.at = at
    bench = Bench(check).hear()
    assert bench.verdict().reason == FAILED
    bench.examination.close()
    assert len(bench.failures) == 2


def test_a_bug_about_a_recipient_is_on_errors_to_decide_and_the_message_is_judged_all_the_same() -> None:
    check = listener().raises("recipient")
    bench = Bench(check, "defer")
    refused = asyncio.run(bench.examination.recipient("anna@caio.it"))
    assert refused
    assert (refused.action, refused.reason) == (Action.DEFER, FAILED)
    ((_, facts),) = bench.failures
    assert facts.envelope.recipient == "anna@caio.it"
    assert bench.hear().verdict() is check.given


def test_a_store_that_fails_is_a_warning_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    check = listener()

    def at(event: str) -> None:
        if event == "end_of_headers":
            raise StoreError("the disk is full")

    check.at = at
    Bench(check).hear().verdict()
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.WARNING, None)]


def test_in_rehearsal_results_are_told_whichever_field_tells_them() -> None:
    verdict = Verdict(
        Action.REJECT, "spf", "fail", headers=(Header("Received-SPF", "fail"), Header("X-Spam", "yes")),
        results=(AuthResult("spf", "fail"),),
    )  # fmt: skip
    told = rehearsed(verdict, ("Received-SPF",))
    assert (told.action, told.headers, told.results) == (Action.PASS, verdict.headers[:1], verdict.results)


def test_in_rehearsal_the_verdict_of_a_check_is_what_it_would_have_been() -> None:
    check = listener()
    check.given = Verdict(Action.REJECT, "spf", "fail", headers=(Header("X", "y"),))
    verdict = Bench(check, mode="rehearse").hear().verdict()
    assert (verdict.action, verdict.rehearsed, verdict.headers) == (Action.PASS, Action.REJECT, ())
