"""The check at work: what it asks of messages, when it makes a task, what it leaves behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vaglio.checks.spf.check import Context, Spf
from vaglio.checks.spf.settings import SpfSettings
from vaglio.dns.zonefile import Zone, parse_lines
from vaglio.examination import Message, Needs
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.ports import Answer

FACTS = Facts(
    client_of("192.0.2.7"), Envelope("tizio@tizio.it", "caio@caio.it"), Session(Stage.MAIL, "mail.tizio.it")
)
ZONE = "tizio.it TXT v=spf1 ip4:192.0.2.7 -all"


class Clock:
    def now(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


class Dns:
    def __init__(self, zone: str, at_hand: bool) -> None:
        self._zone, self._at_hand = Zone(parse_lines(zone)), at_hand
        self.let_go = asyncio.Event()
        self.asked: list[str] = []

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        return self._zone(name, rrtype) if self._at_hand else None

    async def lookup(self, name: str, rrtype: str) -> Answer:
        self.asked.append(name)
        await self.let_go.wait()
        return self._zone(name, rrtype)


def check(dns: Dns, **settings: Any) -> Spf:
    context = Context(Clock(), dns, lambda: "REF", lambda domain: "en", "mx.caio.it", print, lambda *_: None)
    return Spf(SpfSettings.model_validate(settings), context)


def message() -> Message:
    return Message(FACTS, ("caio@caio.it",))


@pytest.mark.parametrize(
    ("settings", "needs"),
    [
        ({}, Needs.NOTHING),
        ({"mail_from": {"permerror": "reject"}}, Needs.NOTHING),
        ({"mail_from": {"fail": "reject"}}, Needs.HEADERS),
        ({"mail_from": {"fail": "reject"}, "defer_to_dmarc": False}, Needs.NOTHING),
        ({"relays": ["203.0.113.0/24"]}, Needs.HEADERS),
        ({"rule": [{"clients": ["192.0.2.0/24"]}]}, Needs.NOTHING),
        ({"rule": [{"recipients": ["a@"]}]}, Needs.RECIPIENTS),
        ({"rule": [{"recipients": ["a@"], "helo": {"fail": "defer"}}]}, Needs.RECIPIENTS | Needs.HEADERS),
    ],
)
def test_it_asks_for_no_more_than_the_settings_need(settings: dict[str, Any], needs: Needs) -> None:
    async def make() -> Spf:
        return check(Dns("", True), **settings)

    assert asyncio.run(make()).needs == needs


def test_a_message_whose_answers_are_at_hand_makes_no_task() -> None:
    async def play() -> None:
        examination = check(Dns(ZONE, True)).examine(FACTS)
        work = examination.verdict(message())
        with pytest.raises(StopIteration) as done:
            work.send(None)
        assert done.value.value.reason == "pass"
        assert len(asyncio.all_tasks()) == 1
        examination.close()

    asyncio.run(play())


def test_look_ups_begin_at_mail() -> None:
    async def play() -> None:
        dns = Dns(ZONE, False)
        examination = check(dns).examine(FACTS)
        assert sorted(dns.asked) == ["mail.tizio.it", "tizio.it"]
        dns.let_go.set()
        assert (await examination.verdict(message())).reason == "pass"
        examination.close()

    asyncio.run(play())


def test_a_message_that_is_given_up_leaves_nothing_behind() -> None:
    async def play() -> None:
        dns = Dns(ZONE, False)
        examination = check(dns).examine(FACTS)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) > 1
        examination.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(play())


def test_who_gives_up_at_rcpt_does_not_end_the_look_ups() -> None:
    async def play() -> None:
        dns = Dns(ZONE, False)
        examination = check(dns, rule=[{"recipients": ["caio@caio.it"]}]).examine(FACTS)
        asked = asyncio.create_task(examination.recipient("caio@caio.it"))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        dns.let_go.set()
        assert (await examination.verdict(message())).reason == "pass"
        examination.close()

    asyncio.run(play())


def test_mail_of_a_relay_waits_for_its_headers() -> None:
    async def play() -> None:
        dns = Dns(ZONE, True)
        facts = FACTS._replace(client=client_of("203.0.113.25"))
        examination = check(dns, relays=["203.0.113.25"]).examine(facts)
        verdict = await examination.verdict(Message(facts, ("caio@caio.it",)))
        assert (verdict.reason, verdict.facts["problem"]) == ("relay-unreadable", "the mail server gave no headers")
        examination.close()

    asyncio.run(play())
