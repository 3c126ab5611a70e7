from __future__ import annotations

import asyncio

import pytest

from vaglio.blocklists.answers import Trouble, compiled
from vaglio.blocklists.health import Health
from vaglio.checks.dnsbl.asking import Panel
from vaglio.checks.dnsbl.settings import DnsblSettings, ListSettings
from vaglio.checks.dnsbl.waiting import BACKGROUND, Findings
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.ports import NXDOMAIN, Answer, Outcome

FACTS = Facts(client_of("192.0.2.7"), Envelope("tizio@tizio.it", "caio@caio.it"), Session(Stage.RCPT))


class HeldDns:
    """Answers when the test says so: ``answers`` by zone, a future for each."""

    def __init__(self) -> None:
        self.held: dict[str, asyncio.Future[Answer]] = {}

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        return None

    async def lookup(self, name: str, rrtype: str) -> Answer:
        zone = name.removeprefix("7.2.0.192.")
        return await self.held.setdefault(zone, asyncio.get_running_loop().create_future())

    def answer(self, zone: str, answer: Answer) -> None:
        self.held[zone].set_result(answer)


def panel(dns: HeldDns, timeout: float = 60.0, **weights: float) -> Panel:
    settings = DnsblSettings().model_copy(update={"lookup_timeout": timeout})
    lists = [compiled(ListSettings(name=name, zone=f"{name}.test", weight=weight)) for name, weight in weights.items()]
    return Panel(settings, lists, dns, Health(lists, 3), "mail.caio.it", lambda: 0.0)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_the_verdict_does_not_wait_for_what_can_not_change_it() -> None:
    async def play() -> None:
        dns, findings = HeldDns(), Findings()
        asked = asyncio.create_task(panel(dns, sure=5, small=1).ask(FACTS, findings))
        await turns()
        assert not asked.done()
        dns.answer("sure.test", Answer(Outcome.OK, ("127.0.0.2",)))
        await asked
        assert [hit.name for hit in findings.hits] == ["sure"]
        assert not findings.complete
        late = asyncio.Event()
        findings.then = late.set
        dns.answer("small.test", Answer(Outcome.OK, ("127.0.0.2",)))
        await late.wait()
        assert [hit.name for hit in findings.hits] == ["sure", "small"]

    asyncio.run(play())


def test_an_allow_list_that_could_outweigh_is_waited_for() -> None:
    async def play() -> None:
        dns, findings = HeldDns(), Findings()
        asked = asyncio.create_task(panel(dns, sure=5, good=-5).ask(FACTS, findings))
        await turns()
        dns.answer("sure.test", Answer(Outcome.OK, ("127.0.0.2",)))
        await turns()
        assert not asked.done()
        dns.answer("good.test", NXDOMAIN)
        await asked

    asyncio.run(play())


def test_a_list_that_answers_too_late_again_and_again_is_suspended_however_good_the_late_answers() -> None:
    async def play() -> None:
        dns = HeldDns()
        asked = panel(dns, 0.05, bl=5)  # shorter than an admin may set, so that the test need not wait
        for _ in range(3):
            findings = Findings()
            await asyncio.wait_for(asked.ask(FACTS, findings), 30)
            assert findings.trouble == {"bl": Trouble.SILENT}
            dns.answer("bl.test", NXDOMAIN)
            await turns()
            dns.held.clear()
        assert asked.names == frozenset()
        findings = Findings()
        await asked.ask(FACTS, findings)
        assert dns.held == {}
        assert findings.complete

    asyncio.run(play())


def test_a_list_that_refuses_us_is_not_taken_for_a_silent_one() -> None:
    async def play() -> None:
        dns, findings = HeldDns(), Findings()
        asked = asyncio.create_task(panel(dns, bl=5, mute=5).ask(FACTS, findings))
        await turns()
        dns.answer("bl.test", Answer(Outcome.OK, ("127.255.255.254",)))
        dns.answer("mute.test", Answer(Outcome.TEMPERROR, why="timeout"))
        await asked
        assert findings.trouble == {"bl": Trouble.REFUSES_US, "mute": Trouble.SILENT}

    asyncio.run(play())


def test_a_bug_in_a_look_up_reaches_whoever_asked() -> None:
    class Broken(HeldDns):
        async def lookup(self, name: str, rrtype: str) -> Answer:
            raise ZeroDivisionError

    async def play() -> None:
        await panel(Broken(), bl=5).ask(FACTS, Findings())

    with pytest.raises(ZeroDivisionError):
        asyncio.run(play())


def test_questions_that_nobody_waits_for_are_bounded_and_those_that_somebody_waits_for_are_not_given_up() -> None:
    async def play() -> None:
        dns = HeldDns()
        lists = panel(dns, small=0.5)  # less than any threshold: never waited for
        important = Findings()
        waiting = asyncio.create_task(panel(dns, bl=5).ask(FACTS, important))
        await turns()
        for _ in range(BACKGROUND + 50):
            await lists.ask(FACTS, Findings())
        await turns()
        others = asyncio.all_tasks() - {asyncio.current_task(), waiting}
        assert len(others) <= BACKGROUND + 1
        dns.answer("bl.test", Answer(Outcome.OK, ("127.0.0.2",)))
        await waiting
        assert [hit.name for hit in important.hits] == ["bl"]
        dns.answer("small.test", NXDOMAIN)
        await turns(5)

    asyncio.run(play())


def test_many_requests_at_once_all_hear_their_allow_list() -> None:
    async def play() -> None:
        dns = HeldDns()
        lists = panel(dns, bl=5, wl=-10, **{f"l{n}": 1.0 for n in range(6)})
        requests = [Findings() for _ in range(100)]
        waiting = [asyncio.create_task(lists.ask(FACTS, findings)) for findings in requests]
        await turns()
        dns.answer("bl.test", Answer(Outcome.OK, ("127.0.0.2",)))
        await turns()
        dns.answer("wl.test", Answer(Outcome.OK, ("127.0.0.2",)))
        for number in range(6):
            dns.answer(f"l{number}.test", NXDOMAIN)
        await asyncio.gather(*waiting)
        assert {frozenset(hit.name for hit in findings.hits) for findings in requests} == {frozenset({"bl", "wl"})}

    asyncio.run(play())
