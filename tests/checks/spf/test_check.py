"""The check at work: what it asks of messages, when it makes a task, what it leaves behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vaglio.checks.spf.check import Context, Spf
from vaglio.checks.spf.settings import SpfSettings
from vaglio.dns.zonefile import Zone, parse_lines
from vaglio.examination import Field, Message, Needs
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.ports import Answer
from vaglio.verdict import Action

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


class Deaf(Dns):
    """Knows all at once, but of names below ``slow``, which never answer."""

    def __init__(self, zone: str, *slow: str) -> None:
        super().__init__(zone, False)
        self._slow = slow
        self.waiting = self.most = 0
        self.let_go.set()

    async def lookup(self, name: str, rrtype: str) -> Answer:
        if name.endswith(self._slow):
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            try:
                await asyncio.sleep(60)
            finally:
                self.waiting -= 1
        return await super().lookup(name, rrtype)


def test_a_slow_helo_name_does_not_keep_a_recipient_from_being_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaglio.checks.spf.check._AT_RCPT", 0.01)

    async def play() -> None:
        dns = Deaf("tizio.it TXT v=spf1 -all", "mail.tizio.it")
        examination = check(dns, rule=[{"recipients": ["caio@"], "mail_from": {"no_mail": "reject"}}]).examine(FACTS)
        answer = await examination.recipient("caio@caio.it")
        assert answer is not None
        assert (answer.action, answer.reason) == (Action.REJECT, "no-mail")
        examination.close()

    asyncio.run(play())


HEADERS = (Field(b"From", b" tizio@tizio.it"),)


@pytest.mark.parametrize(
    ("slow", "wanted"),
    [
        (("_dmarc.tizio.it",), (Action.DEFER, "fail", {"dmarc_unknown": "tizio.it"})),
        (("caio.it",), (Action.PASS, "left-to-dmarc", {"author": "tizio.it", "dmarc": "reject"})),
        (("caio.it", "_dmarc.tizio.it"), (Action.DEFER, "fail", {"dmarc_unknown": "tizio.it"})),
    ],
)
def test_late_circumstances_cost_themselves_and_are_waited_for_side_by_side(
    slow: tuple[str, ...], wanted: tuple[Action, str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vaglio.checks.spf.check.CIRCUMSTANCES", 0.02)

    async def play() -> None:
        dns = Deaf("tizio.it TXT v=spf1 ip4:198.51.100.1 -all\n_dmarc.tizio.it TXT v=DMARC1; p=reject", *slow)
        examination = check(dns, mail_from={"fail": "reject"}).examine(FACTS)
        verdict = await examination.verdict(message()._replace(headers=HEADERS))
        assert dns.most == len(slow)
        action, reason, facts = wanted
        assert (verdict.action, verdict.reason) == (action, reason)
        assert facts.items() <= verdict.facts.items()
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
