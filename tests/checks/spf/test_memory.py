"""Evaluations that are kept: they hold for whom they were made, as long as the answers do, and no longer."""

from __future__ import annotations

import asyncio

from vaglio.checks.spf.domain import ask_mail_from
from vaglio.checks.spf.evaluate import Limits, evaluate
from vaglio.checks.spf.memory import Memory
from vaglio.checks.spf.outcome import Evaluation, Result
from vaglio.ports import NXDOMAIN, Answer, Outcome

CLIENT, STRANGER = "192.0.2.25", "198.51.100.66"


class Known:
    """A resolver with answers at hand, which counts how often they are looked at."""

    def __init__(self, **records: str) -> None:
        self.asked: list[str] = []
        self.answers = {(name.replace("_", "."), "TXT"): Answer(Outcome.OK, (text,)) for name, text in records.items()}

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        self.asked.append(name)
        return self.answers.get((name, rrtype), NXDOMAIN)

    async def lookup(self, name: str, rrtype: str) -> Answer:
        raise AssertionError


def judge(known: Known, memory: Memory, sender: str, address: str = CLIENT) -> Evaluation:
    question = ask_mail_from(address, sender, "mail.tizio.it")
    [found] = asyncio.run(evaluate([question], known, Limits(), "mail.caio.it", 0, memory=memory))
    return found


def test_an_evaluation_holds_for_another_sender_of_the_domain() -> None:
    known, memory = Known(tizio_it="v=spf1 ip4:192.0.2.0/24 -all"), Memory()
    first = judge(known, memory, "anna@tizio.it")
    again = judge(known, memory, "tizio@tizio.it")
    assert (first.result, again.result, again.mechanism) == (Result.PASS, Result.PASS, first.mechanism)
    assert again.question.sender == "tizio@tizio.it"
    assert known.asked == ["tizio.it"] * 2, "once to evaluate, once to see whether it still holds"


def test_it_does_not_hold_for_another_client_or_domain() -> None:
    known, memory = Known(tizio_it="v=spf1 ip4:192.0.2.0/24 -all", other_it="v=spf1 -all"), Memory()
    assert judge(known, memory, "anna@tizio.it").result is Result.PASS
    assert judge(known, memory, "anna@tizio.it", STRANGER).result is Result.FAIL
    assert judge(known, memory, "anna@other.it").result is Result.FAIL


def test_it_ends_with_any_answer_that_it_rests_on() -> None:
    known, memory = Known(tizio_it="v=spf1 include:esp.it -all", esp_it="v=spf1 ip4:192.0.2.0/24"), Memory()
    assert judge(known, memory, "anna@tizio.it").result is Result.PASS
    known.answers["esp.it", "TXT"] = Answer(Outcome.OK, ("v=spf1 ip4:203.0.113.0/24",))
    assert judge(known, memory, "anna@tizio.it").result is Result.FAIL


def test_an_answer_that_was_nothing_counts_as_well() -> None:
    known, memory = Known(tizio_it="v=spf1 a:mail.tizio.it -all"), Memory()
    assert judge(known, memory, "anna@tizio.it").result is Result.FAIL
    known.answers["mail.tizio.it", "A"] = Answer(Outcome.OK, (CLIENT,))
    assert judge(known, memory, "anna@tizio.it").result is Result.PASS


def test_where_macros_tell_senders_apart_nothing_is_kept() -> None:
    known, memory = Known(tizio_it="v=spf1 exists:%{l}.ok.tizio.it -all"), Memory()
    known.answers["anna.ok.tizio.it", "A"] = Answer(Outcome.OK, ("127.0.0.2",))
    assert judge(known, memory, "anna@tizio.it").result is Result.PASS
    assert judge(known, memory, "mallory@tizio.it").result is Result.FAIL


def test_it_does_not_grow_beyond_its_bound() -> None:
    known, memory = Known(), Memory()
    memory.MOST = 3
    for number in range(10):
        judge(known, memory, f"anna@d{number}.example")
    assert len(memory._kept) <= 3


class Cold(Known):
    """Nothing is at hand before it was asked for."""

    def __init__(self, known: Known) -> None:
        super().__init__()
        self.answers = known.answers
        self.learned: set[tuple[str, str]] = set()

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        return super().at_hand(name, rrtype) if (name, rrtype) in self.learned else None

    async def lookup(self, name: str, rrtype: str) -> Answer:
        self.learned.add((name, rrtype))
        return self.answers.get((name, rrtype), NXDOMAIN)


def test_nothing_is_kept_of_macros_either_where_the_answers_came_later() -> None:
    known, memory = Known(tizio_it="v=spf1 exists:%{l}.ok.tizio.it -all"), Memory()
    known.answers["anna.ok.tizio.it", "A"] = Answer(Outcome.OK, ("127.0.0.2",))
    cold = Cold(known)
    assert judge(cold, memory, "anna@tizio.it").result is Result.PASS
    assert judge(cold, memory, "mallory@tizio.it").result is Result.FAIL
