"""Checks that are hosted together: what they need, what they are told of each other, and what one that fails costs."""

from __future__ import annotations

import asyncio
from typing import Literal

from tests.milter.fakes import MANNER, Hosting, Listener
from vaglio.daemon.guard import Guard, GuardedCheck
from vaglio.examination import Message, Needs
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.milter.host import Host, Manner
from vaglio.verdict import FAILED, TIMED_OUT, Action, AuthResult, Reply, Verdict

FACTS = Facts(client_of("192.0.2.1"), Envelope("a@tizio.it", ""), Session(Stage.MAIL))
MESSAGE = Message(FACTS, ("anna@caio.it",))
REJECT = Verdict(Action.REJECT, "one", "bad", Reply(550, "5.7.1", "go away"))


def judged(*checks: Listener) -> Verdict:
    host = Hosting(*checks).host
    return asyncio.run(host.judge(host.examine(FACTS), MESSAGE))


class Guarded:
    """A host whose checks are guarded as a daemon's are; ``failures`` tells of which check failed at what."""

    def __init__(
        self, *checks: Listener, on_error: Literal["pass", "defer"] = "pass", deadline: float = 5, whole: float = 5,
    ) -> None:  # fmt: skip
        self.failures: list[BaseException | None] = []
        guarded = [GuardedCheck(one, self._guard(one.name, on_error, deadline)) for one in checks]
        outer = self._guard("chain", "defer", whole)
        self.host = Host(guarded, outer, outer, lambda *_: None, MANNER)

    def _guard(self, name: str, on_error: Literal["pass", "defer"], deadline: float) -> Guard:
        return Guard(name, on_error, "enforce", deadline, lambda error, facts: self.failures.append(error))

    def judge(self) -> Verdict:
        return asyncio.run(self.host.judge(self.host.examine(FACTS), MESSAGE))

    def judge_recipient(self, address: str = "anna@caio.it") -> Verdict:
        facts = FACTS._replace(envelope=FACTS.envelope._replace(recipient=address))
        return asyncio.run(self.host.judge_recipient(self.host.examine(FACTS), facts))


async def never(message: Message) -> Verdict:
    await asyncio.Event().wait()
    raise AssertionError


def passing(name: str) -> Listener:
    check = Listener(name)
    check.given = Verdict(Action.PASS, name, "fine", results=(AuthResult(name, "pass"),), facts={"domain": "tizio.it"})
    return check


def test_a_host_needs_what_its_checks_need_and_headers_to_find_forgeries_in() -> None:
    assert Hosting(Listener(needs=Needs.CHUNKS), Listener(needs=Needs.BODY)).host.needs == (
        Needs.CHUNKS | Needs.BODY | Needs.HEADERS
    )
    assert Hosting(manner=Manner("mx.caio.it", forged=False)).host.needs == Needs.NOTHING


def test_checks_are_told_the_verdicts_of_those_before_them_in_their_order() -> None:
    checks = [Listener("a"), Listener("b"), Listener("c")]
    judged(*checks)
    assert [list(one.last.messages[0].earlier) for one in checks] == [[], ["a"], ["a", "b"]]


def test_the_strongest_verdict_is_that_of_the_message_and_every_check_is_asked() -> None:
    first, second = Listener("a"), Listener("b")
    first.given = REJECT
    found = judged(first, second)
    assert (found.action, found.check, found.facts["decided_by"]) == (Action.REJECT, "chain", "one")
    assert second.last.calls == ["verdict"]


def test_a_host_without_checks_passes() -> None:
    assert judged().action is Action.PASS


def test_a_check_that_fails_leaves_the_results_of_the_others() -> None:
    hosting = Guarded(passing("a"), Listener("b", methods=("x", "y")).raises("verdict"), passing("c"))
    found = hosting.judge()
    assert [(one.method, one.result) for one in found.results] == [
        ("a", "pass"), ("x", "temperror"), ("y", "temperror"), ("c", "pass"),
    ]  # fmt: skip
    assert found.action is Action.PASS
    assert found.facts["b.reason"] == FAILED
    assert found.facts["c.domain"] == "tizio.it"
    assert [str(error) for error in hosting.failures] == ["in verdict"]


def test_a_check_that_is_late_costs_its_own_result_and_the_others_are_asked_after_it() -> None:
    slow = Listener("b", methods=("b",))
    slow.judge = never  # type: ignore[method-assign]
    found = Guarded(passing("a"), slow, passing("c"), deadline=0.02).judge()
    assert [(one.method, one.result) for one in found.results] == [("a", "pass"), ("b", "temperror"), ("c", "pass")]
    assert found.facts["b.reason"] == TIMED_OUT


def test_all_checks_together_have_a_deadline_too() -> None:
    slow = Listener("b")
    slow.judge = never  # type: ignore[method-assign]
    found = Guarded(passing("a"), slow, whole=0.02).judge()
    assert (found.action, found.check, found.reason) == (Action.DEFER, "chain", TIMED_OUT)


def test_a_check_that_fails_defers_the_message_where_the_admin_wants_that() -> None:
    found = Guarded(passing("a"), Listener("b").raises("verdict"), on_error="defer").judge()
    assert (found.action, found.facts["decided_by"]) == (Action.DEFER, "b")


# --- recipients ---


def opinion(name: str, verdict: Verdict | None) -> Listener:
    check = Listener(name)
    check.of_recipient = lambda recipient: verdict
    return check


def test_the_first_refusal_of_a_recipient_counts_and_ends_the_asking() -> None:
    checks = [opinion("a", None), opinion("b", REJECT), opinion("c", REJECT)]
    assert Guarded(*checks).judge_recipient() == REJECT
    assert [one.last.calls for one in checks] == [["recipient"], ["recipient"], []]


def test_a_recipient_against_whom_nobody_has_anything_is_let_in() -> None:
    for verdict in (None, Verdict(Action.PASS, "one", "fine"), Verdict(Action.HOLD, "one", "odd")):
        found = Guarded(opinion("a", verdict)).judge_recipient()
        assert found.action is Action.PASS
        assert not found.journalled


def test_a_refusal_counts_behind_one_that_is_only_rehearsed() -> None:
    rehearsed = Verdict(Action.PASS, "a", "bad", rehearsed=Action.REJECT)
    assert Guarded(opinion("a", rehearsed), opinion("b", REJECT)).judge_recipient() == REJECT
    assert Guarded(opinion("a", rehearsed), opinion("b", None)).judge_recipient() == rehearsed


def test_a_check_that_fails_on_a_recipient_leaves_the_others_to_judge_it() -> None:
    broken = Listener("a").raises("recipient")
    assert Guarded(broken, opinion("b", REJECT)).judge_recipient() == REJECT
    assert Guarded(broken).judge_recipient().action is Action.PASS
    assert Guarded(broken, on_error="defer").judge_recipient().action is Action.DEFER
