"""The failure policy: a client always gets an answer, whatever the check does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import pytest

from vaglio.daemon.guard import TROUBLE, Guard
from vaglio.eager import Rest, start
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.ports import StoreError
from vaglio.verdict import FAILED, TIMED_OUT, Action, Header, Reply, Verdict

FACTS = Facts(client_of("192.0.2.1"), Envelope("a@tizio.it", "b@caio.it"), Session(Stage.RCPT))
PASS = Verdict(Action.PASS, "greylist", "known", headers=(Header("X-Greylist", "delayed"),))
DEFER = Verdict(
    Action.DEFER, "greylist", "first", Reply(450, "4.7.1", "come back"), facts={"delay": 300}, ref="G7K2-9QFD"
)
Check = Callable[[Facts], Coroutine[Any, Any, Verdict]]


class Bench:
    """A guard with a hand-set clock that notes what the hook was told."""

    def __init__(
        self,
        check: Check,
        on_error: Literal["pass", "defer"] = "pass",
        mode: Literal["enforce", "rehearse"] = "enforce",
        deadline: float = 5,
    ) -> None:
        self.failures: list[BaseException | None] = []
        self.time = 0.0
        self.check = check
        self.guard = Guard("greylist", on_error, mode, deadline, self._hook, lambda: self.time)

    def _hook(self, error: BaseException | None, facts: Facts) -> None:
        assert facts is FACTS
        self.failures.append(error)

    def ask(self) -> Coroutine[Any, Any, Verdict]:
        return self.guard(FACTS, self.check, FACTS)

    def answer(self) -> Verdict:
        async def ask() -> Verdict:
            return await self.ask()

        return asyncio.run(ask())


def giving(verdict: Verdict) -> Check:
    async def check(facts: Facts) -> Verdict:
        return verdict

    return check


def raising(error: Exception) -> Check:
    async def check(facts: Facts) -> Verdict:
        raise error

    return check


async def never(facts: Facts) -> Verdict:
    await asyncio.Event().wait()
    raise AssertionError


def test_a_verdict_is_passed_on_as_it_is() -> None:
    assert Bench(giving(DEFER)).answer() is DEFER
    assert Bench(giving(PASS)).answer() is PASS


def test_a_check_that_need_not_wait_is_answered_without_a_task_or_a_loop() -> None:
    assert start(Bench(giving(DEFER)).ask()) is DEFER


def test_a_check_that_waits_is_finished_in_the_task_its_driver_makes() -> None:
    async def check(facts: Facts) -> Verdict:
        for _ in range(3):
            await asyncio.sleep(0)
        async with asyncio.timeout(1):  # possible, since it is in a task by now
            await asyncio.sleep(0.001)
        return DEFER

    async def drive() -> None:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Verdict] = loop.create_future()

        def in_a_callback() -> None:  # as policy/serve.py does: no current task
            rest = start(Bench(check).ask())
            assert isinstance(rest, Rest)

            async def finish() -> None:
                outcome.set_result(await rest)

            tasks.append(loop.create_task(finish()))

        tasks: list[asyncio.Task[None]] = []
        loop.call_soon(in_a_callback)
        assert await outcome is DEFER

    asyncio.run(drive())


def test_the_deadline_holds_for_the_very_first_wait_of_a_check_driven_outside_of_a_task() -> None:
    async def drive() -> Verdict:
        bench = Bench(never, deadline=0.01)
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[Rest[Verdict] | Verdict] = loop.create_future()
        loop.call_soon(lambda: begun.set_result(start(bench.ask())))
        rest = await begun
        assert isinstance(rest, Rest)

        async def finish() -> Verdict:
            return await rest

        return await loop.create_task(finish())

    assert asyncio.run(drive()) == Verdict(Action.PASS, "greylist", TIMED_OUT)


def test_a_missed_deadline_is_the_failure_policys_verdict(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(never, on_error="defer", deadline=0.01)
    assert bench.answer() == Verdict(Action.DEFER, "greylist", TIMED_OUT, TROUBLE)
    assert bench.failures == [None]
    assert [(r.levelname, r.exc_info) for r in caplog.records] == [("WARNING", None)]
    assert "no answer within 0.01 s" in caplog.text


def test_a_late_check_gets_to_tidy_up() -> None:
    tidied = []

    async def check(facts: Facts) -> Verdict:
        try:
            return await never(facts)
        finally:
            tidied.append(True)

    Bench(check, deadline=0.01).answer()
    assert tidied


def test_a_timeout_of_the_check_itself_is_a_bug_and_not_a_missed_deadline() -> None:
    async def check(facts: Facts) -> Verdict:
        await asyncio.sleep(0)
        raise TimeoutError

    bench = Bench(check)
    assert bench.answer().reason == FAILED
    assert isinstance(bench.failures[0], TimeoutError)


@pytest.mark.parametrize("turns", range(6))
def test_a_cancelled_answer_is_cancelled_at_whatever_moment_and_the_check_tidies_up(turns: int) -> None:
    tidied = []

    async def check(facts: Facts) -> Verdict:
        try:
            return await never(facts)
        finally:
            tidied.append(True)

    async def drive() -> None:
        bench = Bench(check)
        task = asyncio.create_task(bench.ask())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        assert bench.failures == []

    asyncio.run(drive())
    assert len(tidied) == min(turns, 1)


def test_a_bug_is_logged_with_its_traceback_and_lets_the_mail_through(caplog: pytest.LogCaptureFixture) -> None:
    error = ZeroDivisionError("division by zero")
    bench = Bench(raising(error))
    assert bench.answer() == Verdict(Action.PASS, "greylist", FAILED)
    assert bench.failures == [error]
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info
    assert record.exc_info[1] is error


def test_a_bug_defers_where_the_admin_wants_that() -> None:
    verdict = Bench(raising(ValueError()), on_error="defer").answer()
    assert verdict == Verdict(Action.DEFER, "greylist", FAILED, TROUBLE)
    assert TROUBLE.code == 451
    assert verdict.journalled


def test_a_check_that_is_no_coroutine_function_is_a_bug_like_any_other() -> None:
    def check(facts: Facts) -> Coroutine[Any, Any, Verdict]:
        raise TypeError("not even a coroutine")

    assert Bench(check).answer().reason == FAILED


def test_a_store_error_is_one_line_without_traceback(caplog: pytest.LogCaptureFixture) -> None:
    error = StoreError("the disk is full")
    bench = Bench(raising(error))
    assert bench.answer().reason == FAILED
    assert bench.failures == [error]
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert "the disk is full" in record.getMessage()


def test_the_same_failure_is_logged_once_a_minute_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(raising(ValueError("x")))
    for _ in range(5):
        bench.answer()
    assert len(caplog.records) == 1
    assert len(bench.failures) == 5
    bench.time = 61
    bench.answer()
    assert len(caplog.records) == 2
    assert "4 more like it" in caplog.records[1].getMessage()


def test_another_failure_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = [ValueError(), KeyError(), StoreError("x")]

    async def check(facts: Facts) -> Verdict:
        raise errors.pop()

    bench = Bench(check)
    for _ in range(3):
        bench.answer()
    assert [r.levelno for r in caplog.records] == [logging.WARNING, logging.ERROR, logging.ERROR]


def test_a_failed_commit_is_judged_like_a_failed_check() -> None:
    bench = Bench(giving(PASS), on_error="defer")
    error = StoreError("the disk is full")
    assert bench.guard.failed(FACTS, error) == Verdict(Action.DEFER, "greylist", FAILED, TROUBLE)
    assert bench.failures == [error]


def test_a_rehearsal_passes_and_keeps_what_would_have_been_done() -> None:
    verdict = Bench(giving(DEFER), mode="rehearse").answer()
    assert (verdict.action, verdict.rehearsed, verdict.reply, verdict.headers) == (Action.PASS, Action.DEFER, None, ())
    assert (verdict.reason, verdict.ref, verdict.facts["delay"]) == ("first", "G7K2-9QFD", 300)
    assert verdict.journalled


def test_a_rehearsal_leaves_no_header_on_the_mail_and_says_that_one_would_have_come() -> None:
    verdict = Bench(giving(PASS), mode="rehearse").answer()
    assert verdict == Verdict(Action.PASS, "greylist", "known", facts={"rehearsal": True})
    assert not verdict.journalled
    plain = Bench(giving(PASS._replace(headers=())), mode="rehearse").answer()
    assert not plain.facts


def test_a_rehearsal_passes_mail_even_when_it_fails() -> None:
    bench = Bench(raising(ValueError()), on_error="defer", mode="rehearse")
    assert (bench.answer().action, bench.answer().rehearsed) == (Action.PASS, Action.DEFER)
    assert bench.guard.failed(FACTS, StoreError("x")).action is Action.PASS
