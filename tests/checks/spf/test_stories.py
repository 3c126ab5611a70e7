"""Golden stories: who sends what through which DNS, what comes of it, in which words.

Each file in stories/ is one; add one there to add a test. ``[settings]`` is the section [spf], ``zone`` the DNS in the
form of ``[dns] zone_file``, ``[languages]`` the languages of domains of ours. A ``[[message]]`` has client, name, helo,
sender, recipients, login and headers_in (a list of "Name: value"); what is left out is as in the message before.
``want`` is "reject fail", "pass none", ...; where it matters: ``refused`` (by recipient, what RCPT is answered; those
are no recipients at the end), ``reply`` (the whole reply), ``text`` and ``nottext`` (words of it), ``results`` (as
"spf=fail smtp.mailfrom=..."), ``headers`` (whole, of Received-SPF), ``facts``, ``why`` (words of the explanation),
``alarms`` (how many), ``asked`` and ``unasked`` (questions "NAME TYPE" to the DNS), ``journalled`` (it has a
reference).

Each is played through a milter's session, as a mail server would, with the answers at hand and without.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.milter.fakes import MANNER, unguarded
from vaglio.checks.spf.check import Context, Spf
from vaglio.checks.spf.explain import explain
from vaglio.checks.spf.settings import SpfSettings
from vaglio.dns.zonefile import Zone, parse_lines
from vaglio.milter.host import Host
from vaglio.milter.session import Session
from vaglio.milter.wire import Peer
from vaglio.ports import Answer
from vaglio.verdict import Verdict

STORIES = sorted((Path(__file__).parent / "stories").glob("*.toml"))
NOW = 1_700_000_000


class FakeClock:
    time = float(NOW)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


class FakeDns:
    """Answers from the zone; ``cold``, each answer takes a turn of the loop."""

    def __init__(self, zone: str, cold: bool) -> None:
        self._zone, self._cold = Zone(parse_lines(zone)), cold
        self.asked: list[str] = []

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        if self._cold:
            return None
        self.asked.append(f"{name} {rrtype}")
        return self._zone(name, rrtype)

    async def lookup(self, name: str, rrtype: str) -> Answer:
        self.asked.append(f"{name} {rrtype}")
        if self._cold:
            await asyncio.sleep(0)
        return self._zone(name, rrtype)


class Play:
    def __init__(self, story: dict[str, Any], cold: bool) -> None:
        self.clock = FakeClock()
        self.dns = FakeDns(story.get("zone", ""), cold)
        self.alarms: list[str] = []
        refs = (f"REF-{n}" for n in itertools.count(1))
        languages = story.get("languages", {})
        context = Context(
            self.clock,
            self.dns,
            lambda: next(refs),
            lambda domain: languages.get(domain, "en"),
            "mx.caio.it",
            lambda text: None,
            lambda subject, text, details: self.alarms.append(f"{subject}: {text}"),
        )
        check = Spf(SpfSettings.model_validate(story.get("settings", {})), context)
        self.verdicts: list[Verdict] = []
        self.host = Host([check], unguarded, unguarded, lambda _, verdict, __: self.verdicts.append(verdict), MANNER)

    async def send(self, told: dict[str, Any], where: str) -> None:
        self.dns.asked.clear()
        self.alarms.clear()
        if "at" in told:
            self.clock.time = NOW + told["at"]
        session = Session(lambda: self.host, lambda: 0.0)
        session.connect(peer_of(told.get("client", "192.0.2.7"), told.get("name", "")), {})
        session.helo(raw(told.get("helo", "mail.tizio.it")))
        macros = {b"{auth_authen}": raw(login)} if (login := told.get("login", "")) else {}
        session.mail([b"<" + raw(told.get("sender", "tizio@tizio.it")) + b">"], macros)
        try:
            answers = {one: await session.recipient([raw(one)]) for one in told.get("recipients", ["caio@caio.it"])}
            refused = {one: answer for one, answer in answers.items() if answer}
            assert refused.keys() == told.get("refused", {}).keys(), (where, refused)
            for recipient, words in told.get("refused", {}).items():
                assert words in refused[recipient], (where, refused)
            if len(refused) == len(answers):
                return
            for line in told.get("headers_in", []):
                name, _, value = raw(line).partition(b":")
                session.header(name, value)
            session.end_of_headers()
            await session.end_of_message({})
            verdict = self.verdicts[-1]
        finally:
            session.close()
        self.compare(told, verdict, where)

    def compare(self, told: dict[str, Any], verdict: Verdict, where: str) -> None:
        assert f"{verdict.action} {verdict.reason}" == told["want"], (where, verdict)
        spoken = verdict.spoken
        if "reply" in told:
            assert spoken == told["reply"], (where, spoken)
        for words in told.get("text", ()):
            assert words in spoken, (where, spoken)
        for words in told.get("nottext", ()):
            assert words not in spoken, (where, spoken)
        if "results" in told:
            results = [
                f"{one.method}={one.result} {' '.join('='.join(pair) for pair in one.properties)}"
                for one in verdict.results
            ]
            assert results == told["results"], where
        if "headers" in told:
            assert [f"{header.name}: {header.value}" for header in verdict.headers] == told["headers"], where
        for name, value in told.get("facts", {}).items():
            assert verdict.facts.get(name, "") == value, (where, name, dict(verdict.facts))
        why = "\n".join(explain(verdict.reason, verdict.facts, told.get("language", "en"), False))
        for words in told.get("why", ()):
            assert words in why, (where, why)
        assert not re.search(r"(?:^|[ (])\?", why), (where, why)  # a fact that is not there
        if "alarms" in told:
            assert len(self.alarms) == len(told["alarms"]), (where, self.alarms)
            for words, alarm in zip(told["alarms"], self.alarms, strict=True):
                assert words in alarm, (where, alarm)
        if "journalled" in told:
            assert verdict.journalled == told["journalled"], where
        for question in told.get("asked", ()):
            assert question in self.dns.asked, (where, question, self.dns.asked)
        for question in told.get("unasked", ()):
            assert question not in self.dns.asked, (where, question)


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def peer_of(address: str, name: str) -> Peer:
    if not address:
        return Peer(b"localhost", b"U")
    return Peer(raw(name or f"[{address}]"), b"6" if ":" in address else b"4", 25, raw(address))


CARRIED = ("client", "name", "helo", "sender", "recipients", "login", "headers_in")


@pytest.mark.parametrize("cold", [False, True], ids=["at-hand", "cold"])
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, cold: bool) -> None:
    story = tomllib.loads(path.read_text())

    async def play() -> None:
        scene = Play(story, cold)
        carried: dict[str, Any] = {}
        for number, message in enumerate(story["message"], 1):
            carried = {key: value for key, value in carried.items() if key in CARRIED} | message
            await scene.send(carried, f"{path.name} message {number}: {story['story']}")

    asyncio.run(play())


def test_there_are_stories() -> None:
    assert len(STORIES) > 20
