"""How a worker puts a milter's checks behind guards: whose settings hold for what, and how long anything may take."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from tests.milter.fakes import Listener
from vaglio.config.types import DaemonSection, MilterSection
from vaglio.daemon import milterfront
from vaglio.daemon.front import Surroundings
from vaglio.daemon.milterfront import LONGEST_AT_RCPT, LONGEST_JUDGEMENT, hosted
from vaglio.daemon.service import Hosted, Milter, Service
from vaglio.examination import Message, Needs
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.milter.host import Host, Manner
from vaglio.milter.plan import UNTOUCHED
from vaglio.turn import Turn
from vaglio.verdict import TIMED_OUT, Action, AuthResult, Header, Reply, Verdict

FACTS = Facts(client_of("192.0.2.1"), Envelope("a@tizio.it", "anna@caio.it"), Session(Stage.RCPT))
MESSAGE = Message(FACTS, ("anna@caio.it",))
REJECT = Verdict(Action.REJECT, "one", "bad", Reply(550, "5.7.1", "go away"))


def section(**settings: Any) -> MilterSection:
    return MilterSection.model_validate({"listen": ["unix:/run/x"], **settings})


def nothing(*_: object) -> None:
    pass


AROUND = Surroundings("trivial", (), Turn(), nothing, nothing, nothing, nothing, lambda _: False, lambda: "G7K2-9QFD")


def host_of(whole: MilterSection, *checks: tuple[Listener, DaemonSection], results: bool = True) -> Host:
    return hosted(Service(Milter([Hosted(*one) for one in checks], results)), whole, "mx.caio.it", AROUND)


def judged(host: Host) -> Verdict:
    return asyncio.run(host.judge(host.examine(FACTS), MESSAGE))


def never(check: Listener) -> Listener:
    async def judge(message: Message) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError

    check.judge = judge  # type: ignore[method-assign]
    return check


def refusing() -> Listener:
    check = Listener()
    check.given = REJECT
    check.of_recipient = lambda recipient: REJECT
    return check


def test_each_checks_own_section_says_what_becomes_of_its_failure() -> None:
    whole = section(on_error="pass")
    failing = Listener().raises("verdict")
    assert judged(host_of(whole, (failing, section(on_error="defer")))).action is Action.DEFER
    assert judged(host_of(section(on_error="defer"), (failing, whole))).action is Action.PASS


def test_a_check_may_rehearse_in_a_chain_that_does_not() -> None:
    found = judged(host_of(section(), (refusing(), section(mode="rehearse")), (Listener("two"), section())))
    assert (found.action, found.rehearsed) == (Action.PASS, Action.REJECT)


def test_in_a_chain_that_rehearses_nothing_is_done() -> None:
    host = host_of(section(mode="rehearse"), (refusing(), section()))
    found = judged(host)
    assert (found.action, found.rehearsed) == (Action.PASS, Action.REJECT)
    assert host.plan(found, [(b"Authentication-Results", 1)]) is UNTOUCHED
    refused = asyncio.run(host.judge_recipient(host.examine(FACTS), FACTS))
    assert (refused.action, refused.rehearsed) == (Action.PASS, Action.REJECT)


def test_no_check_takes_longer_than_its_section_or_the_chains_allows() -> None:
    for own, whole in ((0.02, 25), (25, 0.02)):
        sections = [section().model_copy(update={"deadline": deadline}) for deadline in (whole, own)]
        found = judged(host_of(sections[0], (never(Listener("a", methods=("x",))), sections[1])))
        assert (found.check, found.reason, found.results) == ("a", TIMED_OUT, (AuthResult("x", "temperror"),))


def test_all_checks_together_answer_before_the_mail_server_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LONGEST_JUDGEMENT < 300
    monkeypatch.setattr(milterfront, "LONGEST_JUDGEMENT", 0.02)
    found = judged(host_of(section(on_error="defer"), (never(Listener()), section())))
    assert (found.check, found.action, found.reason) == ("trivial", Action.DEFER, TIMED_OUT)


def test_a_recipient_is_answered_before_sendmail_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LONGEST_AT_RCPT < 10
    monkeypatch.setattr(milterfront, "LONGEST_AT_RCPT", 0.02)

    class Slow(Listener):
        def examine(self, facts: Facts) -> Any:
            heard: Any = super().examine(facts)

            async def recipient(address: str) -> Verdict | None:
                await asyncio.Event().wait()
                raise AssertionError

            heard.recipient = recipient
            return heard

    host = host_of(section(on_error="defer"), (Slow(), section()))
    found = asyncio.run(host.judge_recipient(host.examine(FACTS), FACTS))
    assert (found.action, found.reason) == (Action.DEFER, TIMED_OUT)


def test_the_sections_settings_are_the_manner_of_the_host() -> None:
    whole = section(remove_forged=False, max_scan="5 KB")
    host = host_of(whole, (Listener(needs=Needs.BODY), section()), results=False)
    assert host.needs == Needs.BODY
    assert host.manner == Manner("mx.caio.it", forged=False, results=False, max_scan=5000)


@pytest.mark.parametrize("others", [0, 1])
def test_a_message_that_could_not_be_judged_is_found_in_the_journal(others: int) -> None:
    failing = Listener().raises("verdict")
    host = host_of(section(), (failing, section()), *[(Listener("other"), section())] * others)
    verdict = judged(host)
    assert verdict.action is Action.PASS
    assert (verdict.ref, verdict.journalled) == ("G7K2-9QFD", True)


def test_a_service_lives_as_long_as_its_host() -> None:
    service = Service(Milter([]))
    alive = weakref.ref(service)
    host = hosted(service, section(), "mx.caio.it", AROUND)
    del service
    gc.collect()
    assert alive() is not None
    del host
    assert alive() is None


def test_fields_in_which_a_check_tells_its_results_are_its_own_and_told_in_rehearsal() -> None:
    check = Listener()
    check.given = REJECT._replace(headers=(Header("Received-SPF", "fail (mx.caio.it: no)"), Header("X-Spam", "yes")))
    own = Hosted(check, section(mode="rehearse"), {"Received-SPF": "mx.caio.it"})
    host = hosted(Service(Milter([own])), section(), "caio.it", AROUND)
    assert host.manner.own == {b"received-spf": "mx.caio.it"}
    assert [one.name for one in judged(host).headers] == ["Received-SPF"]
